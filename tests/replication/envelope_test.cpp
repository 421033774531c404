// The envelope (cluster-and-storage.md section 4): its bytes, what its decoder takes, and every reason of refusal.
#include "replication/envelope.h"

#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>

#include "base/msgpack.h"
#include "base/utf8.h"
#include "replication/hex.h"

namespace meridian::test {

namespace {

using replication::Envelope;
using replication::RefusalReason;
using replication::Seal;

const Seal unsealed("", "", false);
const Seal accepting("blue", "a secret", false);
const Seal requiring("blue", "a secret", true);

// Section 4.1, from the specification.
const std::string vector_hex =
    "84ae6f726967696e5f6e6f64655f696401a96e616d657370616365a4726f6f6d"
    "a7637264745f6964a867633a7669657773ab64656c74615f6279746573c40d"
    "81a8636f756e74657273810705";
const std::string counter_delta = from_hex("81a8636f756e74657273810705");

Envelope legacy() {
    Envelope envelope;
    envelope.origin_node_id = 1;
    envelope.namespace_name = "room";
    envelope.key = "gc:views";
    envelope.delta_bytes = counter_delta;
    return envelope;
}

Envelope numbered() {
    Envelope envelope = legacy();
    Envelope::Numbered& ours = envelope.numbered.emplace();
    ours.incarnation = 0x18bcfe568000001;
    ours.sequence = 300;
    ours.type_code = 1;
    ours.wall_ms = 1700000000000;
    ours.payload = std::string("\x01\x02\x00", 3);
    return envelope;
}

bool same(const Envelope& a, const Envelope& b) {
    if (a.numbered.has_value() != b.numbered.has_value()) return false;
    if (a.origin_node_id != b.origin_node_id || a.namespace_name != b.namespace_name || a.key != b.key ||
        a.delta_bytes != b.delta_bytes) {
        return false;
    }
    if (!a.numbered) return true;
    return a.numbered->incarnation == b.numbered->incarnation && a.numbered->sequence == b.numbered->sequence &&
           a.numbered->type_code == b.numbered->type_code && a.numbered->wall_ms == b.numbered->wall_ms &&
           a.numbered->repeated == b.numbered->repeated && a.numbered->payload == b.numbered->payload;
}

// "ok", or the reason. Checks that the error text is fit to be logged.
std::string outcome(std::string_view bytes, const Seal& seal) {
    RefusalReason reason = RefusalReason::too_new;
    const Result<Envelope> decoded = replication::decode_envelope(bytes, seal, &reason);
    if (decoded) return "ok";
    CPPUNIT_ASSERT(decoded.error().message.starts_with("envelope: "));
    CPPUNIT_ASSERT(decoded.error().message.size() < 1000 && is_valid_utf8(decoded.error().message));
    return std::string(refusal_text(reason));
}

// A map of fields; names plain, values in hex.
using Fields = std::vector<std::pair<std::string, std::string>>;
std::string map_of(const Fields& fields) {
    std::string bytes;
    MsgpackWriter writer(bytes);
    writer.map(fields.size());
    for (const auto& [name, value_hex] : fields) {
        writer.string(name);
        writer.raw(from_hex(value_hex));
    }
    return bytes;
}
const Fields legacy_fields = {{"origin_node_id", "01"},
                              {"namespace", "a4726f6f6d"},
                              {"crdt_id", "a867633a7669657773"},
                              {"delta_bytes", "c40d81a8636f756e74657273810705"}};
// In a cluster without id and secret.
const Fields our_fields = {{"v", "01"}, {"inc", "02"}, {"oseq", "03"}, {"ct", "01"}, {"ts", "04"}, {"xd", "c40105"}};
Fields all_fields() {
    Fields fields = legacy_fields;
    fields.insert(fields.end(), our_fields.begin(), our_fields.end());
    return fields;
}
Fields with(Fields fields, const std::string& name, const std::string& value_hex) {
    for (auto& field : fields) {
        if (field.first == name) {
            field.second = value_hex;
            return fields;
        }
    }
    fields.emplace_back(name, value_hex);
    return fields;
}
Fields without(Fields fields, const std::string& name) {
    std::erase_if(fields, [&](const auto& field) { return field.first == name; });
    return fields;
}

std::string string_hex(const std::string& text) {
    std::string bytes;
    MsgpackWriter(bytes).string(text);
    return to_hex(bytes);
}

}  // namespace

class EnvelopeTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(EnvelopeTest);
    CPPUNIT_TEST(encodes_the_published_vector);
    CPPUNIT_TEST(writes_our_keys_after_the_four_and_the_mac_last);
    CPPUNIT_TEST(gives_back_what_was_encoded);
    CPPUNIT_TEST(accepts_keys_in_any_order_and_unknown_ones);
    CPPUNIT_TEST(accepts_an_array_of_exactly_four);
    CPPUNIT_TEST(accepts_delta_bytes_as_an_array_of_integers);
    CPPUNIT_TEST(accepts_bytes_after_the_value);
    CPPUNIT_TEST(accepts_every_form_of_the_map_header);
    CPPUNIT_TEST(refuses_a_missing_or_mistyped_field);
    CPPUNIT_TEST(refuses_names_beyond_the_limits);
    CPPUNIT_TEST(refuses_our_keys_in_part);
    CPPUNIT_TEST(refuses_every_truncation);
    CPPUNIT_TEST(takes_deltas_of_the_older_implementation_in_a_named_cluster);
    CPPUNIT_TEST(refuses_another_cluster);
    CPPUNIT_TEST(refuses_unsigned_envelopes_only_if_required);
    CPPUNIT_TEST(refuses_every_single_bit_flip_of_a_signed_envelope);
    CPPUNIT_TEST(refuses_a_mac_that_is_not_last_or_of_another_form);
    CPPUNIT_TEST(refuses_another_secret);
    CPPUNIT_TEST(refuses_a_newer_version);
    CPPUNIT_TEST_SUITE_END();

public:
    void encodes_the_published_vector() {
        CPPUNIT_ASSERT_EQUAL(vector_hex, to_hex(encode_envelope(legacy(), unsealed)));
        // What has no number is the older implementation's, whatever the seal.
        CPPUNIT_ASSERT_EQUAL(vector_hex, to_hex(encode_envelope(legacy(), requiring)));
        const Result<Envelope> decoded = replication::decode_envelope(from_hex(vector_hex), unsealed);
        CPPUNIT_ASSERT(decoded.ok() && same(*decoded, legacy()));
        CPPUNIT_ASSERT(decoded->origin() == (node::Origin{1, 0}));
    }

