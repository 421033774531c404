// The common path, and its repair: publish, hello, gap, pull, start, stop.
#include "replication/cluster.h"

namespace meridian::replication {

class SliceTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(SliceTest);
    CPPUNIT_TEST(a_write_reaches_every_node_at_once);
    CPPUNIT_TEST(a_late_node_catches_up_before_it_is_ready);
    CPPUNIT_TEST(a_lost_envelope_is_pulled_after_the_gap_shows);
    CPPUNIT_TEST(a_busy_transport_gets_entries_later_and_in_order);
    CPPUNIT_TEST(the_last_lost_envelope_is_found_by_hello);
    CPPUNIT_TEST(a_third_node_serves_entries_of_a_dead_origin);
    CPPUNIT_TEST(a_node_that_was_cut_off_gets_everything_page_by_page);
    CPPUNIT_TEST(an_entry_too_large_for_an_envelope_is_announced_and_pulled);
    CPPUNIT_TEST(an_entry_too_large_for_any_message_raises_an_alarm);
    CPPUNIT_TEST(a_batch_is_merged_in_one_step_or_not_at_all);
    CPPUNIT_TEST(two_transports_merge_nothing_twice);
    CPPUNIT_TEST(a_node_that_stops_is_left_alone_at_once);
    CPPUNIT_TEST(a_silent_node_is_dead_after_three_periods);
    CPPUNIT_TEST(a_merge_that_fails_is_repeated);
    CPPUNIT_TEST(an_entry_that_cannot_be_merged_stops_its_origin_with_an_alarm);
    CPPUNIT_TEST(idle_traffic_grows_with_nodes_not_with_keys);
    CPPUNIT_TEST(random_faults_heal);
    CPPUNIT_TEST_SUITE_END();

public:
    void a_write_reaches_every_node_at_once() {
        for (const simulation::Shape& shape : shapes()) {
            Cluster cluster(base_seed(), {shape});
            cluster.start_all(3);
            cluster.write(1);
            cluster.write(2, 3);
            cluster.expect_level(100'000);
            CPPUNIT_ASSERT_EQUAL(size_t{2}, cluster.members.at(3).disk.vector.size());
            for (const uint64_t node_id : {1, 2, 3})
                CPPUNIT_ASSERT_EQUAL(uint64_t{0}, cluster.status(node_id).counters.pulls_sent);
            cluster.world.run_for(15 * second_us);
            CPPUNIT_ASSERT(cluster.status(1).converged);
            CPPUNIT_ASSERT_EQUAL(size_t{2}, cluster.status(1).peers.size());
        }
    }

    void a_late_node_catches_up_before_it_is_ready() {
        for (const simulation::Shape& shape : shapes()) {
            Cluster cluster(base_seed(), {shape});
            cluster.start_all(2);
            for (int i = 0; i < 5'000; ++i) cluster.write(1 + i % 2);
            cluster.expect_level(10 * second_us);
            cluster.add(3);
            cluster.start(3);
            CPPUNIT_ASSERT(cluster.world.run_until([&] { return cluster.members.at(3).ready; }, 20 * second_us));
            CPPUNIT_ASSERT_MESSAGE(cluster.differences(), cluster.level());
        }
    }

    void a_lost_envelope_is_pulled_after_the_gap_shows() {
        for (const simulation::Shape& shape : shapes()) {
            Cluster cluster(base_seed(), {shape});
            cluster.start_all(2);
            cluster.networks[0]->cut(1, 2);
            cluster.write(1);
            cluster.world.run_for(second_us / 10);
            cluster.networks[0]->heal(false);
            cluster.write(1);
            cluster.world.run_for(second_us / 20);
            CPPUNIT_ASSERT_EQUAL(size_t{0}, cluster.members.at(2).disk.vector.size());
            cluster.expect_level(second_us / 2);
            CPPUNIT_ASSERT_EQUAL(uint64_t{1}, cluster.status(2).counters.pulls_sent);
        }
    }

    void a_busy_transport_gets_entries_later_and_in_order() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(2);
        cluster.networks[0]->weather.busy = 0.3;
        cluster.networks[0]->weather.delay_min_us = cluster.networks[0]->weather.delay_max_us = 500;
        for (int i = 0; i < 100; ++i) cluster.write(1);
        cluster.expect_level(second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, cluster.status(2).counters.pulls_sent);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, cluster.status(1).counters.entries_skipped);
    }

