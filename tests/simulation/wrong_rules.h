// Deliberately wrong rules of replication, to find out whether the checks of the simulation would notice them. Each
// stands between a real node and its real replicator.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "crdt/op.h"
#include "node/replication_port.h"
#include "simulation/world.h"

namespace meridian::simulation {

enum class WrongRule : uint8_t {
    none,
    loses_a_merge,              // says that it is durable, does nothing
    counts_without_states,      // raises the vector over entries that it does not join
    loses_one_entry,            // of several that come together
    applies_delta_as_op,        // once more, as a write of its own
    forgets_removed_tags,       // of sets, in what comes from others
    forgets_expiry,             // likewise
    forgets_generation,         // likewise
    changes_register_stamp,     // likewise
    divides_batches,            // and makes the halves visible one after the other
    renumbers_entries,          // gives one entry under the number of the one before
    serves_gaps,                // says that what its log has lost was never there
    ignores_new_incarnation,    // goes on numbering in the old one
    crash_loses_acknowledged,   // a group that was said to be durable
    hides_keys_from_digests,    // some, always the same
    gives_no_states,            // of some keys
    raises_vector_too_far,      // after a state transfer
    claims_more_than_it_holds,  // in its vector
    drops_tombstones_at_once,   // without waiting until others hold them
};

struct WrongRuleName {
    WrongRule rule;
    std::string_view name;
};
const std::vector<WrongRuleName>& wrong_rules();
WrongRule wrong_rule_of(std::string_view name);  // none if there is no such rule

// A port that follows the rule now and then. `write_again` gives an op to the node as a client would.
std::unique_ptr<node::ReplicationPort> wrong_port(
    WrongRule rule, node::ReplicationPort& port, World& world, SimulatedLane& lane,
    std::function<void(const node::KeyName& name, const crdt::Op& op)> write_again);

}  // namespace meridian::simulation
