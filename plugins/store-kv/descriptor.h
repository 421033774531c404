// The configuration keys of this plug-in, for its entry and for tests that build it with another file system.
#pragma once

#include "meridian/plugin.h"

namespace meridian::store_kv {

inline constexpr uint32_t key_size = sizeof(meridian_config_key);

inline constexpr meridian_config_key config_keys[] = {
    {key_size, MERIDIAN_TYPE_PATH, 0, 0, "directory", "data", 0, 0, nullptr, "MERIDIAN_DATA_DIR",
     "Data directory; made if it does not exist (its parent must). One process at a time."},
    {key_size, MERIDIAN_TYPE_SIZE, 0, 0, "segment_size", "64MiB", 64 << 10, 1LL << 30, nullptr, nullptr,
     "Size of one file of the log."},
    {key_size, MERIDIAN_TYPE_SIZE, 0, 0, "log_bytes_max", "8GiB", 128 << 10, 1LL << 50, nullptr, nullptr,
     "Most disk space that the log may take; when it is full, writes are refused until segments can be deleted."},
    {key_size, MERIDIAN_TYPE_SIZE, 0, 0, "map_size", "256GiB", 1 << 20, 1LL << 46, nullptr, nullptr,
     "Most disk space that snapshots and metadata may take. Address space only: the file grows as needed."},
    {key_size, MERIDIAN_TYPE_INTEGER, 0, 0, "spare_segments", "2", 0, 16, nullptr, nullptr,
     "Log files kept ready ahead of need."},
    {key_size, MERIDIAN_TYPE_INTEGER, 0, 0, "read_threads", "2", 1, 64, nullptr, nullptr,
     "Threads that read keys and log."},
    {key_size, MERIDIAN_TYPE_DURATION, MERIDIAN_KEY_RELOADABLE, 0, "scrub_interval", "24h", 0, 1LL << 40, nullptr,
     nullptr, "Time between two passes that look for damage in all that is stored; 0: none."},
    {key_size, MERIDIAN_TYPE_SIZE, MERIDIAN_KEY_RELOADABLE, 0, "scrub_bytes_per_second", "8MiB", 64 << 10, 1LL << 40,
     nullptr, nullptr, "How fast such a pass reads."},
};

}  // namespace meridian::store_kv
