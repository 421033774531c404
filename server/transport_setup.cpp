#include "transport_setup.h"

#include <map>

#include "plugin_report.h"

namespace meridian::server {
namespace {

// Reconnecting must not take longer than the interval in which convergence is promised; the plug-ins that wait between
// attempts have a key of this name.
constexpr const char* delay_key = "reconnect_delay_max";
// Whether what nodes say to each other is signed; for warnings of a plug-in.
constexpr const char* authenticated_key = "authenticated";

bool may_be_shown(const meridian_plugin_descriptor& descriptor, const std::string& key) {
    if (const meridian_config_key* declared = plugin::find_declared_key(descriptor, key))
        return (declared->flags & MERIDIAN_KEY_SECRET) == 0;
    // `<key>_file`: the name of the file that holds a secret is none.
    return key.size() > 5 && key.substr(key.size() - 5) == "_file" &&
           plugin::find_declared_key(descriptor, key.substr(0, key.size() - 5)) != nullptr;
}

}  // namespace

Result<plugin::Configuration> configure_transport(const plugin::LoadedPlugin& loaded,
                                                  const config::TransportEntry& transport,
                                                  const config::Settings& settings) {
    std::map<std::string, std::string> section;
    std::map<std::string, std::string> sources;
    for (const config::PluginEntry& entry : transport.entries) {
        section[entry.key] = entry.value;
        sources[entry.key] = entry.source;
    }
    if (plugin::find_declared_key(*loaded.descriptor, delay_key) != nullptr)
        section.emplace(delay_key, std::to_string(settings.anti_entropy_interval_ms / 3) + "ms");
    if (plugin::find_declared_key(*loaded.descriptor, authenticated_key) != nullptr)
        section[authenticated_key] = settings.cluster_secret.empty() ? "false" : "true";
    return plugin::check_configuration(loaded, "[transport " + transport.name + "]", section,
                                       plugin::process_environment(), sources);
}

Result<std::vector<TransportPlugin>> load_transport_plugins(const config::Settings& settings) {
    std::vector<TransportPlugin> out;
    for (const config::TransportEntry& transport : settings.transports) {
        auto loaded =
            plugin::load_plugin(transport.plugin, plugin_directories(settings.plugin_path), plugin::Kind::transport);
        if (!loaded) return Error{"[transport " + transport.name + "]: " + loaded.error().message};
        auto configuration = configure_transport(*loaded, transport, settings);
        if (!configuration) return configuration.error();
        out.push_back({transport.name, *loaded, *std::move(configuration)});
    }
    return out;
}

std::function<bool(const config::TransportEntry* transport, const std::string& key)> shown_plugin_keys(
    const config::Settings& settings) {
    const std::vector<std::string> directories = plugin_directories(settings.plugin_path);
    return [&settings, directories](const config::TransportEntry* transport, const std::string& key) {
        const auto loaded = transport == nullptr
                                ? plugin::load_plugin(settings.store_plugin, directories, plugin::Kind::store)
                                : plugin::load_plugin(transport->plugin, directories, plugin::Kind::transport);
        return loaded && may_be_shown(*loaded->descriptor, key);
    };
}

}  // namespace meridian::server
