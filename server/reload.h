// What changes when a running node reads its configuration again (SIGHUP).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "config/settings.h"
#include "plugin/plugin_configuration.h"
#include "store_setup.h"
#include "transport_setup.h"

namespace meridian::server {

struct PluginReload {
    plugin::Configuration effective;   // the plug-in's values afterwards
    plugin::Configuration reloadable;  // all of its reloadable values
    bool changed = false;              // `reloadable` holds a new value
};

struct Reload {
    config::Settings settings;  // what is in effect afterwards
    PluginReload store;
    std::vector<PluginReload> transports;  // as many as run, in their order
    std::vector<std::string> taken;        // names that changed, "section.key"
    std::vector<std::string> kept;         // names that differ and can only be changed by a restart
};

// Reads the sources again and compares. `store` and `transports` are the plug-ins with the values that they have.
// Changes nothing; an error says why the configuration is refused as a whole.
Result<Reload> plan_reload(const config::Settings& running, const StorePlugin& store,
                           const std::vector<TransportPlugin>& transports, const config::SettingsSources& sources);

}  // namespace meridian::server
