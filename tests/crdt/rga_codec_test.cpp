// The RGA's part of core deltas and snapshots: round trips, canonical bytes, and what broken bytes get.
#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>
#include <random>
#include <string>

#include "rga_history.h"
#include "rga_model.h"
#include "wire/rga_codec.h"

namespace meridian::crdt::test {

namespace {

std::string state_bytes(const Rga& rga) {
    BinaryWriter out;
    wire::encode_rga_state(out, rga);
    return out.take();
}

std::string delta_bytes(const RgaDelta& delta) {
    BinaryWriter out;
    wire::encode_rga_delta(out, delta);
    return out.take();
}

// Nothing if the bytes are refused; else what they re-encode to.
std::optional<std::string> state_again(std::string_view bytes) {
    BinaryReader in(bytes);
    const auto decoded = wire::decode_rga_state(in);
    if (!decoded || !in.at_end()) return std::nullopt;
    return state_bytes(*decoded);
}

std::optional<std::string> delta_again(std::string_view bytes) {
    BinaryReader in(bytes);
    const auto decoded = wire::decode_rga_delta(in);
    if (!decoded || !in.at_end()) return std::nullopt;
    return delta_bytes(*decoded);
}

HistoryShape shape_for(unsigned seed) {
    HistoryShape shape;
    shape.ops = seed % 120;
    shape.skew_ms = seed % 2 * 30;
    shape.unknown_percent = seed % 4 * 5;
    shape.typing_percent = seed % 5 * 25;
    shape.conflict_percent = seed % 3 * 4;
    return shape;
}

Rga random_rga(unsigned seed) {
    std::mt19937_64 random(seed);
    auto history = random_history(random, shape_for(seed));
    std::shuffle(history.begin(), history.end(), random);
    Rga rga;
    for (const RgaDelta& delta : history) join(rga, delta);
    return rga;
}

class RgaCodecTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(RgaCodecTest);
    CPPUNIT_TEST(states_come_back_as_they_were);
    CPPUNIT_TEST(equal_states_have_equal_bytes_however_they_came_about);
    CPPUNIT_TEST(deltas_come_back_as_they_were);
    CPPUNIT_TEST(a_keystroke_is_small);
    CPPUNIT_TEST(typed_text_is_small_in_a_state);
    CPPUNIT_TEST(ids_that_interleave_across_runs_are_decoded);
    CPPUNIT_TEST(an_id_that_occurs_twice_is_refused);
    CPPUNIT_TEST(a_greater_younger_sibling_is_refused);
    CPPUNIT_TEST(a_step_in_a_longer_form_is_refused);
    CPPUNIT_TEST(cut_bytes_are_refused);
    CPPUNIT_TEST(changed_bytes_are_refused_or_mean_what_they_say);
    CPPUNIT_TEST(random_bytes_are_refused_or_mean_what_they_say);
    CPPUNIT_TEST_SUITE_END();

public:
    void states_come_back_as_they_were() {
        for (unsigned seed = 1; seed <= 300; ++seed) {
            const Rga rga = random_rga(seed);
            const std::string bytes = state_bytes(rga);
            BinaryReader in(bytes);
            const auto decoded = wire::decode_rga_state(in);
            const std::string message = "seed " + std::to_string(seed);
            CPPUNIT_ASSERT_MESSAGE(message + ": " + (decoded ? "" : decoded.error().message), decoded.ok());
            CPPUNIT_ASSERT_MESSAGE(message, in.at_end() && *decoded == rga && shown(*decoded) == shown(rga));
            // It works on as the original does.
            Rga left = rga;
            Rga right = *decoded;
            std::mt19937_64 random(seed + 1);
            for (const RgaDelta& delta : random_history(random, shape_for(seed + 1))) {
                join(left, delta);
                join(right, delta);
            }
            CPPUNIT_ASSERT_MESSAGE(message, left == right && shown(left) == shown(right));
        }
    }

