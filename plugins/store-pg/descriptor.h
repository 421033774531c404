// The configuration keys of this plug-in.
#pragma once

#include "meridian/plugin.h"

namespace meridian::store_pg {

inline constexpr uint32_t key_size = sizeof(meridian_config_key);
inline constexpr int64_t hour_ms = 3'600'000;

inline constexpr meridian_config_key config_keys[] = {
    {key_size, MERIDIAN_TYPE_STRING, MERIDIAN_KEY_REQUIRED | MERIDIAN_KEY_SECRET | MERIDIAN_KEY_FILE, 0, "url", nullptr,
     0, 0, nullptr, "DATABASE_URL",
     "Where the database is: postgresql://user@host/database or host=... dbname=..., with any option of libpq."},
    {key_size, MERIDIAN_TYPE_STRING, MERIDIAN_KEY_SECRET | MERIDIAN_KEY_FILE, 0, "password", nullptr, 0, 0, nullptr,
     nullptr, "Password of the role, if it is not in url."},
    {key_size, MERIDIAN_TYPE_STRING, 0, 0, "schema", "meridian", 0, 0, nullptr, nullptr,
     "Schema of the tables; made if it does not exist. Letters a-z, digits and _."},
    {key_size, MERIDIAN_TYPE_CHOICE, 0, 0, "sharing", "exclusive", 0, 0, "exclusive|shared", nullptr,
     "exclusive: one node at a time has the schema. shared: several nodes lock rows in turn."},
    {key_size, MERIDIAN_TYPE_STRING, 0, 0, "node_id", nullptr, 0, 0, nullptr, "MERIDIAN_NODE_ID",
     "With sharing = shared: the node's id, of which there may be one at a time."},
    {key_size, MERIDIAN_TYPE_SIZE, 0, 0, "log_bytes_max", "8GiB", 1 << 10, 1LL << 50, nullptr, nullptr,
     "Most that log entries may take; beyond it, writes are refused until some can be dropped."},
    {key_size, MERIDIAN_TYPE_INTEGER, 0, 0, "read_connections", "2", 1, 64, nullptr, nullptr,
     "Connections that read; there are two or three more, for commits, upkeep and notifications."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "connect_timeout", "5s", 100, hour_ms, nullptr, nullptr,
     "Most time for one try to connect, all hosts of url together."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "unavailable_after", "5s", 0, hour_ms, nullptr, nullptr,
     "How long a call waits for a server that cannot be reached before it fails."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "lock_timeout", "5s", 10, hour_ms, nullptr, nullptr,
     "Most time that a statement waits for a row that another node holds before it is tried again."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "statement_timeout", "60s", 100, hour_ms, nullptr, nullptr,
     "Most time for a statement; the server ends it then. Two seconds later the connection counts as dead."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "idle_transaction_timeout", "10s", 100, hour_ms, nullptr, nullptr,
     "How long a node that has stopped may hold locks."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "tcp_user_timeout", "10s", 100, hour_ms, nullptr, nullptr,
     "How long data that was sent may stay unacknowledged before the connection counts as dead."},
    {key_size, MERIDIAN_TYPE_DURATION, 0, 0, "poll_interval", "1s", 10, hour_ms, nullptr, nullptr,
     "With sharing = shared: how often the log is looked at in case a notification was lost."},
};

}  // namespace meridian::store_pg
