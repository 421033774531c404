// Messages between nodes: what is written is read back, and what is refused, for which reason.
#include "replication/message.h"

#include <cppunit/extensions/HelperMacros.h>
#include <rapidcheck.h>

#include <algorithm>

#include "base/msgpack.h"
#include "base/utf8.h"
#include "replication/hex.h"
#include "replication/message_samples.h"

namespace meridian::test {

namespace {

using namespace replication;

const Seal unsealed("", "", false);
const Seal accepting("blue", "a secret", false);
const Seal requiring("blue", "a secret", true);

// "ok", "unknown KIND", or the reason. Checks that the error text is fit to be logged.
std::string outcome(std::string_view bytes, const Seal& seal) {
    RefusalReason reason = RefusalReason::too_new;
    const auto decoded = decode_message(bytes, seal, &reason);
    if (decoded) {
        const auto* unknown = std::get_if<UnknownKind>(&*decoded);
        return unknown != nullptr ? "unknown " + unknown->kind : "ok";
    }
    CPPUNIT_ASSERT(decoded.error().message.starts_with("message"));
    CPPUNIT_ASSERT(decoded.error().message.size() < 1000 && is_valid_utf8(decoded.error().message));
    return std::string(refusal_text(reason));
}

std::string error_of(std::string_view bytes, const Seal& seal) {
    const auto decoded = decode_message(bytes, seal);
    return decoded ? "accepted" : decoded.error().message;
}

Message decoded(std::string_view bytes, const Seal& seal) {
    auto result = decode_message(bytes, seal);
    CPPUNIT_ASSERT_MESSAGE(result ? "" : result.error().message, result.ok());
    CPPUNIT_ASSERT(std::holds_alternative<Message>(*result));
    return std::get<Message>(std::move(*result));
}

// Pairs of name and value (hex), as a map.
using Pairs = std::vector<std::pair<std::string, std::string>>;
std::string map_of(const Pairs& pairs) {
    std::string bytes;
    MsgpackWriter writer(bytes);
    writer.map(pairs.size());
    for (const auto& [name, value_hex] : pairs) {
        writer.string(name);
        writer.raw(from_hex(value_hex));
    }
    return bytes;
}
std::string string_hex(const std::string& text) {
    std::string bytes;
    MsgpackWriter(bytes).string(text);
    return to_hex(bytes);
}
std::string binary_hex(const std::string& content) {
    std::string bytes;
    MsgpackWriter(bytes).binary(content);
    return to_hex(bytes);
}
// `count` times the same element.
std::string array_hex(size_t count, const std::string& element_hex) {
    std::string bytes;
    MsgpackWriter writer(bytes);
    writer.array(count);
    for (size_t i = 0; i < count; ++i) writer.raw(from_hex(element_hex));
    return to_hex(bytes);
}
Pairs message(const std::string& kind, Pairs body) {
    Pairs all = {{"t", string_hex(kind)}, {"v", "01"}, {"from", "01"}, {"inc", "02"}, {"ts", "03"}, {"n", "04"}};
    all.insert(all.end(), body.begin(), body.end());
    return all;
}
Pairs without(Pairs pairs, const std::string& name) {
    std::erase_if(pairs, [&](const auto& pair) { return pair.first == name; });
    return pairs;
}
Pairs with(Pairs pairs, const std::string& name, const std::string& value_hex) {
    pairs = without(std::move(pairs), name);
    pairs.emplace_back(name, value_hex);
    return pairs;
}

const Pairs hello = message(
    "hello",
    {{"floor", "01"}, {"vv", "9193010205"}, {"max", "64"}, {"enc", "920101"}, {"nonce", "c4020102"}, {"ivl", "0a"}});
const Pairs pull = message("pull", {{"want", "919401020300"}, {"bytes", "64"}, {"count", "0a"}});
const Pairs entries = message("ents", {{"ents", "91930102919505 06 a172 a16b c40107"}});
const Pairs tree = message("tree", {{"scan", "00"}, {"paths", "92a0a26633"}});
const Pairs tree_reply = message("tree", {{"re", "c3"}, {"scan", "05"}, {"vv", "90"}, {"nodes", "9193a1660207"}});
const Pairs keys_reply = message("keys", {{"re", "c3"}, {"scan", "05"}, {"keys", "9193a172a16b07"}});
const Pairs states = message("snap", {{"names", "9192a172a16b"}});
const Pairs states_reply = message("snap", {{"re", "c3"}, {"states", "9293a172a16bc093a172a16cc40107"}});
const Pairs awareness = message("aw", {{"ns", "a172"}, {"client_id", "07"}, {"key", "a0"}, {"data", "c40107"}});
const Pairs revoke = message("ctl", {{"cmd", "a67265766f6b65"}, {"ns", "a172"}, {"client_id", "07"}});
const Pairs refusal = message("err", {{"code", "a462757379"}, {"retry_ms", "0a"}});

const std::string ok = "ok";
const std::string malformed = "malformed";

}  // namespace

class MessageTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(MessageTest);
    CPPUNIT_TEST(every_kind_comes_back_as_it_was);
    CPPUNIT_TEST(equal_messages_have_equal_bytes);
    CPPUNIT_TEST(accepts_the_smallest_form_of_every_kind);
    CPPUNIT_TEST(refuses_a_missing_or_mistyped_field);
    CPPUNIT_TEST(accepts_fields_in_any_order_and_unknown_ones);
    CPPUNIT_TEST(refuses_what_is_no_map);
    CPPUNIT_TEST(refuses_every_truncation);
    CPPUNIT_TEST(does_not_believe_counts_that_the_input_cannot_hold);
    CPPUNIT_TEST(refuses_every_single_bit_flip_of_a_signed_message);
    CPPUNIT_TEST(names_every_reason_of_refusal);
    CPPUNIT_TEST(tells_unknown_kinds_and_commands);
    CPPUNIT_TEST(refuses_what_is_beyond_the_limits);
    CPPUNIT_TEST(refuses_contradictions);
    CPPUNIT_TEST(leaves_out_ranges_that_ask_for_nothing);
    CPPUNIT_TEST(cuts_error_texts_between_characters);
    CPPUNIT_TEST(error_names_the_field_and_what_was_found);
    CPPUNIT_TEST_SUITE_END();

public:
    void every_kind_comes_back_as_it_was() {
        const bool held = rc::check("every kind comes back as it was", [](uint64_t seed) {
            std::mt19937_64 random(seed);
            for (const Seal* seal : {&unsealed, &accepting, &requiring}) {
                for (size_t kind = 0; kind < body_kinds; ++kind) {
                    const Message message = random_message(random, kind, seal->cluster_id());
                    const auto read = decode_message(encode_message(message, *seal), *seal);
                    if (!read) RC_FAIL(read.error().message);
                    const auto* again = std::get_if<Message>(&*read);
                    RC_ASSERT(again != nullptr);
                    RC_ASSERT(same_message(message, *again));
                }
            }
        });
        CPPUNIT_ASSERT(held);
    }

