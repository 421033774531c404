// What a node says of itself, for people and scripts.
#pragma once

#include "meridianctl/node_client.h"

namespace meridian::ctl {

// Prints a line for each thing. An error if the node is not ready to serve, or cannot be reached.
Result<void> show_status(NodeClient& node);

}  // namespace meridian::ctl
