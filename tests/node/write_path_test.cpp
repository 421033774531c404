// The write path: what is acknowledged, what is told, what a failure undoes.
#include "harness.h"
#include "wire/log_entry.h"

namespace meridian::node {

namespace {

uint64_t total_of(const std::string& json) {
    const size_t at = json.find("\"total\":");
    CPPUNIT_ASSERT_MESSAGE(json, at != std::string::npos);
    return std::strtoull(json.c_str() + at + 8, nullptr, 10);
}

}  // namespace

class WritePathTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(WritePathTest);
    CPPUNIT_TEST(acknowledges_an_op_only_after_its_entry_is_on_the_disk);
    CPPUNIT_TEST(tells_subscribers_before_the_sender_and_only_what_is_durable);
    CPPUNIT_TEST(writes_nothing_for_a_no_op_or_a_rejected_op);
    CPPUNIT_TEST(answers_a_duplicate_only_after_the_original_is_durable);
    CPPUNIT_TEST(answers_a_read_only_after_what_it_shows_is_durable);
    CPPUNIT_TEST(answers_a_state_only_after_what_it_shows_is_durable);
    CPPUNIT_TEST(answers_nothing_that_was_computed_from_a_failed_write);
    CPPUNIT_TEST(numbers_entries_without_gaps_and_says_how_many_of_a_batch_follow);
    CPPUNIT_TEST(commits_what_accumulates_during_a_flight_as_one_group);
    CPPUNIT_TEST(applies_a_batch_whole_or_not_at_all);
    CPPUNIT_TEST(checks_a_batch_item_against_the_items_before_it);
    CPPUNIT_TEST(never_splits_a_batch_over_groups);
    CPPUNIT_TEST(forgets_everything_applied_after_a_group_that_was_not_committed);
    CPPUNIT_TEST(answers_reads_of_a_failed_write_from_the_store);
    CPPUNIT_TEST(stops_writing_after_an_unknown_outcome_and_goes_on_reading);
    CPPUNIT_TEST(answers_a_write_whose_key_was_still_loading_when_the_store_failed);
    CPPUNIT_TEST(refuses_an_undo_whose_key_was_still_loading_when_the_store_failed);
    CPPUNIT_TEST(the_delta_of_an_outcome_tells_the_effect_of_the_op_itself);
    CPPUNIT_TEST(refuses_writes_without_log_space_and_recovers_by_itself);
    CPPUNIT_TEST(refuses_when_too_much_waits_for_the_log);
    CPPUNIT_TEST(refuses_a_key_or_batch_beyond_its_limit);
    CPPUNIT_TEST(undo_restores_the_previous_value_once);
    CPPUNIT_TEST(undo_of_an_overwritten_entry_is_skipped);
    CPPUNIT_TEST_SUITE_END();

public:
    void acknowledges_an_op_only_after_its_entry_is_on_the_disk() {
        Harness h(base_seed());
        auto result = h.submit(request("room", {increment("gc:a", 1, 5)}));
        while (!result->has_value()) {
            CPPUNIT_ASSERT(h.world.step(UINT64_MAX));
            if (result->has_value()) break;
        }
        CPPUNIT_ASSERT((*result)->status == Status::ok);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, h.disk.last_position());
        CPPUNIT_ASSERT_EQUAL(std::string("{\"counters\":{\"1\":5},\"total\":5}"),
                             h.key_on_disk({"room", "gc:a"}).value_json(h.world.wall_ms()));
        CPPUNIT_ASSERT_EQUAL(std::string("{\"counters\":{\"1\":5},\"total\":5}"), h.value("room", "gc:a"));
    }

    void tells_subscribers_before_the_sender_and_only_what_is_durable() {
        Harness h(base_seed());
        for (uint64_t i = 1; i <= 50; ++i) {
            auto result = h.submit(request("room", {increment("gc:a", 1, 1)}));
            const size_t seen_before = h.seen.size();
            while (!result->has_value()) {
                CPPUNIT_ASSERT(h.world.step(UINT64_MAX));
                if (h.seen.size() > seen_before) CPPUNIT_ASSERT_EQUAL(i, h.disk.last_position());
            }
            CPPUNIT_ASSERT_EQUAL(seen_before + 1, h.seen.size());
            CPPUNIT_ASSERT_EQUAL(seen_before + 1, h.seen_at_completion.back());
        }
    }

    void writes_nothing_for_a_no_op_or_a_rejected_op() {
        Harness h(base_seed());
        const WriteOutcome none = h.write(request("room", {increment("gc:a", 1, 0)}));
        CPPUNIT_ASSERT(none.status == Status::ok && !none.items[0].changed && !none.items[0].delta);
        CPPUNIT_ASSERT_EQUAL(std::string("<not found>"), h.value("room", "gc:a"));
        h.write(request("room", {increment("gc:a", 1, 1)}));
        const WriteOutcome rejected = h.write(request("room", {assign("gc:a", "x", 5, 1)}));
        CPPUNIT_ASSERT(rejected.status == Status::rejected);
        CPPUNIT_ASSERT_EQUAL(std::string("invalid operation: op type does not match crdt type"), rejected.text);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, h.disk.last_position());
        CPPUNIT_ASSERT_EQUAL(size_t{1}, h.seen.size());
    }

    void answers_a_duplicate_only_after_the_original_is_durable() {
        Harness h(base_seed());
        h.value("room", "lw:a");  // now in memory, so that both ops are executed at once
        auto first = h.submit(request("room", {assign("lw:a", "x", 100, 1)}));
        auto second = h.submit(request("room", {assign("lw:a", "x", 100, 1)}));
        while (!second->has_value()) {
            CPPUNIT_ASSERT(h.world.step(UINT64_MAX));
            if (second->has_value()) CPPUNIT_ASSERT_EQUAL(uint64_t{1}, h.disk.last_position());
        }
        CPPUNIT_ASSERT(!(*second)->items[0].changed);
        CPPUNIT_ASSERT(first->has_value());
    }

    void answers_a_read_only_after_what_it_shows_is_durable() {
        Harness h(base_seed());
        h.value("room", "gc:a");
        h.submit(request("room", {increment("gc:a", 1, 7)}));
        auto read = h.submit_read("room", "gc:a");
        while (!read->has_value()) {
            CPPUNIT_ASSERT(h.world.step(UINT64_MAX));
            if (read->has_value()) CPPUNIT_ASSERT_EQUAL(uint64_t{1}, h.disk.last_position());
        }
        CPPUNIT_ASSERT_EQUAL(uint64_t{7}, total_of((*read)->text));
    }

    void answers_a_state_only_after_what_it_shows_is_durable() {
        Harness h(base_seed());
        for (uint64_t i = 1; i <= 20; ++i) {
            h.submit(request("room", {increment("gc:a", 1, 1)}));
            const StateOutcome outcome = h.state("room", "gc:a");
            const auto& delta = std::get<crdt::GCounterClientDelta>(outcome.state->frames.at(0)->delta());
            CPPUNIT_ASSERT_EQUAL(i, delta.counters.at(0).second);
            CPPUNIT_ASSERT_EQUAL(i, h.disk.last_position());
        }
    }

    void answers_nothing_that_was_computed_from_a_failed_write() {
        Harness h(base_seed());
        const auto insert = [](uint16_t logical, char32_t content) {
            return item("rga:a", crdt::RgaInsert{{1, logical, 1}, std::nullopt, content, false});
        };
        h.write(request("room", {insert(1, U'a')}));
        h.store->fail_next_commit(CommitStatus::not_committed);
        auto lost = h.submit(request("room", {insert(2, U'b')}));
        auto duplicate = h.submit(request("room", {insert(2, U'b')}));
        auto contradicting = h.submit(request("room", {insert(2, U'c')}));
        const StateOutcome state = h.state("room", "rga:a");
        CPPUNIT_ASSERT((*lost)->status == Status::unavailable);
        CPPUNIT_ASSERT((*duplicate)->status == Status::unavailable);
        CPPUNIT_ASSERT((*contradicting)->status == Status::unavailable);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, std::get<crdt::RgaClientDelta>(state.state->frames.at(0)->delta()).ops.size());
    }

    void numbers_entries_without_gaps_and_says_how_many_of_a_batch_follow() {
        Harness h(base_seed());
        h.write(request("room", {increment("gc:a", 1, 1)}));
        h.write(request("room", {increment("gc:a", 1, 1), increment("gc:b", 1, 1), increment("gc:a", 1, 1)}));
        h.restart(false);
        h.write(request("room", {increment("gc:a", 1, 1)}));
        const uint64_t following[] = {0, 2, 1, 0, 0};
        CPPUNIT_ASSERT_EQUAL(size_t{5}, h.disk.log.size());
        for (size_t i = 0; i < 5; ++i) {
            CPPUNIT_ASSERT_EQUAL(uint64_t{i + 1}, h.disk.log[i].origin_sequence);
            CPPUNIT_ASSERT_EQUAL(following[i], wire::decode_log_entry(h.disk.log[i].payload)->batch_following);
        }
    }

    void commits_what_accumulates_during_a_flight_as_one_group() {
        Harness h(base_seed());
        h.value("room", "gc:a");
        const uint64_t commits_before = h.store->commits();
        std::vector<std::shared_ptr<std::optional<WriteOutcome>>> results;
        for (int i = 0; i < 100; ++i) results.push_back(h.submit(request("room", {increment("gc:a", 1, 1)})));
        CPPUNIT_ASSERT(h.world.run_until([&] { return results.back()->has_value(); }));
        CPPUNIT_ASSERT(h.store->commits() - commits_before < 30);
        CPPUNIT_ASSERT_EQUAL(uint64_t{100}, total_of(h.value("room", "gc:a")));
    }

    void applies_a_batch_whole_or_not_at_all() {
        Harness h(base_seed());
        h.write(request("room", {increment("gc:b", 1, 1)}));
        const WriteOutcome outcome =
            h.write(request("room", {increment("gc:a", 1, 5), assign("gc:b", "no", 9, 1), increment("gc:c", 1, 2)}));
        CPPUNIT_ASSERT(outcome.status == Status::rejected);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, outcome.rejected_item);
        CPPUNIT_ASSERT_EQUAL(std::string("<not found>"), h.value("room", "gc:a"));
        CPPUNIT_ASSERT_EQUAL(std::string("<not found>"), h.value("room", "gc:c"));
        CPPUNIT_ASSERT_EQUAL(size_t{1}, h.seen.size());
        const WriteOutcome good = h.write(request("room", {increment("gc:a", 1, 5), increment("gc:c", 1, 2)}));
        CPPUNIT_ASSERT(good.status == Status::ok && good.items.size() == 2 && good.items[1].changed);
        CPPUNIT_ASSERT_EQUAL(size_t{3}, h.seen.size());
    }

    void checks_a_batch_item_against_the_items_before_it() {
        Harness h(base_seed());
        const WriteOutcome outcome = h.write(request("room", {increment("x", 1, 5), assign("x", "no", 9, 1)}));
        CPPUNIT_ASSERT(outcome.status == Status::rejected);
        CPPUNIT_ASSERT_EQUAL(std::string("<not found>"), h.value("room", "x"));
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, h.disk.last_position());
    }

    void never_splits_a_batch_over_groups() {
        NodeLimits limits;
        limits.group_bytes_max = 2000;
        Harness h(base_seed(), limits);
        std::vector<std::shared_ptr<std::optional<WriteOutcome>>> results;
        for (int i = 0; i < 40; ++i) {
            std::vector<WriteItem> items;
            for (int j = 0; j < 7; ++j) items.push_back(increment("gc:" + std::to_string(j), 1, 1));
            results.push_back(h.submit(request(i % 2 == 0 ? "room" : "other", std::move(items))));
        }
        CPPUNIT_ASSERT(h.world.run_until([&] {
            for (const auto& result : results) {
                if (!result->has_value()) return false;
            }
            return true;
        }));
        CPPUNIT_ASSERT(h.store->groups().size() > 10);
        for (const auto& [first, last] : h.store->groups()) CPPUNIT_ASSERT_EQUAL(uint64_t{0}, (last - first + 1) % 7);
    }

    void forgets_everything_applied_after_a_group_that_was_not_committed() {
        Harness h(base_seed());
        h.write(request("room", {increment("gc:a", 1, 10)}));
        h.store->fail_next_commit(CommitStatus::not_committed);
        std::vector<std::shared_ptr<std::optional<WriteOutcome>>> results;
        for (int i = 0; i < 20; ++i) results.push_back(h.submit(request("room", {increment("gc:a", 1, 1)})));
        CPPUNIT_ASSERT(h.world.run_until([&] {
            for (const auto& result : results) {
                if (!result->has_value()) return false;
            }
            return true;
        }));
        uint64_t acknowledged = 0;
        for (const auto& result : results) acknowledged += (*result)->status == Status::ok;
        CPPUNIT_ASSERT(acknowledged < 20);
        CPPUNIT_ASSERT_EQUAL(10 + acknowledged, total_of(h.value("room", "gc:a")));
        CPPUNIT_ASSERT(h.write(request("room", {increment("gc:a", 1, 1)})).status == Status::ok);
        CPPUNIT_ASSERT_EQUAL(11 + acknowledged, total_of(h.value("room", "gc:a")));
        CPPUNIT_ASSERT_EQUAL(11 + acknowledged,
                             total_of(h.key_on_disk({"room", "gc:a"}).value_json(h.world.wall_ms())));
        CPPUNIT_ASSERT_EQUAL(std::string(), h.store->violation());
    }

    void answers_reads_of_a_failed_write_from_the_store() {
        Harness h(base_seed());
        h.write(request("room", {increment("gc:a", 1, 10)}));
        h.store->fail_next_commit(CommitStatus::not_committed);
        auto lost = h.submit(request("room", {increment("gc:a", 1, 1)}));
        auto read = h.submit_read("room", "gc:a");
        CPPUNIT_ASSERT(h.world.run_until([&] { return lost->has_value() && read->has_value(); }));
        CPPUNIT_ASSERT((*lost)->status == Status::unavailable);
        CPPUNIT_ASSERT_EQUAL(uint64_t{10}, total_of((*read)->text));
    }

    void stops_writing_after_an_unknown_outcome_and_goes_on_reading() {
        Harness h(base_seed());
        h.write(request("room", {increment("gc:a", 1, 10)}));
        h.store->fail_next_commit(CommitStatus::outcome_unknown);
        CPPUNIT_ASSERT(h.write(request("room", {increment("gc:b", 1, 1)})).status == Status::outcome_unknown);
        const uint64_t commits = h.store->commits();
        CPPUNIT_ASSERT(h.write(request("room", {increment("gc:a", 1, 1)})).status == Status::unavailable);
        CPPUNIT_ASSERT_EQUAL(commits, h.store->commits());
        CPPUNIT_ASSERT_EQUAL(uint64_t{10}, total_of(h.value("room", "gc:a")));
        CPPUNIT_ASSERT(!h.node->statistics().writable);
        h.restart(false);
        CPPUNIT_ASSERT(h.write(request("room", {increment("gc:a", 1, 1)})).status == Status::ok);
        CPPUNIT_ASSERT_EQUAL(uint64_t{11}, total_of(h.value("room", "gc:a")));
    }

    void answers_a_write_whose_key_was_still_loading_when_the_store_failed() {
        for (uint64_t seed = base_seed(); seed < base_seed() + 30; ++seed) {
            Harness h(seed);
            h.write(request("room", {increment("gc:cold", 1, 1)}));
            h.restart(true);
            h.store->fail_next_commit(CommitStatus::outcome_unknown);
            std::vector<std::shared_ptr<std::optional<WriteOutcome>>> results;
            for (int i = 0; i < 20; ++i) {
                const std::string key = i == 10 ? "gc:cold" : "gc:" + std::to_string(i);
                results.push_back(h.submit(request("room", {increment(key, 1, 1)})));
                h.world.run_for(h.world.below(100));
            }
            CPPUNIT_ASSERT(h.world.run_until([&] {
                for (const auto& result : results) {
                    if (!result->has_value()) return false;
                }
                return true;
            }));
            for (const auto& result : results) CPPUNIT_ASSERT((*result)->status != Status::ok);
            CPPUNIT_ASSERT_EQUAL(uint64_t{1}, total_of(h.value("room", "gc:cold")));
            h.stop();
        }
    }

    void refuses_an_undo_whose_key_was_still_loading_when_the_store_failed() {
        Harness h(base_seed(), {}, 1);
        h.write(request("room", {assign("lw:cold", "one", 100, 1)}));
        h.restart(true);
        h.value("room", "gc:warm");
        h.store->stall(true);
        const auto undone = h.submit_undo({"room", "lw:cold", 9, {100, 0, 1}, JsonValue(), "bytes"});
        h.store->fail_next_commit(CommitStatus::outcome_unknown);
        CPPUNIT_ASSERT(h.write(request("room", {increment("gc:warm", 1, 1)})).status == Status::outcome_unknown);
        CPPUNIT_ASSERT(!undone->has_value());
        h.store->stall(false);
        CPPUNIT_ASSERT(h.world.run_until([&] { return undone->has_value(); }));
        CPPUNIT_ASSERT((*undone)->status == Status::unavailable);
        CPPUNIT_ASSERT(h.value("room", "lw:cold").find("\"value\":\"one\"") != std::string::npos);
    }

    void the_delta_of_an_outcome_tells_the_effect_of_the_op_itself() {
        Harness h(base_seed());
        const auto beat = [&](uint64_t stamp_ms, uint64_t ttl_ms) {
            return h.write(request(
                "room", {item("pr:a", crdt::PresenceHeartbeat{5, JsonValue::string("x"), {stamp_ms, 0, 5}, ttl_ms})}));
        };
        const uint64_t now_ms = h.world.wall_ms();
        beat(now_ms, 60'000);
        h.seen.clear();
        // Ends earlier than the one before it, so that clients are first told to forget that one.
        const WriteOutcome shorter = beat(now_ms + 1, 10'000);
        CPPUNIT_ASSERT_EQUAL(size_t{2}, h.seen.size());
        CPPUNIT_ASSERT(!std::get<crdt::PresenceClientDelta>(h.seen[0].frame->delta()).changes.at(0).second);
        CPPUNIT_ASSERT(std::get<crdt::PresenceClientDelta>(shorter.items.at(0).delta->delta()).changes.at(0).second);
        // The body of a Leave is the nil form (crdts.md section 4.5).
        const WriteOutcome left = h.write(request("room", {item("pr:a", crdt::PresenceLeave{5, {now_ms + 2, 0, 5}})}));
        CPPUNIT_ASSERT(!std::get<crdt::PresenceClientDelta>(left.items.at(0).delta->delta()).changes.at(0).second);
        // What empties an expired generation goes before the first delta of the next.
        h.write(request("room", {item("rga:a", crdt::RgaInsert{{now_ms, 0, 1}, std::nullopt, U'a', false}, 0)}));
        const crdt::RgaInsert next{{now_ms, 0, 2}, std::nullopt, U'b', false};
        const WriteOutcome renewed = h.write(request("room", {item("rga:a", next)}));
        const auto& ops = std::get<crdt::RgaClientDelta>(renewed.items.at(0).delta->delta()).ops;
        CPPUNIT_ASSERT(std::holds_alternative<crdt::RgaInsert>(ops.at(0)));
    }

    void refuses_writes_without_log_space_and_recovers_by_itself() {
        Harness h(base_seed());
        h.store->set_log_bytes_available(0);
        CPPUNIT_ASSERT(h.write(request("room", {increment("gc:a", 1, 1)})).status == Status::unavailable);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, h.store->commits());
        h.store->set_log_bytes_available(1 << 20);
        CPPUNIT_ASSERT(h.write(request("room", {increment("gc:a", 1, 1)})).status == Status::ok);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, total_of(h.value("room", "gc:a")));
    }

    void refuses_when_too_much_waits_for_the_log() {
        NodeLimits limits;
        limits.pending_commit_bytes_max = 20'000;
        Harness h(base_seed(), limits);
        h.value("room", "gc:a");
        std::vector<std::shared_ptr<std::optional<WriteOutcome>>> results;
        for (int i = 0; i < 500; ++i) results.push_back(h.submit(request("room", {increment("gc:a", 1, 1)})));
        CPPUNIT_ASSERT(h.world.run_until([&] {
            for (const auto& result : results) {
                if (!result->has_value()) return false;
            }
            return true;
        }));
        uint64_t acknowledged = 0, overloaded = 0;
        for (const auto& result : results) {
            acknowledged += (*result)->status == Status::ok;
            overloaded += (*result)->status == Status::overloaded;
        }
        CPPUNIT_ASSERT_EQUAL(uint64_t{500}, acknowledged + overloaded);
        CPPUNIT_ASSERT(overloaded > 0);
        CPPUNIT_ASSERT_EQUAL(acknowledged, total_of(h.value("room", "gc:a")));
    }

    void refuses_a_key_or_batch_beyond_its_limit() {
        NodeLimits limits;
        limits.key_bytes_max = 10;
        limits.batch_items_max = 2;
        Harness h(base_seed(), limits);
        CPPUNIT_ASSERT_EQUAL(std::string("invalid operation: crdt id of 11 bytes, at most 10"),
                             h.write(request("room", {increment("gc:aaaaaaaa", 1, 1)})).text);
        CPPUNIT_ASSERT_EQUAL(
            std::string("invalid operation: batch of 3 items, at most 2"),
            h.write(request("room", {increment("a", 1, 1), increment("b", 1, 1), increment("c", 1, 1)})).text);
        CPPUNIT_ASSERT(h.write(request("room", {})).status == Status::rejected);
        CPPUNIT_ASSERT_EQUAL(std::string("invalid operation: crdt id is empty"),
                             h.write(request("room", {increment("", 1, 1)})).text);
        CPPUNIT_ASSERT_EQUAL(std::string("<not found>"), h.value("room", ""));
        CPPUNIT_ASSERT_EQUAL(std::string("<not found>"), h.value("room", "gc:aaaaaaaa"));
        CPPUNIT_ASSERT(h.write(request("room", {increment("a", 1, 1)}, std::string(256, 'k'))).status ==
                       Status::rejected);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, h.disk.last_position());
    }

    void undo_restores_the_previous_value_once() {
        Harness h(base_seed());
        const uint64_t now_ms = h.world.wall_ms();
        h.write(request("room", {assign("lw:a", "one", now_ms, 1)}));
        h.write(request("room", {assign("lw:a", "two", now_ms + 1, 1)}));
        UndoRequest undo{"room", "lw:a", 9, {now_ms + 1, 0, 1}, JsonValue::string("one"), "bytes"};
        CPPUNIT_ASSERT(h.undo(undo).status == Status::ok);
        CPPUNIT_ASSERT(h.value("room", "lw:a").find("\"value\":\"one\"") != std::string::npos);
        CPPUNIT_ASSERT_EQUAL(size_t{3}, h.seen.size());
        CPPUNIT_ASSERT(h.undo(undo).skipped);
        CPPUNIT_ASSERT_EQUAL(uint64_t{3}, h.disk.last_position());
        h.restart(false);
        CPPUNIT_ASSERT(h.value("room", "lw:a").find("\"value\":\"one\"") != std::string::npos);
    }

    void undo_of_an_overwritten_entry_is_skipped() {
        Harness h(base_seed());
        h.write(request("room", {assign("lw:a", "one", 100, 1)}));
        h.write(request("room", {assign("lw:a", "two", 200, 2)}));
        const UndoOutcome outcome = h.undo({"room", "lw:a", 9, {100, 0, 1}, JsonValue(), ""});
        CPPUNIT_ASSERT(outcome.skipped);
        CPPUNIT_ASSERT_EQUAL(std::string("entry has been overwritten by a concurrent write"), outcome.text);
        CPPUNIT_ASSERT(h.undo({"room", "lw:none", 9, {100, 0, 1}, JsonValue(), ""}).skipped);
        CPPUNIT_ASSERT_EQUAL(std::string("<not found>"), h.value("room", "lw:none"));
        h.write(request("room", {increment("gc:a", 1, 1)}));
        CPPUNIT_ASSERT_EQUAL(std::string("invalid operation: crdt is not a lwwregister"),
                             h.undo({"room", "gc:a", 9, {100, 0, 1}, JsonValue(), ""}).text);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(WritePathTest);

}  // namespace meridian::node
