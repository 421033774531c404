// The log of ops as nodes of the older implementation read it (cluster-and-storage.md section 6.3).
#include "replication/legacy_log.h"

#include <cppunit/extensions/HelperMacros.h>
#include <rapidcheck.h>

#include <random>

#include "base/msgpack.h"
#include "replication/hex.h"

namespace meridian::test {

namespace {

using replication::decode_legacy_log;
using replication::LegacyLogEntry;
using replication::LegacyLogWriter;

// Section 6.3, from the specification: one entry, counter +5 by client 7.
constexpr const char* vector_hex =
    "91 85 a3736571 01 a96e616d657370616365 a4726f6f6d a7637264745f6964 a867633a7669657773"
    "a86f705f6279746573 dc001e cc81cca847436f756e746572cc82cca9636c69656e745f696407cca6616d6f756e7405"
    "ac74696d657374616d705f6d73 cf0000018bcfe56800";
constexpr const char* op_hex = "81a847436f756e74657282a9636c69656e745f696407a6616d6f756e7405";

LegacyLogEntry counter_entry() {
    return {1, "room", "gc:views", from_hex(op_hex), 1700000000000};
}

bool same(const LegacyLogEntry& a, const LegacyLogEntry& b) {
    return a.position == b.position && a.namespace_name == b.namespace_name && a.key == b.key &&
           a.op_bytes == b.op_bytes && a.wall_ms == b.wall_ms;
}

std::string encode(const std::vector<LegacyLogEntry>& entries) {
    LegacyLogWriter writer(SIZE_MAX, SIZE_MAX);
    for (const LegacyLogEntry& entry : entries) CPPUNIT_ASSERT(writer.add(entry));
    return std::move(writer).finish();
}

}  // namespace

class LegacyLogTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(LegacyLogTest);
    CPPUNIT_TEST(encodes_the_published_vector);
    CPPUNIT_TEST(answers_an_empty_array_for_an_empty_log);
    CPPUNIT_TEST(comes_back_as_it_was);
    CPPUNIT_TEST(accepts_what_the_older_implementation_accepts);
    CPPUNIT_TEST(refuses_what_is_no_log);
    CPPUNIT_TEST(refuses_every_truncation);
    CPPUNIT_TEST(stops_at_the_limits_but_holds_at_least_one);
    CPPUNIT_TEST_SUITE_END();

public:
    void encodes_the_published_vector() {
        CPPUNIT_ASSERT_EQUAL(to_hex(from_hex(vector_hex)), to_hex(encode({counter_entry()})));
        const auto decoded = decode_legacy_log(from_hex(vector_hex));
        CPPUNIT_ASSERT(decoded.ok() && decoded->size() == 1 && same((*decoded)[0], counter_entry()));
    }

    void answers_an_empty_array_for_an_empty_log() {
        CPPUNIT_ASSERT_EQUAL(std::string("90"), to_hex(encode({})));
        const auto decoded = decode_legacy_log("\x90");
        CPPUNIT_ASSERT(decoded.ok() && decoded->empty());
    }

    void comes_back_as_it_was() {
        const bool held = rc::check("a log of ops comes back", [](uint64_t seed) {
            std::mt19937_64 random(seed);
            std::vector<LegacyLogEntry> entries;
            uint64_t position = 0;
            for (size_t left = random() % 40; left > 0; --left) {
                position += 1 + (random() >> 40);
                LegacyLogEntry entry{position, "n", "key" + std::to_string(random() % 100), "",
                                     random() >> random() % 64};
                for (size_t size = random() % 300; size > 0; --size)
                    entry.op_bytes += static_cast<char>(random() % 256);
                entries.push_back(entry);
            }
            const auto decoded = decode_legacy_log(encode(entries));
            RC_ASSERT(decoded.ok());
            RC_ASSERT(decoded->size() == entries.size());
            for (size_t i = 0; i < entries.size(); ++i) RC_ASSERT(same((*decoded)[i], entries[i]));
        });
        CPPUNIT_ASSERT(held);
    }

    void accepts_what_the_older_implementation_accepts() {
        const auto accepts = [](const std::string& hex) {
            const auto decoded = decode_legacy_log(from_hex(hex));
            return decoded.ok() && decoded->size() == 1 && (*decoded)[0].position == 1 &&
                   (*decoded)[0].op_bytes == "\x05" && (*decoded)[0].wall_ms == 2;
        };
        const std::string seq = "a373657101", space = "a96e616d657370616365a172", key = "a7637264745f6964a16b";
        const std::string op = "a86f705f62797465739105", time = "ac74696d657374616d705f6d7302";
        CPPUNIT_ASSERT(accepts("9185" + seq + space + key + op + time));
        CPPUNIT_ASSERT(accepts("9186" + time + key + "a178c0" + op + space + seq));
        CPPUNIT_ASSERT(accepts("9185" + seq + space + key + "a86f705f6279746573c40105" + time));
        CPPUNIT_ASSERT(accepts("91 95 01 a172 a16b 9105 02"));
        CPPUNIT_ASSERT(accepts("91 95 01 a172 a16b c40105 02 ffff"));
    }

    void refuses_what_is_no_log() {
        for (const char* hex : {"", "80", "c0", "9101", "919401a172a16b9105", "919601a172a16b91050203",
                                "919501a172a16b91cd010002", "919501a0a16b910502", "919501a172a0910502"}) {
            const auto decoded = decode_legacy_log(from_hex(hex));
            CPPUNIT_ASSERT_MESSAGE(hex, !decoded.ok());
            CPPUNIT_ASSERT(decoded.error().message.starts_with("log of ops: "));
        }
    }

    void refuses_every_truncation() {
        const std::string bytes = from_hex(vector_hex);
        for (size_t size = 0; size < bytes.size(); ++size) CPPUNIT_ASSERT(!decode_legacy_log({bytes.data(), size}));
    }

    void stops_at_the_limits_but_holds_at_least_one() {
        LegacyLogEntry entry = counter_entry();
        const size_t entry_bytes = encode({entry}).size() - 1;
        LegacyLogWriter by_bytes(2 * entry_bytes, 100);
        CPPUNIT_ASSERT(by_bytes.add(entry));
        entry.position = 2;
        CPPUNIT_ASSERT(by_bytes.add(entry));
        entry.position = 3;
        CPPUNIT_ASSERT(!by_bytes.add(entry));
        CPPUNIT_ASSERT_EQUAL(size_t{2}, by_bytes.count());
        const std::string bytes = std::move(by_bytes).finish();
        CPPUNIT_ASSERT_EQUAL(1 + 2 * entry_bytes, bytes.size());
        const auto decoded = decode_legacy_log(bytes);
        CPPUNIT_ASSERT(decoded.ok() && decoded->size() == 2 && (*decoded)[1].position == 2);

        LegacyLogWriter by_count(SIZE_MAX, 1);
        CPPUNIT_ASSERT(by_count.add(entry));
        entry.position = 4;
        CPPUNIT_ASSERT(!by_count.add(entry));

        LegacyLogWriter tiny(1, 0);
        CPPUNIT_ASSERT(tiny.add(entry));
        CPPUNIT_ASSERT_EQUAL(entry_bytes + 1, std::move(tiny).finish().size());
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(LegacyLogTest);

}  // namespace meridian::test
