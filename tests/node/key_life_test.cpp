// What happens to keys over time: eviction, checkpoints, expiry, presence, idempotency, log retention.
#include <set>

#include "harness.h"
#include "wire/log_entry.h"

namespace meridian::node {

class KeyLifeTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(KeyLifeTest);
    CPPUNIT_TEST(an_evicted_key_is_loaded_again_as_it_was);
    CPPUNIT_TEST(memory_stays_below_the_cache_limit);
    CPPUNIT_TEST(keys_that_cannot_be_written_are_tried_again_after_a_pause);
    CPPUNIT_TEST(a_clean_stop_leaves_no_stale_key);
    CPPUNIT_TEST(a_stopped_node_has_nothing_left_to_do);
    CPPUNIT_TEST(a_node_stops_at_its_deadline_although_the_store_does_not_answer);
    CPPUNIT_TEST(a_failed_checkpoint_is_made_again);
    CPPUNIT_TEST(a_state_contains_every_delta_told_before_it);
    CPPUNIT_TEST(the_state_of_a_key_is_encoded_once_for_all_who_ask);
    CPPUNIT_TEST(only_the_state_of_a_text_has_two_forms);
    CPPUNIT_TEST(states_that_are_kept_for_readers_count_as_cache);
    CPPUNIT_TEST(the_state_of_an_expired_key_empties_it_for_a_reader_that_was_away);
    CPPUNIT_TEST(due_keys_behind_many_unreadable_ones_have_their_turn);
    CPPUNIT_TEST(writes_that_wait_for_cold_keys_are_bounded_by_their_size);
    CPPUNIT_TEST(the_idempotency_key_of_a_no_op_is_taken);
    CPPUNIT_TEST(a_no_op_under_an_idempotency_key_fails_with_its_group);
    CPPUNIT_TEST(a_key_past_its_expiry_reads_as_absent_and_starts_afresh);
    CPPUNIT_TEST(an_op_without_ttl_clears_the_expiry);
    CPPUNIT_TEST(subscribers_are_told_to_empty_a_set_at_its_expiry);
    CPPUNIT_TEST(an_earlier_deadline_that_comes_later_is_told_at_its_time);
    CPPUNIT_TEST(a_key_that_expires_while_evicted_is_told_too);
    CPPUNIT_TEST(the_row_of_an_expired_key_goes_after_its_guard);
    CPPUNIT_TEST(a_row_removed_by_a_later_life_of_the_node_keeps_its_position);
    CPPUNIT_TEST(a_key_that_was_only_read_is_not_written_again);
    CPPUNIT_TEST(a_presence_entry_is_dropped_at_its_deadline_without_a_write);
    CPPUNIT_TEST(a_repeated_idempotency_key_is_answered_and_not_applied);
    CPPUNIT_TEST(an_idempotency_key_with_another_request_is_refused);
    CPPUNIT_TEST(an_idempotency_key_works_while_its_first_request_is_in_flight);
    CPPUNIT_TEST(twins_that_wait_for_the_same_cold_key_are_applied_once);
    CPPUNIT_TEST(a_twin_of_a_write_that_was_not_committed_is_executed);
    CPPUNIT_TEST(what_expires_while_a_failed_group_keeps_the_key_out_of_memory_is_told);
    CPPUNIT_TEST(a_write_is_refused_when_its_idempotency_record_cannot_be_read);
    CPPUNIT_TEST(old_idempotency_records_are_forgotten);
    CPPUNIT_TEST(the_log_is_cut_behind_its_retention);
    CPPUNIT_TEST(a_log_that_outgrows_its_size_is_cut_at_once);
    CPPUNIT_TEST(stamps_never_go_back_over_restarts_and_clock_jumps);
    CPPUNIT_TEST(a_key_that_cannot_be_read_is_refused_and_the_others_go_on);
    CPPUNIT_TEST_SUITE_END();

