// One instance of a plug-in, and the words for what it answers: what the adapters of stores and transports share.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "plugin/host_services.h"
#include "plugin/loader.h"
#include "plugin/plugin_configuration.h"

namespace meridian::plugin {

inline meridian_bytes bytes(std::string_view text) {
    return {text.data(), text.size()};
}
inline std::string_view view(meridian_bytes value) {
    return value.size == 0 ? std::string_view()
                           : std::string_view(static_cast<const char*>(value.data), static_cast<size_t>(value.size));
}

// For a person; `subject` is "store" or "transport".
std::string status_text(meridian_status status, std::string_view subject);
// What the plug-in has said, else the status in words; empty for success.
std::string error_text(meridian_status status, meridian_bytes message, std::string_view subject);

// Calls that fail give the plug-in's own text, preceded by its kind and name.
//
// Threads: like [control] of meridian/plugin.h; get() from any between create() and destroy().
class Instance {
public:
    // `services` as in HostServices.
    Instance(const LoadedPlugin& plugin, HostServices services);
    // Destroys it if that has not been done.
    ~Instance();
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;

    // Kind and name, for texts.
    const std::string& title() const { return title_; }
    std::string_view subject() const { return kind_name(descriptor_.identity.kind); }
    const meridian_plugin_descriptor& descriptor() const { return descriptor_; }
    const HostServices& services() const { return bridge_.services(); }
    // Null before create() and after destroy().
    void* get() const { return instance_; }

    Result<void> create(const Configuration& configuration);
    Result<void> reconfigure(const Configuration& reloadable);
    // Does nothing the second time, or without an instance. No timer callback runs after it.
    void stop(uint64_t deadline_us);
    // Stops if that has not been done, with no time left.
    void destroy();

    // Runs a [control] call, which may leave a text.
    template <class Call>
    Result<void> control(Call call) {
        char text[1024] = "";
        meridian_error error{sizeof error, sizeof text, text};
        const meridian_status status = call(&error);
        text[sizeof text - 1] = '\0';
        if (status == MERIDIAN_OK) return {};
        return Error{title_ + ": " + error_text(status, bytes(text), subject())};
    }

private:
    template <class Call>
    Result<void> with_configuration(const Configuration& configuration, Call call);

    const meridian_plugin_descriptor& descriptor_;
    const std::string title_;
    HostBridge bridge_;
    void* instance_ = nullptr;
    bool stopped_ = false;
};

}  // namespace meridian::plugin
