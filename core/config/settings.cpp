#include "config/settings.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>

namespace meridian::config {
namespace {

using Text = std::string Settings::*;
using Number = uint64_t Settings::*;

// Says what is wrong with a text value ("expected ..."), or is empty.
using Check = std::string (*)(const std::string&);

struct Field {
    const char* section;
    const char* key;
    const char* variable;  // environment variable, or null
    Text text = nullptr;
    Number number = nullptr;
    uint64_t min = 0;
    uint64_t max = 0;
    Check check = nullptr;
    bool secret = false;
    uint64_t variable_scale = 1;  // an environment variable in other units: value x scale
};

std::string one_of(const std::string& value, std::initializer_list<const char*> allowed) {
    std::string expected = "expected";
    for (const char* name : allowed) {
        if (value == name) return {};
        expected += std::string(expected == "expected" ? " " : ", ") + name;
    }
    return expected;
}
std::string check_key_form(const std::string& value) {
    return one_of(value, {"auto", "integer", "string"});
}
std::string check_log_level(const std::string& value) {
    return one_of(value, {"error", "warning", "info", "debug"});
}
std::string check_metrics(const std::string& value) {
    return one_of(value, {"local", "admin", "off"});
}
std::string check_not_empty(const std::string& value) {
    return value.empty() ? "expected a value" : "";
}

std::string check_signing_key(const std::string& value) {
    const bool digits = std::all_of(value.begin(), value.end(), [](unsigned char c) { return std::isxdigit(c) != 0; });
    return value.size() == 64 && digits ? "" : "expected 64 hexadecimal digits";
}

std::string check_node_id(const std::string& value) {
    std::string_view digits = value;
    if (!digits.empty() && digits.front() == '+') digits.remove_prefix(1);
    uint64_t id = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), id);
    return parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size() ? ""
                                                                                   : "expected a decimal 64-bit number";
}

std::string check_bind(const std::string& value) {
    if (value.rfind("unix:", 0) == 0) {
        return value.size() > 5 && value.size() < 5 + 108 ? "" : "expected a path of 1 to 107 bytes after unix:";
    }
    const size_t colon = value.rfind(':');
    uint16_t port = 0;
    const std::string_view digits =
        colon == std::string::npos ? std::string_view() : std::string_view(value).substr(colon + 1);
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    const bool port_ok = !digits.empty() && parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size();
    return port_ok && colon > 0 ? "" : "expected host:port, [IPv6 address]:port or unix:/path";
}

constexpr uint64_t any_max = UINT64_MAX;
constexpr uint64_t day_ms = 24ULL * 3600 * 1000;

Field text(const char* section, const char* key, Text member, Check check, const char* variable = nullptr,
           bool secret = false) {
    Field field{section, key, variable};
    field.text = member;
    field.check = check;
    field.secret = secret;
    return field;
}
Field number(const char* section, const char* key, Number member, uint64_t min, uint64_t max,
             const char* variable = nullptr, uint64_t variable_scale = 1) {
    Field field{section, key, variable};
    field.number = member;
    field.min = min;
    field.max = max;
    field.variable_scale = variable_scale;
    return field;
}