    static crdt::Op add(const std::string& element, uint8_t number) {
        crdt::Tag tag{};
        tag[0] = number;
        return crdt::OrSetAdd{JsonValue::string(element), tag, 0, 0};
    }
    static crdt::Op heartbeat(uint64_t client_id, uint64_t wall_ms, uint64_t ttl_ms) {
        return crdt::PresenceHeartbeat{client_id, JsonValue::string("here"), {wall_ms, 0, client_id}, ttl_ms};
    }

public:
    void an_evicted_key_is_loaded_again_as_it_was() {
        NodeLimits limits;
        limits.cache_bytes_max = 20'000;
        limits.checkpoint_interval_ms = 50;
        Harness h(base_seed(), limits);
        for (int round = 0; round < 3; ++round) {
            for (int i = 0; i < 100; ++i) {
                CPPUNIT_ASSERT(h.write(request("room", {increment("gc:" + std::to_string(i), 1, 1)})).status ==
                               Status::ok);
            }
            h.world.run_for(2'000'000);
        }
        CPPUNIT_ASSERT(h.node->statistics().keys_evicted > 100);
        for (int i = 0; i < 100; ++i) {
            CPPUNIT_ASSERT_EQUAL(std::string("{\"counters\":{\"1\":3},\"total\":3}"),
                                 h.value("room", "gc:" + std::to_string(i)));
        }
        CPPUNIT_ASSERT_EQUAL(std::string(), h.store->violation());
    }

    void memory_stays_below_the_cache_limit() {
        NodeLimits limits;
        limits.cache_bytes_max = 40'000;
        limits.checkpoint_interval_ms = 50;
        Harness h(base_seed(), limits);
        uint64_t most = 0;
        for (int i = 0; i < 2000; ++i) {
            h.submit(request("room", {increment("gc:" + std::to_string(i), 1, 1)}));
            h.world.run_for(1000);
            most = std::max(most, h.node->statistics().resident_bytes);
        }
        h.world.run_for(2'000'000);
        CPPUNIT_ASSERT(h.node->statistics().resident_bytes <= limits.cache_bytes_max);
        CPPUNIT_ASSERT(most <= 3 * limits.cache_bytes_max);
        CPPUNIT_ASSERT_EQUAL(uint64_t{2000}, h.disk.last_position());
    }

