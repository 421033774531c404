#include "config/settings_fields.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace meridian::config {
namespace {

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
std::string check_on_off(const std::string& value) {
    return one_of(value, {"on", "off"});
}
std::string check_authentication(const std::string& value) {
    return one_of(value, {"accept", "require"});
}
std::string check_cluster_id(const std::string& value) {
    return value.size() <= 128 ? "" : "expected at most 128 bytes";
}
std::string check_secret(const std::string& value) {
    return value.size() >= 16 ? "" : "expected at least 16 bytes";
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

constexpr size_t bind_addresses_max = 16;

bool is_bind_address(const std::string& address) {
    if (address.rfind("unix:", 0) == 0) return address.size() > 5 && address.size() < 5 + 108;
    const size_t colon = address.rfind(':');
    if (colon == std::string::npos || colon == 0 || address.front() == '/') return false;
    uint16_t port = 0;
    const char* end = address.data() + address.size();
    const auto parsed = std::from_chars(address.data() + colon + 1, end, port);
    return colon + 1 < address.size() && parsed.ec == std::errc() && parsed.ptr == end;
}
std::string check_bind(const std::string& value) {
    const std::vector<std::string> addresses = split_list(value);
    const bool all = std::all_of(addresses.begin(), addresses.end(), is_bind_address);
    return all && addresses.size() <= bind_addresses_max ? ""
                                                         : "expected host:port, [IPv6 address]:port or unix:/path of "
                                                           "at most 107 bytes, or a list of up to 16 such "
                                                           "separated by commas";
}

std::string check_mode(const std::string& value) {
    const bool digits = std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '7'; });
    const bool fits = value.size() == 3 || (value.size() == 4 && value.front() == '0');
    return digits && fits ? "" : "expected three octal digits, such as 0660";
}

// What a browser sends as Origin: RFC 6454 section 6.2.
bool is_origin(const std::string& text) {
    const size_t host = text.find("://");
    if (host == std::string::npos || host == 0 || host + 3 == text.size()) return false;
    return std::none_of(text.begin(), text.end(), [](unsigned char c) { return c <= ' ' || c == '*' || c >= 0x7f; }) &&
           std::none_of(text.begin(), text.end(), [](unsigned char c) { return std::isupper(c) != 0; }) &&
           text.find_first_of("/?#@", host + 3) == std::string::npos;
}
std::string check_cors_origins(const std::string& value) {
    if (value.empty() || value == "*") return {};
    const std::vector<std::string> origins = split_list(value);
    return std::all_of(origins.begin(), origins.end(), is_origin)
               ? ""
               : "expected * or origins such as https://app.example, in lower case, without a path, separated by "
                 "commas";
}

constexpr uint64_t day_ms = 24ULL * 3600 * 1000;

Field text(const char* section, const char* key, TextMember member, Check check, const char* variable = nullptr,
           bool secret = false) {
    Field field{section, key, variable};
    field.text = member;
    field.check = check;
    field.secret = secret;
    return field;
}
Field number(const char* section, const char* key, NumberMember member, uint64_t min, uint64_t max,
             const char* variable = nullptr, uint64_t variable_scale = 1) {
    Field field{section, key, variable};
    field.number = member;
    field.min = min;
    field.max = max;
    field.variable_scale = variable_scale;
    return field;
}

Field reloadable(Field field) {
    field.reloadable = true;
    return field;
}

Field raised(Field field) {
    field.variable_raised = true;
    return field;
}

}  // namespace

