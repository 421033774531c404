// Random histories with loss of power at any moment, failed groups, evictions and checkpoints, against an oracle of
// what was acknowledged. MERIDIAN_TEST_SEED chooses another seed, MERIDIAN_TEST_RUNS the number of histories.
#include <cstdlib>
#include <set>

#include "harness.h"

namespace meridian::node {

namespace {

uint64_t runs() {
    const char* text = std::getenv("MERIDIAN_TEST_RUNS");
    return text != nullptr ? std::strtoull(text, nullptr, 10) : 300;
}

// Every write adds one element to a set, named by a number of its own: what the store holds can be compared element by
// element with what was acknowledged.
struct Written {
    std::string ns, key;
    uint64_t number;
    std::shared_ptr<std::optional<WriteOutcome>> result;
    std::vector<uint64_t> batch;  // the other numbers of its batch
};

crdt::Op add(uint64_t number) {
    crdt::Tag tag{};
    for (size_t i = 0; i < 8; ++i) tag[i] = static_cast<uint8_t>(number >> (8 * i));
    return crdt::OrSetAdd{JsonValue::integer(static_cast<int64_t>(number)), tag, 0, 0};
}

std::set<uint64_t> elements(const crdt::Key& key, uint64_t now_ms) {
    std::set<uint64_t> found;
    if (!key.visible(now_ms)) return found;
    const std::string json = key.value_json(now_ms);
    for (size_t at = json.find('['); at != std::string::npos && at + 1 < json.size(); at = json.find(',', at + 1)) {
        if (json[at + 1] == ']') break;
        found.insert(std::strtoull(json.c_str() + at + 1, nullptr, 10));
    }
    return found;
}

uint64_t number_in(const DeltaFrame& frame) {
    const auto& delta = std::get<crdt::OrSetClientDelta>(frame.delta());
    CPPUNIT_ASSERT_EQUAL(size_t{1}, delta.adds.size());
    return std::strtoull(delta.adds[0].first.c_str(), nullptr, 10);
}

}  // namespace

class CrashTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(CrashTest);
    CPPUNIT_TEST(nothing_acknowledged_or_told_is_ever_lost_and_nothing_is_invented);
    CPPUNIT_TEST(the_same_seed_gives_the_same_history);
    CPPUNIT_TEST_SUITE_END();

public:
    void nothing_acknowledged_or_told_is_ever_lost_and_nothing_is_invented() {
        uint64_t total_acknowledged = 0, total_failed = 0, total_evicted = 0, total_checkpoints = 0;
        for (uint64_t run = 0; run < runs(); ++run) {
            const uint64_t seed = base_seed() + run;
            try {
                history(seed, total_acknowledged, total_failed, total_evicted, total_checkpoints);
            } catch (CppUnit::Exception& failure) {
                failure.setMessage(CppUnit::Message("seed " + std::to_string(seed), failure.what()));
                throw;
            }
        }
        // The histories must have exercised what they are for.
        CPPUNIT_ASSERT(total_acknowledged > 1000);
        CPPUNIT_ASSERT(total_failed > 10);
        CPPUNIT_ASSERT(total_evicted > 10);
        CPPUNIT_ASSERT(total_checkpoints > 100);
    }