    // A store that writes no snapshot for a while is asked now and then, not without end, and not for the same keys
    // only.
    void keys_that_cannot_be_written_are_tried_again_after_a_pause() {
        NodeLimits limits;
        limits.cache_bytes_max = 20'000;
        limits.checkpoint_interval_ms = 3'600'000;
        Harness h(base_seed(), limits);
        constexpr uint64_t many = 1'000'000;
        h.store->fail_next_checkpoints(many);
        const auto write = [&h](int i) {
            return h.write(request("room", {increment("gc:" + std::to_string(i), 1, 1)})).status;
        };
        int keys = 0;
        while (write(keys) == Status::ok) CPPUNIT_ASSERT(++keys < 1000);
        CPPUNIT_ASSERT(write(keys) == Status::overloaded);
        const uint64_t before = h.store->failing_checkpoints();
        h.world.run_for(2'000'000);
        const uint64_t attempts = before - h.store->failing_checkpoints();
        CPPUNIT_ASSERT_MESSAGE(std::to_string(attempts), attempts >= 2 && attempts <= 25);
        h.store->fail_next_checkpoints(0);
        h.world.run_for(2'000'000);
        for (const int end = keys + 100; keys < end; ++keys) {
            CPPUNIT_ASSERT(write(keys) == Status::ok);
            h.world.run_for(100'000);
        }
        CPPUNIT_ASSERT(h.node->statistics().keys_evicted > 50);
        CPPUNIT_ASSERT_EQUAL(std::string(), h.store->violation());
    }

    void a_clean_stop_leaves_no_stale_key() {
        Harness h(base_seed());
        for (int i = 0; i < 200; ++i) h.write(request("room", {increment("gc:" + std::to_string(i % 50), 1, 1)}));
        CPPUNIT_ASSERT(!h.store->stale_keys(1).empty());
        h.stop();
        CPPUNIT_ASSERT(h.store->stale_keys(1).empty());
        CPPUNIT_ASSERT(h.write(request("room", {increment("gc:1", 1, 1)})).status == Status::unavailable);
    }

    void a_stopped_node_has_nothing_left_to_do() {
        Harness h(base_seed());
        h.write(request("room", {increment("gc:a", 1, 1)}));
        h.stop();
        h.world.run_for(2'000'000);
        CPPUNIT_ASSERT(!h.world.step(UINT64_MAX));
    }

    void a_node_stops_at_its_deadline_although_the_store_does_not_answer() {
        Harness h(base_seed());
        h.write(request("room", {increment("gc:a", 1, 1)}));
        h.store->stall(true);
        const uint64_t start_us = h.world.monotonic_us();
        h.stop();
        CPPUNIT_ASSERT_EQUAL(uint64_t{60}, (h.world.monotonic_us() - start_us) / 1'000'000);
    }

    void states_that_are_kept_for_readers_count_as_cache() {
        Harness h(base_seed(), {}, 1);
        for (uint8_t i = 0; i < 100; ++i) h.write(request("room", {item("or:a", add(std::to_string(i), i))}));
        const uint64_t without = h.node->statistics().resident_bytes;
        h.state("room", "or:a");
        const uint64_t with = h.node->statistics().resident_bytes;
        CPPUNIT_ASSERT_GREATER(2 * without, with);
        h.write(request("room", {item("or:a", add("x", 200))}));
        CPPUNIT_ASSERT_LESS(with / 2, h.node->statistics().resident_bytes);
    }

    void the_state_of_an_expired_key_empties_it_for_a_reader_that_was_away() {
        Harness h(base_seed());
        h.write(request("room", {item("or:a", add("x", 1), 5000)}));
        h.state("room", "or:a");
        h.world.run_for(6'000'000);
        for (int i = 0; i < 2; ++i) {
            const StateOutcome outcome = h.state("room", "or:a");
            CPPUNIT_ASSERT(outcome.status == Status::not_found);
            const auto& delta = std::get<crdt::OrSetClientDelta>(outcome.state->frames.at(0)->delta());
            CPPUNIT_ASSERT_EQUAL(std::string("\"x\""), delta.removes.at(0).first);
            CPPUNIT_ASSERT(delta.adds.empty());
        }
        CPPUNIT_ASSERT(h.state("room", "or:never").state == nullptr);
        h.write(request("room", {item("or:a", add("y", 2))}));
        CPPUNIT_ASSERT(h.state("room", "or:a").status == Status::ok);
    }

    void due_keys_behind_many_unreadable_ones_have_their_turn() {
        Harness h(base_seed());
        for (int i = 0; i < 600; ++i) {
            h.write(request("room", {item("or:" + std::to_string(i), add("x", 1), i == 599 ? 60'000 : 30'000)}));
        }
        h.stop();
        for (int i = 0; i < 599; ++i) h.disk.rows.at({"room", "or:" + std::to_string(i)}).state = "garbage";
        h.restart(false);
        h.seen.clear();
        h.world.run_for(70'000'000);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, h.seen.size());
        CPPUNIT_ASSERT_EQUAL(std::string("or:599"), h.seen[0].frame->key());
    }

