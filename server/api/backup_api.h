// POST /v1/backup?name=NAME: a consistent copy of the store while the node runs.
//
// Needs an admin token and a connection from this machine, because it fills the node's disk: tokens are given out by
// namespace, and an admin of one is not the operator. Answers when the copy is on stable storage.
#pragma once

#include <functional>

#include "net/http_message.h"

namespace meridian::server {

class EdgeLoop;

// `answer` runs on the loop, at once or later. On the loop.
void begin_backup(EdgeLoop& edge, const HttpRequest& request, std::function<void(HttpResponse)> answer);

}  // namespace meridian::server
