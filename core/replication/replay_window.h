// Against replays: which numbers of which sender were taken already. A recorded message has a valid code; only its
// number tells that it was heard before.
//
// A window as of IPsec (RFC 6479) marks, in a bitmap, the numbers close to the greatest. Here numbers come from the
// sender's hybrid clock (milliseconds << 16 | counter), so the next message is millions away and any bitmap would hold
// one of them. Kept instead are, for each sender, the greatest `numbers_max` numbers that were taken, in order, and a
// floor: the greatest number that was dropped from them. A number is taken if it is above the floor and not among those
// kept. So
//   - no number is taken twice: it is either kept, or at or under the floor;
//   - a message that others overtake is refused only if `numbers_max` greater ones of its sender came first;
//   - the newest costs O(1), a late one a search and a move within the kept ones.
//
// Senders are bounded too: the one from which a message was not taken for the longest time is forgotten. What a
// forgotten sender said could then be replayed, as could everything said before this process began; hence the floor
// for unheard senders, which the caller sets by its clock.
//
// Memory: 8 bytes a kept number; at most senders_max * numbers_max. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>

#include "node/version_vector.h"

namespace meridian::replication {

enum class Freshness : uint8_t {
    fresh,     // not heard before; from now on it is
    repeated,  // heard before
    too_old,   // at or under the floor: heard before, or too late to tell
};

class ReplayWindow {
public:
    // REQUIRES: neither is 0.
    explicit ReplayWindow(size_t senders_max = 1024, size_t numbers_max = 1024)
        : senders_max_(senders_max), numbers_max_(numbers_max) {}

    // A sender that is not known begins with the floor `unheard_floor`: (now - tolerance) << 16, where the tolerance
    // covers the difference of clocks and the longest delay of a message; 0 takes anything but the number 0. A message
    // that is refused leaves everything as it was.
    Freshness take(const node::Origin& sender, uint64_t number, uint64_t unheard_floor);

    size_t senders() const { return senders_.size(); }

private:
    struct Sender {
        uint64_t floor = 0;
        std::deque<uint64_t> numbers;  // ascending, all above the floor
        std::list<node::Origin>::iterator age;
    };
    void forget_oldest();

    const size_t senders_max_;
    const size_t numbers_max_;
    std::map<node::Origin, Sender> senders_;
    std::list<node::Origin> ages_;  // least recently heard first
};

}  // namespace meridian::replication