    void the_last_lost_envelope_is_found_by_hello() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(2);
        cluster.networks[0]->cut(1, 2);
        cluster.write(1);
        cluster.world.run_for(second_us / 10);
        cluster.networks[0]->heal(false);
        cluster.expect_level(13 * second_us);
    }

    void a_third_node_serves_entries_of_a_dead_origin() {
        for (const simulation::Shape& shape : shapes()) {
            Cluster cluster(base_seed(), {shape});
            cluster.start_all(3);
            cluster.networks[0]->cut(1, 3);
            for (int i = 0; i < 100; ++i) cluster.write(1);
            cluster.world.run_for(second_us / 2);
            cluster.kill(1);
            cluster.networks[0]->heal(false);
            cluster.expect_level(60 * second_us);
            CPPUNIT_ASSERT_EQUAL(uint64_t{100}, cluster.members.at(3).disk.vector.at({1, 1}));
        }
    }

    void a_node_that_was_cut_off_gets_everything_page_by_page() {
        for (const simulation::Shape& shape : shapes()) {
            Cluster cluster(base_seed(), {shape});
            cluster.start_all(3);
            cluster.networks[0]->set_connected(3, false);
            for (int i = 0; i < 3'000; ++i) cluster.write(1 + i % 2, 1, 1'000);
            for (int i = 0; i < 500; ++i) cluster.write(3);
            cluster.world.run_for(5 * second_us);
            cluster.networks[0]->set_connected(3, true);
            cluster.expect_level(10 * second_us);
        }
    }

    void an_entry_too_large_for_an_envelope_is_announced_and_pulled() {
        for (simulation::Shape shape : shapes()) {
            shape.message_bytes_max = 4'000;
            Cluster cluster(base_seed(), {shape});
            cluster.start_all(2);
            for (size_t padding = 1'000; padding < 3'300; padding += 50) cluster.write(1, 1, padding);
            cluster.expect_level(5 * second_us);
            const ReplicationCounters counters = cluster.status(1).counters;
            CPPUNIT_ASSERT(counters.entries_announced > 20);
            CPPUNIT_ASSERT(counters.entries_published > 10);
            // The very last one shows without waiting for a hello.
            cluster.write(1, 1, 3'000);
            cluster.expect_level(second_us / 2);
        }
    }

    void an_entry_too_large_for_any_message_raises_an_alarm() {
        simulation::Shape shape = broker_shape();
        shape.message_bytes_max = 4'000;
        Cluster cluster(base_seed(), {shape});
        cluster.start_all(2);
        cluster.write(1);
        cluster.write(1, 1, 5'000);
        cluster.write(1);
        cluster.world.run_for(20 * second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, cluster.members.at(2).disk.vector.at({1, 1}));
        CPPUNIT_ASSERT(cluster.has_alarm(1, AlarmKind::entry_too_large));
        cluster.expect_no_violation();
    }

    void a_batch_is_merged_in_one_step_or_not_at_all() {
        for (const simulation::Shape& shape : shapes()) {
            Cluster cluster(base_seed(), {shape});
            cluster.options.pull_entries_max = 300;
            cluster.start_all(2);
            cluster.networks[0]->weather.drop = 0.2;
            for (int i = 0; i < 5; ++i) cluster.write(1, 1'000);
            cluster.networks[0]->cut(1, 2);
            cluster.write(1, 9'000);
            cluster.world.run_for(second_us);
            cluster.networks[0]->heal();
            cluster.networks[0]->weather.drop = 0;
            cluster.expect_level(20 * second_us);  // the port says if a batch is divided
            CPPUNIT_ASSERT(cluster.status(2).counters.batches_held > 0);
        }
    }

    void two_transports_merge_nothing_twice() {
        Cluster cluster(base_seed(), {broker_shape(), peers_shape()});
        cluster.start_all(3);
        for (int i = 0; i < 300; ++i) {
            cluster.write(1 + i % 3);
            cluster.world.run_for(10'000);
        }
        cluster.expect_level(second_us);
        for (const auto& [node_id, member] : cluster.members) {
            CPPUNIT_ASSERT_EQUAL(uint64_t{200}, member.port->merged);
            CPPUNIT_ASSERT_EQUAL(uint64_t{0}, member.port->repeated);
            CPPUNIT_ASSERT_EQUAL(uint64_t{200}, cluster.status(node_id).counters.entries_duplicate);
        }
        // One of them is enough.
        cluster.networks[0]->set_connected(2, false);
        cluster.write(2);
        cluster.expect_level(second_us);
    }

    void a_node_that_stops_is_left_alone_at_once() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(3);
        cluster.write(2);
        cluster.world.run_until([&] { return cluster.members.at(2).disk.vector.size() == 1; });
        cluster.stop(2);
        cluster.world.run_for(second_us / 10);
        const ClusterStatus status = cluster.status(1);
        for (const PeerStatus& peer : status.peers)
            CPPUNIT_ASSERT(peer.state == (peer.origin.node_id == 2 ? PeerState::leaving : PeerState::alive));
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, cluster.members.at(3).disk.vector.at({2, 1}));
        cluster.start(2);
        cluster.world.run_for(3 * second_us);
        CPPUNIT_ASSERT(cluster.members.at(2).ready);
        // Everybody answered and nobody knew more: it goes on in its incarnation.
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, cluster.members.at(2).disk.self.incarnation);
        cluster.write(2);
        cluster.expect_level(second_us);
    }

    void a_silent_node_is_dead_after_three_periods() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(2);
        cluster.kill(2);
        cluster.world.run_for(22 * second_us);
        CPPUNIT_ASSERT(cluster.status(1).peers.at(0).state == PeerState::alive);
        cluster.world.run_for(15 * second_us);
        CPPUNIT_ASSERT(cluster.status(1).peers.at(0).state == PeerState::dead);
    }

    void a_merge_that_fails_is_repeated() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(2);
        cluster.members.at(2).port->merge_failure = 0.5;
        for (int i = 0; i < 50; ++i) {
            cluster.write(1, 1 + i % 4);
            cluster.world.run_for(20'000);
        }
        cluster.world.run_for(60 * second_us);
        cluster.members.at(2).port->merge_failure = 0;
        cluster.expect_level(10 * second_us);
        CPPUNIT_ASSERT(cluster.status(2).counters.merges_failed > 0);
    }

    void an_entry_that_cannot_be_merged_stops_its_origin_with_an_alarm() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(3);
        bool broken = true;
        cluster.members.at(2).port->unreadable = [&broken](const node::RemoteEntry& entry) {
            return broken && entry.origin.node_id == 1 && entry.sequence == 3;
        };
        for (int i = 0; i < 6; ++i) cluster.write(1);
        cluster.write(3);
        cluster.world.run_for(20 * second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, cluster.members.at(2).disk.vector.at({1, 1}));
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, cluster.members.at(2).disk.vector.at({3, 1}));
        CPPUNIT_ASSERT(cluster.has_alarm(2, AlarmKind::origin_stopped));
        broken = false;
        cluster.expect_level(20 * second_us);
        for (const Alarm& alarm : cluster.status(2).alarms) CPPUNIT_ASSERT(!alarm.active);
    }

    void idle_traffic_grows_with_nodes_not_with_keys() {
        const auto idle_bytes_per_node = [](uint64_t nodes, int keys) {
            Cluster cluster(base_seed(), {broker_shape()});
            cluster.start_all(nodes);
            for (int i = 0; i < keys; ++i) cluster.write(1 + i % nodes);
            cluster.expect_level(10 * second_us);
            cluster.world.run_for(30 * second_us);
            const uint64_t before = cluster.networks[0]->messages;
            cluster.world.run_for(600 * second_us);
            return (cluster.networks[0]->messages - before) / nodes / nodes;
        };
        const uint64_t few = idle_bytes_per_node(3, 10);
        const uint64_t many = idle_bytes_per_node(3, 3'000);
        const uint64_t wide = idle_bytes_per_node(9, 10);
        // One hello a period to each node, and now and then one for the clocks.
        CPPUNIT_ASSERT(few >= 45 && few <= 90);
        CPPUNIT_ASSERT(many >= 45 && many <= 90);
        CPPUNIT_ASSERT(wide >= 45 && wide <= 90);
    }

    void random_faults_heal() {
        for (uint64_t round = 0; round < 60; ++round) {
            const uint64_t seed = base_seed() + round;
            std::vector<simulation::Shape> used = shapes();
            if (round % 4 == 3) {
                used.pop_back();
            } else {
                used = {used[round % 4]};
            }
            Cluster cluster(seed, used);
            cluster.options.held_entries_max = 40;
            cluster.options.pull_entries_max = 30;
            cluster.options.merge_backlog_bytes_max = 20'000;
            cluster.start_all(4);
            for (int step = 0; step < 120; ++step) {
                simulation::Network& network = *cluster.networks[cluster.world.below(cluster.networks.size())];
                const uint64_t node_id = 1 + cluster.world.below(4);
                Member& member = cluster.members.at(node_id);
                switch (cluster.world.below(12)) {
                    case 0:
                        network.cut(node_id, 1 + cluster.world.below(4));
                        break;
                    case 1:
                        network.heal(cluster.world.chance(0.5));
                        break;
                    case 2:
                        network.set_connected(node_id, cluster.world.chance(0.6));
                        break;
                    case 3:
                        network.weather.drop = cluster.world.chance(0.5) ? 0.3 : 0;
                        network.weather.repeat = cluster.world.chance(0.5) ? 0.3 : 0;
                        network.weather.busy = cluster.world.chance(0.5) ? 0.2 : 0;
                        network.weather.delay_max_us = cluster.world.chance(0.3) ? 400'000 : 2'000;
                        break;
                    case 4:
                        if (member.replicator && cluster.world.chance(0.5)) {
                            cluster.kill(node_id);
                        } else if (!member.replicator) {
                            cluster.start(node_id);
                        }
                        break;
                    case 5:
                        if (member.port) member.port->merge_failure = cluster.world.chance(0.5) ? 0.3 : 0;
                        break;
                    default:
                        for (uint64_t i = cluster.world.below(20); i > 0 && member.replicator && member.ready; --i)
                            cluster.write(node_id, cluster.world.chance(0.3) ? 1 + cluster.world.below(60) : 1);
                }
                cluster.world.run_for(cluster.world.below(2 * second_us));
            }
            for (const auto& network : cluster.networks) {
                network->weather = {};
                network->heal();
            }
            for (auto& [node_id, member] : cluster.members) {
                if (!member.replicator) cluster.start(node_id);
                member.port->merge_failure = 0;
            }
            cluster.expect_level(40 * second_us);
            for (auto& [node_id, member] : cluster.members) {
                CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed), !cluster.has_alarm(node_id, AlarmKind::amnesia));
                CPPUNIT_ASSERT(member.port->merges_in_flight_max <= member.options.merges_in_flight_max + 1);
            }
        }
    }

private:
    static std::vector<simulation::Shape> shapes() { return {broker_shape(), peers_shape(), broadcast_shape()}; }
};

CPPUNIT_TEST_SUITE_REGISTRATION(SliceTest);

}  // namespace meridian::replication
