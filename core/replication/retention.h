// Tells the node what the cluster still needs of its log, and up to which time every member holds everything.
//
// Needed: what some member lacks, as of its last hello, and whatever came within the last ten minutes. While a member
// has not been heard nothing is said.
//
// Covered before T: each live origin said at T, by its own clock, how far it had come, and every member's vector has
// that. Nothing is said while a member is silent and not expelled, or while members differ in what they hold of an
// origin that is no live member. Ten minutes are taken off T: what was stamped before T may have become durable after
// it.
//
// Threads: the lane. Memory: an hour of samples, one a minute, per member.
#pragma once

#include <cstdint>
#include <deque>
#include <map>

#include "replication/peers.h"

namespace meridian::replication {

class Retention {
public:
    Retention(Context& context, Peers& peers) : context_(context), peers_(peers) {}

    void start();
    // What an origin said of itself: at `wall_ms` of its clock its last number was `head`.
    void sample(const Origin& origin, uint64_t wall_ms, uint64_t head);
    uint64_t covered_before_wall_ms() const { return covered_ms_; }

private:
    struct Sample {
        uint64_t wall_ms;
        uint64_t head;
    };

    void tick();
    void say_needed();
    void say_covered();

    Context& context_;
    Peers& peers_;
    std::map<uint64_t, std::pair<Origin, std::deque<Sample>>> samples_;  // by node
    std::deque<std::pair<uint64_t, VersionVector>> own_;                 // monotonic time, own vector
    uint64_t covered_ms_ = 0;
};

}  // namespace meridian::replication
