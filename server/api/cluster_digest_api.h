// What two nodes compare to see whether they hold the same: GET /v1/cluster/digests and GET /v1/cluster/namespaces. For
// admins. `answer` is called on the edge's loop.
#pragma once

#include <functional>

#include "net/http_message.h"

namespace meridian::server {

class EdgeLoop;

// A page of digests of keys. Query: limit (1 to 10000, default 1000), and after_namespace and after_key to go on behind
// a key. Keys ascend; those that read as absent are left out.
void cluster_digests(EdgeLoop& edge, const HttpRequest& request, std::function<void(HttpResponse)> answer);

// The namespaces that hold keys, each with their number and one digest of all: the sum of the keys' digests modulo
// 2^64. Reads every key, a thousand at a time. Query: limit (of namespaces: 1 to 10000, default 1000), and after to go
// on behind a namespace.
void cluster_namespaces(EdgeLoop& edge, const HttpRequest& request, std::function<void(HttpResponse)> answer);

}  // namespace meridian::server
