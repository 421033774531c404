// Histories of writes on one key at several replicas, for property tests: which op, where, and what had been delivered
// there before. Everything follows from plain numbers, so that RapidCheck can shrink a history and an exhaustive search
// can enumerate them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "crdt/key.h"

namespace meridian::test {

class CountingStamps : public crdt::StampSource {
public:
    explicit CountingStamps(uint64_t node_id) : next_{1'000'000, 0, node_id} {}
    crdt::Hlc next_stamp() override {
        ++next_.wall_ms;
        return next_;
    }

private:
    crdt::Hlc next_;
};

// One write. Replicas are numbered from 0.
struct Step {
    unsigned replica = 0;
    unsigned op = 0;         // index into a pool of ops, taken modulo its size
    unsigned delivered = 0;  // bit i: delta i has reached the replica before (again, if it had already)
    unsigned ttl = 0;        // 0: none; else the expiry is set, beyond the end of the history
};

constexpr unsigned replica_count = 3;
constexpr uint64_t start_ms = 1000;
constexpr uint64_t end_ms = 2000;  // nothing has expired by then

// A few ops on few ids, so that they interfere: repeats, conflicts, dependencies, removes before adds.
const std::vector<crdt::Op>& op_pool(crdt::Type type);
// Ops of different types, for conflicts over the type of a key.
const std::vector<crdt::Op>& mixed_pool();

// How a replica takes in a delta. Mutations replace it by something wrong.
using Join = void (*)(crdt::Key& key, const crdt::KeyDelta& delta, const crdt::JoinContext& context);
void correct_join(crdt::Key& key, const crdt::KeyDelta& delta, const crdt::JoinContext& context);

struct Run {
    std::vector<crdt::Key> replicas;     // as the steps left them: not everything is delivered
    std::vector<crdt::KeyDelta> deltas;  // of the writes that changed something
    std::string problem;                 // of the first property that did not hold on the way; empty if all did
};

// Executes the steps. On the way: what check() refuses is skipped; a delta joined to the state before its op gives the
// state after.
Run run_history(const std::vector<crdt::Op>& pool, const std::vector<Step>& steps, Join join);

// The state after the deltas, in the order of `order` (indexes, may repeat).
crdt::Key joined(const std::vector<crdt::KeyDelta>& deltas, const std::vector<size_t>& order, Join join);

// Every replica that gets all deltas, in any of some orders and with repeats, ends with the same state, bytes and
// value. Gives what did not hold; empty if all did. `shuffle` chooses the orders.
std::string check_convergence(const Run& run, uint64_t shuffle, Join join);

// Commutative, associative, idempotent, for the replicas' states as full deltas; a full delta joined to nothing gives
// an equal key.
std::string check_join_laws(const Run& run);

// Encodings of all deltas and states come back equal and re-encode to the same bytes; equal states have equal bytes.
std::string check_codecs(const Run& run);

// Whatever is done to the bytes, a decoder refuses them or gives something that encodes to exactly these bytes.
std::string check_decoders(const Run& run, uint64_t shuffle);

}  // namespace meridian::test
