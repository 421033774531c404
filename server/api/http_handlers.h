// What each HTTP route does (client-api.md section 5), on the loop that owns the namespace of the request's token.
#pragma once

#include "net/http_message.h"

namespace meridian::server {

class EdgeLoop;

// Answers by EdgeLoop::respond, at once or when the node has answered. On the loop's thread.
// Order: rate limit, method, path, upgrade headers, query and body, namespace, permission, work.
void handle_request(EdgeLoop& edge, HttpRequest request);

}  // namespace meridian::server