    void equal_messages_have_equal_bytes() {
        std::mt19937_64 random(1);
        for (size_t kind = 0; kind < body_kinds; ++kind) {
            const std::string bytes = encode_message(random_message(random, kind, "blue"), requiring);
            CPPUNIT_ASSERT_EQUAL(to_hex(bytes), to_hex(encode_message(decoded(bytes, requiring), requiring)));
        }
    }

    void accepts_the_smallest_form_of_every_kind() {
        const Message said_hello = decoded(map_of(hello), unsealed);
        CPPUNIT_ASSERT(said_hello.header.from == (Origin{1, 2}));
        CPPUNIT_ASSERT_EQUAL(uint64_t{3}, said_hello.header.wall_ms);
        CPPUNIT_ASSERT_EQUAL(uint64_t{4}, said_hello.header.number);
        CPPUNIT_ASSERT(!said_hello.header.to && said_hello.header.request_id == 0 && !said_hello.header.is_reply);
        const auto& as_hello = std::get<Hello>(said_hello.body);
        CPPUNIT_ASSERT(as_hello.vector == (VersionVector{{{1, 2}, 5}}));
        CPPUNIT_ASSERT(as_hello.addresses.empty() && !as_hello.ready && as_hello.nonce == "\x01\x02");

        const Message asks = decoded(map_of(pull), unsealed);
        const auto& as_pull = std::get<Pull>(asks.body);
        CPPUNIT_ASSERT(as_pull.want[0].origin == (Origin{1, 2}) && as_pull.want[0].after == 3);
        CPPUNIT_ASSERT_EQUAL(UINT64_MAX, as_pull.want[0].upto);

        const Message told = decoded(map_of(entries), unsealed);
        const node::RemoteEntry& entry = std::get<Entries>(told.body).entries.at(0);
        CPPUNIT_ASSERT(entry.origin == (Origin{1, 2}) && entry.sequence == 5 && entry.wall_ms == 6);
        CPPUNIT_ASSERT(entry.name == (node::KeyName{"r", "k"}) && entry.payload == "\x07");

        const Message asked = decoded(map_of(tree), unsealed);
        CPPUNIT_ASSERT(std::get<TreeRequest>(asked.body).paths == (std::vector<std::string>{"", "f3"}));
    }