    void the_same_seed_gives_the_same_history() {
        std::string digests[2];
        for (std::string& digest : digests) {
            uint64_t ignored = 0;
            digest = history(base_seed(), ignored, ignored, ignored, ignored);
        }
        CPPUNIT_ASSERT(!digests[0].empty());
        CPPUNIT_ASSERT_EQUAL(digests[0], digests[1]);
    }

private:
    static std::string history(uint64_t seed, uint64_t& acknowledged, uint64_t& failed, uint64_t& evicted,
                               uint64_t& checkpoints) {
        NodeLimits limits;
        limits.cache_bytes_max = 12'000;
        limits.checkpoint_interval_ms = 20;
        Harness h(seed, limits);
        std::vector<Written> writes;
        uint64_t next_number = 1;
        for (int life = 0; life < 4; ++life) {
            for (int i = 0; i < 120; ++i) {
                const std::string ns = "room" + std::to_string(h.world.below(3));
                const size_t count = h.world.chance(0.2) ? 1 + h.world.below(4) : 1;
                std::vector<WriteItem> items;
                std::vector<Written> batch;
                std::vector<uint64_t> numbers;
                for (size_t j = 0; j < count; ++j) {
                    const std::string key = "or:" + std::to_string(h.world.below(12));
                    items.push_back(item(key, add(next_number)));
                    batch.push_back({ns, key, next_number, nullptr, {}});
                    numbers.push_back(next_number++);
                }
                auto result = h.submit(request(ns, std::move(items)));
                for (Written& written : batch) {
                    written.result = result;
                    written.batch = numbers;
                    writes.push_back(written);
                }
                if (h.world.chance(0.3)) h.submit_read(ns, "or:" + std::to_string(h.world.below(12)));
                if (h.world.chance(0.02)) h.store->fail_next_commit(CommitStatus::not_committed);
                if (life == 2 && h.world.chance(0.005)) h.store->fail_next_commit(CommitStatus::outcome_unknown);
                for (uint64_t steps = h.world.below(12); steps > 0; --steps) h.world.step(UINT64_MAX);
                if (h.world.chance(0.05)) h.world.run_for(h.world.below(30'000));
            }
            const NodeStatistics statistics = h.node->statistics();
            evicted += statistics.keys_evicted;
            checkpoints += statistics.checkpoints;
            CPPUNIT_ASSERT_EQUAL(std::string(), h.store->violation());
            h.restart(life == 1 && h.node->statistics().writable);
        }
        verify(h, writes, acknowledged, failed);
        std::string digest;
        for (const LogEntry& entry : h.disk.log) digest += entry.payload;
        for (const auto& [name, row] : h.disk.rows) digest += name.key + row.state.value_or("");
        return digest;
    }

    static void verify(Harness& h, const std::vector<Written>& writes, uint64_t& acknowledged, uint64_t& failed) {
        std::map<KeyName, std::set<uint64_t>> stored;
        std::set<uint64_t> submitted, present;
        for (const Written& write : writes) {
            const KeyName name{write.ns, write.key};
            if (!stored.count(name)) stored[name] = elements(h.key_on_disk(name), h.world.wall_ms());
        }
        for (const auto& [name, found] : stored) present.insert(found.begin(), found.end());
        for (const Written& write : writes) {
            submitted.insert(write.number);
            const bool here = stored[{write.ns, write.key}].count(write.number) != 0;
            if (write.result->has_value() && (*write.result)->status == Status::ok) {
                ++acknowledged;
                CPPUNIT_ASSERT_MESSAGE("acknowledged and lost: " + std::to_string(write.number), here);
            }
            if (write.result->has_value() && (*write.result)->status == Status::unavailable) {
                ++failed;
                CPPUNIT_ASSERT_MESSAGE("refused and kept: " + std::to_string(write.number), !here);
            }
            for (const uint64_t other : write.batch) {
                CPPUNIT_ASSERT_MESSAGE("half a batch: " + std::to_string(other),
                                       present.count(other) == present.count(write.number));
            }
        }
        for (const uint64_t number : present) CPPUNIT_ASSERT_MESSAGE("invented", submitted.count(number) == 1);
        for (const Seen& seen : h.seen) {
            CPPUNIT_ASSERT_MESSAGE("told and lost", present.count(number_in(*seen.frame)) == 1);
        }
        // What the node serves after its last restart is what the disk holds.
        for (const auto& [name, found] : stored) {
            const crdt::Key on_disk = h.key_on_disk(name);
            const std::string expected =
                on_disk.generation() == 0 ? "<not found>" : on_disk.value_json(h.world.wall_ms());
            CPPUNIT_ASSERT_EQUAL(expected, h.value(name.namespace_name, name.key));
        }
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(CrashTest);

}  // namespace meridian::node