const std::vector<Field>& fields() {
    using S = Settings;
    static const std::vector<Field> all = {
        text("server", "bind", &S::bind, check_bind, "MERIDIAN_BIND"),
        text("server", "data_dir", &S::data_dir, check_not_empty, "MERIDIAN_DATA_DIR"),
        text("server", "backup_dir", &S::backup_dir, nullptr),
        text("server", "signing_key", &S::signing_key, check_signing_key, "MERIDIAN_SIGNING_KEY", true),
        number("server", "loops", &S::loops, 0, 256),
        number("server", "stop_timeout_ms", &S::stop_timeout_ms, 0, 3'600'000),
        text("server", "key_form", &S::key_form, check_key_form),
        text("server", "log_level", &S::log_level, check_log_level),
        text("server", "metrics", &S::metrics, check_metrics),
        text("node", "id", &S::node_id, check_node_id, "MERIDIAN_NODE_ID"),
        number("node", "cache_bytes", &S::cache_bytes, 1 << 20, any_max),
        number("node", "waiting_requests", &S::waiting_requests, 1, 100'000'000),
        number("node", "pending_commit_bytes", &S::pending_commit_bytes, 1 << 20, any_max),
        number("node", "group_bytes", &S::group_bytes, 64 << 10, 1ULL << 30),
        number("node", "key_bytes", &S::key_bytes, 1, 65'536),
        number("node", "batch_items", &S::batch_items, 1, 1'000'000),
        number("node", "idempotency_retention_ms", &S::idempotency_retention_ms, 1000, 365 * day_ms),
        number("node", "checkpoint_interval_ms", &S::checkpoint_interval_ms, 100, day_ms),
        number("node", "checkpoint_log_bytes", &S::checkpoint_log_bytes, 1 << 20, any_max),
        number("node", "log_retention_ms", &S::log_retention_ms, 600'000, 3650 * day_ms, "MERIDIAN_LOG_RETENTION_SECS",
               1000),
        number("node", "log_retention_bytes", &S::log_retention_bytes, 16 << 20, any_max,
               "MERIDIAN_LOG_RETENTION_BYTES"),
        number("node", "tombstone_grace_ms", &S::tombstone_grace_ms, 1000, 3650 * day_ms, "MERIDIAN_CRDT_GC_GRACE_MS"),
        text("plugins", "path", &S::plugin_path, nullptr),
        text("store", "plugin", &S::store_plugin, check_not_empty),
        number("limits", "connections", &S::connections, 1, 10'000'000),
        number("limits", "http_head_bytes", &S::http_head_bytes, 1024, 1 << 20),
        number("limits", "http_headers", &S::http_headers, 8, 10'000),
        number("limits", "http_body_bytes", &S::http_body_bytes, 1024, 1ULL << 30),
        number("limits", "http_pipeline", &S::http_pipeline, 1, 10'000),
        number("limits", "head_timeout_ms", &S::head_timeout_ms, 100, day_ms),
        number("limits", "body_timeout_ms", &S::body_timeout_ms, 100, day_ms),
        number("limits", "idle_timeout_ms", &S::idle_timeout_ms, 100, day_ms),
        number("limits", "write_timeout_ms", &S::write_timeout_ms, 100, day_ms),
        number("limits", "websocket_message_bytes", &S::websocket_message_bytes, 1024, 1ULL << 30),
        number("limits", "websocket_frames_in_flight", &S::websocket_frames_in_flight, 1, 100'000),
        number("limits", "websocket_ping_interval_ms", &S::websocket_ping_interval_ms, 1000, day_ms),
        number("limits", "connection_queue_bytes", &S::connection_queue_bytes, 16 << 10, 1ULL << 30),
        number("limits", "missed_keys", &S::missed_keys, 1, 1'000'000),
        number("limits", "requests_per_second", &S::requests_per_second, 1, 10'000'000),
        number("limits", "awareness_bytes", &S::awareness_bytes, 1, 16 << 20),
        number("limits", "awareness_per_second", &S::awareness_per_second, 1, 1'000'000),
        number("limits", "rga_elements", &S::rga_elements, 1, any_max),
        number("limits", "tree_nodes", &S::tree_nodes, 1, any_max),
        number("limits", "orset_tags", &S::orset_tags, 1, any_max),
        number("limits", "counter_slots", &S::counter_slots, 1, any_max),
        number("limits", "presence_entries", &S::presence_entries, 1, any_max),
        number("limits", "map_keys", &S::map_keys, 1, any_max),
        number("limits", "register_value_bytes", &S::register_value_bytes, 1, 1ULL << 30),
    };
    return all;
}

// Variables of other deployments' features, recognised so that nobody believes they work.
constexpr const char* ignored_variables[] = {"DATABASE_URL",
                                             "REDIS_URL",
                                             "MERIDIAN_PEERS",
                                             "MERIDIAN_INTERNAL_BIND",
                                             "MERIDIAN_ANTI_ENTROPY_SECS",
                                             "MERIDIAN_WEBHOOK_URL",
                                             "MERIDIAN_WEBHOOK_SECRET",
                                             "PG_SYNC_DATABASE_URL",
                                             "MERIDIAN_WAL_CONNSTR",
                                             "MERIDIAN_WAL_SLOT",
                                             "MERIDIAN_WAL_PUB",
                                             "S3_BUCKET",
                                             "S3_KEY_PREFIX",
                                             "S3_REGION",
                                             "S3_ENDPOINT",
                                             "WAL_SEGMENT_SIZE",
                                             "MERIDIAN_CLUSTER_TRANSPORT",
                                             "MERIDIAN_CLUSTER_ID",
                                             "MERIDIAN_CLUSTER_SECRET",
                                             "MERIDIAN_CLUSTER_AUTH",
                                             "MERIDIAN_LEGACY_STORE",
                                             "MERIDIAN_LEGACY_PULL",
                                             "MERIDIAN_CLUSTER_REDIS_URL",
                                             "MERIDIAN_STARTUP_CATCHUP_SECS",
                                             "MERIDIAN_MAX_DELTA_BYTES"};

// `where` names the value's origin and the key, e.g. "a.ini:3: [server] bind".
Result<void> assign(Settings& settings, const Field& field, const std::string& value, const std::string& where,
                    uint64_t scale) {
    const std::string found = field.secret ? ": the value" : " = '" + value + "'";
    if (field.text != nullptr) {
        if (const std::string wrong = field.check == nullptr ? "" : field.check(value); !wrong.empty()) {
            return Error{where + found + ": " + wrong};
        }
        settings.*field.text = value;
        return {};
    }
    uint64_t parsed_value = 0;
    const auto parsed = std::from_chars(value.data(), value.data() + value.size(), parsed_value);
    const bool whole = !value.empty() && parsed.ec == std::errc() && parsed.ptr == value.data() + value.size();
    if (!whole || parsed_value > UINT64_MAX / scale || parsed_value * scale < field.min ||
        parsed_value * scale > field.max) {
        std::string expected = "expected a whole number from " + std::to_string((field.min + scale - 1) / scale);
        if (field.max != any_max) expected += " to " + std::to_string(field.max / scale);
        return Error{where + found + ": " + expected};
    }
    settings.*field.number = parsed_value * scale;
    return {};
}

const Field* find(std::string_view section, std::string_view key) {
    for (const Field& field : fields()) {
        if (section == field.section && key == field.key) return &field;
    }
    return nullptr;
}

std::string suggestion(std::string_view name, const std::vector<std::string>& candidates) {
    const std::string nearest = nearest_name(name, candidates);
    return nearest.empty() ? "" : "; did you mean '" + nearest + "'?";
}

std::vector<std::string> section_names() {
    std::vector<std::string> names;
    for (const Field& field : fields()) {
        if (names.empty() || names.back() != field.section) names.emplace_back(field.section);
    }
    return names;
}

std::vector<std::string> key_names(std::string_view section) {
    std::vector<std::string> names;
    for (const Field& field : fields()) {
        if (section == field.section) names.emplace_back(field.key);
    }
    return names;
}

Result<void> apply_file(Settings& settings, const IniFile& file) {
    const std::vector<std::string> sections = section_names();
    for (const IniSection& section : file.sections) {
        const std::string title = section.name.empty() ? section.kind : section.kind + " " + section.name;
        if (!section.name.empty() || std::find(sections.begin(), sections.end(), section.kind) == sections.end()) {
            return Error{file.path + ":" + std::to_string(section.line) + ": unknown section [" + title + "]" +
                         suggestion(section.kind, sections)};
        }
        for (const IniEntry& entry : section.entries) {
            const std::string source = file.path + ":" + std::to_string(entry.line);
            const std::string where = source + ": [" + section.kind + "] " + entry.key;
            if (const Field* field = find(section.kind, entry.key)) {
                if (Result<void> assigned = assign(settings, *field, entry.value, where, 1); !assigned) return assigned;
            } else if (section.kind == "store") {
                settings.store_entries.push_back({entry.key, entry.value, source});
            } else {
                return Error{where + " = '" + entry.value + "': unknown key" +
                             suggestion(entry.key, key_names(section.kind))};
            }
        }
    }
    return {};
}

Result<void> apply_environment(Settings& settings, const Environment& environment) {
    const auto value_of = [&environment](const char* name) {
        std::optional<std::string> value = environment ? environment(name) : std::nullopt;
        return value && !value->empty() ? value : std::nullopt;
    };
    for (const Field& field : fields()) {
        if (field.variable == nullptr) continue;
        const std::optional<std::string> value = value_of(field.variable);
        if (!value) continue;
        const std::string where = std::string("environment variable ") + field.variable;
        if (Result<void> assigned = assign(settings, field, *value, where, field.variable_scale); !assigned)
            return assigned;
    }
    for (const char* name : ignored_variables) {
        if (value_of(name))
            settings.warnings.push_back(std::string("environment variable ") + name + " has no effect in this build");
    }
    return {};
}

Result<void> apply_option(Settings& settings, const std::string& name, const std::string& value) {
    const size_t dot = name.find('.');
    const std::string section = name.substr(0, dot);
    const std::string key = dot == std::string::npos ? "" : name.substr(dot + 1);
    const Field* field = find(section, key);
    if (field != nullptr) return assign(settings, *field, value, "command line: " + name, 1);
    if (section == "store" && !key.empty()) {
        auto& entries = settings.store_entries;
        entries.erase(
            std::remove_if(entries.begin(), entries.end(), [&key](const PluginEntry& e) { return e.key == key; }),
            entries.end());
        entries.push_back({key, value, "command line"});
        return {};
    }
    std::vector<std::string> names;
    for (const Field& each : fields()) names.push_back(std::string(each.section) + "." + each.key);
    return Error{"command line: " + name + " = '" + value + "': unknown setting" + suggestion(name, names)};
}

size_t edit_distance(std::string_view left, std::string_view right) {
    std::vector<size_t> row(right.size() + 1);
    for (size_t j = 0; j <= right.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= left.size(); ++i) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= right.size(); ++j) {
            const size_t substitute = diagonal + (left[i - 1] == right[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
        }
    }
    return row.back();
}

std::string quoted_if_needed(const std::string& value) {
    const bool plain = !value.empty() && value.front() != '"' && value.front() != ' ' && value.back() != ' ';
    if (plain || value.empty()) return value;
    std::string out = "\"";
    for (const char c : value) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + '"';
}

}  // namespace

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
    const std::string_view shown = name.substr(0, 64);
    std::string nearest;
    size_t best = std::max<size_t>(2, shown.size() / 3) + 1;
    for (const std::string& candidate : candidates) {
        const size_t distance = edit_distance(shown, candidate);
        if (distance < best) {
            best = distance;
            nearest = candidate;
        }
    }
    return nearest;
}

Result<Settings> load_settings(const SettingsSources& sources) {
    Settings settings;
    for (const std::string& path : sources.files) {
        Result<IniFile> file = read_ini_file(path);
        if (!file) return file.error();
        if (Result<void> applied = apply_file(settings, *file); !applied) return applied.error();
    }
    if (Result<void> applied = apply_environment(settings, sources.environment); !applied) return applied.error();
    for (const auto& option : sources.options) {
        if (Result<void> applied = apply_option(settings, option.first, option.second); !applied)
            return applied.error();
    }
    return settings;
}

std::string dump_settings(const Settings& settings) {
    std::string out;
    std::string section;
    for (const Field& field : fields()) {
        if (section != field.section) {
            section = field.section;
            out += (out.empty() ? "[" : "\n[") + section + "]\n";
        }
        // An unset text has no line of its own: empty values of checked texts could not be read back.
        if (field.text != nullptr && (settings.*field.text).empty()) {
            out += std::string("# ") + field.key + " =\n";
        } else if (field.secret) {
            out += std::string("# ") + field.key + " = (hidden)\n";
        } else if (field.text != nullptr) {
            out += std::string(field.key) + " = " + quoted_if_needed(settings.*field.text) + "\n";
        } else {
            out += std::string(field.key) + " = " + std::to_string(settings.*field.number) + "\n";
        }
        if (section == "store" && std::string_view(field.key) == "plugin") {
            // Which of a plug-in's keys are secret only the plug-in knows; its values are therefore not shown here.
            for (const PluginEntry& entry : settings.store_entries)
                out += "# " + entry.key + " = (checked by the plug-in)\n";
        }
    }
    return out;
}

}  // namespace meridian::config