    void writes_our_keys_after_the_four_and_the_mac_last() {
        // All but the code put together by hand.
        std::string pairs = vector_hex.substr(2);
        pairs += "a176 01";
        pairs += "a3636964 a4626c7565";
        pairs += "a3696e63 cf018bcfe568000001";
        pairs += "a46f736571 cd012c";
        pairs += "a26374 01";
        pairs += "a27473 cf0000018bcfe56800";
        pairs += "a27864 c403010200";
        // The code of these bytes under the key "a secret", by the HMAC of Python's standard library.
        const std::string code = "785ec4a1750ad89c61c778a0223adcd19a5dc427a5f574eda725b768013c216c";
        CPPUNIT_ASSERT_EQUAL(to_hex(from_hex("8c" + pairs + "a36d6163 c420" + code)),
                             to_hex(encode_envelope(numbered(), accepting)));
    }

    void gives_back_what_was_encoded() {
        for (const Seal* seal : {&unsealed, &accepting, &requiring}) {
            Envelope envelope = numbered();
            const std::string bytes = encode_envelope(envelope, *seal);
            const Result<Envelope> decoded = replication::decode_envelope(bytes, *seal);
            CPPUNIT_ASSERT(decoded.ok() && same(*decoded, envelope));
            CPPUNIT_ASSERT(decoded->origin() == (node::Origin{1, 0x18bcfe568000001}));
            envelope.numbered->repeated = true;
            const Result<Envelope> again = replication::decode_envelope(encode_envelope(envelope, *seal), *seal);
            CPPUNIT_ASSERT(again.ok() && same(*again, envelope));
        }
    }

