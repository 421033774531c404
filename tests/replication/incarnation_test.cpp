// Who this node is: lost writes, restored backups, two processes with one id, numbers that are used twice.
#include "replication/cluster.h"
#include "replication/envelope.h"

namespace meridian::replication {

class IncarnationTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(IncarnationTest);
    CPPUNIT_TEST(a_node_that_is_alone_in_the_world_keeps_its_incarnation);
    CPPUNIT_TEST(a_restored_node_takes_a_new_incarnation_and_gets_its_entries_back);
    CPPUNIT_TEST(a_node_takes_a_new_incarnation_while_a_known_member_is_silent);
    CPPUNIT_TEST(an_expelled_member_is_not_waited_for);
    CPPUNIT_TEST(what_this_process_said_under_its_former_incarnation_is_its_own);
    CPPUNIT_TEST(a_short_patience_holds_for_a_new_incarnation_too);
    CPPUNIT_TEST(a_conflict_that_cannot_be_merged_holds_up_no_other);
    CPPUNIT_TEST(lost_entries_that_show_later_begin_an_incarnation_before_the_first_write);
    CPPUNIT_TEST(lost_entries_that_show_after_a_write_are_merged);
    CPPUNIT_TEST(a_number_used_twice_raises_an_alarm_and_loses_nothing);
    CPPUNIT_TEST(an_old_number_used_twice_is_found_in_the_log);
    CPPUNIT_TEST(both_writes_of_a_number_reach_every_node);
    CPPUNIT_TEST(a_number_that_waits_at_a_peer_is_given_out);
    CPPUNIT_TEST(another_process_with_this_id_raises_an_alarm);
    CPPUNIT_TEST(members_are_remembered);
    CPPUNIT_TEST(who_asks_for_entries_is_a_member);
    CPPUNIT_TEST(a_member_is_known_to_those_that_did_not_meet_it);
    CPPUNIT_TEST_SUITE_END();

public:
    void a_node_that_is_alone_in_the_world_keeps_its_incarnation() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(1);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, cluster.members.at(1).disk.self.incarnation);
        cluster.write(1);
        cluster.world.run_for(second_us);
        cluster.stop(1);
        cluster.start(1);
        cluster.world.run_for(3 * second_us);
        CPPUNIT_ASSERT(cluster.members.at(1).ready);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, cluster.members.at(1).disk.self.incarnation);
    }

    void a_restored_node_takes_a_new_incarnation_and_gets_its_entries_back() {
        for (const simulation::Shape& shape : {broker_shape(), peers_shape()}) {
            Cluster cluster(base_seed(), {shape});
            cluster.start_all(2);
            for (int i = 0; i < 10; ++i) cluster.write(1);
            cluster.expect_level(second_us);
            const FakeDisk backup = cluster.members.at(1).disk;
            for (int i = 0; i < 10; ++i) cluster.write(1);
            cluster.expect_level(second_us);
            cluster.kill(1);
            cluster.members.at(1).disk = backup;
            cluster.start(1);
            // At the moment from which on writes are taken.
            CPPUNIT_ASSERT(cluster.world.run_until([&] { return cluster.members.at(1).ready; }, 10 * second_us));
            CPPUNIT_ASSERT_EQUAL(uint64_t{2}, cluster.members.at(1).disk.self.incarnation);
            CPPUNIT_ASSERT_EQUAL(uint64_t{20}, cluster.members.at(1).disk.vector.at({1, 1}));
            CPPUNIT_ASSERT(cluster.has_alarm(1, AlarmKind::amnesia));
            cluster.write(1);
            cluster.expect_level(second_us);
            CPPUNIT_ASSERT(!cluster.has_alarm(2, AlarmKind::conflicting_entry));
            CPPUNIT_ASSERT_EQUAL(uint64_t{1}, cluster.members.at(2).disk.vector.at({1, 2}));
        }
    }

    void a_node_takes_a_new_incarnation_while_a_known_member_is_silent() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(3);
        for (const uint64_t node_id : {1, 2, 3}) cluster.write(node_id);
        cluster.expect_level(second_us);
        cluster.kill(3);
        cluster.kill(1);
        // Hellos of the former incarnation come back when the new one has begun.
        cluster.networks[0]->weather.delay_max_us = 500'000;
        cluster.members.at(1).options.interval_ms = 300;
        cluster.start(1);
        cluster.world.run_for(10 * second_us);
        CPPUNIT_ASSERT(cluster.members.at(1).ready);
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, cluster.members.at(1).disk.self.incarnation);
        CPPUNIT_ASSERT(!cluster.has_alarm(1, AlarmKind::node_id_collision));
        for (const PeerStatus& peer : cluster.status(1).peers) CPPUNIT_ASSERT(peer.origin.node_id != 1);
    }

    void an_expelled_member_is_not_waited_for() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.options.retention_ms = 60'000;
        cluster.start_all(2);
        cluster.write(2);
        cluster.expect_level(second_us);
        cluster.kill(2);
        const std::map<uint64_t, uint64_t> known = cluster.members.at(1).replicator->members();
        cluster.kill(1);
        cluster.world.run_for(120 * second_us);
        cluster.members.at(1).options.known_members = known;
        cluster.start(1);
        cluster.world.run_for(3 * second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, cluster.members.at(1).disk.self.incarnation);
        // Nor by the process after that, which holds what the member wrote.
        cluster.members.at(1).options.known_members = cluster.members.at(1).replicator->members();
        cluster.stop(1);
        cluster.start(1);
        cluster.world.run_for(3 * second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, cluster.members.at(1).disk.self.incarnation);
    }

    void what_this_process_said_under_its_former_incarnation_is_its_own() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.options.interval_ms = 100;
        cluster.networks[0]->weather.delay_min_us = 200'000;
        cluster.networks[0]->weather.delay_max_us = 400'000;
        cluster.add(1).options.known_members[9] = cluster.world.wall_ms();
        cluster.start(1);
        cluster.world.run_for(5 * second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, cluster.members.at(1).disk.self.incarnation);
        CPPUNIT_ASSERT(!cluster.has_alarm(1, AlarmKind::node_id_collision));
        CPPUNIT_ASSERT(cluster.status(1).peers.empty());
    }

    // The only one that knows of them comes after this node has become ready.
    void lost_entries_that_show_later_begin_an_incarnation_before_the_first_write() {
        Cluster cluster(base_seed(), {broker_shape()});
        lose_the_end(cluster);
        cluster.start(2);
        cluster.world.run_for(3 * second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, cluster.members.at(1).disk.self.incarnation);
        cluster.write(1);
        cluster.expect_level(second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{8}, cluster.members.at(1).disk.vector.at({1, 1}));
    }

    void lost_entries_that_show_after_a_write_are_merged() {
        Cluster cluster(base_seed(), {broker_shape()});
        lose_the_end(cluster);
        cluster.members.at(1).written = 100;  // other contents than before
        cluster.write(1);
        cluster.world.run_for(second_us);
        cluster.start(2);
        cluster.world.run_for(20 * second_us);
        // Numbers 6 .. 8 meant two things. Nothing that was acknowledged is lost, on either node, and what is written
        // from now on has numbers of its own.
        CPPUNIT_ASSERT(cluster.has_alarm(1, AlarmKind::amnesia));
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, cluster.members.at(1).disk.self.incarnation);
        for (int i = 0; i < 3; ++i) cluster.write(1);
        cluster.expect_level(5 * second_us);
        cluster.expect_no_violation();
        cluster.kill(1);
        cluster.start(1);
        cluster.world.run_for(3 * second_us);
        cluster.write(1);
        cluster.expect_level(second_us);
    }

    // What peers hold and do not give keeps nobody waiting for longer than startup_catchup_ms.
    void a_short_patience_holds_for_a_new_incarnation_too() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(2);
        for (int i = 0; i < 5; ++i) cluster.write(2);
        cluster.world.run_for(second_us);
        cluster.members.at(2).port->reads_stall = true;
        Member& late = cluster.add(3);
        late.options.startup_answers_ms = late.options.startup_catchup_ms = 1'000;
        late.options.known_members[9] = cluster.world.wall_ms();
        cluster.members.at(1).port->reads_stall = true;
        cluster.start(3);
        cluster.world.run_for(2 * second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, late.disk.self.incarnation);
        CPPUNIT_ASSERT(late.disk.vector.empty());
        CPPUNIT_ASSERT(late.ready);
    }

    void a_conflict_that_cannot_be_merged_holds_up_no_other() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(2);
        for (int i = 0; i < 10; ++i) cluster.write(1);
        cluster.expect_level(second_us);
        cluster.members.at(2).port->unreadable = [](const node::RemoteEntry& entry) {
            return items_of(entry.payload).count("bad") != 0;
        };
        inject(cluster, 2, envelope_of({1, 1}, 2, "bad"));
        inject(cluster, 2, envelope_of({1, 1}, 3, "good"));
        const std::set<std::string>& items = cluster.members.at(2).disk.states[{"ns", "key"}];
        CPPUNIT_ASSERT(items.count("good") == 1 && items.count("bad") == 0);
        // What is no entry at all is no conflict.
        Envelope garbage = envelope_of({1, 1}, 4, "");
        garbage.numbered->payload = "garbage";
        const uint64_t conflicts = cluster.status(2).counters.entries_conflicting;
        inject(cluster, 2, garbage);
        CPPUNIT_ASSERT_EQUAL(conflicts, cluster.status(2).counters.entries_conflicting);
        // Each alarm is told once.
        CPPUNIT_ASSERT_EQUAL(size_t{1}, cluster.members.at(2).alarms_told.size());
        CPPUNIT_ASSERT(cluster.members.at(2).alarms_told[0] == AlarmKind::conflicting_entry);
    }

    void a_number_used_twice_raises_an_alarm_and_loses_nothing() { number_used_twice(10); }
    void an_old_number_used_twice_is_found_in_the_log() { number_used_twice(3'000); }

    void both_writes_of_a_number_reach_every_node() {
        Cluster cluster(base_seed(), {peers_shape()});
        cluster.start_all(4);
        cluster.write(1);
        cluster.expect_level(second_us);
        // Node 2 has the first as number 2, the others the second; each of the two is pulled by no one else any more.
        for (const uint64_t other : {1, 3, 4}) cluster.networks[0]->cut(2, other);
        cluster.write(1);
        cluster.world.run_for(second_us);
        cluster.kill(1);
        inject(cluster, 2, envelope_of({1, 1}, 2, "only here"));
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, cluster.members.at(2).disk.vector.at({1, 1}));
        cluster.networks[0]->heal(true);
        cluster.world.run_for(second_us);
        // One of them comes once more, to one of them.
        inject(cluster, 3, envelope_of({1, 1}, 2, "only here"));
        cluster.world.run_for(20 * second_us);
        const auto& states = cluster.members.at(2).disk.states;
        for (const uint64_t node_id : {3, 4})
            CPPUNIT_ASSERT_MESSAGE(cluster.differences(), states == cluster.members.at(node_id).disk.states);
        cluster.expect_no_violation();
    }

    // It has arrived before the others, and the node that gave it out has lost it.
    void a_number_that_waits_at_a_peer_is_given_out() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(2);
        cluster.write(1);
        cluster.expect_level(second_us);
        cluster.kill(1);
        inject(cluster, 2, envelope_of({1, 1}, 3, "lost"));
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, cluster.members.at(2).disk.vector.at({1, 1}));
        cluster.start(1);
        cluster.world.run_for(3 * second_us);
        CPPUNIT_ASSERT(cluster.members.at(1).ready);
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, cluster.members.at(1).disk.self.incarnation);
    }

    void another_process_with_this_id_raises_an_alarm() {
        for (const uint64_t incarnation : {1, 7}) {
            Cluster cluster(base_seed(), {broker_shape()});
            cluster.start_all(2);
            cluster.world.run_for(5 * second_us);
            Message message;
            message.header.from = {1, incarnation};
            message.header.wall_ms = cluster.world.wall_ms();
            message.header.number = cluster.world.wall_ms() << 16;
            Hello hello;
            hello.nonce = std::string(16, 'x');
            hello.interval_ms = 10'000;
            message.body = hello;
            cluster.networks[0]->inject(1, Channel::control, encode_message(message, cluster.seal));
            cluster.world.run_for(second_us);
            CPPUNIT_ASSERT(cluster.has_alarm(1, AlarmKind::node_id_collision));
            CPPUNIT_ASSERT(!cluster.has_alarm(2, AlarmKind::node_id_collision));
            // What it writes is merged nevertheless.
            FakeDisk disk;
            disk.self = {1, incarnation};
            Envelope envelope = envelope_of({1, incarnation}, 1, "from the other");
            cluster.networks[0]->inject(1, Channel::delta, encode_envelope(envelope, cluster.seal));
            cluster.networks[0]->inject(2, Channel::delta, encode_envelope(envelope, cluster.seal));
            cluster.world.run_for(second_us);
            for (const uint64_t node_id : {1, 2})
                CPPUNIT_ASSERT_EQUAL(size_t{1}, cluster.members.at(node_id).disk.states.count({"ns", "key"}));
            cluster.expect_no_violation();
        }
    }

    void members_are_remembered() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(3);
        cluster.world.run_for(second_us);
        const std::map<uint64_t, uint64_t> members = cluster.members.at(1).replicator->members();
        CPPUNIT_ASSERT_EQUAL(size_t{2}, members.size());
        CPPUNIT_ASSERT(members.at(2) <= cluster.world.wall_ms() && members.at(2) + 5'000 > cluster.world.wall_ms());
        cluster.kill(1);
        cluster.kill(3);
        // Node 3 has never written: only this list knows it.
        cluster.members.at(1).options.known_members = members;
        cluster.start(1);
        cluster.world.run_for(3 * second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, cluster.members.at(1).disk.self.incarnation);
    }

    // Its hello was lost: what it gets it may hold for long.
    void who_asks_for_entries_is_a_member() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(1);
        Message message;
        message.header.from = {9, 1};
        message.header.to = Origin{1, 1};
        message.header.wall_ms = cluster.world.wall_ms();
        message.header.number = cluster.world.wall_ms() << 16;
        message.header.request_id = 1;
        message.body = Pull{{{{1, 1}, 0, UINT64_MAX}}, 1'000, 10};
        cluster.networks[0]->inject(1, Channel::control, encode_message(message, cluster.seal));
        cluster.world.run_for(second_us);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, cluster.members.at(1).replicator->members().count(9));
    }

    // It was here for a moment, and wrote nothing: what it may hold is reckoned with by all.
    void a_member_is_known_to_those_that_did_not_meet_it() {
        Cluster cluster(base_seed(), {peers_shape()});
        cluster.options.retention_ms = 60'000;
        cluster.start_all(2);
        cluster.networks[0]->cut(1, 3);
        cluster.add(3);
        cluster.start(3);
        cluster.world.run_for(3 * second_us);
        cluster.kill(3);
        const auto knows = [&](uint64_t node_id) { return cluster.members.at(node_id).replicator->members().count(3); };
        CPPUNIT_ASSERT_EQUAL(size_t{1}, knows(2));
        cluster.world.run_for(15 * second_us);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, knows(1));
        // Telling each other does not keep it for ever.
        cluster.world.run_for(60 * second_us);
        CPPUNIT_ASSERT_EQUAL(size_t{0}, knows(1) + knows(2));
    }

