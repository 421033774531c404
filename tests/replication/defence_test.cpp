// What comes from outside and is not what it should be; what is told once and not kept.
#include "replication/cluster.h"
#include "replication/envelope.h"
#include "replication/legacy_log.h"

namespace meridian::replication {

class DefenceTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(DefenceTest);
    CPPUNIT_TEST(foreign_forged_and_malformed_messages_are_counted_and_dropped);
    CPPUNIT_TEST(recorded_messages_have_no_effect_again);
    CPPUNIT_TEST(a_message_larger_than_the_transport_allows_is_dropped);
    CPPUNIT_TEST(own_messages_that_come_back_are_dropped);
    CPPUNIT_TEST(an_origin_far_ahead_costs_bounded_memory);
    CPPUNIT_TEST(a_slow_node_makes_the_transport_wait_and_loses_nothing);
    CPPUNIT_TEST(at_most_four_pulls_are_served_at_once);
    CPPUNIT_TEST(one_pull_is_outstanding_per_peer);
    CPPUNIT_TEST(a_peer_that_never_answers_is_left_and_another_is_asked);
    CPPUNIT_TEST(nodes_beyond_the_limit_are_not_listened_to);
    CPPUNIT_TEST(awareness_and_revocations_reach_every_other_node_once);
    CPPUNIT_TEST(envelopes_without_numbers_are_handed_on);
    CPPUNIT_TEST(older_nodes_get_this_nodes_log_only_if_configured);
    CPPUNIT_TEST(without_a_secret_nothing_is_signed);
    CPPUNIT_TEST_SUITE_END();

public:
    void foreign_forged_and_malformed_messages_are_counted_and_dropped() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(2);
        simulation::Network& network = *cluster.networks[0];
        const Seal foreign("cluster-b", "a shared secret", true);
        const Seal forged("cluster-a", "another secret", true);
        const Seal open("cluster-a", "", false);
        for (const Seal* seal : {&foreign, &forged, &open}) {
            network.inject(1, Channel::control, encode_message(awareness_from(9, 1, cluster), *seal));
            network.inject(1, Channel::delta, encode_envelope(envelope(9, 1), *seal));
        }
        network.inject(1, Channel::control, "nonsense");
        network.inject(1, Channel::delta, "nonsense");
        cluster.world.run_for(second_us);
        const ReplicationCounters counters = cluster.status(1).counters;
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, counters.dropped_foreign);
        CPPUNIT_ASSERT_EQUAL(uint64_t{4}, counters.dropped_forged);
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, counters.dropped_invalid);
        CPPUNIT_ASSERT(cluster.members.at(1).awareness.empty());
        CPPUNIT_ASSERT(cluster.members.at(1).disk.vector.empty());
        CPPUNIT_ASSERT_EQUAL(size_t{1}, cluster.status(1).peers.size());
    }

    void recorded_messages_have_no_effect_again() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(2);
        cluster.members.at(2).replicator->publish_awareness({"ns", 7, "key", "data"});
        cluster.members.at(2).replicator->revoke_sessions({"ns", 7});
        cluster.world.run_for(second_us);
        const auto recorded = cluster.networks[0]->recent();
        for (const auto& [channel, bytes] : recorded) cluster.networks[0]->inject(1, channel, bytes);
        cluster.world.run_for(second_us);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, cluster.members.at(1).awareness.size());
        CPPUNIT_ASSERT_EQUAL(size_t{1}, cluster.members.at(1).revocations.size());
        CPPUNIT_ASSERT(cluster.status(1).counters.dropped_replayed >= 3);
        // After a restart the recorded ones are too old.
        cluster.world.run_for(3'600 * second_us);
        cluster.kill(1);
        cluster.start(1);
        cluster.kill(2);
        for (const auto& [channel, bytes] : recorded) cluster.networks[0]->inject(1, channel, bytes);
        cluster.world.run_for(second_us);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, cluster.members.at(1).awareness.size());
    }

    void a_message_larger_than_the_transport_allows_is_dropped() {
        simulation::Shape shape = broker_shape();
        shape.message_bytes_max = 10'000;
        Cluster cluster(base_seed(), {shape});
        cluster.start_all(1);
        cluster.networks[0]->inject(1, Channel::control, std::string(10'001, '\x90'));
        cluster.world.run_for(second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, cluster.status(1).counters.dropped_oversized);
    }

    void own_messages_that_come_back_are_dropped() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(2);
        for (int i = 0; i < 10; ++i) cluster.write(1);
        cluster.expect_level(second_us);
        cluster.world.run_for(second_us);
        const ReplicationCounters counters = cluster.status(1).counters;
        CPPUNIT_ASSERT(counters.dropped_own >= 11);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, counters.entries_conflicting);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, cluster.members.at(1).port->merged);
        CPPUNIT_ASSERT_EQUAL(size_t{0}, cluster.status(1).alarms.size());
    }

    void an_origin_far_ahead_costs_bounded_memory() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.options.held_entries_max = 100;
        cluster.options.held_bytes_max = 100'000;
        cluster.start_all(1);
        for (uint64_t i = 0; i < 500; ++i)
            cluster.networks[0]->inject(1, Channel::delta, encode_envelope(envelope(9, 1'000 - i), cluster.seal));
        cluster.world.run_for(second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{100}, waiting(cluster));
        // Those nearest to what is needed stay.
        for (uint64_t i = 1; i <= 500; ++i) {
            cluster.networks[0]->inject(1, Channel::delta, encode_envelope(envelope(9, i), cluster.seal));
            cluster.world.run_for(1'000);
        }
        cluster.world.run_for(second_us);
        CPPUNIT_ASSERT(cluster.members.at(1).disk.vector.at({9, 1}) >= 590);
        for (uint64_t i = 2'000; i < 2'100; ++i)
            cluster.networks[0]->inject(1, Channel::delta, encode_envelope(envelope(9, i, 10'000), cluster.seal));
        cluster.world.run_for(second_us);
        CPPUNIT_ASSERT(waiting(cluster) < 10);
        cluster.expect_no_violation();
    }

    void a_slow_node_makes_the_transport_wait_and_loses_nothing() {
        for (const simulation::Shape& shape : {broker_shape(), peers_shape()}) {
            Cluster cluster(base_seed(), {shape});
            cluster.options.merge_backlog_bytes_max = 30'000;
            cluster.options.inbound_bytes_max = 60'000;
            cluster.start_all(2);
            cluster.members.at(2).port->commit_delay_us = 400'000;
            size_t backlog = 0;
            for (int i = 0; i < 400; ++i) {
                cluster.write(1, 1, 500);
                cluster.world.run_for(1'000);
                backlog = std::max<size_t>(backlog, cluster.status(2).merge_backlog_bytes);
            }
            CPPUNIT_ASSERT(cluster.status(2).counters.refused_busy > 0);
            CPPUNIT_ASSERT(backlog < 120'000);
            cluster.members.at(2).port->commit_delay_us = 500;
            cluster.expect_level(20 * second_us);
        }
    }

    void at_most_four_pulls_are_served_at_once() {
        Cluster cluster(base_seed(), {peers_shape()});
        cluster.start_all(1);
        for (int i = 0; i < 10; ++i) cluster.write(1);
        cluster.world.run_for(second_us);
        cluster.members.at(1).port->reads_stall = true;
        for (uint64_t node_id = 2; node_id <= 8; ++node_id) {
            cluster.add(node_id);
            cluster.start(node_id);
        }
        cluster.world.run_for(4 * second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{4}, cluster.status(1).counters.pulls_served);
        CPPUNIT_ASSERT(cluster.status(1).counters.pulls_refused >= 3);
    }

    void one_pull_is_outstanding_per_peer() {
        Cluster cluster(base_seed(), {peers_shape()});
        cluster.start_all(2);
        cluster.members.at(1).port->reads_stall = true;
        // Gaps of several origins, each with a timer of its own.
        for (uint64_t origin = 10; origin < 20; ++origin) {
            for (uint64_t sequence = 1; sequence <= 3; ++sequence) {
                const std::string bytes = encode_envelope(envelope(origin, sequence), cluster.seal);
                cluster.networks[0]->inject(1, Channel::delta, bytes);
                if (sequence == 3) cluster.networks[0]->inject(2, Channel::delta, bytes);
            }
        }
        const auto asked = [&] { return cluster.status(2).counters.pulls_sent > 0; };
        CPPUNIT_ASSERT(cluster.world.run_until(asked, 30 * second_us));
        cluster.world.run_for(2 * second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, cluster.status(2).counters.pulls_sent);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, cluster.status(2).pulls_outstanding);
    }

    void a_peer_that_never_answers_is_left_and_another_is_asked() {
        Cluster cluster(base_seed(), {peers_shape()});
        cluster.start_all(2);
        for (int i = 0; i < 10; ++i) cluster.write(1);
        cluster.expect_level(second_us);
        cluster.members.at(1).port->reads_stall = true;
        cluster.add(3);
        cluster.start(3);
        cluster.expect_level(10 * second_us);
        CPPUNIT_ASSERT(cluster.status(3).counters.pulls_failed >= 1);
    }

    void nodes_beyond_the_limit_are_not_listened_to() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.options.peers_max = 3;
        cluster.start_all(1);
        for (uint64_t i = 10; i < 20; ++i) {
            Message message = awareness_from(i, 1, cluster);
            Hello hello;
            hello.nonce = "nonce of a node.";
            hello.interval_ms = 10'000;
            message.body = hello;
            cluster.networks[0]->inject(1, Channel::control, encode_message(message, cluster.seal));
        }
        cluster.world.run_for(second_us);
        CPPUNIT_ASSERT(cluster.has_alarm(1, AlarmKind::peers_full));
        CPPUNIT_ASSERT_EQUAL(size_t{3}, cluster.status(1).peers.size());
    }

    void awareness_and_revocations_reach_every_other_node_once() {
        Cluster cluster(base_seed(), {broker_shape(), peers_shape()});
        cluster.start_all(3);
        cluster.members.at(2).replicator->publish_awareness({"ns", 7, "key", "data"});
        cluster.members.at(2).replicator->revoke_sessions({"ns", 8});
        cluster.world.run_for(second_us);
        for (const uint64_t node_id : {1, 3}) {
            const Member& member = cluster.members.at(node_id);
            CPPUNIT_ASSERT_EQUAL(size_t{1}, member.awareness.size());
            CPPUNIT_ASSERT_EQUAL(std::string("data"), member.awareness[0].data);
            CPPUNIT_ASSERT_EQUAL(size_t{1}, member.revocations.size());
            CPPUNIT_ASSERT_EQUAL(uint64_t{8}, member.revocations[0].client_id);
        }
        CPPUNIT_ASSERT(cluster.members.at(2).awareness.empty());
    }

    void envelopes_without_numbers_are_handed_on() {
        Cluster cluster(base_seed(), {broker_shape()}, "");
        cluster.start_all(1);
        Envelope legacy;
        legacy.origin_node_id = 77;
        legacy.namespace_name = "ns";
        legacy.key = "gc:views";
        legacy.delta_bytes = "bytes";
        cluster.networks[0]->inject(1, Channel::delta, encode_envelope(legacy, cluster.seal));
        cluster.world.run_for(second_us);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, cluster.members.at(1).legacy_deltas.size());
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, cluster.status(1).counters.legacy_deltas);
    }

    void older_nodes_get_this_nodes_log_only_if_configured() {
        for (const bool configured : {false, true}) {
            Cluster cluster(base_seed(), {peers_shape()});
            cluster.options.legacy_log = configured;
            cluster.start_all(1);
            for (int i = 0; i < 10; ++i) cluster.write(1);
            cluster.world.run_for(second_us);
            for (const std::string from : {"8", "nonsense", "11"}) {
                std::string answer;
                simulation::SimulatedTransport older(*cluster.networks[0], 5);
                NoListener listener;
                CPPUNIT_ASSERT(older.start(listener).ok());
                const auto status =
                    older.request(Channel::legacy_log, "address-of-1", from, cluster.world.monotonic_us() + second_us,
                                  [&answer](SendStatus, const std::string& bytes) { answer = bytes; });
                CPPUNIT_ASSERT(status == SendStatus::ok);
                cluster.world.run_for(second_us);
                const auto entries = decode_legacy_log(answer);
                CPPUNIT_ASSERT(entries.ok());
                CPPUNIT_ASSERT_EQUAL(size_t{configured && from == "8" ? 3U : 0U}, entries.value().size());
                if (!entries.value().empty()) CPPUNIT_ASSERT_EQUAL(uint64_t{8}, entries.value()[0].position);
            }
        }
    }

    void without_a_secret_nothing_is_signed() {
        Cluster cluster(base_seed(), {broker_shape()}, "");
        cluster.start_all(3);
        for (int i = 0; i < 10; ++i) cluster.write(1);
        cluster.expect_level(second_us);
    }

private:
    class NoListener final : public TransportListener {
        Delivery on_message(Channel, std::string_view, std::string_view, std::string_view, uint64_t) override {
            return Delivery::taken;
        }
        void on_gap(Channel) override {}
        void on_up(uint64_t) override {}
        void on_down(std::string_view) override {}
        void on_writable() override {}
    };

    static uint64_t waiting(Cluster& cluster) {
        for (const OriginStatus& origin : cluster.status(1).origins) {
            if (origin.origin.node_id == 9) return origin.waiting;
        }
        return 0;
    }

    static Message awareness_from(uint64_t node_id, uint64_t count, Cluster& cluster) {
        Message message;
        message.header.from = {node_id, 1};
        message.header.wall_ms = cluster.world.wall_ms();
        message.header.number = (cluster.world.wall_ms() << 16) + count;
        message.body = Awareness{"ns", 7, "key", "data"};
        return message;
    }

    static Envelope envelope(uint64_t node_id, uint64_t sequence, size_t padding_bytes = 0) {
        Envelope envelope;
        envelope.origin_node_id = node_id;
        envelope.namespace_name = "ns";
        envelope.key = "key";
        envelope.numbered = Envelope::Numbered{};
        envelope.numbered->incarnation = 1;
        envelope.numbered->sequence = sequence;
        envelope.numbered->payload = payload_of({std::to_string(sequence) + std::string(padding_bytes, '.')}, 0);
        return envelope;
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(DefenceTest);

}  // namespace meridian::replication
