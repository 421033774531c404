#include "plugin/instance.h"

#include <utility>
#include <vector>

namespace meridian::plugin {

std::string status_text(meridian_status status, std::string_view subject) {
    const std::string the = "the " + std::string(subject);
    switch (status) {
        case MERIDIAN_OK:
            return "success";
        case MERIDIAN_BUSY:
            return the + " is busy";
        case MERIDIAN_CANCELLED:
            return the + " is stopping";
        case MERIDIAN_INVALID:
            return the + " refused the call as invalid";
        case MERIDIAN_NOT_SUPPORTED:
            return the + " does not support this";
        case MERIDIAN_NO_SPACE:
            return the + " has no space";
        case MERIDIAN_READ_ONLY:
            return the + " is read-only after a failure";
        case MERIDIAN_OUTCOME_UNKNOWN:
            return the + " does not know the outcome";
        case MERIDIAN_CORRUPT:
            return "stored data is damaged";
        case MERIDIAN_IO:
            return the + " cannot read or write";
        case MERIDIAN_TIMEOUT:
            return the + " took too long";
        case MERIDIAN_UNAVAILABLE:
            return the + " cannot be reached";
        case MERIDIAN_IN_USE:
            return the + " is in use";
        case MERIDIAN_NEWER_FORMAT:
            return the + " has a newer format";
        case MERIDIAN_INTERNAL:
            return the + " plug-in failed internally";
        default:
            return the + " answered with a status that this host does not know";
    }
}

std::string error_text(meridian_status status, meridian_bytes message, std::string_view subject) {
    if (status == MERIDIAN_OK) return {};
    return message.size == 0 ? status_text(status, subject) : std::string(view(message));
}

Instance::Instance(const LoadedPlugin& plugin, HostServices services)
    : descriptor_(*plugin.descriptor),
      title_(std::string(kind_name(descriptor_.identity.kind)) + " " + descriptor_.identity.name),
      bridge_(std::move(services)) {}

Instance::~Instance() {
    destroy();
}

template <class Call>
Result<void> Instance::with_configuration(const Configuration& configuration, Call call) {
    std::vector<meridian_config_value> values;
    for (const auto& [key, value] : configuration.values) values.push_back({key.c_str(), bytes(value)});
    const meridian_config config{sizeof config, static_cast<uint32_t>(values.size()), values.data()};
    return control([&](meridian_error* error) { return call(&config, error); });
}

Result<void> Instance::create(const Configuration& configuration) {
    const auto made = with_configuration(configuration, [this](const meridian_config* config, meridian_error* error) {
        return descriptor_.create(bridge_.table(), config, &instance_, error);
    });
    if (!made) {
        instance_ = nullptr;
        return made;
    }
    if (instance_ == nullptr) return Error{title_ + ": create succeeded without an instance"};
    return {};
}

Result<void> Instance::reconfigure(const Configuration& reloadable) {
    if (descriptor_.reconfigure == nullptr) return Error{title_ + ": it has no reconfigure"};
    return with_configuration(reloadable, [this](const meridian_config* config, meridian_error* error) {
        return descriptor_.reconfigure(instance_, config, error);
    });
}

void Instance::stop(uint64_t deadline_us) {
    if (instance_ == nullptr || stopped_) return;
    stopped_ = true;
    descriptor_.stop(instance_, deadline_us);
    bridge_.stop_timers();
}

void Instance::destroy() {
    if (instance_ == nullptr) return;
    stop(0);
    descriptor_.destroy(instance_);
    instance_ = nullptr;
}

}  // namespace meridian::plugin
