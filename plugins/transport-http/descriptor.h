// The configuration keys of this plug-in.
#pragma once

#include "meridian/plugin.h"

namespace meridian::transport_http {

inline constexpr uint32_t key_size = sizeof(meridian_config_key);

inline constexpr meridian_config_key config_keys[] = {
    {key_size, MERIDIAN_TYPE_STRING, 0, 0, "bind", "0.0.0.0:3001", 0, 0, nullptr, "MERIDIAN_INTERNAL_BIND",
     "Where other nodes reach this one: host:port or [IPv6 address]:port. Plain HTTP: use a private address."},
    {key_size, MERIDIAN_TYPE_STRING, 0, 0, "peers", nullptr, 0, 0, nullptr, "MERIDIAN_PEERS",
     "The other nodes, separated by commas: http://host[:port]. This node may be among them."},
    {key_size, MERIDIAN_TYPE_STRING, 0, 0, "advertise_url", nullptr, 0, 0, nullptr, nullptr,
     "http://host[:port] at which other nodes reach this one; by default made from `bind` if that names one address."},
    {key_size, MERIDIAN_TYPE_BOOLEAN, 0, 0, "authenticated", "true", 0, 0, nullptr, nullptr,
     "Set by the node: whether messages are signed. If not, listening on all addresses is worth a warning."},
    {key_size, MERIDIAN_TYPE_SIZE, 0, 0, "message_bytes", "2MiB", 1024, 64 << 20, nullptr, nullptr,
     "Largest message, sent or received; larger bodies are refused with 413."},
    {key_size, MERIDIAN_TYPE_INTEGER, 0, 0, "queue_messages", "10000", 1, 10'000'000, nullptr, nullptr,
     "Most messages that wait for one peer, of each kind; further ones are dropped for that peer."},
    {key_size, MERIDIAN_TYPE_SIZE, 0, 0, "queue_bytes", "16MiB", 1024, 1LL << 34, nullptr, nullptr,
     "Most bytes that wait for one peer, of each kind; further ones are dropped for that peer."},
    {key_size, MERIDIAN_TYPE_SIZE, 0, 0, "batch_bytes", "256KiB", 1024, 64 << 20, nullptr, nullptr,
     "Most bytes of deltas that go into one request, if they are more than one."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "connect_timeout", "2s", 1, 600'000, nullptr, nullptr,
     "Longest wait for a connection to a peer."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "request_timeout", "5s", 1, 600'000, nullptr, nullptr,
     "Longest wait for a peer's answer; requests with a deadline of their own have that one."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "reconnect_delay_max", "10s", 1, 600'000, nullptr, nullptr,
     "Longest pause between two attempts to reach a peer; the first is 250 ms."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "probe_interval", "10s", 1, 600'000, nullptr, nullptr,
     "A peer that nothing was sent to for so long is asked whether it is still there."},
    {key_size, MERIDIAN_TYPE_INTEGER, 0, 0, "connections_max", "1024", 1, 65'536, nullptr, nullptr,
     "Most connections that the listener holds; further ones are closed at once."},
    {key_size, MERIDIAN_TYPE_SIZE, 0, 0, "receive_bytes", "64MiB", 1024, 1LL << 34, nullptr, nullptr,
     "Most bytes of requests that are being received at a time; further ones are refused with 503."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "idle_timeout", "60s", 1, 86'400'000, nullptr, nullptr,
     "A connection that sent nothing for so long is closed."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "receive_timeout", "10s", 1, 600'000, nullptr, nullptr,
     "Longest time that a request may take to arrive, or an answer to be taken."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "reply_timeout", "2500ms", 1, 600'000, nullptr, nullptr,
     "Longest wait for this node's own answer to a control message of a peer."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "pull_timeout", "30s", 1, 600'000, nullptr, nullptr,
     "Longest wait for this node's own answer to a peer that asks for entries of the log."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "busy_timeout", "2s", 0, 600'000, nullptr, nullptr,
     "How long a request is held when this node is busy, before it is refused with 503."},
};

}  // namespace meridian::transport_http
