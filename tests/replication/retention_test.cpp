// What the log is still needed for, when tombstones may go, clocks, and gaps that nobody can fill.
#include "replication/cluster.h"
#include "replication/envelope.h"

namespace meridian::replication {

class RetentionTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(RetentionTest);
    CPPUNIT_TEST(the_log_is_needed_until_every_member_has_it_and_for_ten_minutes);
    CPPUNIT_TEST(a_dead_member_needs_the_log_until_it_is_expelled);
    CPPUNIT_TEST(nothing_is_said_while_a_known_member_was_not_heard);
    CPPUNIT_TEST(covered_time_follows_the_slowest_origin);
    CPPUNIT_TEST(a_write_that_one_member_lacks_holds_covered_time_back);
    CPPUNIT_TEST(a_silent_member_stops_covered_time_until_it_is_expelled);
    CPPUNIT_TEST(a_gap_that_nobody_can_fill_is_skipped_after_retention);
    CPPUNIT_TEST(clock_offsets_are_measured_and_raise_an_alarm);
    CPPUNIT_TEST_SUITE_END();

public:
    void the_log_is_needed_until_every_member_has_it_and_for_ten_minutes() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(3);
        for (int i = 0; i < 10; ++i) cluster.write(1);
        cluster.expect_level(second_us);
        cluster.world.run_for(540 * second_us);
        for (int i = 0; i < 10; ++i) cluster.write(1);
        cluster.world.run_for(30 * second_us);
        CPPUNIT_ASSERT(!cluster.members.at(2).port->needed);
        cluster.world.run_for(150 * second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{10}, cluster.members.at(2).port->needed->at({1, 1}));
        cluster.world.run_for(600 * second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{20}, cluster.members.at(2).port->needed->at({1, 1}));
    }

    void a_dead_member_needs_the_log_until_it_is_expelled() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.options.retention_ms = 3'600'000;
        cluster.start_all(3);
        cluster.write(1);
        cluster.expect_level(second_us);
        cluster.world.run_for(15 * second_us);
        cluster.kill(3);
        for (int i = 0; i < 10; ++i) cluster.write(1);
        cluster.world.run_for(1'800 * second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, cluster.members.at(1).port->needed->at({1, 1}));
        cluster.world.run_for(2'000 * second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{11}, cluster.members.at(1).port->needed->at({1, 1}));
        for (const PeerStatus& peer : cluster.status(1).peers) {
            CPPUNIT_ASSERT(peer.state == (peer.origin.node_id == 3 ? PeerState::expelled : PeerState::alive));
        }
    }

    void nothing_is_said_while_a_known_member_was_not_heard() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.options.known_members = {{9, cluster.world.wall_ms()}};
        cluster.start_all(2);
        cluster.write(1);
        cluster.world.run_for(3'600 * second_us);
        CPPUNIT_ASSERT(!cluster.members.at(1).port->needed);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, cluster.members.at(1).port->covered_before);
    }

    void covered_time_follows_the_slowest_origin() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(3);
        for (int i = 0; i < 240; ++i) {
            cluster.write(1 + cluster.world.below(3));
            cluster.world.run_for(15 * second_us);
        }
        for (auto& [node_id, member] : cluster.members) {
            const uint64_t behind_ms = cluster.world.wall_ms() - member.port->covered_before;
            CPPUNIT_ASSERT(behind_ms >= 600'000);
            CPPUNIT_ASSERT(behind_ms < 600'000 + 180'000);
            CPPUNIT_ASSERT_EQUAL(member.port->covered_before, cluster.status(node_id).covered_before_wall_ms);
        }
    }

    void a_write_that_one_member_lacks_holds_covered_time_back() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(3);
        cluster.world.run_for(900 * second_us);
        cluster.members.at(3).port->unreadable = [](const node::RemoteEntry& entry) {
            return entry.origin.node_id == 1;
        };
        const uint64_t written_ms = cluster.world.wall_ms();
        cluster.write(1);
        cluster.world.run_for(3'000 * second_us);
        for (auto& [node_id, member] : cluster.members) {
            CPPUNIT_ASSERT(member.port->covered_before > 0);
            CPPUNIT_ASSERT(member.port->covered_before <= written_ms);
        }
        cluster.members.at(3).port->unreadable = nullptr;
        cluster.world.run_for(1'500 * second_us);
        CPPUNIT_ASSERT(cluster.members.at(2).port->covered_before > written_ms);
    }

    void a_silent_member_stops_covered_time_until_it_is_expelled() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.options.retention_ms = 3'600'000;
        cluster.start_all(3);
        cluster.world.run_for(1'800 * second_us);
        cluster.kill(3);
        const uint64_t killed_ms = cluster.world.wall_ms();
        cluster.world.run_for(1'800 * second_us);
        CPPUNIT_ASSERT(cluster.members.at(1).port->covered_before < killed_ms);
        cluster.world.run_for(3'600 * second_us);
        CPPUNIT_ASSERT(cluster.members.at(1).port->covered_before > killed_ms);
    }

    void a_gap_that_nobody_can_fill_is_skipped_after_retention() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.options.retention_ms = 1'200'000;
        cluster.start_all(2);
        // Only its end arrives of a node that is never heard again.
        for (const uint64_t sequence : {4, 5, 7}) {
            Envelope envelope;
            envelope.origin_node_id = 9;
            envelope.namespace_name = "ns";
            envelope.key = "key" + std::to_string(sequence);
            envelope.numbered = Envelope::Numbered{};
            envelope.numbered->incarnation = 1;
            envelope.numbered->sequence = sequence;
            envelope.numbered->payload = payload_of({"item"}, 0);
            for (const uint64_t node_id : {1, 2})
                cluster.networks[0]->inject(node_id, Channel::delta, encode_envelope(envelope, cluster.seal));
        }
        cluster.world.run_for(1'000 * second_us);
        CPPUNIT_ASSERT(cluster.members.at(1).disk.states.empty());
        CPPUNIT_ASSERT(!cluster.has_alarm(1, AlarmKind::gap_skipped));
        cluster.world.run_for(600 * second_us);
        CPPUNIT_ASSERT_EQUAL(size_t{3}, cluster.members.at(1).disk.states.size());
        CPPUNIT_ASSERT(cluster.has_alarm(1, AlarmKind::gap_skipped));
        CPPUNIT_ASSERT_EQUAL(uint64_t{7}, cluster.members.at(1).disk.vector.at({9, 1}));
        cluster.expect_level(120 * second_us);
    }

    void clock_offsets_are_measured_and_raise_an_alarm() {
        for (const simulation::Shape& shape : {broker_shape(), peers_shape()}) {
            Cluster cluster(base_seed(), {shape});
            cluster.start_all(2);
            cluster.world.run_for(120 * second_us);
            CPPUNIT_ASSERT(cluster.status(1).peers.at(0).clock_offset_ms.has_value());
            CPPUNIT_ASSERT(std::abs(*cluster.status(1).peers.at(0).clock_offset_ms) < 10);
            CPPUNIT_ASSERT(!cluster.has_alarm(1, AlarmKind::clock_offset));
            cluster.members.at(2).clock_ahead_ms = 700;
            cluster.world.run_for(180 * second_us);
            CPPUNIT_ASSERT(std::abs(*cluster.status(1).peers.at(0).clock_offset_ms - 700) < 10);
            CPPUNIT_ASSERT(cluster.has_alarm(1, AlarmKind::clock_offset));
            cluster.members.at(2).clock_ahead_ms = 0;
            cluster.world.run_for(180 * second_us);
            CPPUNIT_ASSERT(!cluster.status(1).alarms.at(0).active);
        }
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(RetentionTest);

}  // namespace meridian::replication
