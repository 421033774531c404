// What a node tells of its cluster: GET /v1/cluster and GET /health/converged. `answer` is called on the edge's loop.
#pragma once

#include <functional>

#include "net/http_message.h"

namespace meridian::server {

class EdgeLoop;

// For admins: this node, its peers and transports, what it holds of each origin and lacks, alarms. A node alone answers
// {"clustered":false}.
void cluster_status(EdgeLoop& edge, const HttpRequest& request, std::function<void(HttpResponse)> answer);

// 200 if this node holds what its live peers hold and they hold what it holds, as of their last words; else 503. A node
// alone is converged.
void cluster_converged(EdgeLoop& edge, std::function<void(HttpResponse)> answer);

}  // namespace meridian::server