    void accepts_keys_in_any_order_and_unknown_ones() {
        Fields fields = all_fields();
        std::reverse(fields.begin(), fields.end());
        fields.insert(fields.begin() + 3, {"sid", "c403616263"});
        fields.emplace_back("later", "81a16193c0c2cb3ff0000000000000");
        const Result<Envelope> decoded = replication::decode_envelope(map_of(fields), unsealed);
        CPPUNIT_ASSERT(decoded.ok() && decoded->numbered);
        CPPUNIT_ASSERT_EQUAL(std::string("room"), decoded->namespace_name);
        CPPUNIT_ASSERT_EQUAL(uint64_t{3}, decoded->numbered->sequence);

        Fields old = legacy_fields;
        old.emplace_back("ts", "c0");  // not what makes an envelope ours
        const Result<Envelope> decoded_old = replication::decode_envelope(map_of(old), unsealed);
        CPPUNIT_ASSERT(decoded_old.ok() && same(*decoded_old, legacy()));
    }

    void accepts_an_array_of_exactly_four() {
        const std::string four = "01a4726f6f6da867633a7669657773c40d81a8636f756e74657273810705";
        const Result<Envelope> decoded = replication::decode_envelope(from_hex("94" + four), unsealed);
        CPPUNIT_ASSERT(decoded.ok() && same(*decoded, legacy()));
        CPPUNIT_ASSERT_EQUAL(std::string("malformed"), outcome(from_hex("95" + four + "01"), unsealed));
        CPPUNIT_ASSERT_EQUAL(std::string("malformed"), outcome(from_hex("9301a4726f6f6da867633a7669657773"), unsealed));
        CPPUNIT_ASSERT_EQUAL(std::string("ok"), outcome(from_hex("94" + four), accepting));
        CPPUNIT_ASSERT_EQUAL(std::string("ok"), outcome(from_hex("94" + four), Seal("blue", "", true)));
        CPPUNIT_ASSERT_EQUAL(std::string("unsigned"), outcome(from_hex("94" + four), requiring));
    }

    void accepts_delta_bytes_as_an_array_of_integers() {
        const Result<Envelope> decoded = replication::decode_envelope(
            map_of(with(legacy_fields, "delta_bytes", "9d cc81 cca8 63 6f 75 6e 74 65 72 73 cc81 07 05")), unsealed);
        CPPUNIT_ASSERT(decoded.ok() && same(*decoded, legacy()));
        CPPUNIT_ASSERT_EQUAL(std::string("malformed"),
                             outcome(map_of(with(legacy_fields, "delta_bytes", "91cd0100")), unsealed));
    }

    void accepts_bytes_after_the_value() {
        CPPUNIT_ASSERT_EQUAL(std::string("ok"), outcome(from_hex(vector_hex + "ffff"), unsealed));
        CPPUNIT_ASSERT_EQUAL(std::string("ok"), outcome(encode_envelope(numbered(), requiring) + "tail", requiring));
    }

    void accepts_every_form_of_the_map_header() {
        const std::string pairs = encode_envelope(numbered(), requiring).substr(1);
        CPPUNIT_ASSERT_EQUAL(std::string("ok"), outcome(from_hex("8c") + pairs, requiring));
        CPPUNIT_ASSERT_EQUAL(std::string("ok"), outcome(from_hex("de000c") + pairs, requiring));
        CPPUNIT_ASSERT_EQUAL(std::string("ok"), outcome(from_hex("df0000000c") + pairs, requiring));
    }

    void refuses_a_missing_or_mistyped_field() {
        for (const auto& [name, value] : legacy_fields) {
            CPPUNIT_ASSERT_EQUAL_MESSAGE(name, std::string("malformed"),
                                         outcome(map_of(without(legacy_fields, name)), unsealed));
            CPPUNIT_ASSERT_EQUAL_MESSAGE(name, std::string("malformed"),
                                         outcome(map_of(with(legacy_fields, name, "c3")), unsealed));
        }
        for (const auto& [name, value] : our_fields) {
            CPPUNIT_ASSERT_EQUAL_MESSAGE(name, std::string("malformed"),
                                         outcome(map_of(with(all_fields(), name, "c3")), unsealed));
        }
        for (const char* zero : {"v", "inc", "oseq"}) {
            CPPUNIT_ASSERT_EQUAL_MESSAGE(zero, std::string("malformed"),
                                         outcome(map_of(with(all_fields(), zero, "00")), unsealed));
        }
        CPPUNIT_ASSERT_EQUAL(std::string("malformed"), outcome("", unsealed));
        CPPUNIT_ASSERT_EQUAL(std::string("malformed"), outcome(from_hex("05"), unsealed));
        CPPUNIT_ASSERT_EQUAL(std::string("malformed"), outcome(from_hex("05"), requiring));
        CPPUNIT_ASSERT_EQUAL(std::string("malformed"), outcome(from_hex("810101"), unsealed));
        // A field twice.
        Fields twice = all_fields();
        twice.emplace_back("v", "01");
        CPPUNIT_ASSERT_EQUAL(std::string("malformed"), outcome(map_of(twice), unsealed));
    }

