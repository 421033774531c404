// This node's log as nodes of the older implementation ask for it (replication/legacy_log.h).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "node/store.h"

namespace meridian::server {

// The ops of this node from a log position on, at most 1 MiB and 5,000 of them, encoded; `done` on a thread of the
// store. An empty answer if the log cannot be read.
void read_legacy_log(node::Store& store, uint64_t node_id, uint64_t from_position,
                     std::function<void(std::string bytes)> done);

}  // namespace meridian::server
