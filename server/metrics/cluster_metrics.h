// The metrics of a node in a cluster. No labels but the names of the configured transports.
#pragma once

#include "metrics/page.h"
#include "replication/cluster_status.h"

namespace meridian::server {

void add_cluster(Page& page, const replication::ClusterStatus& status);

}  // namespace meridian::server