const std::vector<Field>& fields() {
    using S = Settings;
    static const std::vector<Field> all = {
        text("server", "bind", &S::bind, check_bind, "MERIDIAN_BIND"),
        text("server", "unix_socket_mode", &S::unix_socket_mode, check_mode),
        text("server", "data_dir", &S::data_dir, check_not_empty, "MERIDIAN_DATA_DIR"),
        text("server", "backup_dir", &S::backup_dir, nullptr),
        text("server", "signing_key", &S::signing_key, check_signing_key, "MERIDIAN_SIGNING_KEY", true),
        number("server", "loops", &S::loops, 0, 256),
        number("server", "room_spread_members", &S::room_spread_members, 0, 1 << 20),
        reloadable(number("server", "stop_timeout_ms", &S::stop_timeout_ms, 0, 3'600'000)),
        reloadable(text("server", "key_form", &S::key_form, check_key_form)),
        reloadable(text("server", "log_level", &S::log_level, check_log_level)),
        reloadable(text("server", "metrics", &S::metrics, check_metrics)),
        reloadable(text("server", "cors_origins", &S::cors_origins, check_cors_origins)),
        text("node", "id", &S::node_id, check_node_id, "MERIDIAN_NODE_ID"),
        number("node", "cache_bytes", &S::cache_bytes, 1 << 20, unbounded),
        number("node", "waiting_requests", &S::waiting_requests, 1, 100'000'000),
        number("node", "pending_commit_bytes", &S::pending_commit_bytes, 1 << 20, unbounded),
        number("node", "group_bytes", &S::group_bytes, 64 << 10, 1ULL << 30),
        number("node", "key_bytes", &S::key_bytes, 1, 65'536),
        number("node", "batch_items", &S::batch_items, 1, 1'000'000),
        number("node", "idempotency_retention_ms", &S::idempotency_retention_ms, 1000, 365 * day_ms),
        number("node", "checkpoint_interval_ms", &S::checkpoint_interval_ms, 100, day_ms),
        number("node", "checkpoint_log_bytes", &S::checkpoint_log_bytes, 1 << 20, unbounded),
        number("node", "log_retention_ms", &S::log_retention_ms, 600'000, 3650 * day_ms, "MERIDIAN_LOG_RETENTION_SECS",
               1000),
        number("node", "log_retention_bytes", &S::log_retention_bytes, 16 << 20, unbounded,
               "MERIDIAN_LOG_RETENTION_BYTES"),
        number("node", "tombstone_grace_ms", &S::tombstone_grace_ms, 1000, 3650 * day_ms, "MERIDIAN_CRDT_GC_GRACE_MS"),
        text("plugins", "path", &S::plugin_path, nullptr),
        text("store", "plugin", &S::store_plugin, check_not_empty),
        text("cluster", "id", &S::cluster_id, check_cluster_id, "MERIDIAN_CLUSTER_ID"),
        text("cluster", "secret", &S::cluster_secret, check_secret, "MERIDIAN_CLUSTER_SECRET", true),
        text("cluster", "authentication", &S::cluster_authentication, check_authentication, "MERIDIAN_CLUSTER_AUTH"),
        text("cluster", "transport", &S::cluster_transport, check_not_empty, "MERIDIAN_CLUSTER_TRANSPORT"),
        raised(number("cluster", "anti_entropy_interval_ms", &S::anti_entropy_interval_ms, 1000, day_ms,
                      "MERIDIAN_ANTI_ENTROPY_SECS", 1000)),
        number("cluster", "startup_catchup_ms", &S::startup_catchup_ms, 0, day_ms, "MERIDIAN_STARTUP_CATCHUP_SECS",
               1000),
        number("cluster", "delta_bytes", &S::delta_bytes, 1024, 1 << 30, "MERIDIAN_MAX_DELTA_BYTES"),
        text("cluster", "legacy_wal", &S::legacy_wal, check_on_off),
        reloadable(number("limits", "connections", &S::connections, 1, 10'000'000)),
        reloadable(number("limits", "http_head_bytes", &S::http_head_bytes, 1024, 1 << 20)),
        reloadable(number("limits", "http_headers", &S::http_headers, 8, 10'000)),
        reloadable(number("limits", "http_body_bytes", &S::http_body_bytes, 1024, 1ULL << 30)),
        reloadable(number("limits", "http_pipeline", &S::http_pipeline, 1, 10'000)),
        reloadable(number("limits", "head_timeout_ms", &S::head_timeout_ms, 100, day_ms)),
        reloadable(number("limits", "body_timeout_ms", &S::body_timeout_ms, 100, day_ms)),
        reloadable(number("limits", "idle_timeout_ms", &S::idle_timeout_ms, 100, day_ms)),
        reloadable(number("limits", "write_timeout_ms", &S::write_timeout_ms, 100, day_ms)),
        reloadable(number("limits", "websocket_message_bytes", &S::websocket_message_bytes, 1024, 1ULL << 30)),
        reloadable(number("limits", "websocket_frames_in_flight", &S::websocket_frames_in_flight, 1, 100'000)),
        reloadable(number("limits", "partial_input_bytes", &S::partial_input_bytes, 64 << 10, unbounded)),
        reloadable(number("limits", "loop_queue_bytes", &S::loop_queue_bytes, 1024, unbounded)),
        reloadable(number("limits", "websocket_ping_interval_ms", &S::websocket_ping_interval_ms, 1000, day_ms)),
        reloadable(number("limits", "connection_queue_bytes", &S::connection_queue_bytes, 16 << 10, 1ULL << 30)),
        reloadable(number("limits", "missed_keys", &S::missed_keys, 1, 1'000'000)),
        reloadable(number("limits", "requests_per_second", &S::requests_per_second, 1, 10'000'000)),
        reloadable(number("limits", "awareness_bytes", &S::awareness_bytes, 1, 16 << 20)),
        reloadable(number("limits", "awareness_per_second", &S::awareness_per_second, 1, 1'000'000)),
        number("limits", "rga_elements", &S::rga_elements, 1, unbounded),
        number("limits", "tree_nodes", &S::tree_nodes, 1, unbounded),
        number("limits", "orset_tags", &S::orset_tags, 1, unbounded),
        number("limits", "counter_slots", &S::counter_slots, 1, unbounded),
        number("limits", "presence_entries", &S::presence_entries, 1, unbounded),
        number("limits", "map_keys", &S::map_keys, 1, unbounded),
        number("limits", "register_value_bytes", &S::register_value_bytes, 1, 1ULL << 30),
    };
    return all;
}

const Field* find_field(std::string_view section, std::string_view key) {
    for (const Field& field : fields()) {
        if (section == field.section && key == field.key) return &field;
    }
    return nullptr;
}

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
        if (field.max != unbounded) expected += " to " + std::to_string(field.max / scale);
        return Error{where + found + ": " + expected};
    }
    settings.*field.number = parsed_value * scale;
    return {};
}

std::string text_of(const Settings& settings, const Field& field) {
    return field.text != nullptr ? settings.*field.text : std::to_string(settings.*field.number);
}

const std::vector<IgnoredVariable>& ignored_variables() {
    static const std::vector<IgnoredVariable> all = {
        {"MERIDIAN_WEBHOOK_URL"},
        {"MERIDIAN_WEBHOOK_SECRET"},
        {"PG_SYNC_DATABASE_URL"},
        {"MERIDIAN_WAL_CONNSTR"},
        {"MERIDIAN_WAL_SLOT"},
        {"MERIDIAN_WAL_PUB"},
        {"S3_BUCKET"},
        {"S3_KEY_PREFIX"},
        {"S3_REGION"},
        {"S3_ENDPOINT"},
        {"WAL_SEGMENT_SIZE"},
        {"MERIDIAN_LEGACY_STORE"},
        {"MERIDIAN_LEGACY_PULL", "use [cluster] legacy_wal"},
        {"RUST_LOG", "use [server] log_level"},
    };
    return all;
}

}  // namespace meridian::config