    void refuses_names_beyond_the_limits() {
        const auto named = [](const char* field, const std::string& text) {
            return outcome(map_of(with(legacy_fields, field, string_hex(text))), unsealed);
        };
        CPPUNIT_ASSERT_EQUAL(std::string("ok"), named("namespace", std::string(255, 'n')));
        CPPUNIT_ASSERT_EQUAL(std::string("malformed"), named("namespace", std::string(256, 'n')));
        CPPUNIT_ASSERT_EQUAL(std::string("malformed"), named("namespace", ""));
        CPPUNIT_ASSERT_EQUAL(std::string("malformed"), named("namespace", std::string("a\0b", 3)));
        CPPUNIT_ASSERT_EQUAL(std::string("malformed"), named("namespace", "\xff"));
        CPPUNIT_ASSERT_EQUAL(std::string("ok"), named("crdt_id", std::string(4096, 'k')));
        CPPUNIT_ASSERT_EQUAL(std::string("malformed"), named("crdt_id", std::string(4097, 'k')));
        CPPUNIT_ASSERT_EQUAL(std::string("malformed"), named("crdt_id", ""));
    }

    void refuses_our_keys_in_part() {
        CPPUNIT_ASSERT_EQUAL(std::string("ok"), outcome(map_of(all_fields()), unsealed));
        for (const char* only : {"v", "inc", "oseq", "xd", "mac"}) {
            CPPUNIT_ASSERT_EQUAL_MESSAGE(only, std::string("malformed"),
                                         outcome(map_of(with(legacy_fields, only, "01")), unsealed));
        }
        for (const auto& [name, value] : our_fields) {
            CPPUNIT_ASSERT_EQUAL_MESSAGE(name, std::string("malformed"),
                                         outcome(map_of(without(all_fields(), name)), unsealed));
        }
    }

    void refuses_every_truncation() {
        for (const Seal* seal : {&unsealed, &requiring}) {
            const std::string bytes = encode_envelope(numbered(), *seal);
            for (size_t size = 0; size < bytes.size(); ++size) {
                CPPUNIT_ASSERT_EQUAL(std::string("malformed"), outcome(std::string(bytes, 0, size), *seal));
            }
        }
    }

    void takes_deltas_of_the_older_implementation_in_a_named_cluster() {
        CPPUNIT_ASSERT_EQUAL(std::string("ok"), outcome(from_hex(vector_hex), Seal("blue", "", false)));
        CPPUNIT_ASSERT_EQUAL(std::string("ok"), outcome(from_hex(vector_hex), accepting));
        CPPUNIT_ASSERT_EQUAL(std::string("unsigned"), outcome(from_hex(vector_hex), requiring));
        // Without a secret there is nothing to require.
        CPPUNIT_ASSERT_EQUAL(std::string("ok"), outcome(from_hex(vector_hex), Seal("blue", "", true)));
    }

    void refuses_another_cluster() {
        const std::string foreign = "foreign_cluster";
        const auto from_to = [](const char* from, const char* to) {
            return outcome(encode_envelope(numbered(), Seal(from, "", false)), Seal(to, "", false));
        };
        CPPUNIT_ASSERT_EQUAL(std::string("ok"), from_to("", ""));
        CPPUNIT_ASSERT_EQUAL(std::string("ok"), from_to("blue", "blue"));
        CPPUNIT_ASSERT_EQUAL(foreign, from_to("blue", "green"));
        CPPUNIT_ASSERT_EQUAL(foreign, from_to("blue", ""));
        CPPUNIT_ASSERT_EQUAL(foreign, from_to("", "blue"));
        // Before the code is checked.
        CPPUNIT_ASSERT_EQUAL(foreign, outcome(encode_envelope(numbered(), Seal("green", "other", false)), requiring));
        CPPUNIT_ASSERT_EQUAL(std::string("malformed"),
                             outcome(map_of(with(all_fields(), "cid", string_hex(std::string(256, 'c')))), unsealed));
    }

