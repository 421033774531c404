// Joins the pieces in which a state is sent into one client delta: an HTTP answer has room for one only.
#pragma once

#include "crdt/client_delta.h"

namespace meridian::server {

// Appends `piece`, which comes right after what is in `whole`. REQUIRES: the same type.
void append_piece(crdt::ClientDelta& whole, const crdt::ClientDelta& piece);

}  // namespace meridian::server