    void equal_states_have_equal_bytes_however_they_came_about() {
        for (unsigned seed = 1; seed <= 200; ++seed) {
            std::mt19937_64 random(seed);
            auto history = random_history(random, shape_for(seed));
            Rga first;
            for (const RgaDelta& delta : history) join(first, delta);
            std::shuffle(history.begin(), history.end(), random);
            Rga second;
            for (const RgaDelta& delta : history) join(second, delta);
            CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed), state_bytes(first) == state_bytes(second));
            second.compact({});
            CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed), state_bytes(first) == state_bytes(second));
        }
    }

    void deltas_come_back_as_they_were() {
        for (unsigned seed = 1; seed <= 200; ++seed) {
            std::mt19937_64 random(seed);
            for (const RgaDelta& delta : random_history(random, shape_for(seed))) {
                CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed),
                                       delta_again(delta_bytes(delta)) == delta_bytes(delta));
            }
            const RgaDelta whole = random_rga(seed).full_delta();
            const std::string bytes = delta_bytes(whole);
            BinaryReader in(bytes);
            const auto decoded = wire::decode_rga_delta(in);
            CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed), decoded.ok() && in.at_end() && *decoded == whole);
        }
    }

    void a_keystroke_is_small() {
        const Hlc origin{1700000000000, 0, 5};
        const RgaDelta delta = delta_of(make_insert(Hlc{1700000000150, 0, 5}, origin, U'x'));
        CPPUNIT_ASSERT(delta_bytes(delta).size() <= 16);
    }

    void typed_text_is_small_in_a_state() {
        Rga rga;
        RgaDelta typed;
        std::optional<Hlc> origin;
        for (uint64_t i = 0; i < 10000; ++i) {
            const Hlc id{1700000000000 + i * 150, 0, 5};
            typed.add(RgaElement{id, origin, U'x', false});
            origin = id;
        }
        CPPUNIT_ASSERT_EQUAL(size_t{1}, typed.runs().size());
        join(rga, typed);
        CPPUNIT_ASSERT(state_bytes(rga).size() <= 3 * 10000 + 40);
    }

    void ids_that_interleave_across_runs_are_decoded() {
        // Two chains of one author whose ids alternate: stored in pieces, written as two runs.
        Rga rga;
        std::optional<Hlc> left;
        std::optional<Hlc> right;
        RgaDelta delta;
        for (uint64_t i = 1; i <= 500; ++i) {
            delta.add(RgaElement{Hlc{2 * i, 0, 1}, left, U'l', false});
            delta.add(RgaElement{Hlc{2 * i + 1, 0, 1}, right, U'r', false});
            left = Hlc{2 * i, 0, 1};
            right = Hlc{2 * i + 1, 0, 1};
        }
        join(rga, delta);
        const std::string bytes = state_bytes(rga);
        BinaryReader in(bytes);
        const auto decoded = wire::decode_rga_state(in);
        CPPUNIT_ASSERT(decoded.ok());
        CPPUNIT_ASSERT(*decoded == rga);
        for (uint64_t i = 2; i <= 1001; ++i) CPPUNIT_ASSERT(decoded->sequence().find(Hlc{i, 0, 1}).has_value());
    }

    void an_id_that_occurs_twice_is_refused() {
        BinaryWriter out;
        out.varint(1);  // one author
        out.varint(1);
        out.varint(2);  // two runs of one character: the second, a child of the first, has the same id
        for (int i = 0; i < 2; ++i) {
            out.varint(1 << 1);
            out.varint(0);
            out.zigzag(i == 0 ? 10 : 0);
            out.varint(0);
            out.varint(0);
            out.varint('x');
        }
        out.varint(0);
        out.varint(0);
        BinaryReader in(out.data());
        const auto decoded = wire::decode_rga_state(in);
        CPPUNIT_ASSERT(!decoded);
        CPPUNIT_ASSERT_EQUAL(std::string("RGA runs: expected every id once"), decoded.error().message);
    }

    void a_greater_younger_sibling_is_refused() {
        for (const bool descending : {true, false}) {
            BinaryWriter out;
            out.varint(1);  // one author
            out.varint(1);
            out.varint(2);  // two children of the root
            for (int i = 0; i < 2; ++i) {
                out.varint(1 << 1);
                out.varint(0);
                out.zigzag(i == 0 ? 10 : descending ? -1 : 1);
                out.varint(0);
                out.varint(i == 0 ? 0 : 1);
                out.varint('x');
            }
            out.varint(0);
            out.varint(0);
            CPPUNIT_ASSERT_EQUAL(descending, state_again(out.data()).has_value());
        }
    }

    void a_step_in_a_longer_form_is_refused() {
        const std::string_view one("\x00", 1);
        const std::string_view one_longer("\x01\x01", 2);
        const std::string_view two("\x01\x02", 2);
        Hlc stamp{10, 0, 1};
        CPPUNIT_ASSERT(check_rga_step(one, stamp) == size_t{1});
        CPPUNIT_ASSERT(stamp == (Hlc{10, 1, 1}));
        CPPUNIT_ASSERT(!check_rga_step(one_longer, stamp));
        CPPUNIT_ASSERT(check_rga_step(two, stamp) == size_t{2});
        CPPUNIT_ASSERT(stamp == (Hlc{10, 3, 1}));
        Hlc last{UINT64_MAX, 65535, 1};
        CPPUNIT_ASSERT(!check_rga_step(one, last));
        CPPUNIT_ASSERT(!check_rga_step(std::string_view("\x02", 1), last));
    }

    void cut_bytes_are_refused() {
        for (unsigned seed = 1; seed <= 40; ++seed) {
            const Rga rga = random_rga(seed);
            const std::string state = state_bytes(rga);
            for (size_t size = 0; size < state.size(); ++size) {
                CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed),
                                       !state_again(std::string_view(state).substr(0, size)));
            }
            const std::string delta = delta_bytes(rga.full_delta());
            for (size_t size = 0; size < delta.size(); ++size) {
                CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed),
                                       !delta_again(std::string_view(delta).substr(0, size)));
            }
        }
    }

    void changed_bytes_are_refused_or_mean_what_they_say() {
        size_t accepted = 0;
        for (unsigned seed = 1; seed <= 25; ++seed) {
            const Rga rga = random_rga(seed * 3);
            for (const bool as_state : {true, false}) {
                std::string bytes = as_state ? state_bytes(rga) : delta_bytes(rga.full_delta());
                for (size_t i = 0; i < bytes.size() * 8; ++i) {
                    bytes[i / 8] = static_cast<char>(bytes[i / 8] ^ (1 << i % 8));
                    const auto again = as_state ? state_again(bytes) : delta_again(bytes);
                    if (again) {
                        ++accepted;
                        CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed) + " bit " + std::to_string(i),
                                               *again == bytes);
                    }
                    bytes[i / 8] = static_cast<char>(bytes[i / 8] ^ (1 << i % 8));
                }
            }
        }
        CPPUNIT_ASSERT(accepted > 0);
    }

    void random_bytes_are_refused_or_mean_what_they_say() {
        std::mt19937_64 random(1);
        for (unsigned i = 0; i < 20000; ++i) {
            std::string bytes(random() % 40, '\0');
            for (char& byte : bytes) byte = static_cast<char>(random() % (i % 2 == 0 ? 8 : 256));
            if (const auto again = state_again(bytes)) CPPUNIT_ASSERT(*again == bytes);
            if (const auto again = delta_again(bytes)) CPPUNIT_ASSERT(*again == bytes);
        }
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(RgaCodecTest);

}  // namespace

}  // namespace meridian::crdt::test
