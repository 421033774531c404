// What a node can be told: every setting, its default, its range, and where its value came from.
//
// Layers, later ones win: built-in defaults, the configuration files, environment variables (set but empty counts as
// unset), the command line. Every value is checked when it is read; an error names the file and line (or the variable,
// or the option), the key, the value, what was expected, and for an unknown name the nearest valid one.
//
// The keys of [store] and [transport NAME] other than `plugin` belong to the plug-in and are checked by it, not here.
// Threads: a value; a running node's settings are read only, and replaced whole when they are read again.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "config/ini_file.h"

namespace meridian::config {

struct PluginEntry {
    std::string key;
    std::string value;
    std::string source;  // "file:line", for messages
};

// One transport: `[transport NAME]`, or what an environment variable asks for.
struct TransportEntry {
    std::string name;
    std::string plugin;
    std::string source;  // "file:line" of the section, or the variable
    std::vector<PluginEntry> entries;
};

struct Settings {
    // [server]
    std::string bind = "0.0.0.0:3000";      // a list of host:port, [ipv6]:port or unix:/path
    std::string unix_socket_mode = "0660";  // octal
    std::string data_dir = "./data";
    std::string backup_dir;              // where backups are made; empty = `backups` in the data directory
    std::string signing_key;             // 64 hexadecimal digits; empty = the key file in the data directory
    uint64_t loops = 0;                  // event loops; 0 = one per core
    uint64_t room_spread_members = 256;  // of one room on its own loop; more live on the other loops; 0 = never
    uint64_t stop_timeout_ms = 5000;     // how long a stopping node waits for what is in flight
    std::string key_form = "auto";       // auto, integer or string
    std::string log_level = "info";      // error, warning, info or debug
    std::string metrics = "local";       // who may read /metrics: local (this machine, and admin tokens), admin, off

    std::string cors_origins;  // a list of origins, or *; empty = none

    // [node]
    std::string node_id;  // decimal; empty = derived from host name and port
    uint64_t cache_bytes = 256ULL << 20;
    uint64_t waiting_requests = 100'000;
    uint64_t pending_commit_bytes = 64ULL << 20;
    uint64_t group_bytes = 8ULL << 20;
    uint64_t key_bytes = 1024;
    uint64_t batch_items = 10'000;
    uint64_t idempotency_retention_ms = 24ULL * 3600 * 1000;
    uint64_t checkpoint_interval_ms = 10'000;
    uint64_t checkpoint_log_bytes = 64ULL << 20;
    uint64_t log_retention_ms = 7ULL * 24 * 3600 * 1000;
    uint64_t log_retention_bytes = 1ULL << 30;
    uint64_t tombstone_grace_ms = 30ULL * 24 * 3600 * 1000;

    // [plugins]
    std::string
        plugin_path;  // directories separated by ':'; empty = next to the executable, then the install directory

    // [store]
    std::string store_plugin = "store-kv";
    std::vector<PluginEntry> store_entries;

    // [cluster]
    std::string cluster_id;                         // two clusters on one broker are kept apart by it
    std::string cluster_secret;                     // signs what nodes say to each other; empty = nothing is signed
    std::string cluster_authentication = "accept";  // accept or require: what becomes of messages without signature
    std::string cluster_transport = "auto";         // auto, none, or the plug-in that alone is used
    uint64_t anti_entropy_interval_ms = 30'000;
    uint64_t startup_catchup_ms = 30'000;  // how long a starting node waits until it is level with its peers
    uint64_t delta_bytes = 2 << 20;        // larger ones are not sent unasked
    std::string legacy_wal = "on";         // on or off: what nodes of the older implementation get of the log

    // [transport NAME]; those that are used
    std::vector<TransportEntry> transports;

    // [limits]
    uint64_t connections = 100'000;
    uint64_t http_head_bytes = 32 << 10;
    uint64_t http_headers = 100;
    uint64_t http_body_bytes = 2 << 20;
    uint64_t http_pipeline = 64;
    uint64_t head_timeout_ms = 10'000;
    uint64_t body_timeout_ms = 30'000;
    uint64_t idle_timeout_ms = 75'000;
    uint64_t write_timeout_ms = 30'000;
    uint64_t websocket_message_bytes = 8 << 20;
    uint64_t websocket_frames_in_flight = 256;
    uint64_t partial_input_bytes = 256 << 20;
    uint64_t loop_queue_bytes = 64 << 20;
    uint64_t websocket_ping_interval_ms = 25'000;
    uint64_t connection_queue_bytes = 1 << 20;
    uint64_t missed_keys = 1000;
    uint64_t requests_per_second = 100;
    uint64_t awareness_bytes = 64 << 10;
    uint64_t awareness_per_second = 60;
    uint64_t rga_elements = 4'000'000;
    uint64_t tree_nodes = 1'000'000;
    uint64_t orset_tags = 1'000'000;
    uint64_t counter_slots = 1'000'000;
    uint64_t presence_entries = 100'000;
    uint64_t map_keys = 100'000;
    uint64_t register_value_bytes = 4 << 20;

    std::vector<std::string> warnings;  // variables that are recognised and have no effect
};

// The value of an environment variable, or nothing.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

struct SettingsSources {
    std::vector<std::string> files;  // read in order, each followed by the drop-in files beside it
    Environment environment;
    std::vector<std::pair<std::string, std::string>> options;  // "section.key", value: from the command line
};

Result<Settings> load_settings(const SettingsSources& sources);

// Names of settings as "section.key".
struct SettingsChanges {
    std::vector<std::string> taken;
    std::vector<std::string> kept;  // they differ, and the running node cannot change them
};

// Brings a running node's settings up to what was read again: takes over the reloadable ones that differ. Not those of
// the store's plug-in.
SettingsChanges take_reloadable(Settings& running, const Settings& read_again);

// Every effective value as an INI file that load_settings reads back; secrets are shown as "(hidden)" in a comment.
// Which of a plug-in's keys are secret only the plug-in knows: `shows_key` says whether the value of such a key of
// [store] (`transport` is null) or of a transport may be shown; without it none is.
std::string dump_settings(
    const Settings& settings,
    const std::function<bool(const TransportEntry* transport, const std::string& key)>& shows_key = {});

// The members of a setting that is a list: separated by commas, without the blanks around them.
std::vector<std::string> split_list(std::string_view list);

// The candidate nearest to `name` by edit distance, if it is near enough to be what was meant; else empty.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace meridian::config
