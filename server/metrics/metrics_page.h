// The page that GET /metrics answers with: Prometheus text format 0.0.4. Names begin with meridian_; no label names a
// namespace, a key or a client, so its size does not depend on what is stored or who is connected.
#pragma once

#include <string>

#include "replication/cluster_status.h"

namespace meridian::server {

struct EdgeShared;

// Any thread. `cluster` is null on a node alone.
std::string metrics_page(const EdgeShared& shared, const replication::ClusterStatus* cluster);

}  // namespace meridian::server
