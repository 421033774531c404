#include "reload.h"

#include <map>

namespace meridian::server {
namespace {

void compare_store(Reload& reload, const StorePlugin& running, const plugin::Configuration& read_again) {
    std::map<std::string, std::string> old_values;
    for (const auto& [key, value] : running.configuration.values) old_values[key] = value;
    for (const auto& [key, value] : read_again.values) {
        const meridian_config_key* declared = plugin::find_declared_key(*running.loaded.descriptor, key);
        const bool reloadable = declared != nullptr && (declared->flags & MERIDIAN_KEY_RELOADABLE) != 0;
        const auto old_value = old_values.find(key);
        const bool changed = old_value == old_values.end() || old_value->second != value;
        if (changed) (reloadable ? reload.taken : reload.kept).push_back("store." + key);
        if (reloadable) {
            reload.reloadable_store.values.emplace_back(key, value);
            reload.store_changed = reload.store_changed || changed;
            old_values[key] = value;
        }
    }
    for (const auto& [key, value] : old_values) reload.store.values.emplace_back(key, value);
}

}  // namespace

Result<Reload> plan_reload(const config::Settings& running, const StorePlugin& store,
                           const config::SettingsSources& sources) {
    Result<config::Settings> read_again = config::load_settings(sources);
    if (!read_again) return read_again.error();
    Reload reload{running, {}, {}, false, {}, {}};
    config::SettingsChanges changes = config::take_reloadable(reload.settings, *read_again);
    reload.taken = std::move(changes.taken);
    reload.kept = std::move(changes.kept);
    if (read_again->store_plugin != running.store_plugin) {
        // The keys are those of another plug-in, which is not loaded.
        reload.store = store.configuration;
        return reload;
    }
    reload.settings.store_entries = read_again->store_entries;
    Result<StorePlugin> configured = configure_store_plugin(store.loaded, reload.settings);
    if (!configured) return configured.error();
    compare_store(reload, store, configured->configuration);
    return reload;
}

}  // namespace meridian::server
