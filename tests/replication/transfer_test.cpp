// State transfer: what no log has any more.
#include "replication/cluster.h"

namespace meridian::replication {

class TransferTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(TransferTest);
    CPPUNIT_TEST(an_empty_node_takes_the_states_when_logs_are_gone);
    CPPUNIT_TEST(only_keys_that_differ_travel);
    CPPUNIT_TEST(small_messages_and_many_keys);
    CPPUNIT_TEST(names_that_are_not_kept_are_scanned_again);
    CPPUNIT_TEST(writes_go_on_during_a_transfer);
    CPPUNIT_TEST(a_transfer_that_fails_is_begun_again);
    CPPUNIT_TEST(own_entries_that_nobody_has_reach_the_others);
    CPPUNIT_TEST(another_peer_whose_log_reaches_back_is_preferred);
    CPPUNIT_TEST(random_faults_and_cut_logs_heal);
    CPPUNIT_TEST_SUITE_END();

public:
    void an_empty_node_takes_the_states_when_logs_are_gone() {
        for (const simulation::Shape& shape : {broker_shape(), peers_shape(), broadcast_shape()}) {
            Cluster cluster(base_seed(), {shape});
            written_and_cut(cluster, 600);
            cluster.add(3);
            cluster.start(3);
            CPPUNIT_ASSERT(cluster.world.run_until([&] { return cluster.members.at(3).ready; }, 20 * second_us));
            CPPUNIT_ASSERT_MESSAGE(cluster.differences(), cluster.level());
            CPPUNIT_ASSERT(cluster.status(3).counters.transfers_finished >= 1);
            CPPUNIT_ASSERT_EQUAL(uint64_t{0}, cluster.members.at(3).port->merged);
            cluster.write(1);
            cluster.write(3);
            cluster.expect_level(second_us);
        }
    }

