// What a node offers to replication: entries out, entries in, the version vector, digests and whole states. Two nodes,
// each in a world of its own; the test carries what passes between them.
#include <algorithm>
#include <set>

#include "harness.h"
#include "node/committer.h"
#include "node/log_index.h"
#include "node/replication_port.h"
#include "wire/key_codec.h"
#include "wire/key_digest.h"
#include "wire/log_entry.h"

namespace meridian::node {

namespace {

constexpr DigestKey digest_key{1, 2, 3};

class Replica : private ReplicationListener {
public:
    Replica(uint64_t node_id, uint64_t seed, NodeLimits limits = {})
        : harness(seed, std::move(limits), 2, node_id, true) {
        listen();
    }
    ReplicationPort& port() { return *harness.node->replication(); }
    Origin self() { return port().self(); }

    void restart(bool clean) {
        harness.restart(clean);
        listen();
    }

    template <class Out>
    Out wait(const std::function<void(std::function<void(Out)>)>& call) {
        std::optional<Out> result;
        call([&result](Out out) {
            CPPUNIT_ASSERT_MESSAGE("completed twice", !result);
            result.emplace(std::move(out));
        });
        CPPUNIT_ASSERT_MESSAGE("completed inside the call", !result);
        CPPUNIT_ASSERT(harness.world.run_until([&] { return result.has_value(); }));
        return *std::move(result);
    }
    std::string merge(std::vector<RemoteEntry> entries) {
        const auto merged = wait<Result<void>>([&](auto done) { port().merge(std::move(entries), std::move(done)); });
        return merged ? "" : merged.error().message;
    }
    EntryPage read(std::vector<EntryRange> ranges, size_t count_max = 1000, size_t bytes_max = 1 << 20) {
        return wait<EntryPage>([&](auto done) { port().read_entries(std::move(ranges), count_max, bytes_max, done); });
    }
    std::map<KeyName, uint64_t> digests(size_t page = 3) {
        std::map<KeyName, uint64_t> out;
        std::optional<KeyName> after;
        for (;;) {
            const auto got = wait<DigestPage>([&](auto done) { port().digest_keys(after, page, digest_key, done); });
            CPPUNIT_ASSERT_EQUAL(std::string(), got.error);
            for (const KeyDigest& each : got.digests) {
                CPPUNIT_ASSERT(out.empty() || out.rbegin()->first < each.name);
                out[each.name] = each.digest;
            }
            if (!got.next) return out;
            after = got.next;
        }
    }
    // All that this node accepted, as another node receives it.
    std::vector<RemoteEntry> own_entries() {
        std::vector<RemoteEntry> out;
        for (const CommittedEntry& each : committed)
            out.push_back({self(), each.sequence, each.wall_ms, each.name, each.payload});
        return out;
    }
    void settle() { harness.world.run_for(1'000'000); }

    Harness harness;
    std::vector<CommittedEntry> committed;

private:
    void listen() { port().set_listener(this); }
    void on_committed(std::vector<CommittedEntry> entries) override {
        for (CommittedEntry& each : entries) committed.push_back(std::move(each));
    }
};

// As text, so that a failed comparison shows both.
std::string text_of(const std::vector<uint64_t>& numbers) {
    std::string out;
    for (const uint64_t number : numbers) out += std::to_string(number) + " ";
    return out;
}

std::string sequences(const std::vector<RemoteEntry>& entries) {
    std::vector<uint64_t> out;
    for (const RemoteEntry& entry : entries) out.push_back(entry.sequence);
    return text_of(out);
}

std::string from_to(uint64_t first, uint64_t last) {
    std::vector<uint64_t> out;
    for (uint64_t i = first; i <= last; ++i) out.push_back(i);
    return text_of(out);
}

std::vector<RemoteEntry> part(const std::vector<RemoteEntry>& all, size_t from, size_t to) {
    return {all.begin() + static_cast<ptrdiff_t>(from), all.begin() + static_cast<ptrdiff_t>(to)};
}

}  // namespace

class ReplicationPortTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(ReplicationPortTest);
    CPPUNIT_TEST(a_node_alone_offers_nothing);
    CPPUNIT_TEST(own_entries_are_told_in_order_once_they_are_durable);
    CPPUNIT_TEST(entries_of_others_are_joined_told_logged_and_counted);
    CPPUNIT_TEST(the_vector_survives_a_loss_of_power);
    CPPUNIT_TEST(the_vector_does_not_pass_a_gap);
    CPPUNIT_TEST(a_merge_that_is_not_committed_counts_nothing_and_can_be_repeated);
    CPPUNIT_TEST(an_entry_that_does_not_decode_fails_its_merge_and_names_its_key);
    CPPUNIT_TEST(an_entry_that_is_renumbered_goes_on_as_an_own_one);
    CPPUNIT_TEST(a_batch_becomes_visible_in_one_step);
    CPPUNIT_TEST(entries_are_read_back_page_by_page);
    CPPUNIT_TEST(entries_behind_a_range_are_found_by_the_next_reading);
    CPPUNIT_TEST(entries_of_cold_keys_do_not_overtake);
    CPPUNIT_TEST(what_a_crash_leaves_of_a_merge_is_its_beginning);
    CPPUNIT_TEST(nothing_of_a_merge_is_committed_behind_a_part_that_failed);
    CPPUNIT_TEST(a_page_has_something_although_others_overtook_it_by_far);
    CPPUNIT_TEST(what_the_log_no_longer_has_is_gone);
    CPPUNIT_TEST(a_vector_raised_to_less_does_not_give_back_what_the_log_lacks);
    CPPUNIT_TEST(a_new_incarnation_begins_at_one_and_the_old_one_is_kept);
    CPPUNIT_TEST(writes_that_wait_are_numbered_under_the_new_incarnation);
    CPPUNIT_TEST(the_old_incarnation_is_kept_although_the_first_try_for_a_new_one_failed);
    CPPUNIT_TEST(a_restored_store_counts_what_it_wrote_under_the_old_incarnation);
    CPPUNIT_TEST(a_new_incarnation_keeps_what_came_from_others_since_the_start);
    CPPUNIT_TEST(digests_are_equal_in_any_order_of_arrival_and_tell_what_differs);
    CPPUNIT_TEST(digests_leave_out_what_is_dead);
    CPPUNIT_TEST(digests_tell_of_an_end_until_the_row_may_go);
    CPPUNIT_TEST(whole_states_and_a_raised_vector_make_nodes_level);
    CPPUNIT_TEST(large_states_are_given_a_few_at_a_time);
    CPPUNIT_TEST(no_tombstone_goes_before_every_member_is_known_to_hold_it);
    CPPUNIT_TEST_SUITE_END();

public:
    void a_node_alone_offers_nothing() {
        Harness alone(base_seed());
        CPPUNIT_ASSERT(alone.node->replication() == nullptr);
    }

