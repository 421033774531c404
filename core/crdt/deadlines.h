// The types that have something to tell clients because time has passed (Presence, RGA, and CRDTMap for those inside
// it) offer beside the contract
//   uint64_t next_deadline_ms() const;                          the wall time at which expire() has something to tell;
//   0 = never std::vector<ClientDelta> expire(uint64_t now_ms);           what is due; each thing is told once. The
//   lattice state does not change
// The functions here treat the other types as having no deadlines.
#pragma once

#include <cstdint>
#include <vector>

namespace meridian::crdt {

template <class T>
uint64_t next_deadline_of(const T& value) {
    if constexpr (requires { value.next_deadline_ms(); }) {
        return value.next_deadline_ms();
    } else {
        return 0;
    }
}

template <class T>
std::vector<typename T::ClientDelta> expire_value(T& value, uint64_t now_ms) {
    if constexpr (requires { value.expire(now_ms); }) {
        return value.expire(now_ms);
    } else {
        return {};
    }
}

// Presence, and CRDTMap for those inside it, remember what they were shown and have told; see Key::assume_shown().
template <class T>
void assume_value_shown(T& value) {
    if constexpr (requires { value.assume_shown(); }) value.assume_shown();
}

}  // namespace meridian::crdt