    void refuses_a_missing_or_mistyped_field() {
        for (const Pairs& kind :
             {hello, pull, entries, tree_reply, keys_reply, states, states_reply, awareness, revoke, refusal}) {
            CPPUNIT_ASSERT_EQUAL_MESSAGE(error_of(map_of(kind), unsealed), ok, outcome(map_of(kind), unsealed));
            for (const auto& [name, value] : kind) {
                // Without "re" a reply is a request that lacks its fields.
                CPPUNIT_ASSERT_EQUAL_MESSAGE(name, malformed, outcome(map_of(without(kind, name)), unsealed));
                CPPUNIT_ASSERT_EQUAL_MESSAGE(name, malformed, outcome(map_of(with(kind, name, "d40000")), unsealed));
            }
        }
        for (const char* optional :
             {"wait", "mem", "url", "echo", "ask", "leaving", "ready", "to", "toinc", "rid", "re"}) {
            CPPUNIT_ASSERT_EQUAL_MESSAGE(optional, malformed,
                                         outcome(map_of(with(hello, optional, "d40000")), unsealed));
        }
        for (const char* optional : {"done", "gone", "err"}) {
            CPPUNIT_ASSERT_EQUAL_MESSAGE(optional, malformed,
                                         outcome(map_of(with(entries, optional, "d40000")), unsealed));
        }
    }

    void accepts_fields_in_any_order_and_unknown_ones() {
        Pairs pairs = with(entries, "later", "81a16193c0c2cb3ff0000000000000");
        std::reverse(pairs.begin(), pairs.end());
        const Message read = decoded(map_of(pairs), unsealed);
        CPPUNIT_ASSERT(same_message(decoded(map_of(entries), unsealed), read));
    }

    void refuses_what_is_no_map() {
        for (const char* hex : {"", "c0", "05", "90", "96a568656c6c6f0101020304", "c1", "80"}) {
            CPPUNIT_ASSERT_EQUAL_MESSAGE(hex, malformed, outcome(from_hex(hex), unsealed));
        }
        CPPUNIT_ASSERT_EQUAL(malformed, outcome(from_hex("90"), requiring));
        CPPUNIT_ASSERT_EQUAL(malformed, outcome(from_hex("810101"), unsealed));
        CPPUNIT_ASSERT_EQUAL(malformed, outcome(std::string(2000, '\x91'), unsealed));
    }

    void refuses_every_truncation() {
        std::mt19937_64 random(2);
        for (const Seal* seal : {&unsealed, &requiring}) {
            for (size_t kind = 0; kind < body_kinds; ++kind) {
                const std::string bytes = encode_message(random_message(random, kind, seal->cluster_id()), *seal);
                for (size_t size = 0; size < bytes.size(); ++size) {
                    CPPUNIT_ASSERT_EQUAL(malformed, outcome(std::string_view(bytes).substr(0, size), *seal));
                }
            }
        }
    }

    void does_not_believe_counts_that_the_input_cannot_hold() {
        for (const char* name : {"vv", "url"}) {
            CPPUNIT_ASSERT_EQUAL(malformed, outcome(map_of(with(hello, name, "ddffffffff")), unsealed));
        }
        CPPUNIT_ASSERT_EQUAL(malformed, outcome(map_of(with(entries, "ents", "91930102ddffffffff")), unsealed));
        CPPUNIT_ASSERT_EQUAL(malformed, outcome(map_of(with(hello, "nonce", "c6ffffffff")), unsealed));
    }

