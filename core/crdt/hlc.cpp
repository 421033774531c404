#include "crdt/hlc.h"

namespace meridian::crdt {

std::string to_text(const Hlc& stamp) {
    return std::to_string(stamp.wall_ms) + ':' + std::to_string(stamp.logical) + ':' + std::to_string(stamp.node_id);
}

}  // namespace meridian::crdt
