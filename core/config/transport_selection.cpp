#include "config/transport_selection.h"

#include <algorithm>
#include <utility>

namespace meridian::config {
namespace {

constexpr const char* redis_plugin = "transport-redis";
constexpr const char* http_plugin = "transport-http";

bool is_instance_name(const std::string& name) {
    return !name.empty() && name.size() <= 32 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
}

void select_by_variable(Settings& settings, const char* plugin, const char* name, const std::string& variable,
                        std::vector<PluginEntry> entries) {
    const bool has_section = std::any_of(settings.transports.begin(), settings.transports.end(),
                                         [&](const TransportEntry& each) { return each.plugin == plugin; });
    if (!has_section)
        settings.transports.push_back({name, plugin, "environment variable " + variable, std::move(entries)});
}

}  // namespace

Result<TransportEntry*> find_or_add_transport(Settings& settings, const std::string& name, std::string source,
                                              const std::string& where) {
    if (!is_instance_name(name)) {
        return Error{where + ": [transport" + (name.empty() ? "" : " " + name) +
                     "]: expected a name of 1 to 32 letters a-z, digits, - and _, as in [transport eu]"};
    }
    for (TransportEntry& transport : settings.transports) {
        if (transport.name == name) return &transport;
    }
    if (settings.transports.size() == transports_max)
        return Error{where + ": [transport " + name + "]: expected at most " + std::to_string(transports_max)};
    settings.transports.push_back({name, {}, std::move(source), {}});
    return &settings.transports.back();
}

void set_transport_value(TransportEntry& transport, PluginEntry entry) {
    if (entry.key == "plugin") {
        transport.plugin = entry.value;
        return;
    }
    std::erase_if(transport.entries, [&](const PluginEntry& other) { return other.key == entry.key; });
    transport.entries.push_back(std::move(entry));
}

Result<void> select_transports(Settings& settings, const Environment& environment) {
    for (const TransportEntry& transport : settings.transports) {
        if (!transport.plugin.empty()) continue;
        return Error{transport.source + ": [transport " + transport.name +
                     "]: no plugin; expected plugin = NAME, such as transport-redis"};
    }
    const auto value_of = [&environment](const char* name) {
        std::optional<std::string> value = environment ? environment(name) : std::nullopt;
        return value && !value->empty() ? value : std::nullopt;
    };
    constexpr const char* own_url = "MERIDIAN_CLUSTER_REDIS_URL";
    // The plug-in reads REDIS_URL and MERIDIAN_PEERS itself.
    if (const auto url = value_of(own_url)) {
        select_by_variable(settings, redis_plugin, "redis", own_url,
                           {{"url", *url, std::string("environment variable ") + own_url}});
    } else if (value_of("REDIS_URL")) {
        select_by_variable(settings, redis_plugin, "redis", "REDIS_URL", {});
    }
    if (value_of("MERIDIAN_PEERS")) select_by_variable(settings, http_plugin, "http", "MERIDIAN_PEERS", {});

    const std::string& wanted = settings.cluster_transport;
    if (wanted == "auto") return {};
    const std::string plugin = wanted == "redis" || wanted == "http" ? "transport-" + wanted : wanted;
    const size_t found = settings.transports.size();
    std::erase_if(settings.transports, [&](const TransportEntry& each) { return each.plugin != plugin; });
    if (wanted != "none" && settings.transports.empty()) {
        return Error{"[cluster] transport = '" + wanted + "': none of the " + std::to_string(found) +
                     " configured transports is one of plug-in " + plugin +
                     "; expected auto, none, redis, http or a plug-in of a [transport NAME] section"};
    }
    return {};
}

}  // namespace meridian::config
