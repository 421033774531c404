// The transports that the settings name: found, checked, configured.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/settings.h"
#include "plugin/loader.h"
#include "plugin/plugin_configuration.h"

namespace meridian::server {

struct TransportPlugin {
    std::string name;  // of the instance
    plugin::LoadedPlugin loaded;
    plugin::Configuration configuration;
};

// What [transport NAME] says, checked.
Result<plugin::Configuration> configure_transport(const plugin::LoadedPlugin& loaded,
                                                  const config::TransportEntry& transport,
                                                  const config::Settings& settings);
// In the order of the settings. An error names the section, or the file.
Result<std::vector<TransportPlugin>> load_transport_plugins(const config::Settings& settings);

// Whether the value of a key of [store] (null) or of a transport may be shown: the plug-in declares it and not as a
// secret. Shows nothing of a plug-in that cannot be loaded.
std::function<bool(const config::TransportEntry* transport, const std::string& key)> shown_plugin_keys(
    const config::Settings& settings);

}  // namespace meridian::server
