// Pages through the digests of this node's keys for the hash tree. One scan at a time for each caller; it goes on until
// the last page, an error, or the caller's token is gone.
//
// Threads: the lane.
#pragma once

#include <functional>
#include <memory>

#include "replication/context.h"

namespace meridian::replication {

// `page` for each page, then `done`: an empty text, or why it failed. Neither runs inside the call. `token`: neither
// runs after its owner has let it go.
void scan_digests(Context& context, const node::DigestKey& key, std::weak_ptr<void> token,
                  std::function<void(const std::vector<node::KeyDigest>&)> page,
                  std::function<void(const std::string& error)> done);

}  // namespace meridian::replication