    void writes_that_wait_for_cold_keys_are_bounded_by_their_size() {
        NodeLimits limits;
        limits.pending_commit_bytes_max = 100'000;
        Harness h(base_seed(), limits, 1);
        h.store->stall(true);
        std::vector<std::shared_ptr<std::optional<WriteOutcome>>> results;
        for (int i = 0; i < 20; ++i) {
            WriteItem large = increment("gc:" + std::to_string(i), 1, 1);
            large.op_bytes.resize(10'000);
            results.push_back(h.submit(request("room", {std::move(large)})));
        }
        h.world.run_for(1'000'000);
        size_t waiting = 0;
        for (const auto& result : results) {
            if (!result->has_value()) {
                ++waiting;
            } else {
                CPPUNIT_ASSERT((*result)->status == Status::overloaded);
            }
        }
        CPPUNIT_ASSERT_EQUAL(size_t{4}, waiting);
        h.store->stall(false);
        h.world.run_for(1'000'000);
        for (size_t i = 0; i < waiting; ++i) CPPUNIT_ASSERT((*results[i])->status == Status::ok);
        CPPUNIT_ASSERT(h.write(request("room", {increment("gc:9", 1, 1)})).status == Status::ok);
    }

    void a_failed_checkpoint_is_made_again() {
        NodeLimits limits;
        limits.checkpoint_interval_ms = 1000;
        Harness h(base_seed(), limits);
        h.write(request("room", {increment("gc:a", 1, 1)}));
        h.store->fail_next_checkpoints(1);
        h.world.run_for(1'700'000);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, h.store->stale_keys(2).size());
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, h.node->statistics().checkpoints);
        h.world.run_for(2'000'000);
        CPPUNIT_ASSERT(h.store->stale_keys(1).empty());
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, h.node->statistics().checkpoints);
    }

    void a_state_contains_every_delta_told_before_it() {
        Harness h(base_seed());
        uint64_t expected = 0;
        for (int i = 0; i < 200; ++i) {
            h.submit(request("room", {increment("gc:a", 1, 1)}));
            if (i % 3 == 0) h.world.step(UINT64_MAX);
            if (i % 10 != 9) continue;
            const StateOutcome outcome = h.state("room", "gc:a");
            CPPUNIT_ASSERT(outcome.status == Status::ok);
            const auto& delta = std::get<crdt::GCounterClientDelta>(outcome.state->frames.at(0)->delta());
            uint64_t told = 0;
            for (const Seen& seen : h.seen) {
                told = std::max(told, std::get<crdt::GCounterClientDelta>(seen.frame->delta()).counters.at(0).second);
            }
            // Told so far, and not more: the next delta given out is the next increment.
            CPPUNIT_ASSERT(delta.counters.at(0).second >= told || h.seen.empty());
            CPPUNIT_ASSERT(delta.counters.at(0).second >= expected);
            expected = delta.counters.at(0).second;
        }
    }

    void the_state_of_a_key_is_encoded_once_for_all_who_ask() {
        Harness h(base_seed());
        h.write(request("room", {increment("gc:a", 1, 1)}));
        const auto first = h.state("room", "gc:a").state;
        const auto second = h.state("room", "gc:a").state;
        CPPUNIT_ASSERT(first == second);
        h.write(request("room", {increment("gc:a", 1, 1)}));
        CPPUNIT_ASSERT(h.state("room", "gc:a").state != first);
        CPPUNIT_ASSERT(h.state("room", "none").status == Status::not_found);
    }

    void only_the_state_of_a_text_has_two_forms() {
        using Form = crdt::SequenceForm;
        Harness h(base_seed());
        const crdt::RgaInsert insert{{1, 1, 1}, std::nullopt, U'a', false};
        h.write(request("room", {item("or:a", add("x", 1)), item("rga:a", crdt::RgaOp(insert)),
                                 item("map:a", crdt::CrdtMapOp{"text", crdt::Type::rga, crdt::RgaOp(insert)})}));
        const auto is_one = [&](const std::string& key) {
            return h.state("room", key, Form::ascending_siblings).state ==
                   h.state("room", key, Form::left_neighbour_chain).state;
        };
        CPPUNIT_ASSERT(is_one("or:a"));
        CPPUNIT_ASSERT(!is_one("rga:a"));
        CPPUNIT_ASSERT(!is_one("map:a"));
    }

    void a_key_past_its_expiry_reads_as_absent_and_starts_afresh() {
        Harness h(base_seed());
        h.write(request("room", {increment("gc:a", 1, 100, 5000)}));
        h.world.run_for(4'000'000);
        CPPUNIT_ASSERT_EQUAL(std::string("{\"counters\":{\"1\":100},\"total\":100}"), h.value("room", "gc:a"));
        h.world.run_for(1'100'000);
        CPPUNIT_ASSERT_EQUAL(std::string("<not found>"), h.value("room", "gc:a"));
        h.restart(false);
        CPPUNIT_ASSERT_EQUAL(std::string("<not found>"), h.value("room", "gc:a"));
        h.write(request("room", {assign("gc:a", "another type", 1, 1)}));
        CPPUNIT_ASSERT(h.value("room", "gc:a").find("another type") != std::string::npos);
        h.restart(false);
        CPPUNIT_ASSERT(h.value("room", "gc:a").find("another type") != std::string::npos);
    }

    void an_op_without_ttl_clears_the_expiry() {
        Harness h(base_seed());
        h.write(request("room", {increment("gc:a", 1, 1, 5000)}));
        h.write(request("room", {increment("gc:a", 1, 1)}));
        h.world.run_for(10'000'000);
        CPPUNIT_ASSERT_EQUAL(std::string("{\"counters\":{\"1\":2},\"total\":2}"), h.value("room", "gc:a"));
    }

    void subscribers_are_told_to_empty_a_set_at_its_expiry() {
        Harness h(base_seed());
        h.write(request("room", {item("or:a", add("x", 1), 5000)}));
        h.seen.clear();
        h.world.run_for(6'000'000);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, h.seen.size());
        const auto& delta = std::get<crdt::OrSetClientDelta>(h.seen[0].frame->delta());
        CPPUNIT_ASSERT_EQUAL(std::string("\"x\""), delta.removes.at(0).first);
        h.world.run_for(60'000'000);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, h.seen.size());
    }

    void an_earlier_deadline_that_comes_later_is_told_at_its_time() {
        Harness h(base_seed(), {}, 1);
        h.write(request("room", {item("or:late", add("x", 1), 9000)}));
        h.write(request("room", {item("or:early", add("x", 1), 1200)}));
        h.seen.clear();
        h.world.run_for(1'300'000);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, h.seen.size());
        CPPUNIT_ASSERT_EQUAL(std::string("or:early"), h.seen[0].frame->key());
        h.world.run_for(8'000'000);
        CPPUNIT_ASSERT_EQUAL(size_t{2}, h.seen.size());
    }

    void a_key_that_expires_while_evicted_is_told_too() {
        NodeLimits limits;
        limits.cache_bytes_max = 4'000;
        limits.checkpoint_interval_ms = 50;
        Harness h(base_seed(), limits, 1);
        h.write(request("room", {item("or:a", add("x", 1), 8000)}));
        for (int i = 0; i < 50; ++i) h.write(request("room", {increment("gc:" + std::to_string(i), 1, 1)}));
        h.world.run_for(3'000'000);
        for (int i = 0; i < 50; ++i) h.value("room", "gc:" + std::to_string(i));
        h.seen.clear();
        h.world.run_for(7'000'000);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, h.seen.size());
        CPPUNIT_ASSERT_EQUAL(std::string("or:a"), h.seen[0].frame->key());
    }

    void the_row_of_an_expired_key_goes_after_its_guard() {
        NodeLimits limits;
        limits.expired_row_guard_ms = 20'000;
        Harness h(base_seed(), limits);
        h.write(request("room", {item("or:a", add("x", 1), 1234)}));
        h.world.run_for(15'000'000);
        CPPUNIT_ASSERT(h.disk.rows.at({"room", "or:a"}).state.has_value());
        h.world.run_for(10'000'000);
        CPPUNIT_ASSERT(!h.disk.rows.at({"room", "or:a"}).state.has_value());
        h.restart(false);
        CPPUNIT_ASSERT_EQUAL(std::string("<not found>"), h.value("room", "or:a"));
        h.write(request("room", {item("or:a", add("x", 1))}));
        CPPUNIT_ASSERT_EQUAL(std::string("{\"elements\":[\"x\"]}"), h.value("room", "or:a"));
        h.restart(false);
        CPPUNIT_ASSERT_EQUAL(std::string("{\"elements\":[\"x\"]}"), h.value("room", "or:a"));
    }

    void a_row_removed_by_a_later_life_of_the_node_keeps_its_position() {
        NodeLimits limits;
        limits.expired_row_guard_ms = 20'000;
        Harness h(base_seed(), limits);
        h.write(request("room", {item("or:a", add("x", 1), 1000)}));
        h.restart(true);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, h.disk.rows.at({"room", "or:a"}).position);
        h.world.run_for(30'000'000);
        CPPUNIT_ASSERT(!h.disk.rows.at({"room", "or:a"}).state.has_value());
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, h.disk.rows.at({"room", "or:a"}).position);
        // The removed entries are in the log still, and are not read again.
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, h.key_on_disk({"room", "or:a"}).generation());
    }

    void a_key_that_was_only_read_is_not_written_again() {
        NodeLimits limits;
        limits.cache_bytes_max = 10'000;
        Harness h(base_seed(), limits);
        for (int i = 0; i < 50; ++i) h.write(request("room", {increment("gc:" + std::to_string(i), 1, 1)}));
        h.restart(true);
        for (int i = 0; i < 50; ++i) h.value("room", "gc:" + std::to_string(i));
        h.world.run_for(20'000'000);
        CPPUNIT_ASSERT(h.node->statistics().keys_evicted > 10);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, h.node->statistics().checkpoints);
    }

    void a_presence_entry_is_dropped_at_its_deadline_without_a_write() {
        Harness h(base_seed());
        h.write(request("room", {item("pr:a", heartbeat(5, h.world.wall_ms(), 3000))}));
        CPPUNIT_ASSERT(h.value("room", "pr:a").find("\"5\"") != std::string::npos);
        const uint64_t positions = h.disk.last_position();
        h.seen.clear();
        h.world.run_for(4'000'000);
        CPPUNIT_ASSERT_EQUAL(std::string("{\"entries\":{}}"), h.value("room", "pr:a"));
        CPPUNIT_ASSERT_EQUAL(positions, h.disk.last_position());
        // Departure for TypeScript and Python, then the tombstone for Rust replicas.
        CPPUNIT_ASSERT_EQUAL(size_t{2}, h.seen.size());
        CPPUNIT_ASSERT(!std::get<crdt::PresenceClientDelta>(h.seen[0].frame->delta()).changes.at(0).second);
        CPPUNIT_ASSERT(std::get<crdt::PresenceClientDelta>(h.seen[1].frame->delta()).changes.at(0).second);
        h.write(request("room", {item("pr:a", heartbeat(5, h.world.wall_ms(), 3000))}));
        CPPUNIT_ASSERT(h.value("room", "pr:a").find("\"5\"") != std::string::npos);
    }

    void a_repeated_idempotency_key_is_answered_and_not_applied() {
        Harness h(base_seed());
        const WriteOutcome first = h.write(request("room", {increment("gc:a", 1, 5)}, "k1"));
        const WriteOutcome again = h.write(request("room", {increment("gc:a", 1, 5)}, "k1"));
        CPPUNIT_ASSERT(again.status == Status::ok && again.items.at(0).changed);
        CPPUNIT_ASSERT(first.items[0].delta->delta() == again.items[0].delta->delta());
        h.restart(false);
        CPPUNIT_ASSERT(h.write(request("room", {increment("gc:a", 1, 5)}, "k1")).status == Status::ok);
        CPPUNIT_ASSERT_EQUAL(std::string("{\"counters\":{\"1\":5},\"total\":5}"), h.value("room", "gc:a"));
        h.write(request("room", {increment("gc:a", 1, 5)}, "k2"));
        h.write(request("room", {increment("gc:a", 1, 5)}));
        CPPUNIT_ASSERT_EQUAL(std::string("{\"counters\":{\"1\":15},\"total\":15}"), h.value("room", "gc:a"));
    }

    void the_idempotency_key_of_a_no_op_is_taken() {
        Harness h(base_seed());
        h.write(request("room", {item("or:a", add("x", 1))}));
        const WriteRequest no_op = request("room", {item("or:a", add("x", 1))}, "k1");
        CPPUNIT_ASSERT(!h.write(no_op).items.at(0).changed);
        h.restart(false);
        CPPUNIT_ASSERT(h.write(no_op).status == Status::ok);
        CPPUNIT_ASSERT(h.write(request("room", {increment("gc:a", 1, 1)}, "k1")).status ==
                       Status::idempotency_mismatch);
    }

    void a_no_op_under_an_idempotency_key_fails_with_its_group() {
        Harness h(base_seed());
        h.write(request("room", {item("or:a", add("x", 1))}));
        h.store->fail_next_commit(CommitStatus::not_committed);
        CPPUNIT_ASSERT(h.write(request("room", {item("or:a", add("x", 1))}, "k1")).status == Status::unavailable);
        CPPUNIT_ASSERT(h.write(request("room", {item("or:a", add("x", 1))}, "k1")).status == Status::ok);
        h.store->fail_next_commit(CommitStatus::outcome_unknown);
        CPPUNIT_ASSERT(h.write(request("room", {item("or:a", add("x", 1))}, "k2")).status == Status::outcome_unknown);
    }

    void an_idempotency_key_with_another_request_is_refused() {
        Harness h(base_seed());
        h.write(request("room", {increment("gc:a", 1, 5)}, "k1"));
        CPPUNIT_ASSERT(h.write(request("room", {increment("gc:a", 1, 6)}, "k1")).status ==
                       Status::idempotency_mismatch);
        CPPUNIT_ASSERT(h.write(request("room", {increment("gc:b", 1, 5)}, "k1")).status ==
                       Status::idempotency_mismatch);
        // Another namespace is another key.
        CPPUNIT_ASSERT(h.write(request("other", {increment("gc:a", 1, 6)}, "k1")).status == Status::ok);
    }

    void an_idempotency_key_works_while_its_first_request_is_in_flight() {
        Harness h(base_seed());
        std::vector<std::shared_ptr<std::optional<WriteOutcome>>> results;
        for (int i = 0; i < 10; ++i) {
            results.push_back(h.submit(request("room", {increment("gc:a", 1, 5)}, "k1")));
            if (i % 2 == 0) h.world.run_for(h.world.below(600));
        }
        CPPUNIT_ASSERT(h.world.run_until([&] {
            for (const auto& result : results) {
                if (!result->has_value()) return false;
            }
            return true;
        }));
        for (const auto& result : results)
            CPPUNIT_ASSERT((*result)->status == Status::ok && (*result)->items.at(0).changed);
        CPPUNIT_ASSERT_EQUAL(std::string("{\"counters\":{\"1\":5},\"total\":5}"), h.value("room", "gc:a"));
    }

    void twins_that_wait_for_the_same_cold_key_are_applied_once() {
        for (uint64_t seed = base_seed(); seed < base_seed() + 50; ++seed) {
            Harness h(seed);
            h.write(request("room", {increment("gc:a", 1, 1)}));
            h.restart(true);
            auto first = h.submit(request("room", {increment("gc:a", 1, 5)}, "k1"));
            auto second = h.submit(request("room", {increment("gc:a", 1, 5)}, "k1"));
            CPPUNIT_ASSERT(h.world.run_until([&] { return first->has_value() && second->has_value(); }));
            CPPUNIT_ASSERT((*first)->status == Status::ok && (*second)->status == Status::ok);
            CPPUNIT_ASSERT((*first)->items[0].delta->delta() == (*second)->items[0].delta->delta());
            CPPUNIT_ASSERT_EQUAL(std::string("{\"counters\":{\"1\":6},\"total\":6}"), h.value("room", "gc:a"));
        }
    }

    void a_twin_of_a_write_that_was_not_committed_is_executed() {
        Harness h(base_seed());
        h.store->fail_next_commit(CommitStatus::not_committed);
        auto first = h.submit(request("room", {increment("gc:a", 1, 5)}, "k1"));
        auto second = h.submit(request("room", {increment("gc:a", 1, 5)}, "k1"));
        CPPUNIT_ASSERT(h.world.run_until([&] { return first->has_value() && second->has_value(); }));
        CPPUNIT_ASSERT((*first)->status == Status::unavailable && (*second)->status == Status::ok);
        CPPUNIT_ASSERT_EQUAL(std::string("{\"counters\":{\"1\":5},\"total\":5}"), h.value("room", "gc:a"));
    }

    // Subscribers stay connected over a failed group; the key is rebuilt from the log after its time has come.
    void what_expires_while_a_failed_group_keeps_the_key_out_of_memory_is_told() {
        NodeLimits limits;
        limits.checkpoint_interval_ms = 3'600'000;
        Harness h(base_seed(), limits);
        const uint64_t now_ms = h.world.wall_ms();
        h.write(request("room", {item("pr:a", heartbeat(1, now_ms, 2000))}));
        h.write(
            request("room", {item("cm:a", crdt::CrdtMapOp{"p", crdt::Type::presence,
                                                          std::get<crdt::PresenceOp>(heartbeat(1, now_ms, 2000))})}));
        h.write(request("room", {item("or:a", add("x", 1), 2000)}));
        h.store->fail_next_commit(CommitStatus::not_committed);
        CPPUNIT_ASSERT(
            h.write(request("room", {item("pr:a", heartbeat(2, now_ms, 2000)), item("or:a", add("y", 2)),
                                     item("cm:a", crdt::CrdtMapOp{"n", crdt::Type::gcounter, crdt::GCounterOp{1, 1}})}))
                .status == Status::unavailable);
        h.seen.clear();
        h.world.run_for(5'000'000);
        std::set<std::string> told;
        for (const Seen& seen : h.seen) told.insert(seen.frame->key());
        CPPUNIT_ASSERT(told == (std::set<std::string>{"cm:a", "or:a", "pr:a"}));
    }

    void a_write_is_refused_when_its_idempotency_record_cannot_be_read() {
        Harness h(base_seed());
        h.write(request("room", {increment("gc:a", 1, 5)}, "k1"));
        h.store->fail_next_metadata_read();
        CPPUNIT_ASSERT(h.write(request("room", {increment("gc:a", 1, 5)}, "k1")).status == Status::unavailable);
        CPPUNIT_ASSERT(h.write(request("room", {increment("gc:a", 1, 5)}, "k1")).status == Status::ok);
        CPPUNIT_ASSERT_EQUAL(std::string("{\"counters\":{\"1\":5},\"total\":5}"), h.value("room", "gc:a"));
    }

    void old_idempotency_records_are_forgotten() {
        NodeLimits limits;
        limits.idempotency_retention_ms = 60'000;
        Harness h(base_seed(), limits);
        h.write(request("room", {increment("gc:a", 1, 5)}, "k1"));
        CPPUNIT_ASSERT_EQUAL(size_t{2}, h.disk.metadata.size());
        h.world.run_for(1'300'000'000);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, h.disk.metadata.size());
    }

    void the_log_is_cut_behind_its_retention() {
        NodeLimits limits;
        limits.log_retention_ms = 300'000;
        Harness h(base_seed(), limits);
        for (int i = 0; i < 30; ++i) {
            h.write(request("room", {increment("gc:a", 1, 1)}));
            h.world.run_for(60'000'000);
        }
        CPPUNIT_ASSERT(h.disk.floor > 20 && h.disk.floor < 30);
        h.restart(false);
        CPPUNIT_ASSERT_EQUAL(std::string("{\"counters\":{\"1\":30},\"total\":30}"), h.value("room", "gc:a"));
    }

    void a_log_that_outgrows_its_size_is_cut_at_once() {
        NodeLimits limits;
        limits.log_retention_bytes = 100'000;
        limits.checkpoint_interval_ms = 500;
        Harness h(base_seed(), limits);
        // Ten seconds, long before the next look at the age of entries.
        for (uint64_t i = 0; i < 100; ++i) {
            h.write(request("room", {assign("lww:a", std::string(10'000, 'x'), 1'000 + i, 1)}));
            h.world.run_for(100'000);
            CPPUNIT_ASSERT_MESSAGE(std::to_string(h.store->usage().log_bytes), h.store->usage().log_bytes < 600'000);
        }
        CPPUNIT_ASSERT(h.disk.floor > 80);
        CPPUNIT_ASSERT(h.store->usage().log_bytes > 50'000);
    }

    void stamps_never_go_back_over_restarts_and_clock_jumps() {
        Harness h(base_seed());
        for (int i = 0; i < 6; ++i) {
            h.write(request("room", {increment("gc:a", 1, 1)}));
            h.write(request("room", {increment("gc:b", 1, 1)}));
            h.world.jump_wall_ms(i % 2 == 0 ? -3'600'000 : 1000);
            h.restart(i % 3 == 0);
        }
        crdt::EntryStamp last;
        for (const LogEntry& entry : h.disk.log) {
            const crdt::EntryStamp stamp = wire::decode_log_entry(entry.payload)->stamp;
            CPPUNIT_ASSERT(last.hlc < stamp.hlc);
            last = stamp;
        }
        CPPUNIT_ASSERT_EQUAL(size_t{12}, h.disk.log.size());
    }

    void a_key_that_cannot_be_read_is_refused_and_the_others_go_on() {
        Harness h(base_seed());
        h.write(request("room", {increment("gc:a", 1, 1)}));
        h.write(request("room", {increment("gc:b", 1, 1)}));
        h.stop();
        h.disk.rows.at({"room", "gc:a"}).state = "garbage";
        h.restart(false);
        CPPUNIT_ASSERT_EQUAL(std::string("<corrupt>"), h.value("room", "gc:a"));
        CPPUNIT_ASSERT(h.write(request("room", {increment("gc:a", 1, 1)})).status == Status::corrupt);
        const WriteOutcome batch = h.write(request("room", {increment("gc:b", 1, 1), increment("gc:a", 1, 1)}));
        CPPUNIT_ASSERT(batch.status == Status::corrupt);
        CPPUNIT_ASSERT_EQUAL(std::string("{\"counters\":{\"1\":1},\"total\":1}"), h.value("room", "gc:b"));
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(KeyLifeTest);

}  // namespace meridian::node
