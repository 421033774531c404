// A node for replication to talk to: a log, a version vector and a set of items per key, in memory. It checks that
// replication keeps the rules of node::ReplicationPort; `violation` says which it broke. What is on its FakeDisk
// survives it.
//
// The state of a key is the set of all items that were ever written to it; an entry's key_delta is a list of items, so
// that joining is union, and a write that is lost or altered shows.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "node/replication_port.h"
#include "simulation/world.h"

namespace meridian::replication {

struct FakeDisk {
    node::Origin self;
    std::map<node::Origin, std::map<uint64_t, node::RemoteEntry>> log;
    node::VersionVector vector;
    std::map<node::KeyName, std::set<std::string>> states;
    uint64_t incarnations = 0;  // begun so far

    // The log of all origins is cut: what is held up to here is gone from it.
    void cut_log(const node::VersionVector& upto);
};

std::string payload_of(const std::set<std::string>& items, uint64_t batch_following);
std::set<std::string> items_of(const std::string& payload);

class FakePort final : public node::ReplicationPort {
public:
    FakePort(simulation::World& world, FakeDisk& disk);
    ~FakePort() override;

    // A client's batch, one entry per (key, item). Durable and told after a while. With padding clients are told as
    // many bytes as are written, so that an envelope has twice the size of the entry.
    void write(const std::vector<std::pair<std::string, std::string>>& batch, size_t padding_bytes = 0);

    // Faults.
    double merge_failure = 0;  // none, some or all of the entries of a failed call are merged
    bool reads_stall = false;
    bool reads_fail = false;
    std::function<bool(const node::RemoteEntry&)> unreadable;  // merge() fails if one of them is

    size_t writes_pending = 0;
    std::string violation;
    uint64_t merged = 0;    // entries, with number
    uint64_t repeated = 0;  // of those, held already
    size_t merges_in_flight = 0, merges_in_flight_max = 0;
    size_t merge_bytes_max = 0;
    std::optional<node::VersionVector> needed;
    uint64_t covered_before = 0;
    uint64_t commit_delay_us = 500;

    // node::ReplicationPort
    void set_listener(node::ReplicationListener* listener) override { listener_ = listener; }
    node::Origin self() const override { return disk_.self; }
    void begin_incarnation(std::function<void(Result<void>)> done) override;
    node::VersionVector vector() const override { return disk_.vector; }
    void merge(std::vector<node::RemoteEntry> entries, std::function<void(Result<void>)> done) override;
    void read_entries(std::vector<node::EntryRange> ranges, size_t count_max, size_t bytes_max,
                      std::function<void(node::EntryPage)> done) override;
    node::VersionVector floors() const override;
    void set_needed(node::VersionVector held_by_all) override { needed = std::move(held_by_all); }
    void set_covered_before(uint64_t wall_ms) override { covered_before = wall_ms; }
    void digest_keys(std::optional<node::KeyName> after, size_t count_max, const node::DigestKey& key,
                     std::function<void(node::DigestPage)> done) override;
    void read_states(std::vector<node::KeyName> names,
                     std::function<void(Result<std::vector<node::KeyState>>)> done) override;
    void raise_vector(node::VersionVector vector, std::function<void(Result<void>)> done) override;

private:
    void later(Task task);
    void join(const node::RemoteEntry& entry);
    void adopt(const node::RemoteEntry& entry);
    void check_merge(const std::vector<node::RemoteEntry>& entries);

    simulation::World& world_;
    FakeDisk& disk_;
    simulation::SimulatedLane& lane_;
    node::ReplicationListener* listener_ = nullptr;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    node::VersionVector outstanding_;  // the last number given to merge()
    uint64_t next_free_us_ = 0;        // completions keep their order
};

}  // namespace meridian::replication
