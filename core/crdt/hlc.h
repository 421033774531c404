// Hybrid logical clock stamps (Kulkarni et al., "Logical Physical Clocks", 2014) and the clock that makes them.
// Pure values; no I/O.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

namespace meridian::crdt {

// A stamp. Total order: wall_ms, then logical, then node_id. On the wire `node_id` is a client id for ids that clients
// make, and the id of a server node for stamps that the server makes.
struct Hlc {
    uint64_t wall_ms = 0;
    uint16_t logical = 0;
    uint64_t node_id = 0;

    friend auto operator<=>(const Hlc&, const Hlc&) = default;
};

// "wall_ms:logical:node_id", all decimal.
std::string to_text(const Hlc& stamp);

// Identifies one accepted write anywhere in the cluster: the stamp that the accepting node gave it and the incarnation
// under which it ran. A node never gives the same stamp twice, so entries are totally ordered by this.
struct EntryStamp {
    Hlc hlc;  // node_id is the accepting server node
    uint64_t incarnation = 0;

    friend auto operator<=>(const EntryStamp&, const EntryStamp&) = default;
};

// Source of server stamps. Each call gives a stamp greater than all before. Not thread-safe: one per lane, or guarded
// by its owner.
class StampSource {
public:
    virtual ~StampSource() = default;
    virtual Hlc next_stamp() = 0;
};

}  // namespace meridian::crdt
