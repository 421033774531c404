#include "options.h"

#include <algorithm>

namespace meridian::transport_redis {
namespace {

[[noreturn]] void refuse(std::string_view key, const std::string& text) {
    throw abi::Failure(MERIDIAN_INVALID, "configuration key '" + std::string(key) + "': " + text);
}

std::string text_or_empty(const abi::Config& config, std::string_view key) {
    return std::string(config.find(key).value_or(std::string_view()));
}

uint64_t microseconds(const abi::Config& config, std::string_view key) {
    return static_cast<uint64_t>(config.integer(key)) * 1000;
}

uint64_t count(const abi::Config& config, std::string_view key) {
    return static_cast<uint64_t>(config.integer(key));
}

std::string_view trimmed(std::string_view text) {
    const size_t first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::vector<Endpoint> sentinels(std::string_view list) {
    std::vector<Endpoint> out;
    for (;;) {
        const size_t comma = list.find(',');
        const std::string item(trimmed(list.substr(0, comma)));
        auto endpoint = parse_endpoint(item, default_sentinel_port);
        if (!endpoint)
            refuse("sentinels", "'" + item + "': " + endpoint.error().message +
                                    "; expected host:port, several of them separated by commas");
        out.push_back(std::move(*endpoint));
        if (comma == std::string_view::npos) return out;
        list = list.substr(comma + 1);
    }
}

void read_server(const abi::Config& config, Options& out) {
    if (const auto url = config.find("url")) {
        auto parsed = parse_redis_url(*url);
        if (!parsed) refuse("url", parsed.error().message + " (the value is secret and not shown)");
        out.server = std::move(parsed->endpoint);
        out.tls = parsed->tls;
        out.credentials = {std::move(parsed->username), std::move(parsed->password)};
        out.database = parsed->database.value_or(0);
    } else if (out.sentinels.empty()) {
        refuse("url",
               "has no value; expected redis://host:port or the like, or the keys sentinels and sentinel_master");
    }
    if (config.find("username")) out.credentials.username = text_or_empty(config, "username");
    if (config.find("password")) out.credentials.password = text_or_empty(config, "password");
    if (config.find("database")) out.database = config.integer("database");
    if (out.credentials.password.empty() && !out.credentials.username.empty())
        refuse("username", "'" + out.credentials.username + "' has no password; expected the key password too");
    if (config.boolean("tls")) {
        if (!out.server.path.empty()) refuse("tls", "true, but url names a Unix socket; expected false");
        out.tls = true;
    }
}

void read_sentinels(const abi::Config& config, Options& out) {
    if (const auto list = config.find("sentinels")) out.sentinels = sentinels(*list);
    out.sentinel_master = text_or_empty(config, "sentinel_master");
    out.sentinel_credentials = {text_or_empty(config, "sentinel_username"), text_or_empty(config, "sentinel_password")};
    if (out.sentinels.empty()) {
        for (const char* key : {"sentinel_master", "sentinel_username", "sentinel_password", "sentinel_tls"}) {
            if (config.find(key)) refuse(key, "has a value, but sentinels has none; expected both or neither");
        }
    } else if (out.sentinel_master.empty()) {
        refuse("sentinel_master", "has no value; expected the name under which the sentinels know the server");
    }
    if (out.sentinel_credentials.password.empty() && !out.sentinel_credentials.username.empty())
        refuse("sentinel_username",
               "'" + out.sentinel_credentials.username + "' has no password; expected the key sentinel_password too");
}

void read_tls(const abi::Config& config, Options& out) {
    out.sentinel_tls = config.find("sentinel_tls") ? config.boolean("sentinel_tls") : out.tls;
    TlsOptions& tls = out.tls_options;
    tls = {text_or_empty(config, "ca_file"), text_or_empty(config, "certificate_file"),
           text_or_empty(config, "private_key_file"), text_or_empty(config, "tls_host_name")};
    if (tls.certificate_file.empty() != tls.private_key_file.empty())
        refuse(tls.certificate_file.empty() ? "certificate_file" : "private_key_file",
               "has no value; expected certificate_file and private_key_file, or neither");
    if (out.tls || (!out.sentinels.empty() && out.sentinel_tls)) return;
    for (const char* key : {"ca_file", "certificate_file", "private_key_file", "tls_host_name"}) {
        if (config.find(key)) refuse(key, "has a value, but nothing uses TLS; expected a rediss:// URL or tls = true");
    }
}

}  // namespace

Options Options::from(const abi::Config& config) {
    Options out;
    read_sentinels(config, out);
    read_server(config, out);
    if (!out.sentinels.empty() && !out.server.path.empty())
        refuse("url", "names a Unix socket, but sentinels has a value; expected one of the two");
    read_tls(config, out);

    out.connect_timeout_us = microseconds(config, "connect_timeout");
    out.command_timeout_us = microseconds(config, "command_timeout");
    out.ping_interval_us = microseconds(config, "ping_interval");
    out.reconnect_delay_max_us = microseconds(config, "reconnect_delay_max");
    out.reconnect_delay_us = std::min(microseconds(config, "reconnect_delay"), out.reconnect_delay_max_us);
    out.stable_after_us = microseconds(config, "stable_after");

    out.message_bytes_max = count(config, "message_bytes_max");
    out.publish_queue_messages_max = count(config, "publish_queue_messages_max");
    out.publish_queue_bytes_max = count(config, "publish_queue_bytes_max");
    out.receive_queue_messages_max = count(config, "receive_queue_messages_max");
    out.receive_queue_bytes_max = count(config, "receive_queue_bytes_max");
    for (const char* key : {"publish_queue_bytes_max", "receive_queue_bytes_max"}) {
        if (count(config, key) < out.message_bytes_max)
            refuse(key, std::to_string(count(config, key)) + "; expected at least message_bytes_max, which is " +
                            std::to_string(out.message_bytes_max));
    }
    return out;
}

std::string Options::address() const {
    if (!sentinels.empty()) return "sentinel master " + sentinel_master;
    if (!server.path.empty()) return "unix:" + server.path;
    return (tls ? "rediss://" : "redis://") + server.text();
}

}  // namespace meridian::transport_redis
