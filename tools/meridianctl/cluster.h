// meridianctl cluster: how a node sees its cluster, and which keys two nodes hold differently.
#pragma once

#include "meridianctl/node_client.h"

namespace meridian::ctl {

// Prints what GET /v1/cluster says, for people. An error if the node is not ready or an alarm holds.
Result<void> show_cluster(NodeClient& node);

// Prints for each namespace its number of keys and the digest of all; equal on two nodes that hold the same.
Result<void> show_namespaces(NodeClient& node);

// Prints "namespace key" and which of the two has what, for every key whose digests differ; an error if there was one.
// Memory: a page of each.
Result<void> show_differences(NodeClient& node, NodeClient& other);

}  // namespace meridian::ctl