    void only_keys_that_differ_travel() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(3);
        fill(cluster, 3'000);
        cluster.networks[0]->set_connected(3, false);
        for (int i = 0; i < 20; ++i) cluster.members.at(1).port->write({{"many" + std::to_string(i * 7), "new"}});
        cluster.world.run_for(second_us);
        cut_logs(cluster);
        cluster.networks[0]->set_connected(3, true);
        const uint64_t before = cluster.networks[0]->bytes;
        cluster.expect_level(20 * second_us);
        const ReplicationCounters counters = cluster.status(3).counters;
        CPPUNIT_ASSERT_EQUAL(uint64_t{20}, counters.states_received);
        CPPUNIT_ASSERT(cluster.networks[0]->bytes - before < 60'000);
    }

    void small_messages_and_many_keys() {
        simulation::Shape shape = broker_shape();
        shape.message_bytes_max = 3'000;
        Cluster cluster(base_seed(), {shape});
        cluster.start_all(2);
        fill(cluster, 2'000);
        cut_logs(cluster);
        cluster.add(3);
        cluster.start(3);
        cluster.expect_level(60 * second_us);
    }

    void names_that_are_not_kept_are_scanned_again() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.options.scan_names_bytes_max = 100;
        cluster.start_all(2);
        fill(cluster, 2'500);
        cut_logs(cluster);
        cluster.add(3);
        cluster.start(3);
        cluster.expect_level(60 * second_us);
    }

    void writes_go_on_during_a_transfer() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(2);
        fill(cluster, 2'000);
        cut_logs(cluster);
        cluster.add(3);
        cluster.start(3);
        for (int i = 0; i < 200; ++i) {
            cluster.write(1 + i % 2, 1 + i % 3);
            cluster.world.run_for(20'000);
            if (i == 50) cut_logs(cluster);
        }
        cluster.expect_level(20 * second_us);
    }

    void a_transfer_that_fails_is_begun_again() {
        Cluster cluster(base_seed(), {peers_shape()});
        written_and_cut(cluster, 500);
        cluster.members.at(1).port->reads_fail = true;
        cluster.members.at(2).port->reads_fail = true;
        cluster.add(3);
        cluster.start(3);
        cluster.world.run_for(60 * second_us);
        CPPUNIT_ASSERT(!cluster.level());
        CPPUNIT_ASSERT(cluster.status(3).counters.transfers_failed + cluster.status(3).counters.pulls_failed > 0);
        // It does not wait for ever.
        CPPUNIT_ASSERT(cluster.members.at(3).ready);
        cluster.members.at(1).port->reads_fail = false;
        cluster.members.at(2).port->reads_fail = false;
        cluster.expect_level(60 * second_us);
    }

    void own_entries_that_nobody_has_reach_the_others() {
        Cluster cluster(base_seed(), {broker_shape()});
        cluster.start_all(3);
        cluster.networks[0]->set_connected(3, false);
        for (int i = 0; i < 30; ++i) cluster.write(3);
        for (int i = 0; i < 300; ++i) cluster.write(1);
        cluster.world.run_for(5 * second_us);
        cluster.members.at(1).disk.cut_log({{{1, 1}, 250}});
        cluster.members.at(2).disk.cut_log({{{1, 1}, 250}});
        cluster.networks[0]->set_connected(3, true);
        cluster.expect_level(20 * second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{30}, cluster.members.at(1).disk.vector.at({3, 1}));
    }

    void another_peer_whose_log_reaches_back_is_preferred() {
        // Whichever is heard first.
        for (uint64_t i = 0; i < 20; ++i) prefers_the_log_that_reaches_back(base_seed() + i);
    }

    static void prefers_the_log_that_reaches_back(uint64_t seed) {
        Cluster cluster(seed, {broker_shape()});
        cluster.start_all(2);
        for (int i = 0; i < 300; ++i) cluster.write(1);
        cluster.expect_level(5 * second_us);
        cluster.members.at(1).disk.cut_log({{{1, 1}, 290}});
        cluster.add(3);
        cluster.start(3);
        cluster.expect_level(10 * second_us);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, cluster.status(3).counters.transfers_started);
        // Its hello said that its log begins later: it is not even asked.
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, cluster.status(1).counters.pulls_served);
        CPPUNIT_ASSERT_EQUAL(uint64_t{300}, cluster.members.at(3).port->merged);
    }

    void random_faults_and_cut_logs_heal() {
        for (uint64_t round = 0; round < 40; ++round) {
            const uint64_t seed = base_seed() + 1'000 + round;
            Cluster cluster(seed, {round % 2 == 0 ? broker_shape() : peers_shape()});
            cluster.options.pull_entries_max = 30;
            cluster.options.scan_names_bytes_max = round % 3 == 0 ? 1'000 : 1 << 20;
            cluster.start_all(3);
            for (int step = 0; step < 60; ++step) {
                simulation::Network& network = *cluster.networks[0];
                const uint64_t node_id = 1 + cluster.world.below(3);
                Member& member = cluster.members.at(node_id);
                switch (cluster.world.below(10)) {
                    case 0:
                        network.set_connected(node_id, cluster.world.chance(0.5));
                        break;
                    case 1:
                        network.weather.drop = cluster.world.chance(0.5) ? 0.1 : 0;
                        break;
                    case 2:
                        if (member.replicator && cluster.world.chance(0.5)) {
                            cluster.kill(node_id);
                        } else if (!member.replicator) {
                            cluster.start(node_id);
                        }
                        break;
                    case 3:
                    case 4: {
                        node::VersionVector upto = member.disk.vector;
                        for (auto& [origin, sequence] : upto) sequence -= cluster.world.below(sequence + 1) / 2;
                        member.disk.cut_log(upto);
                        break;
                    }
                    default:
                        for (uint64_t i = cluster.world.below(20); i > 0 && member.replicator && member.ready; --i)
                            cluster.write(node_id, cluster.world.chance(0.3) ? 1 + cluster.world.below(20) : 1);
                }
                cluster.world.run_for(cluster.world.below(3 * second_us));
            }
            cluster.networks[0]->weather = {};
            cluster.networks[0]->heal();
            for (auto& [node_id, member] : cluster.members) {
                if (!member.replicator) cluster.start(node_id);
            }
            cluster.expect_level(60 * second_us);
        }
    }

private:
    static void fill(Cluster& cluster, int keys) {
        for (int i = 0; i < keys; ++i)
            cluster.members.at(1).port->write({{"many" + std::to_string(i), "item" + std::to_string(i)}});
        cluster.expect_level(20 * second_us);
    }
    static void cut_logs(Cluster& cluster) {
        for (auto& [node_id, member] : cluster.members) member.disk.cut_log(member.disk.vector);
    }
    static void written_and_cut(Cluster& cluster, int writes) {
        cluster.start_all(2);
        for (int i = 0; i < writes; ++i) cluster.write(1 + i % 2);
        cluster.expect_level(10 * second_us);
        cut_logs(cluster);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(TransferTest);

}  // namespace meridian::replication