    void refuses_every_single_bit_flip_of_a_signed_message() {
        std::mt19937_64 random(3);
        for (size_t kind = 0; kind < body_kinds; ++kind) {
            const std::string bytes = encode_message(random_message(random, kind, "blue"), requiring);
            for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
                std::string changed = bytes;
                changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
                const std::string found = outcome(changed, requiring);
                CPPUNIT_ASSERT_MESSAGE(
                    "bit " + std::to_string(bit) + ": " + found,
                    found == malformed || found == "bad_mac" || found == "unsigned" || found == "foreign_cluster");
                if (bit / 8 >= bytes.size() - Seal::code_bytes) CPPUNIT_ASSERT_EQUAL(std::string("bad_mac"), found);
            }
        }
    }

    void names_every_reason_of_refusal() {
        std::mt19937_64 random(4);
        const Message message = random_message(random, 0, "blue");
        const std::string is_signed = encode_message(message, accepting);
        const std::string plain = encode_message(message, Seal("blue", "", false));
        CPPUNIT_ASSERT_EQUAL(ok, outcome(is_signed, requiring));
        CPPUNIT_ASSERT_EQUAL(ok, outcome(is_signed, accepting));
        CPPUNIT_ASSERT_EQUAL(ok, outcome(is_signed, Seal("blue", "", false)));
        CPPUNIT_ASSERT_EQUAL(ok, outcome(plain, accepting));
        CPPUNIT_ASSERT_EQUAL(std::string("unsigned"), outcome(plain, requiring));
        CPPUNIT_ASSERT_EQUAL(std::string("bad_mac"), outcome(is_signed, Seal("blue", "another", false)));
        CPPUNIT_ASSERT_EQUAL(std::string("foreign_cluster"), outcome(is_signed, Seal("green", "a secret", true)));
        CPPUNIT_ASSERT_EQUAL(std::string("foreign_cluster"), outcome(is_signed, unsealed));
        CPPUNIT_ASSERT_EQUAL(std::string("foreign_cluster"), outcome(map_of(hello), accepting));
        CPPUNIT_ASSERT_EQUAL(std::string("too_new"), outcome(map_of(with(hello, "v", "02")), unsealed));
        CPPUNIT_ASSERT_EQUAL(malformed, outcome(map_of(with(hello, "v", "00")), unsealed));
    }

    void tells_unknown_kinds_and_commands() {
        CPPUNIT_ASSERT_EQUAL(std::string("unknown gossip"), outcome(map_of(message("gossip", {})), unsealed));
        CPPUNIT_ASSERT_EQUAL(std::string("unknown ctl stop"),
                             outcome(map_of(message("ctl", {{"cmd", string_hex("stop")}})), unsealed));
        CPPUNIT_ASSERT_EQUAL(malformed, outcome(map_of(message(std::string(65, 't'), {})), unsealed));
        // Not before its seal is checked.
        CPPUNIT_ASSERT_EQUAL(std::string("foreign_cluster"), outcome(map_of(message("gossip", {})), requiring));
    }

    void refuses_what_is_beyond_the_limits() {
        const auto check = [](const Pairs& base, const char* field, const std::string& most, const std::string& more) {
            CPPUNIT_ASSERT_EQUAL_MESSAGE(field, ok, outcome(map_of(with(base, field, most)), unsealed));
            CPPUNIT_ASSERT_EQUAL_MESSAGE(field, malformed, outcome(map_of(with(base, field, more)), unsealed));
        };
        const auto address = [](size_t name_bytes, size_t address_bytes) {
            return "9192" + string_hex(std::string(name_bytes, 't')) + string_hex(std::string(address_bytes, 'a'));
        };
        check(hello, "url", address(64, 2048), address(65, 1));
        check(hello, "url", address(64, 2048), address(1, 2049));
        check(hello, "url", array_hex(16, "92a174a161"), array_hex(17, "92a174a161"));
        check(hello, "nonce", binary_hex(std::string(64, 'n')), binary_hex(std::string(65, 'n')));
        check(hello, "enc", "9200ceffffffff", "9200cf0000000100000000");
        check(pull, "want", array_hex(4096, "9401020300"), array_hex(4097, "9401020300"));
        check(tree, "paths", array_hex(4096, "a161"), array_hex(4097, "a161"));
        check(tree, "paths", "91" + string_hex(std::string(32, 'f')), "91" + string_hex(std::string(33, 'f')));
        for (const char* digit : {"A", "g", "/", ":", " ", "\xc3\xa9"}) {
            check(tree, "paths", "91a130", "91" + string_hex(digit));
        }
        const auto named = [](size_t namespace_bytes, size_t key_bytes) {
            return "9192" + string_hex(std::string(namespace_bytes, 'n')) + string_hex(std::string(key_bytes, 'k'));
        };
        check(states, "names", named(255, 4096), named(256, 1));
        check(states, "names", named(1, 1), named(1, 4097));
        check(states, "names", named(1, 1), named(0, 1));
        check(states, "names", named(1, 1), named(1, 0));
        check(awareness, "ns", "a172", "a100");
        check(awareness, "key", string_hex(std::string(4096, 'k')), string_hex(std::string(4097, 'k')));
        check(awareness, "data", binary_hex(std::string(65536, 'd')), binary_hex(std::string(65537, 'd')));
        check(refusal, "code", string_hex(std::string(64, 'c')), string_hex(std::string(65, 'c')));
        check(entries, "err", string_hex(std::string(1024, 'e')), string_hex(std::string(1025, 'e')));
    }

    void refuses_contradictions() {
        // An origin twice, a sequence of 0, a range that ends before it begins, an item of another length.
        CPPUNIT_ASSERT_EQUAL(malformed, outcome(map_of(with(hello, "vv", "929301020593010206")), unsealed));
        CPPUNIT_ASSERT_EQUAL(malformed, outcome(map_of(with(hello, "vv", "9193010200")), unsealed));
        CPPUNIT_ASSERT_EQUAL(malformed, outcome(map_of(with(hello, "vv", "919401020500")), unsealed));
        CPPUNIT_ASSERT_EQUAL(malformed, outcome(map_of(with(pull, "want", "919401020303")), unsealed));
        CPPUNIT_ASSERT_EQUAL(malformed,
                             outcome(map_of(with(entries, "ents", "919301029195 00 06 a172 a16b c40107")), unsealed));
        // A field twice.
        Pairs twice = hello;
        twice.emplace_back("floor", "01");
        CPPUNIT_ASSERT_EQUAL(malformed, outcome(map_of(twice), unsealed));
    }

    void leaves_out_ranges_that_ask_for_nothing() {
        Message message;
        message.body = Pull{{{{1, 1}, 5, 5}, {{1, 1}, 5, 0}, {{2, 1}, 5, 6}, {{3, 1}, UINT64_MAX, UINT64_MAX}}, 1, 1};
        const Message read = decoded(encode_message(message, unsealed), unsealed);
        const auto& want = std::get<Pull>(read.body).want;
        CPPUNIT_ASSERT_EQUAL(size_t{1}, want.size());
        CPPUNIT_ASSERT(want[0].origin == (Origin{2, 1}) && want[0].upto == 6);
    }

    void cuts_error_texts_between_characters() {
        const auto sent = [](const std::string& error) {
            Message message;
            message.body = KeysReply{1, {}, error};
            return std::get<KeysReply>(decoded(encode_message(message, unsealed), unsealed).body).error;
        };
        CPPUNIT_ASSERT_EQUAL(std::string("no such scan"), sent("no such scan"));
        CPPUNIT_ASSERT_EQUAL(std::string(1024, 'e'), sent(std::string(5000, 'e')));
        CPPUNIT_ASSERT_EQUAL(std::string(1023, 'e'), sent(std::string(1023, 'e') + "\xc3\xa9"));
        CPPUNIT_ASSERT_EQUAL(std::string(1022, 'e') + "\xc3\xa9", sent(std::string(1022, 'e') + "\xc3\xa9z"));
        CPPUNIT_ASSERT(is_valid_utf8(sent("\xff")) && !sent("\xff").empty());
    }

    void error_names_the_field_and_what_was_found() {
        CPPUNIT_ASSERT_EQUAL(
            std::string("message \"hello\": field vv.0: found an array of 2 elements, expected [node, incarnation, "
                        "sequence]"),
            error_of(map_of(with(hello, "vv", "91920102")), unsealed));
        CPPUNIT_ASSERT_EQUAL(std::string("message: found the cluster id \"blue\", expected \"green\""),
                             error_of(map_of(with(hello, "cid", string_hex("blue"))), Seal("green", "", false)));
        CPPUNIT_ASSERT_EQUAL(std::string("message: found version 9, expected at most 1"),
                             error_of(map_of(with(hello, "v", "09")), unsealed));
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(MessageTest);

}  // namespace meridian::test
