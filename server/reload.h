// What changes when a running node reads its configuration again (SIGHUP).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "config/settings.h"
#include "plugin/plugin_configuration.h"
#include "store_setup.h"

namespace meridian::server {

struct Reload {
    config::Settings settings;               // what is in effect afterwards
    plugin::Configuration store;             // the plug-in's values that are in effect afterwards
    plugin::Configuration reloadable_store;  // all of the plug-in's reloadable values
    bool store_changed = false;              // reloadable_store holds a new value
    std::vector<std::string> taken;          // names that changed, "section.key"
    std::vector<std::string> kept;           // names that differ and can only be changed by a restart
};

// Reads the sources again and compares. `store` is the plug-in with the values that it has. Changes nothing; an error
// says why the configuration is refused as a whole.
Result<Reload> plan_reload(const config::Settings& running, const StorePlugin& store,
                           const config::SettingsSources& sources);

}  // namespace meridian::server