    void own_entries_are_told_in_order_once_they_are_durable() {
        Replica a(1, base_seed());
        for (uint64_t i = 1; i <= 20; ++i)
            a.harness.submit(request(i % 2 ? "room" : "hall", {increment("gc:" + std::to_string(i % 3), i, 1)}));
        a.settle();
        CPPUNIT_ASSERT_EQUAL(size_t{20}, a.committed.size());
        for (uint64_t i = 0; i < 20; ++i) {
            CPPUNIT_ASSERT_EQUAL(i + 1, a.committed[i].sequence);
            CPPUNIT_ASSERT(a.committed[i].view != nullptr);
            CPPUNIT_ASSERT_EQUAL(a.committed[i].name.key, a.committed[i].view->key());
        }
        CPPUNIT_ASSERT_EQUAL(uint64_t{20}, held(a.port().vector(), a.self()));
        // A write that fails is told to nobody.
        a.harness.store->fail_next_commit(CommitStatus::not_committed);
        CPPUNIT_ASSERT(a.harness.write(request("room", {increment("gc:0", 1, 1)})).status == Status::unavailable);
        CPPUNIT_ASSERT(a.harness.write(request("room", {increment("gc:0", 1, 1)})).status == Status::ok);
        a.settle();
        CPPUNIT_ASSERT_EQUAL(size_t{21}, a.committed.size());
        CPPUNIT_ASSERT_EQUAL(uint64_t{21}, a.committed.back().sequence);
    }

