#include "reload.h"

#include <algorithm>
#include <map>

namespace meridian::server {
namespace {

// `section` as in the names of settings: "store", "transport.NAME".
PluginReload compare(Reload& reload, const std::string& section, const plugin::LoadedPlugin& plugin,
                     const plugin::Configuration& running, const plugin::Configuration& read_again) {
    PluginReload out;
    std::map<std::string, std::string> values(running.values.begin(), running.values.end());
    for (const auto& [key, value] : read_again.values) {
        const meridian_config_key* declared = plugin::find_declared_key(*plugin.descriptor, key);
        const bool reloadable = declared != nullptr && (declared->flags & MERIDIAN_KEY_RELOADABLE) != 0;
        const auto old_value = values.find(key);
        const bool changed = old_value == values.end() || old_value->second != value;
        if (changed) (reloadable ? reload.taken : reload.kept).push_back(section + "." + key);
        if (reloadable) {
            out.reloadable.values.emplace_back(key, value);
            out.changed = out.changed || changed;
            values[key] = value;
        }
    }
    for (const auto& [key, value] : values) out.effective.values.emplace_back(key, value);
    return out;
}

Result<void> compare_store(Reload& reload, const config::Settings& read_again, const StorePlugin& store) {
    reload.store.effective = store.configuration;
    // The keys of another plug-in, which is not loaded, say nothing to this one.
    if (read_again.store_plugin != reload.settings.store_plugin) return {};
    reload.settings.store_entries = read_again.store_entries;
    Result<StorePlugin> configured = configure_store_plugin(store.loaded, reload.settings);
    if (!configured) return configured.error();
    reload.store = compare(reload, "store", store.loaded, store.configuration, configured->configuration);
    return {};
}

config::TransportEntry* find_transport(std::vector<config::TransportEntry>& transports, const std::string& name) {
    const auto found = std::find_if(transports.begin(), transports.end(),
                                    [&](const config::TransportEntry& each) { return each.name == name; });
    return found == transports.end() ? nullptr : &*found;
}

Result<void> compare_transports(Reload& reload, config::Settings read_again,
                                const std::vector<TransportPlugin>& transports) {
    for (const TransportPlugin& transport : transports) {
        reload.transports.emplace_back().effective = transport.configuration;
        config::TransportEntry* const running = find_transport(reload.settings.transports, transport.name);
        config::TransportEntry* const found = find_transport(read_again.transports, transport.name);
        if (running == nullptr || found == nullptr || found->plugin != running->plugin) {
            reload.kept.push_back("transport." + transport.name);
            continue;
        }
        running->entries = found->entries;
        const auto configuration = configure_transport(transport.loaded, *running, reload.settings);
        if (!configuration) return configuration.error();
        reload.transports.back() =
            compare(reload, "transport." + transport.name, transport.loaded, transport.configuration, *configuration);
    }
    for (const config::TransportEntry& each : read_again.transports) {
        if (find_transport(reload.settings.transports, each.name) == nullptr)
            reload.kept.push_back("transport." + each.name);
    }
    return {};
}

}  // namespace

Result<Reload> plan_reload(const config::Settings& running, const StorePlugin& store,
                           const std::vector<TransportPlugin>& transports, const config::SettingsSources& sources) {
    Result<config::Settings> read_again = config::load_settings(sources);
    if (!read_again) return read_again.error();
    Reload reload{running, {}, {}, {}, {}};
    config::SettingsChanges changes = config::take_reloadable(reload.settings, *read_again);
    reload.taken = std::move(changes.taken);
    reload.kept = std::move(changes.kept);
    if (Result<void> compared = compare_store(reload, *read_again, store); !compared) return compared.error();
    if (Result<void> compared = compare_transports(reload, *std::move(read_again), transports); !compared)
        return compared.error();
    return reload;
}

}  // namespace meridian::server
