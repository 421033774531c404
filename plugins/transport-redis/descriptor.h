// The configuration keys of this plug-in.
#pragma once

#include "meridian/plugin.h"

namespace meridian::transport_redis {

inline constexpr uint32_t key_size = sizeof(meridian_config_key);
inline constexpr uint32_t secret = MERIDIAN_KEY_SECRET | MERIDIAN_KEY_FILE;
inline constexpr int64_t hour_ms = 3'600'000;
inline constexpr int64_t gib = 1LL << 30;

inline constexpr meridian_config_key config_keys[] = {
    {key_size, MERIDIAN_TYPE_STRING, secret, 0, "url", nullptr, 0, 0, nullptr, "REDIS_URL",
     "redis://[user[:password]@]host[:port][/database], rediss:// for TLS, or unix:///path[?db=database]."},
    {key_size, MERIDIAN_TYPE_STRING, 0, 0, "username", nullptr, 0, 0, nullptr, nullptr,
     "User of Redis's access control list; overrides that of the URL."},
    {key_size, MERIDIAN_TYPE_STRING, secret, 0, "password", nullptr, 0, 0, nullptr, nullptr,
     "Password; overrides that of the URL."},
    {key_size, MERIDIAN_TYPE_INTEGER, 0, 0, "database", nullptr, 0, 2147483647, nullptr, nullptr,
     "Database to select; overrides that of the URL. Channels are the same in all databases."},
    {key_size, MERIDIAN_TYPE_STRING, 0, 0, "sentinels", nullptr, 0, 0, nullptr, nullptr,
     "Sentinels that say where the server is: host:port, separated by commas. Host and port of the URL are not used."},
    {key_size, MERIDIAN_TYPE_STRING, 0, 0, "sentinel_master", nullptr, 0, 0, nullptr, nullptr,
     "Name under which the sentinels know the server."},
    {key_size, MERIDIAN_TYPE_STRING, 0, 0, "sentinel_username", nullptr, 0, 0, nullptr, nullptr,
     "User for the sentinels."},
    {key_size, MERIDIAN_TYPE_STRING, secret, 0, "sentinel_password", nullptr, 0, 0, nullptr, nullptr,
     "Password for the sentinels; the server's is not used for them."},
    {key_size, MERIDIAN_TYPE_BOOLEAN, 0, 0, "sentinel_tls", nullptr, 0, 0, nullptr, nullptr,
     "Whether the sentinels are spoken to over TLS; as for the server unless given."},
    {key_size, MERIDIAN_TYPE_BOOLEAN, 0, 0, "tls", "false", 0, 0, nullptr, nullptr,
     "TLS to the server, also if the URL does not begin with rediss://."},
    {key_size, MERIDIAN_TYPE_PATH, 0, 0, "ca_file", nullptr, 0, 0, nullptr, nullptr,
     "Certificates (PEM) of the authorities that are trusted, instead of those that the system trusts."},
    {key_size, MERIDIAN_TYPE_PATH, 0, 0, "certificate_file", nullptr, 0, 0, nullptr, nullptr,
     "This node's certificate (PEM), for servers that ask for one."},
    {key_size, MERIDIAN_TYPE_PATH, 0, 0, "private_key_file", nullptr, 0, 0, nullptr, nullptr,
     "The private key (PEM, without a passphrase) of that certificate."},
    {key_size, MERIDIAN_TYPE_STRING, 0, 0, "tls_host_name", nullptr, 0, 0, nullptr, nullptr,
     "Name that the server's certificate must carry, if it is not the host that is connected to."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "connect_timeout", "3s", 10, hour_ms, nullptr, nullptr,
     "Most time to look up a name, and to connect to one address (with TLS)."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "command_timeout", "5s", 10, hour_ms, nullptr, nullptr,
     "Most time without any reply while one is due; then the connection is made again."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "ping_interval", "10s", 10, hour_ms, nullptr, nullptr,
     "Time between two PINGs on each connection; two without a sign of life, and it is made again."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "reconnect_delay", "500ms", 1, hour_ms, nullptr, nullptr,
     "Wait before the first attempt to connect again; doubles with each, and varies by a fifth."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "reconnect_delay_max", "30s", 1, hour_ms, nullptr, nullptr,
     "Longest wait between two attempts. Keep it below a third of the anti-entropy interval."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "stable_after", "60s", 0, hour_ms, nullptr, nullptr,
     "A connection that held this long begins again with the first wait when it is lost."},
    {key_size, MERIDIAN_TYPE_SIZE, 0, 0, "message_bytes_max", "8MiB", 1024, gib / 4, nullptr, nullptr,
     "Largest message. Redis cuts subscribers who have more than client-output-buffer-limit pubsub (32 MiB) to read."},
    {key_size, MERIDIAN_TYPE_INTEGER, 0, 0, "publish_queue_messages_max", "65536", 1, 1 << 24, nullptr, nullptr,
     "Messages that may wait for Redis's reply; the core then waits."},
    {key_size, MERIDIAN_TYPE_SIZE, 0, 0, "publish_queue_bytes_max", "32MiB", 1024, 4 * gib, nullptr, nullptr,
     "Bytes that may wait for Redis's reply."},
    {key_size, MERIDIAN_TYPE_INTEGER, 0, 0, "receive_queue_messages_max", "65536", 1, 1 << 24, nullptr, nullptr,
     "Messages that may wait for the core; further ones are dropped, counted, and repaired by pull."},
    {key_size, MERIDIAN_TYPE_SIZE, 0, 0, "receive_queue_bytes_max", "64MiB", 1024, 4 * gib, nullptr, nullptr,
     "Bytes that may wait for the core."},
};

}  // namespace meridian::transport_redis