    void entries_of_others_are_joined_told_logged_and_counted() {
        Replica a(1, base_seed()), b(2, base_seed() + 1);
        a.harness.write(request("room", {increment("gc:x", 1, 5)}));
        a.harness.write(request("room", {assign("lw:y", "hello", a.harness.world.wall_ms(), 1)}));
        a.settle();
        b.harness.write(request("room", {increment("gc:x", 1, 2)}));  // the same client, on another node
        const size_t seen_before = b.harness.seen.size();
        CPPUNIT_ASSERT_EQUAL(std::string(), b.merge(a.own_entries()));
        CPPUNIT_ASSERT_MESSAGE("both increments count",
                               b.harness.value("room", "gc:x").find("\"total\":7") != std::string::npos);
        CPPUNIT_ASSERT_EQUAL(seen_before + 2, b.harness.seen.size());
        const auto* told = std::get_if<crdt::GCounterClientDelta>(&b.harness.seen[seen_before].frame->delta());
        CPPUNIT_ASSERT(told != nullptr);
        CPPUNIT_ASSERT_EQUAL(uint64_t{7}, told->counters.at(0).second);  // this node's own view of it
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, held(b.port().vector(), a.self()));
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, held(b.port().vector(), b.self()));
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, b.harness.disk.log.back().origin_node_id);
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, b.harness.disk.log.back().origin_sequence);
        // They are nobody's own writes, and a repetition tells nobody anything.
        CPPUNIT_ASSERT_EQUAL(size_t{1}, b.committed.size());
        const size_t seen_after = b.harness.seen.size();
        CPPUNIT_ASSERT_EQUAL(std::string(), b.merge(a.own_entries()));
        CPPUNIT_ASSERT_EQUAL(seen_after, b.harness.seen.size());
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, held(b.port().vector(), a.self()));
        CPPUNIT_ASSERT_EQUAL(std::string(), b.harness.store->violation());
    }

    void the_vector_survives_a_loss_of_power() {
        Replica a(1, base_seed()), b(2, base_seed() + 1);
        for (uint64_t i = 1; i <= 9; ++i) a.harness.write(request("room", {increment("gc:x", i, 1)}));
        a.settle();
        const Origin a_self = a.self();
        CPPUNIT_ASSERT_EQUAL(std::string(), b.merge(a.own_entries()));
        b.restart(false);
        a.restart(false);
        CPPUNIT_ASSERT_EQUAL(uint64_t{9}, held(b.port().vector(), a_self));
        CPPUNIT_ASSERT_EQUAL(uint64_t{9}, held(a.port().vector(), a_self));
        CPPUNIT_ASSERT(a.self() == a_self);
        CPPUNIT_ASSERT_EQUAL(a.harness.value("room", "gc:x"), b.harness.value("room", "gc:x"));
    }

    void the_vector_does_not_pass_a_gap() {
        Replica a(1, base_seed()), b(2, base_seed() + 1);
        for (uint64_t i = 1; i <= 6; ++i) a.harness.write(request("room", {increment("gc:x", i, 1)}));
        a.settle();
        const auto entries = a.own_entries();
        const auto at = [&] { return held(b.port().vector(), a.self()); };
        b.merge(part(entries, 0, 2));
        b.merge(part(entries, 3, 4));
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, at());
        b.merge(part(entries, 5, 6));
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, at());
        b.merge(part(entries, 2, 3));
        CPPUNIT_ASSERT_EQUAL(uint64_t{4}, at());
        b.merge(part(entries, 4, 5));
        CPPUNIT_ASSERT_EQUAL(uint64_t{6}, at());
        b.restart(false);
        CPPUNIT_ASSERT_EQUAL(uint64_t{6}, at());
        CPPUNIT_ASSERT_EQUAL(from_to(1, 6), sequences(b.read({{a.self()}}).entries));
    }

    void a_merge_that_is_not_committed_counts_nothing_and_can_be_repeated() {
        Replica a(1, base_seed()), b(2, base_seed() + 1);
        a.harness.write(request("room", {increment("gc:x", 1, 5)}));
        a.settle();
        b.harness.store->fail_next_commit(CommitStatus::not_committed);
        CPPUNIT_ASSERT_EQUAL(std::string("the merge was not committed"), b.merge(a.own_entries()));
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, held(b.port().vector(), a.self()));
        CPPUNIT_ASSERT(b.harness.seen.empty());
        CPPUNIT_ASSERT_EQUAL(std::string("<not found>"), b.harness.value("room", "gc:x"));
        // Nor does a later group count what was in the one that failed.
        CPPUNIT_ASSERT(b.harness.write(request("room", {increment("gc:y", 1, 1)})).status == Status::ok);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, held(b.port().vector(), a.self()));
        b.harness.seen.clear();
        CPPUNIT_ASSERT_EQUAL(std::string(), b.merge(a.own_entries()));
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, held(b.port().vector(), a.self()));
        CPPUNIT_ASSERT_EQUAL(size_t{1}, b.harness.seen.size());
    }

    void an_entry_that_does_not_decode_fails_its_merge_and_names_its_key() {
        Replica a(1, base_seed()), b(2, base_seed() + 1);
        a.harness.write(request("room", {increment("gc:x", 1, 5)}));
        a.harness.write(request("room", {increment("gc:y", 1, 5)}));
        a.settle();
        auto entries = a.own_entries();
        entries[1].payload = "nonsense";
        const std::string error = b.merge(entries);
        CPPUNIT_ASSERT_MESSAGE(error, error.find("entry of key 'gc:y' of namespace 'room': log entry: ") == 0);
        // Nothing of the call happened.
        CPPUNIT_ASSERT_EQUAL(std::string("<not found>"), b.harness.value("room", "gc:x"));
        CPPUNIT_ASSERT(b.harness.disk.log.empty());
    }

    void an_entry_that_is_renumbered_goes_on_as_an_own_one() {
        Replica a(1, base_seed()), b(2, base_seed() + 1), c(3, base_seed() + 2);
        a.harness.write(request("room", {increment("gc:x", 1, 5)}));
        a.settle();
        auto entries = a.own_entries();
        entries[0].renumber = true;
        CPPUNIT_ASSERT_EQUAL(std::string(), b.merge(entries));
        CPPUNIT_ASSERT(b.port().vector() == (VersionVector{{b.self(), 1}}));
        CPPUNIT_ASSERT_EQUAL(size_t{1}, b.committed.size());
        CPPUNIT_ASSERT_EQUAL(std::string(), c.merge(b.read({{b.self()}}).entries));
        CPPUNIT_ASSERT(a.digests() == b.digests() && a.digests() == c.digests());
    }

    void a_batch_becomes_visible_in_one_step() {
        Replica a(1, base_seed()), b(2, base_seed() + 1);
        a.harness.write(request("room", {increment("gc:x", 1, 1), increment("gc:y", 1, 1), increment("gc:z", 1, 1)}));
        a.settle();
        const auto entries = a.own_entries();
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, wire::decode_log_entry(entries[0].payload)->batch_following);
        b.merge(entries);
        CPPUNIT_ASSERT_EQUAL(size_t{3}, b.harness.seen.size());
        for (const Seen& seen : b.harness.seen) CPPUNIT_ASSERT_EQUAL(uint64_t{3}, seen.durable_position);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, b.harness.store->groups().size());
    }

    void entries_are_read_back_page_by_page() {
        Replica a(1, base_seed()), b(2, base_seed() + 1);
        for (uint64_t i = 1; i <= 30; ++i)
            a.harness.write(request(i % 2 ? "room" : "hall", {increment("gc:" + std::to_string(i % 4), i, 1)}));
        a.settle();
        for (uint64_t i = 0; i < 30; i += 3) {
            b.merge(part(a.own_entries(), i, i + 3));
            b.harness.write(request("room", {increment("gc:b", 9, 1)}));
        }
        // Both origins together, a few at a time, each from where it ended.
        uint64_t of_a = 0, of_b = 0;
        bool complete = false;
        for (int round = 0; round < 100 && !complete; ++round) {
            const EntryPage page = b.read({{a.self(), of_a}, {b.self(), of_b}}, 7);
            CPPUNIT_ASSERT_EQUAL(std::string(), page.error);
            CPPUNIT_ASSERT(page.gone.empty());
            CPPUNIT_ASSERT(!page.entries.empty() && page.entries.size() <= 8);
            for (const RemoteEntry& entry : page.entries) {
                uint64_t& at = entry.origin == a.self() ? of_a : of_b;
                CPPUNIT_ASSERT_EQUAL(at + 1, entry.sequence);
                at = entry.sequence;
                if (entry.origin == a.self()) {
                    const CommittedEntry& original = a.committed[entry.sequence - 1];
                    CPPUNIT_ASSERT(entry.name == original.name);
                    CPPUNIT_ASSERT_EQUAL(original.payload, entry.payload);
                    CPPUNIT_ASSERT_EQUAL(original.wall_ms, entry.wall_ms);
                }
            }
            complete = page.complete;
        }
        CPPUNIT_ASSERT_EQUAL(uint64_t{30}, of_a);
        CPPUNIT_ASSERT_EQUAL(uint64_t{10}, of_b);
        // Part of a range; what is not there; a limit of bytes smaller than one entry.
        CPPUNIT_ASSERT_EQUAL(from_to(6, 12), sequences(b.read({{a.self(), 5, 12}}).entries));
        const EntryPage beyond = b.read({{a.self(), 30}, {{77, 1}, 0}});
        CPPUNIT_ASSERT(beyond.complete && beyond.entries.empty() && beyond.gone.empty());
        const EntryPage small = b.read({{a.self(), 3}}, 1000, 1);
        CPPUNIT_ASSERT(!small.entries.empty() && small.entries.size() <= 3 && !small.complete);
        CPPUNIT_ASSERT_EQUAL(uint64_t{4}, small.entries[0].sequence);
        // A node that was opened again serves the same.
        b.restart(false);
        CPPUNIT_ASSERT_EQUAL(from_to(1, 30), sequences(b.read({{a.self()}}).entries));
    }

    // Who holds what comes after a gap asks for the gap, and then for what comes after that.
    void entries_behind_a_range_are_found_by_the_next_reading() {
        Replica a(1, base_seed());
        for (uint64_t i = 1; i <= 30; ++i) a.harness.submit(request("room", {increment("gc:x", i, 1)}));
        a.settle();
        CPPUNIT_ASSERT_EQUAL(from_to(1, 5), sequences(a.read({{a.self(), 0, 5}}).entries));
        CPPUNIT_ASSERT_EQUAL(from_to(8, 20), sequences(a.read({{a.self(), 7, 20}}).entries));
        CPPUNIT_ASSERT_EQUAL(from_to(21, 30), sequences(a.read({{a.self(), 20}}).entries));
    }

    void entries_of_cold_keys_do_not_overtake() {
        Replica a(1, base_seed()), b(2, base_seed() + 1);
        // All in one namespace, so in one shard: the first key has to be loaded, the others are in memory.
        b.harness.write(request("room", {increment("gc:cold", 9, 1)}));
        b.restart(true);
        b.harness.write(request("room", {increment("gc:warm", 9, 1)}));
        for (int i = 0; i < 4; ++i) a.harness.write(request("room", {increment(i == 0 ? "gc:cold" : "gc:warm", 1, 1)}));
        a.settle();
        const auto entries = a.own_entries();
        size_t completed = 0;
        for (size_t i = 0; i < entries.size(); ++i)
            b.port().merge({entries[i]}, [&](const Result<void>& merged) { completed += merged.ok(); });
        CPPUNIT_ASSERT(b.harness.world.run_until([&] { return completed == entries.size(); }));
        std::vector<uint64_t> order;
        for (const LogEntry& entry : b.harness.disk.log)
            if (entry.origin_node_id == 1) order.push_back(entry.origin_sequence);
        CPPUNIT_ASSERT_EQUAL(from_to(1, 4), text_of(order));
    }

    // Entries 1, 2, 3 ... of namespaces of two shards in turn; in `b` one of the first shard has to be loaded first.
    std::vector<RemoteEntry> entries_of_two_shards(Replica& a, Replica& b) {
        std::string other = "hall";
        while (b.harness.node->shard_index(other) == b.harness.node->shard_index("room")) other += "x";
        b.harness.write(request("room", {increment("gc:cold", 9, 1)}));
        b.restart(true);
        for (uint64_t i = 0; i < 6; ++i) {
            a.harness.write(
                request(i % 2 == 0 ? "room" : other, {increment(i == 0 ? "gc:cold" : "gc:warm", 1 + i, 1)}));
        }
        a.settle();
        return a.own_entries();
    }

    // A number that is in the log but beyond the vector is known to nobody: if its origin is lost, so that the gap is
    // never closed, this node differs from all others for ever.
    void what_a_crash_leaves_of_a_merge_is_its_beginning() {
        for (uint64_t commits = 1; commits <= 4; ++commits) {
            Replica a(1, base_seed()), b(2, base_seed() + commits);
            const auto entries = entries_of_two_shards(a, b);
            b.port().merge(entries, [](const Result<void>&) {});
            const uint64_t until = b.harness.store->commits() + commits;
            b.harness.world.run_until([&] { return b.harness.store->commits() == until; }, 1'000'000);
            b.restart(false);
            std::vector<uint64_t> order;
            for (const LogEntry& entry : b.harness.disk.log)
                if (entry.origin_node_id == 1) order.push_back(entry.origin_sequence);
            CPPUNIT_ASSERT_EQUAL(from_to(1, held(b.port().vector(), a.self())), text_of(order));
        }
    }

    void nothing_of_a_merge_is_committed_behind_a_part_that_failed() {
        for (uint64_t seed = 0; seed < 20; ++seed) {
            Replica a(1, base_seed()), b(2, base_seed() + seed);
            const auto entries = entries_of_two_shards(a, b);
            b.harness.store->fail_next_commit(CommitStatus::not_committed);
            CPPUNIT_ASSERT(!b.merge(entries).empty());
            b.settle();
            CPPUNIT_ASSERT_EQUAL(uint64_t{0}, held(b.port().vector(), a.self()));
            for (const LogEntry& entry : b.harness.disk.log) CPPUNIT_ASSERT(entry.origin_node_id != 1);
            CPPUNIT_ASSERT_EQUAL(std::string(), b.merge(entries));
            CPPUNIT_ASSERT_EQUAL(uint64_t{6}, held(b.port().vector(), a.self()));
        }
    }

    void a_page_has_something_although_others_overtook_it_by_far() {
        Replica a(1, base_seed()), b(2, base_seed() + 1);
        std::string other = "hall";
        while (b.harness.node->shard_index(other) == b.harness.node->shard_index("room")) other += "x";
        b.harness.write(request("room", {increment("gc:cold", 9, 1)}));
        b.restart(true);
        b.harness.write(request(other, {increment("gc:warm", 9, 1)}));
        a.harness.write(request("room", {increment("gc:cold", 1, 1)}));
        std::vector<WriteItem> items;
        for (int i = 0; i < 3000; ++i) items.push_back(increment("gc:warm", 1, 1));
        a.harness.write(request(other, std::move(items)));
        a.settle();
        const auto entries = a.own_entries();
        // As in the log of an earlier version, the first entry stands behind the 3,000.
        CPPUNIT_ASSERT_EQUAL(std::string(), b.merge(part(entries, 1, entries.size())));
        CPPUNIT_ASSERT_EQUAL(std::string(), b.merge(part(entries, 0, 1)));
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, b.harness.disk.log.back().origin_sequence);
        const EntryPage page = b.read({{a.self(), 0}}, 100);
        CPPUNIT_ASSERT(!page.entries.empty());
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, page.entries[0].sequence);
    }

    void what_the_log_no_longer_has_is_gone() {
        NodeLimits limits;
        limits.checkpoint_interval_ms = 1000;
        Replica a(1, base_seed()), b(2, base_seed() + 1, limits);
        constexpr uint64_t count = 3 * LogIndex::interval;
        for (uint64_t i = 0; i < count; i += 512) {
            std::vector<WriteItem> items;
            for (uint64_t k = 0; k < 512; ++k) items.push_back(increment("gc:" + std::to_string(k % 5), 1, 1));
            CPPUNIT_ASSERT(a.harness.write(request("room", std::move(items))).status == Status::ok);
        }
        a.settle();
        const auto entries = a.own_entries();
        for (uint64_t i = 0; i < count; i += 512)
            CPPUNIT_ASSERT_EQUAL(std::string(), b.merge(part(entries, i, i + 512)));
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, held(b.port().floors(), a.self()));
        b.harness.store->retain_from(LogIndex::interval + 100);
        b.harness.write(request("room", {increment("gc:own", 1, 1)}));
        CPPUNIT_ASSERT(
            b.harness.world.run_until([&] { return b.harness.disk.floor == LogIndex::interval + 100; }, 600'000'000));
        const EntryPage page = b.read({{a.self(), 0}});
        CPPUNIT_ASSERT_EQUAL(std::string(), page.error);
        CPPUNIT_ASSERT(page.entries.empty() && !page.complete);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, page.gone.size());
        const uint64_t floor = page.gone[0].second;
        CPPUNIT_ASSERT(floor > LogIndex::interval + 100 && floor <= 2 * LogIndex::interval + 513);
        CPPUNIT_ASSERT_EQUAL(floor, held(b.port().floors(), a.self()));
        CPPUNIT_ASSERT_EQUAL(from_to(floor, floor + 9), sequences(b.read({{a.self(), floor - 1}}, 10).entries));
        // The same after it was opened again.
        b.restart(true);
        CPPUNIT_ASSERT_EQUAL(floor, held(b.port().floors(), a.self()));
        CPPUNIT_ASSERT_EQUAL(from_to(floor, floor + 9), sequences(b.read({{a.self(), floor - 1}}, 10).entries));
    }

    void a_vector_raised_to_less_does_not_give_back_what_the_log_lacks() {
        Replica a(1, base_seed()), b(2, base_seed() + 1);
        for (uint64_t i = 1; i <= 8; ++i) a.harness.write(request("room", {increment("gc:x", i, 1)}));
        a.settle();
        const auto entries = a.own_entries();
        const auto raise = [&](uint64_t upto) {
            const auto raised = b.wait<Result<void>>([&](auto done) {
                b.port().raise_vector({{a.self(), upto}}, std::move(done));
            });
            CPPUNIT_ASSERT(raised.ok());
        };
        const auto check = [&](uint64_t floor) {
            CPPUNIT_ASSERT_EQUAL(uint64_t{8}, held(b.port().vector(), a.self()));
            CPPUNIT_ASSERT_EQUAL(floor, held(b.port().floors(), a.self()));
            // Otherwise it is asked for what it does not have, for ever.
            CPPUNIT_ASSERT_EQUAL(floor > 3 ? size_t{1} : size_t{0}, b.read({{a.self(), 2}}).gone.size());
        };
        raise(5);
        b.merge(part(entries, 5, 8));
        raise(3);
        check(6);
        b.restart(false);
        check(6);
        // What the log has it still has.
        b.harness.disk = {};
        b.restart(false);
        b.merge(entries);
        raise(3);
        check(1);
    }

    void a_new_incarnation_begins_at_one_and_the_old_one_is_kept() {
        Replica a(1, base_seed());
        a.harness.write(request("room", {increment("gc:x", 1, 5)}));
        a.harness.write(request("room", {increment("gc:x", 1, 5)}));
        a.restart(true);
        const Origin before = a.self();
        const auto begun = a.wait<Result<void>>([&](auto done) { a.port().begin_incarnation(done); });
        CPPUNIT_ASSERT(begun.ok());
        CPPUNIT_ASSERT(a.self().incarnation > before.incarnation);
        a.committed.clear();
        a.harness.write(request("room", {increment("gc:x", 1, 5)}));
        a.settle();
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, a.committed.at(0).sequence);
        CPPUNIT_ASSERT_EQUAL(a.self().incarnation, wire::decode_log_entry(a.committed[0].payload)->stamp.incarnation);
        const auto check = [&] {
            CPPUNIT_ASSERT_EQUAL(uint64_t{2}, held(a.port().vector(), before));
            CPPUNIT_ASSERT_EQUAL(uint64_t{1}, held(a.port().vector(), a.self()));
            CPPUNIT_ASSERT_EQUAL(from_to(1, 2), sequences(a.read({{before}}).entries));
        };
        check();
        a.restart(false);
        check();
    }

    // Whoever finds out late that its numbers are used cannot wait for its next start.
    void writes_that_wait_are_numbered_under_the_new_incarnation() {
        for (uint64_t seed = 0; seed < 20; ++seed) {
            Replica a(1, base_seed() + seed);
            const Origin before = a.self();
            a.harness.write(request("room", {increment("gc:x", 1, 1)}));
            for (uint64_t i = 0; i < 10; ++i) {
                a.harness.submit(request(i % 2 ? "room" : "hall", {increment("gc:x", 1, 1)}));
                if (a.harness.world.chance(0.3)) a.harness.world.run_for(a.harness.world.below(300));
            }
            const auto begun = a.wait<Result<void>>([&](auto done) { a.port().begin_incarnation(done); });
            CPPUNIT_ASSERT(begun.ok());
            for (uint64_t i = 0; i < 3; ++i) a.harness.write(request("room", {increment("gc:x", 1, 1)}));
            a.settle();
            CPPUNIT_ASSERT_EQUAL(size_t{14}, a.committed.size());
            VersionVector told;
            for (const CommittedEntry& each : a.committed) {
                CPPUNIT_ASSERT_EQUAL(++told[each.origin], each.sequence);
                const EntryPage page = a.read({{each.origin, each.sequence - 1, each.sequence}});
                CPPUNIT_ASSERT_EQUAL(each.payload, page.entries.at(0).payload);
            }
            CPPUNIT_ASSERT(held(told, before) >= 1 && held(told, a.self()) >= 3);
            CPPUNIT_ASSERT(told == a.port().vector());
            a.restart(false);
            CPPUNIT_ASSERT(told == a.port().vector());
        }
    }

    void the_old_incarnation_is_kept_although_the_first_try_for_a_new_one_failed() {
        Replica a(1, base_seed());
        a.harness.write(request("room", {increment("gc:x", 1, 5)}));
        a.restart(true);
        const Origin before = a.self();
        a.harness.store->fail_next_commit(CommitStatus::not_committed);
        CPPUNIT_ASSERT(!a.wait<Result<void>>([&](auto done) { a.port().begin_incarnation(done); }).ok());
        CPPUNIT_ASSERT(a.wait<Result<void>>([&](auto done) { a.port().begin_incarnation(done); }).ok());
        a.restart(false);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, held(a.port().vector(), before));
    }

    void a_restored_store_counts_what_it_wrote_under_the_old_incarnation() {
        Replica a(1, base_seed());
        for (int i = 0; i < 3; ++i) a.harness.write(request("room", {increment("gc:x", 1, 5)}));
        a.harness.stop();
        const Origin before = a.self();
        const std::string name(head_metadata_name);
        CPPUNIT_ASSERT(!new_incarnation_writes("no head", 1, 0));
        const auto writes = new_incarnation_writes(a.harness.disk.metadata.at(name), 1, 0);
        CPPUNIT_ASSERT(writes.has_value());
        for (const MetadataWrite& write : *writes) a.harness.disk.metadata[write.name] = write.value.value();
        a.restart(false);
        CPPUNIT_ASSERT_EQUAL(before.incarnation + 1, a.self().incarnation);
        CPPUNIT_ASSERT_EQUAL(uint64_t{3}, held(a.port().vector(), before));
        CPPUNIT_ASSERT_EQUAL(from_to(1, 3), sequences(a.read({{before}}).entries));
        a.harness.write(request("room", {increment("gc:x", 1, 5)}));
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, held(a.port().vector(), a.self()));
    }

    // Entries of others come while the node makes up its mind, and are under way when it has.
    void a_new_incarnation_keeps_what_came_from_others_since_the_start() {
        Replica a(1, base_seed()), b(2, base_seed() + 1);
        for (uint64_t i = 1; i <= 40; ++i) b.harness.write(request("room", {increment("gc:x", 2, i)}));
        b.settle();
        const auto of_b = b.own_entries();
        for (uint64_t i = 1; i <= 3; ++i) a.harness.write(request("room", {increment("gc:x", 1, 1)}));
        a.restart(true);
        const Origin before = a.self();
        CPPUNIT_ASSERT_EQUAL(std::string(), a.merge(part(of_b, 0, 10)));
        size_t merged = 0;
        for (size_t i = 10; i < 30; ++i) {
            a.port().merge(part(of_b, i, i + 1), [&merged](const Result<void>& result) { merged += result.ok(); });
            a.harness.world.run_for(a.harness.world.below(300));
        }
        const auto begun = a.wait<Result<void>>([&](auto done) { a.port().begin_incarnation(done); });
        CPPUNIT_ASSERT(begun.ok());
        a.settle();
        CPPUNIT_ASSERT_EQUAL(size_t{20}, merged);
        const auto check = [&](uint64_t of_b_held, uint64_t own) {
            CPPUNIT_ASSERT_EQUAL(of_b_held, held(a.port().vector(), b.self()));
            CPPUNIT_ASSERT_EQUAL(uint64_t{3}, held(a.port().vector(), before));
            CPPUNIT_ASSERT_EQUAL(own, held(a.port().vector(), a.self()));
        };
        check(30, 0);
        CPPUNIT_ASSERT_EQUAL(std::string(), a.merge(part(of_b, 30, 40)));
        a.committed.clear();
        a.harness.write(request("room", {increment("gc:x", 1, 1)}));
        a.settle();
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, a.committed.at(0).sequence);
        check(40, 1);
        a.restart(false);
        check(40, 1);
    }

    void digests_are_equal_in_any_order_of_arrival_and_tell_what_differs() {
        Replica a(1, base_seed()), b(2, base_seed() + 1), c(3, base_seed() + 2);
        for (uint64_t i = 1; i <= 12; ++i) {
            a.harness.write(request(i % 2 ? "room" : "hall", {increment("gc:" + std::to_string(i % 5), i, i)}));
            b.harness.write(request("room", {assign("lw:" + std::to_string(i % 3), std::to_string(i), i, 2)}));
        }
        a.settle();
        b.settle();
        a.merge(b.own_entries());
        b.merge(a.own_entries());
        auto shuffled = a.own_entries();
        for (RemoteEntry& entry : b.own_entries()) shuffled.push_back(std::move(entry));
        std::shuffle(shuffled.begin(), shuffled.end(), c.harness.world.generator());
        c.merge(shuffled);
        CPPUNIT_ASSERT(a.digests().size() > 6);
        CPPUNIT_ASSERT(a.digests() == b.digests());
        CPPUNIT_ASSERT(a.digests() == c.digests(100));
        c.restart(true);
        CPPUNIT_ASSERT(a.digests() == c.digests(1));
        a.harness.write(request("room", {increment("gc:1", 1, 1)}));
        const auto of_a = a.digests(), of_b = b.digests();
        CPPUNIT_ASSERT_EQUAL(of_a.size(), of_b.size());
        const KeyName changed{"room", "gc:1"};
        for (const auto& [name, digest] : of_a) CPPUNIT_ASSERT_EQUAL(name == changed, digest != of_b.at(name));
    }

    void digests_leave_out_what_is_dead() {
        Replica a(1, base_seed());
        const uint64_t start_ms = a.harness.world.wall_ms();
        const auto heartbeat = [&](uint64_t client_id, uint64_t ttl_ms) {
            return item("pr:x",
                        crdt::PresenceHeartbeat{client_id, JsonValue::integer(1), {start_ms, 0, client_id}, ttl_ms});
        };
        const crdt::Tag kept{1}, removed{2};
        a.harness.write(request("room", {heartbeat(1, 20'000'000), heartbeat(2, 5'000)}));
        a.harness.write(request("room", {item("or:x", crdt::OrSetAdd{JsonValue::integer(1), kept, 0, 0}),
                                         item("or:x", crdt::OrSetAdd{JsonValue::integer(1), removed, 0, 0}),
                                         item("or:x", crdt::OrSetRemove{JsonValue::integer(1), {removed}})}));
        for (const char* name : {"pr:x", "or:x"}) {
            const crdt::Key key = a.harness.key_on_disk({"room", name});
            crdt::Key compacted = key;
            compacted.expire(start_ms + 10'000'000);
            compacted.compact({start_ms + 10'000'000, start_ms + 10'000'000, 1000});
            CPPUNIT_ASSERT(!(key == compacted));
            const auto form = [&](const crdt::Key& of, uint64_t at_ms) {
                return wire::encode_digest_form(of, start_ms + at_ms, start_ms + at_ms / 2);
            };
            CPPUNIT_ASSERT_EQUAL(form(key, 10'000'000), form(compacted, 10'000'000));
            CPPUNIT_ASSERT(form(key, 0) != form(compacted, 0));
        }
    }

    // A node that has missed the write which set the deadline shows the key for ever if nothing tells it of the end.
    void digests_tell_of_an_end_until_the_row_may_go() {
        NodeLimits limits;
        limits.expired_row_guard_ms = 40'000;
        Replica a(1, base_seed(), limits), b(2, base_seed() + 1, limits);
        a.harness.write(request("room", {increment("gc:x", 1, 1)}));
        CPPUNIT_ASSERT_EQUAL(std::string(), b.merge(a.own_entries()));
        a.harness.write(request("room", {increment("gc:x", 1, 1, 1'000)}));
        a.harness.world.run_for(2'000'000);
        CPPUNIT_ASSERT_EQUAL(std::string("<not found>"), a.harness.value("room", "gc:x"));
        CPPUNIT_ASSERT_EQUAL(size_t{1}, a.digests().size());
        CPPUNIT_ASSERT(a.digests() != b.digests());
        const auto states = a.wait<Result<std::vector<KeyState>>>([&](auto done) {
            a.port().read_states({{"room", "gc:x"}}, std::move(done));
        });
        CPPUNIT_ASSERT_EQUAL(std::string(), b.merge({{{}, 0, 0, {"room", "gc:x"}, *states->at(0).payload}}));
        b.harness.world.run_for(2'000'000);
        CPPUNIT_ASSERT_EQUAL(std::string("<not found>"), b.harness.value("room", "gc:x"));
        CPPUNIT_ASSERT(a.digests() == b.digests());
        a.harness.world.run_for(20'000'000);
        CPPUNIT_ASSERT(a.digests().empty());
    }

    void whole_states_and_a_raised_vector_make_nodes_level() {
        Replica a(1, base_seed()), b(2, base_seed() + 1);
        for (uint64_t i = 1; i <= 10; ++i)
            a.harness.write(request("room", {increment("gc:" + std::to_string(i % 3), i, i)}));
        a.settle();
        const VersionVector vector = a.port().vector();
        std::vector<KeyName> names{{"room", "gc:none"}};
        for (const auto& [name, digest] : a.digests()) names.push_back(name);
        const auto states =
            a.wait<Result<std::vector<KeyState>>>([&](auto done) { a.port().read_states(names, std::move(done)); });
        CPPUNIT_ASSERT(states.ok());
        std::vector<RemoteEntry> entries;
        for (const KeyState& state : *states) {
            CPPUNIT_ASSERT_EQUAL(state.name.key == "gc:none", !state.payload.has_value());
            if (state.payload) entries.push_back({{}, 0, 0, state.name, *state.payload});
        }
        CPPUNIT_ASSERT_EQUAL(std::string(), b.merge(entries));
        CPPUNIT_ASSERT(b.port().vector().empty());
        CPPUNIT_ASSERT(a.digests() == b.digests());
        const auto raised = b.wait<Result<void>>([&](auto done) { b.port().raise_vector(vector, done); });
        CPPUNIT_ASSERT(raised.ok());
        const auto check = [&] {
            CPPUNIT_ASSERT_EQUAL(uint64_t{10}, held(b.port().vector(), a.self()));
            // It has the effect of the entries, not the entries.
            CPPUNIT_ASSERT_EQUAL(uint64_t{11}, held(b.port().floors(), a.self()));
            CPPUNIT_ASSERT_EQUAL(size_t{1}, b.read({{a.self()}}).gone.size());
        };
        check();
        b.restart(false);
        check();
        // Live entries go on from there.
        a.committed.clear();
        a.harness.write(request("room", {increment("gc:0", 1, 1)}));
        a.settle();
        b.merge(a.own_entries());
        CPPUNIT_ASSERT_EQUAL(uint64_t{11}, held(b.port().vector(), a.self()));
        CPPUNIT_ASSERT(a.digests() == b.digests());
    }

    // Whoever asks for many of them must not fill this node's memory.
    void large_states_are_given_a_few_at_a_time() {
        Replica a(1, base_seed());
        std::vector<KeyName> names;
        for (uint64_t i = 1; i <= 100; ++i) {
            const std::string key = "lw:" + std::to_string(i);
            const std::string value = '"' + std::string(200'000, 'x') + '"';
            CPPUNIT_ASSERT(a.harness.write(request("room", {assign(key, value, i, 1)})).status == Status::ok);
            names.push_back({"room", key});
        }
        std::set<std::string> got;
        size_t most = 0;
        while (!names.empty()) {
            const auto states =
                a.wait<Result<std::vector<KeyState>>>([&](auto done) { a.port().read_states(names, std::move(done)); });
            CPPUNIT_ASSERT(states.ok() && !states->empty());
            size_t bytes = 0;
            for (const KeyState& state : *states) {
                CPPUNIT_ASSERT(state.payload && got.insert(state.name.key).second);
                bytes += state.payload->size();
                names.erase(std::find(names.begin(), names.end(), state.name));
            }
            most = std::max(most, bytes);
        }
        CPPUNIT_ASSERT_EQUAL(size_t{100}, got.size());
        CPPUNIT_ASSERT(most > 4'000'000 && most < 5'000'000);
        CPPUNIT_ASSERT_EQUAL(size_t{100}, a.digests(100).size());
    }

    void no_tombstone_goes_before_every_member_is_known_to_hold_it() {
        NodeLimits limits;
        limits.tombstone_grace_ms = 1000;
        limits.checkpoint_interval_ms = 100;
        Replica a(1, base_seed(), limits);
        const crdt::Tag tag{5};
        const auto tombstones = [&] {
            const crdt::Key key = a.harness.key_on_disk({"room", "or:x"});
            return std::get<crdt::OrSet>(key.value()).tag_count();
        };
        // A write to the key an hour later makes it worth a checkpoint, and so a compaction.
        uint8_t number = 10;
        const auto an_hour_later = [&] {
            a.harness.world.run_for(3600'000'000ULL);
            a.harness.write(
                request("room", {item("or:x", crdt::OrSetAdd{JsonValue::integer(2), crdt::Tag{++number}, 0, 0})}));
            a.harness.world.run_for(60'000'000);
            return tombstones();
        };
        a.harness.write(request("room", {item("or:x", crdt::OrSetAdd{JsonValue::integer(1), tag, 0, 0})}));
        a.harness.write(request("room", {item("or:x", crdt::OrSetRemove{JsonValue::integer(1), {tag}})}));
        const uint64_t removed_ms = a.harness.world.wall_ms();
        CPPUNIT_ASSERT_EQUAL(size_t{2}, an_hour_later());
        a.port().set_covered_before(removed_ms - 1000);
        CPPUNIT_ASSERT_EQUAL(size_t{3}, an_hour_later());
        a.port().set_covered_before(removed_ms + 1000);
        CPPUNIT_ASSERT_EQUAL(size_t{3}, an_hour_later());  // one more, one less
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ReplicationPortTest);

}  // namespace meridian::node