private:
    static Envelope envelope_of(const Origin& origin, uint64_t sequence, const std::string& item) {
        Envelope envelope;
        envelope.origin_node_id = origin.node_id;
        envelope.namespace_name = "ns";
        envelope.key = "key";
        envelope.numbered = Envelope::Numbered{};
        envelope.numbered->incarnation = origin.incarnation;
        envelope.numbered->sequence = sequence;
        envelope.numbered->payload = payload_of({item}, 0);
        return envelope;
    }

    static void inject(Cluster& cluster, uint64_t to, const Envelope& envelope) {
        cluster.networks[0]->inject(to, Channel::delta, encode_envelope(envelope, cluster.seal));
        cluster.world.run_for(second_us);
    }

    // Node 1 runs again with 5 of its 8 entries; node 2, which has all, is down.
    static void lose_the_end(Cluster& cluster) {
        cluster.start_all(2);
        for (int i = 0; i < 5; ++i) cluster.write(1);
        cluster.expect_level(second_us);
        const FakeDisk backup = cluster.members.at(1).disk;
        for (int i = 0; i < 3; ++i) cluster.write(1);
        cluster.expect_level(second_us);
        cluster.kill(1);
        cluster.kill(2);
        cluster.members.at(1).disk = backup;
        cluster.start(1);
        cluster.world.run_for(5 * second_us);
        CPPUNIT_ASSERT(cluster.members.at(1).ready);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, cluster.members.at(1).disk.self.incarnation);
    }

    static void number_used_twice(int newer) {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(2);
        for (int i = 0; i < newer; ++i) cluster.write(1);
        cluster.expect_level(5 * second_us);
        CPPUNIT_ASSERT(!cluster.has_alarm(2, AlarmKind::conflicting_entry));
        for (const char* item : {"other", "other"}) {
            const Envelope envelope = envelope_of({1, 1}, 2, item);
            cluster.networks[0]->inject(2, Channel::delta, encode_envelope(envelope, cluster.seal));
            cluster.world.run_for(second_us);
        }
        CPPUNIT_ASSERT(cluster.has_alarm(2, AlarmKind::conflicting_entry));
        CPPUNIT_ASSERT_EQUAL(size_t{1}, cluster.members.at(2).disk.states.count({"ns", "key"}));
        cluster.expect_no_violation();
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(IncarnationTest);

}  // namespace meridian::replication
