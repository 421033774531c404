#include "replication/cluster.h"

#include <cstdlib>
#include <utility>

namespace meridian::replication {

uint64_t base_seed() {
    const char* text = std::getenv("MERIDIAN_TEST_SEED");
    return text == nullptr ? 20'261'127 : std::strtoull(text, nullptr, 10);
}

Cluster::Cluster(uint64_t world_seed, std::vector<simulation::Shape> shapes, std::string secret)
    : seed(world_seed), world(world_seed), seal("cluster-a", std::move(secret), true) {
    for (simulation::Shape& shape : shapes)
        networks.push_back(std::make_unique<simulation::Network>(world, std::move(shape)));
    options.interval_ms = 10'000;
}

Cluster::~Cluster() {
    for (auto& [node_id, member] : members) {
        if (member.replicator) kill(node_id);
    }
}

Member& Cluster::add(uint64_t node_id) {
    Member& member = members[node_id];
    member.disk.self = {node_id, 1};
    member.options = options;
    return member;
}

void Cluster::start(uint64_t node_id) {
    Member& member = members.at(node_id);
    member.ready = false;
    member.port = std::make_unique<FakePort>(world, member.disk);
    member.clock = std::make_unique<OffsetClock>(world, member.clock_ahead_ms);
    std::vector<Transport*> transports;
    for (const auto& network : networks) {
        member.transports.push_back(std::make_unique<simulation::SimulatedTransport>(*network, node_id));
        transports.push_back(member.transports.back().get());
    }
    ReplicationEvents events;
    events.ready = [&member] { member.ready = true; };
    events.awareness = [&member](const Awareness& awareness) { member.awareness.push_back(awareness); };
    events.revoke_sessions = [&member](const RevokeSessions& order) { member.revocations.push_back(order); };
    events.alarm = [&member](const Alarm& alarm) { member.alarms_told.push_back(alarm.kind); };
    events.legacy_delta = [&member](const std::string&, const std::string& key, const std::string&) {
        member.legacy_deltas.push_back(key);
    };
    member.replicator = std::make_unique<Replicator>(world.make_lane(), *member.clock, world, *member.port, seal,
                                                     member.options, transports, events);
    CPPUNIT_ASSERT(member.replicator->start().ok());
}

void Cluster::start_all(uint64_t count) {
    for (uint64_t node_id = 1; node_id <= count; ++node_id) {
        add(node_id);
        start(node_id);
    }
    const bool ready = world.run_until(
        [this] {
            for (const auto& [node_id, member] : members) {
                if (!member.ready) return false;
            }
            return true;
        },
        40 * second_us);
    CPPUNIT_ASSERT_MESSAGE("ready, seed " + std::to_string(seed), ready);
}

void Cluster::kill(uint64_t node_id) {
    Member& member = members.at(node_id);
    member.replicator->close(0);
    member.replicator.reset();
    member.transports.clear();
    member.port.reset();
}

void Cluster::stop(uint64_t node_id) {
    bool done = false;
    members.at(node_id).replicator->stop(world.monotonic_us() + 5 * second_us, [&done] { done = true; });
    CPPUNIT_ASSERT(world.run_until([&done] { return done; }, 10 * second_us));
    kill(node_id);
}

void Cluster::write(uint64_t node_id, size_t items, size_t padding_bytes) {
    Member& member = members.at(node_id);
    std::vector<std::pair<std::string, std::string>> batch;
    for (size_t i = 0; i < items; ++i) {
        batch.emplace_back("k" + std::to_string(world.below(50)), std::to_string(node_id) + ":" +
                                                                      std::to_string(member.disk.self.incarnation) +
                                                                      ":" + std::to_string(++member.written));
    }
    member.port->write(batch, padding_bytes);
}

bool Cluster::level() const {
    const FakeDisk* first = nullptr;
    for (const auto& [node_id, member] : members) {
        if (!member.replicator) continue;
        if (member.port->writes_pending != 0) return false;
        if (first == nullptr) {
            first = &member.disk;
        } else if (first->vector != member.disk.vector || first->states != member.disk.states) {
            return false;
        }
    }
    return true;
}

std::string Cluster::differences() const {
    std::string text = "seed " + std::to_string(seed);
    for (const auto& [node_id, member] : members) {
        text += "\n node " + std::to_string(node_id) + (member.replicator ? ":" : " (down):");
        size_t items = 0;
        for (const auto& [name, state] : member.disk.states) items += state.size();
        text += " " + std::to_string(items) + " items;";
        for (const auto& [origin, sequence] : member.disk.vector) {
            text += " " + std::to_string(origin.node_id) + "/" + std::to_string(origin.incarnation) + "=" +
                    std::to_string(sequence);
        }
    }
    return text;
}

void Cluster::expect_level(uint64_t limit_us) {
    const uint64_t until_us = world.monotonic_us() + limit_us;
    while (!level() && world.monotonic_us() < until_us) world.run_for(100'000);
    CPPUNIT_ASSERT_MESSAGE(differences(), level());
    expect_no_violation();
}

void Cluster::expect_no_violation() const {
    for (const auto& [node_id, member] : members) {
        if (!member.port) continue;
        CPPUNIT_ASSERT_EQUAL_MESSAGE("node " + std::to_string(node_id) + ", seed " + std::to_string(seed),
                                     std::string(), member.port->violation);
    }
    for (const auto& network : networks) CPPUNIT_ASSERT_EQUAL(std::string(), network->violation);
}

bool Cluster::has_alarm(uint64_t node_id, AlarmKind kind) {
    for (const Alarm& alarm : status(node_id).alarms) {
        if (alarm.kind == kind) return true;
    }
    return false;
}

}  // namespace meridian::replication
