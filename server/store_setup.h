// The store that the settings name: found, checked, configured.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "config/settings.h"
#include "plugin/loader.h"
#include "plugin/plugin_configuration.h"

namespace meridian::server {

struct StorePlugin {
    plugin::LoadedPlugin loaded;
    plugin::Configuration configuration;
    std::string directory;  // where it keeps its files; empty if it has no key `directory`
};

// The plug-in's part of the settings, checked. `directory`, if given, takes the place of the configured one. A store
// that keeps files keeps them in `<data_dir>/store` unless the settings say otherwise.
Result<StorePlugin> configure_store_plugin(const plugin::LoadedPlugin& loaded, const config::Settings& settings,
                                           const std::optional<std::string>& directory = std::nullopt);
// The same, of the plug-in that the settings name.
Result<StorePlugin> load_store_plugin(const config::Settings& settings,
                                      const std::optional<std::string>& directory = std::nullopt);

}  // namespace meridian::server