    void refuses_unsigned_envelopes_only_if_required() {
        const std::string without_code = encode_envelope(numbered(), Seal("blue", "", false));
        CPPUNIT_ASSERT_EQUAL(std::string("ok"), outcome(without_code, accepting));
        CPPUNIT_ASSERT_EQUAL(std::string("unsigned"), outcome(without_code, requiring));
        // A code that nobody can check is no obstacle.
        CPPUNIT_ASSERT_EQUAL(std::string("ok"),
                             outcome(encode_envelope(numbered(), requiring), Seal("blue", "", false)));
    }

    void refuses_every_single_bit_flip_of_a_signed_envelope() {
        const std::string bytes = encode_envelope(numbered(), requiring);
        for (size_t bit = 8; bit < bytes.size() * 8; ++bit) {  // the header is not covered
            std::string changed = bytes;
            changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
            const std::string found = outcome(changed, requiring);
            CPPUNIT_ASSERT_MESSAGE("bit " + std::to_string(bit), found != "ok");
            const bool in_code = bit / 8 >= bytes.size() - Seal::code_bytes;
            if (in_code) CPPUNIT_ASSERT_EQUAL(std::string("bad_mac"), found);
        }
        for (size_t bit = 0; bit < 8; ++bit) {
            std::string changed = bytes;
            changed[0] = static_cast<char>(changed[0] ^ (1 << bit));
            CPPUNIT_ASSERT(outcome(changed, requiring) != "ok");
        }
    }

    void refuses_a_mac_that_is_not_last_or_of_another_form() {
        const std::string bytes = encode_envelope(numbered(), accepting);
        const std::string pairs = bytes.substr(1, bytes.size() - 1 - 38);
        const std::string code = bytes.substr(bytes.size() - Seal::code_bytes);
        const std::string bad = "bad_mac";
        CPPUNIT_ASSERT_EQUAL(std::string("ok"), outcome("\x8c" + pairs + "\xa3mac\xc4\x20" + code, accepting));
        CPPUNIT_ASSERT_EQUAL(bad, outcome("\x8d" + pairs + "\xa3mac\xc4\x20" + code + "\xa1z\x01", accepting));
        CPPUNIT_ASSERT_EQUAL(bad, outcome("\x8c" + pairs + "\xd9\x03mac\xc4\x20" + code, accepting));
        CPPUNIT_ASSERT_EQUAL(bad, outcome("\x8c" + pairs + "\xa3mac\xd9\x20" + code, accepting));
        CPPUNIT_ASSERT_EQUAL(bad, outcome("\x8c" + pairs + "\xa3mac\xc4\x1f" + code.substr(1), accepting));
        CPPUNIT_ASSERT_EQUAL(bad, outcome("\x8c" + pairs + "\xa3mac\xc0", accepting));
        CPPUNIT_ASSERT_EQUAL(bad, outcome(from_hex("81a36d6163c0"), Seal("", "a secret", false)));
        // The code of all bytes before it, but inside the value of "mac" or of another key.
        for (const char* name : {"\xa3mac", "\xa1z"}) {
            const std::string before = pairs + name + "\xdc" + std::string("\x00\x20", 2) + std::string(30, '\xc0');
            const std::string within = "\x8c" + before + "\xa3mac\xc4\x20" + accepting.code(before);
            CPPUNIT_ASSERT_EQUAL(std::string(name == std::string("\xa1z") ? "ok" : "bad_mac"),
                                 outcome(within, accepting));
            CPPUNIT_ASSERT(outcome(within, requiring) != "ok");
        }
    }

    void refuses_another_secret() {
        const std::string bytes = encode_envelope(numbered(), accepting);
        CPPUNIT_ASSERT_EQUAL(std::string("bad_mac"), outcome(bytes, Seal("blue", "another", false)));
        CPPUNIT_ASSERT_EQUAL(std::string("bad_mac"), outcome(bytes, Seal("blue", "a secre", false)));
    }

    void refuses_a_newer_version() {
        CPPUNIT_ASSERT_EQUAL(std::string("too_new"), outcome(map_of(with(all_fields(), "v", "02")), unsealed));
        // Also if nothing else is as version 1 has it.
        CPPUNIT_ASSERT_EQUAL(std::string("too_new"), outcome(map_of({{"v", "02"}}), unsealed));
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(EnvelopeTest);

}  // namespace meridian::test
