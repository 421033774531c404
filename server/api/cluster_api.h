// What a node tells of its cluster: GET /v1/cluster, GET /v1/cluster/digests, GET /health/converged.
#pragma once

#include <functional>

#include "net/http_message.h"

namespace meridian::server {

class EdgeLoop;

// For admins: this node, its peers and transports, what it holds of each origin and lacks, alarms, counters. A node
// alone answers {"clustered":false}.
HttpResponse cluster_status_response(EdgeLoop& edge, const HttpRequest& request);

// For admins: a page of what two nodes compare. Query: limit (1 to 10000, default 1000), and after_namespace and
// after_key to go on behind a key. Keys ascend; those that read as absent are left out. `answer` on the edge's loop.
void cluster_digests(EdgeLoop& edge, const HttpRequest& request, std::function<void(HttpResponse)> answer);

// 200 if this node holds what its live peers hold and they hold what it holds, as of their last words; else 503. A node
// alone is converged.
HttpResponse converged_response(EdgeLoop& edge);

}  // namespace meridian::server
