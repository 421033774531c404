#include "store_setup.h"

#include <map>
#include <string_view>

#include "plugin_report.h"

namespace meridian::server {
namespace {

constexpr const char* directory_key = "directory";

bool declares(const plugin::LoadedPlugin& loaded, std::string_view key) {
    for (uint64_t i = 0; i < loaded.descriptor->config_key_count; ++i) {
        if (key == loaded.descriptor->config_keys[i].name) return true;
    }
    return false;
}

}  // namespace

Result<StorePlugin> load_store_plugin(const config::Settings& settings, const std::optional<std::string>& directory) {
    auto loaded =
        plugin::load_plugin(settings.store_plugin, plugin_directories(settings.plugin_path), plugin::Kind::store);
    if (!loaded) return loaded.error();
    std::map<std::string, std::string> section;
    for (const config::PluginEntry& entry : settings.store_entries) section[entry.key] = entry.value;
    StorePlugin store{*loaded, {}, {}};
    if (declares(*loaded, directory_key)) {
        if (directory) section[directory_key] = *directory;
        section.emplace(directory_key, settings.data_dir + "/store");
        std::string& path = section[directory_key];
        while (path.size() > 1 && path.back() == '/') path.pop_back();
        store.directory = path;
    }
    auto configuration = plugin::check_configuration(*loaded, "[store]", section, plugin::process_environment());
    if (!configuration) return configuration.error();
    store.configuration = *std::move(configuration);
    return store;
}

}  // namespace meridian::server
