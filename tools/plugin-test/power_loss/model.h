// What the child commits, and what must be there afterwards: each group is a function of the seed, the number of the
// child (the run) and the group's first position, so whoever knows these can tell what a position must hold.
//
// Threads: values, pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "node/store.h"

namespace meridian::power_loss {

constexpr size_t key_count = 24;         // whose snapshots are written, never removed
constexpr size_t removed_key_count = 4;  // whose rows are removed again and again
inline constexpr const char* workload_namespace = "power-loss";
inline constexpr const char* beat_name = "beat";  // metadata of groups that have nothing else

node::KeyName key_name(size_t index);

struct GroupPlan {
    std::vector<size_t> keys;  // of each entry
    node::CommitGroup group;
};
// The group that this run commits at this position.
GroupPlan plan_group(uint64_t seed, uint64_t run, uint64_t first_position);
uint64_t group_size(uint64_t seed, uint64_t run, uint64_t first_position);

uint64_t entry_hash(const std::string& payload);
// The deadline that goes with the payload, so that whoever reads a key back knows it; 0 = none.
uint64_t entry_deadline_ms(const std::string& payload);

// What a snapshot says of its key: how many entries there were, and the sum of their hashes.
struct KeyTotals {
    uint64_t count = 0;
    uint64_t sum = 0;
    uint64_t deadline_ms = 0;  // of the newest entry

    void add(const std::string& payload);
    // The state of a snapshot, with some filling, so that states have many sizes.
    std::string text() const;
    static bool parse(const std::string& text, KeyTotals& out);
};

// Everything that the store must hold after a sequence of groups.
struct Model {
    KeyTotals keys[key_count];
    // Positions and hashes of the entries of keys whose rows are removed, from the last sure removal on.
    std::vector<std::pair<uint64_t, uint64_t>> removed_keys[removed_key_count];
    std::map<std::string, std::string> metadata;

    void apply(const GroupPlan& plan);
};

}  // namespace meridian::power_loss
