#include "settings.h"

#include <algorithm>

namespace meridian::transport_http {
namespace {

uint64_t duration_us(const abi::Config& config, std::string_view name) {
    return static_cast<uint64_t>(config.integer(name)) * 1000;
}

size_t size(const abi::Config& config, std::string_view name) {
    return static_cast<size_t>(config.integer(name));
}

std::string advertised(const abi::Config& config) {
    const auto text = config.find("advertise_url");
    if (!text || text->empty()) return {};
    std::string problem;
    const auto url = parse_peer_url(*text, problem);
    if (!url) throw abi::Failure(MERIDIAN_INVALID, "advertise_url: " + problem);
    return url->text();
}

}  // namespace

Settings::Settings(const abi::Config& config)
    : bind(parse_bind(config.text("bind"))),
      peers(parse_peers(config.find("peers").value_or(std::string_view()))),
      advertise_url(advertised(config)),
      authenticated(config.boolean("authenticated")),
      message_bytes(size(config, "message_bytes")),
      queue_messages(size(config, "queue_messages")),
      queue_bytes(size(config, "queue_bytes")),
      batch_bytes(std::min(size(config, "batch_bytes"), message_bytes)),
      connect_timeout_us(duration_us(config, "connect_timeout")),
      request_timeout_us(duration_us(config, "request_timeout")),
      backoff_max_us(duration_us(config, "reconnect_delay_max")),
      probe_interval_us(duration_us(config, "probe_interval")),
      connections_max(size(config, "connections_max")),
      receive_bytes(std::max(size(config, "receive_bytes"), message_bytes)),
      idle_timeout_us(duration_us(config, "idle_timeout")),
      receive_timeout_us(duration_us(config, "receive_timeout")),
      reply_timeout_us(duration_us(config, "reply_timeout")),
      pull_timeout_us(duration_us(config, "pull_timeout")),
      busy_timeout_us(duration_us(config, "busy_timeout")) {}

}  // namespace meridian::transport_http
