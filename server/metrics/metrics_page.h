// The page that GET /metrics answers with: Prometheus text format 0.0.4. Names begin with meridian_; no label names a
// namespace, a key or a client, so its size does not depend on what is stored or who is connected.
#pragma once

#include <string>

namespace meridian::server {

struct EdgeShared;

// Any thread.
std::string metrics_page(const EdgeShared& shared);

}  // namespace meridian::server
