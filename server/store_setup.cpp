#include "store_setup.h"

#include <map>
#include <string_view>

#include "plugin_report.h"

namespace meridian::server {
namespace {

constexpr const char* directory_key = "directory";
// Of stores that several nodes may use at once: the node does not lock rows, as their groups have to.
constexpr const char* sharing_key = "sharing";

}  // namespace

Result<StorePlugin> configure_store_plugin(const plugin::LoadedPlugin& loaded, const config::Settings& settings,
                                           const std::optional<std::string>& directory) {
    std::map<std::string, std::string> section;
    std::map<std::string, std::string> sources;
    for (const config::PluginEntry& entry : settings.store_entries) {
        section[entry.key] = entry.value;
        sources[entry.key] = entry.source;
    }
    StorePlugin store{loaded, {}, {}};
    if (plugin::find_declared_key(*loaded.descriptor, directory_key) != nullptr) {
        if (directory) section[directory_key] = *directory;
        section.emplace(directory_key, settings.data_dir + "/store");
        std::string& path = section[directory_key];
        while (path.size() > 1 && path.back() == '/') path.pop_back();
        store.directory = path;
    }
    if (const auto sharing = section.find(sharing_key); sharing != section.end() && sharing->second == "shared") {
        return Error{sources[sharing_key] +
                     ": [store] sharing = 'shared': this version of meridiand does not share a store with other nodes; "
                     "expected exclusive, with one schema for each node"};
    }
    auto configuration =
        plugin::check_configuration(loaded, "[store]", section, plugin::process_environment(), sources);
    if (!configuration) return configuration.error();
    store.configuration = *std::move(configuration);
    return store;
}

Result<StorePlugin> load_store_plugin(const config::Settings& settings, const std::optional<std::string>& directory) {
    auto loaded =
        plugin::load_plugin(settings.store_plugin, plugin_directories(settings.plugin_path), plugin::Kind::store);
    if (!loaded) return loaded.error();
    return configure_store_plugin(*loaded, settings, directory);
}

}  // namespace meridian::server
