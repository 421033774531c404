// Several replicators with fake nodes in one simulated world.
#pragma once

#include <cppunit/extensions/HelperMacros.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "replication/fake_port.h"
#include "replication/replicator.h"
#include "simulation/network.h"

namespace meridian::replication {

constexpr uint64_t second_us = 1'000'000;

using simulation::broadcast_shape;
using simulation::broker_shape;
using simulation::OffsetClock;
using simulation::peers_shape;

struct Member {
    int64_t clock_ahead_ms = 0;
    std::unique_ptr<OffsetClock> clock;
    FakeDisk disk;
    std::unique_ptr<FakePort> port;
    std::vector<std::unique_ptr<simulation::SimulatedTransport>> transports;
    std::unique_ptr<Replicator> replicator;
    ReplicationOptions options;
    bool ready = false;
    uint64_t written = 0;  // items so far
    std::vector<Awareness> awareness;
    std::vector<RevokeSessions> revocations;
    std::vector<std::string> legacy_deltas;
    std::vector<AlarmKind> alarms_told;
};

class Cluster {
public:
    Cluster(uint64_t seed, std::vector<simulation::Shape> shapes, std::string secret = "a shared secret");
    ~Cluster();

    // A node that has not been started.
    Member& add(uint64_t node_id);
    void start(uint64_t node_id);
    // Adds and starts 1..count and waits until all are ready.
    void start_all(uint64_t count);
    // The process ends without a word.
    void kill(uint64_t node_id);
    // It leaves as it should.
    void stop(uint64_t node_id);

    void write(uint64_t node_id, size_t items = 1, size_t padding_bytes = 0);
    // Of everything that was ever written and not lost with a disk, all nodes that run hold the same.
    bool level() const;
    // How they differ, for messages.
    std::string differences() const;
    // Runs until all are level; fails with the seed if they are not in time.
    void expect_level(uint64_t limit_us);
    void expect_no_violation() const;
    ClusterStatus status(uint64_t node_id) { return members.at(node_id).replicator->status(); }
    bool has_alarm(uint64_t node_id, AlarmKind kind);

    const uint64_t seed;
    simulation::World world;
    std::vector<std::unique_ptr<simulation::Network>> networks;
    std::map<uint64_t, Member> members;
    Seal seal;
    ReplicationOptions options;  // of nodes that are added
};

// MERIDIAN_TEST_SEED or a fixed default.
uint64_t base_seed();

}  // namespace meridian::replication
