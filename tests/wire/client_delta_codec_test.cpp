#include "wire/client_delta_codec.h"

#include <cppunit/extensions/HelperMacros.h>

#include "wire/vectors.h"

namespace meridian::test {

namespace {

using crdt::ClientDelta;
using crdt::Hlc;
using crdt::Tag;
using crdt::Type;
using wire::KeyForm;

constexpr uint64_t big_id = 18446744073709551615ULL;

// One delta of each type with something in every field, CRDTMap last with all the others inside.
std::vector<ClientDelta> sample_deltas() {
    const Tag low{{0, 1}};
    const Tag high{{0xff}};
    const crdt::GCounterClientDelta gcounter{{{0, 1}, {10, 2}, {big_id, big_id}}};
    const crdt::PnCounterClientDelta pncounter{std::nullopt, gcounter};
    const crdt::OrSetClientDelta orset{{{"\"a\"", {low, high}}, {"{\"b\":1.0}", {low}}},
                                       {{"null", {}}, {"true", {high}}}};
    const crdt::LwwRegisterClientDelta lww{crdt::LwwEntry{JsonValue::string("x"), Hlc{1, 2, 3}, big_id}};
    crdt::PresenceClientDelta presence;
    presence.changes = {{7, std::nullopt}, {42, crdt::PresenceClientEntry{JsonValue(), Hlc{1, 65535, 3}, 30000}}};
    const crdt::RgaClientDelta rga{
        {crdt::RgaInsert{Hlc{1, 0, 1}, std::nullopt, 0x1f980, false}, crdt::RgaDelete{Hlc{1, 0, 1}, false}}};
    const crdt::TreeClientDelta tree{
        {crdt::TreeAddNode{Hlc{1, 0, 1}, std::nullopt, "a0", "v", false},
         crdt::TreeMoveNode{Hlc{2, 0, 1}, Hlc{1, 0, 1}, Hlc{3, 0, 1}, "", false, false},
         crdt::TreeUpdateNode{Hlc{1, 0, 1}, "w", Hlc{4, 0, 1}, false}, crdt::TreeDeleteNode{Hlc{1, 0, 1}, false}},
        {crdt::DiscardedMove{Hlc{1, 0, 1}, Hlc{5, 0, 1}, "b", std::nullopt, "a0"}}};
    crdt::CrdtMapClientDelta map;
    map.deltas = {{"", gcounter}, {"a", pncounter}, {"b", orset}, {"c", lww}, {"d", presence}, {"e", rga}, {"f", tree}};
    return {gcounter, pncounter, orset, lww, presence, map, rga, tree};
}

std::string refusal(Type type, const char* hex) {
    const Result<ClientDelta> delta = wire::decode_client_delta(type, from_hex(hex));
    return delta ? "accepted" : delta.error().message;
}

}  // namespace

class ClientDeltaCodecTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(ClientDeltaCodecTest);
    CPPUNIT_TEST(every_type_comes_back_in_both_key_forms);
    CPPUNIT_TEST(string_keys_reach_into_maps);
    CPPUNIT_TEST(empty_deltas_keep_their_mandatory_fields);
    CPPUNIT_TEST(entries_are_sorted_and_the_last_of_equal_keys_counts);
    CPPUNIT_TEST(tag_versions_are_skipped);
    CPPUNIT_TEST(missing_optional_sides_are_absent);
    CPPUNIT_TEST(refuses_keys_that_are_no_client_id);
    CPPUNIT_TEST(refuses_a_map_inside_a_map);
    CPPUNIT_TEST_SUITE_END();

    void every_type_comes_back_in_both_key_forms() {
        unsigned code = 0;
        for (const ClientDelta& delta : sample_deltas()) {
            CPPUNIT_ASSERT_EQUAL(++code, static_cast<unsigned>(crdt::type_of(delta)));
            for (const KeyForm form : {KeyForm::integer_keys, KeyForm::string_keys}) {
                const std::string bytes = wire::encode_client_delta(delta, form);
                const Result<ClientDelta> again = wire::decode_client_delta(crdt::type_of(delta), bytes);
                CPPUNIT_ASSERT_MESSAGE(again ? "" : again.error().message, again.ok());
                CPPUNIT_ASSERT_MESSAGE(to_hex(bytes), *again == delta);
            }
        }
    }

    void string_keys_reach_into_maps() {
        crdt::CrdtMapClientDelta map;
        map.deltas = {{"k", crdt::PnCounterClientDelta{crdt::GCounterClientDelta{{{42, 5}}}, std::nullopt}}};
        // {"deltas":{"k":{"PNCounter":{"pos":{"counters":{"42":5}},"neg":nil}}}}
        CPPUNIT_ASSERT_EQUAL(
            std::string(
                "81a664656c74617381a16b81a9504e436f756e74657282a3706f7381a8636f756e7465727381a2343205a36e6567c0"),
            to_hex(wire::encode_client_delta(map, KeyForm::string_keys)));
    }

    void empty_deltas_keep_their_mandatory_fields() {
        const auto hex = [](const ClientDelta& delta) {
            return to_hex(wire::encode_client_delta(delta, KeyForm::integer_keys));
        };
        CPPUNIT_ASSERT_EQUAL(std::string("81a8636f756e7465727380"), hex(crdt::GCounterClientDelta{}));
        CPPUNIT_ASSERT_EQUAL(std::string("82a3706f73c0a36e6567c0"), hex(crdt::PnCounterClientDelta{}));
        CPPUNIT_ASSERT_EQUAL(std::string("82a46164647380a772656d6f76657380"), hex(crdt::OrSetClientDelta{}));
        CPPUNIT_ASSERT_EQUAL(std::string("81a5656e747279c0"), hex(crdt::LwwRegisterClientDelta{}));
        CPPUNIT_ASSERT_EQUAL(std::string("81a76368616e67657380"), hex(crdt::PresenceClientDelta{}));
        CPPUNIT_ASSERT_EQUAL(std::string("81a664656c74617380"), hex(crdt::CrdtMapClientDelta{}));
        CPPUNIT_ASSERT_EQUAL(std::string("81a36f707390"), hex(crdt::RgaClientDelta{}));
        CPPUNIT_ASSERT_EQUAL(std::string("81a36f707390"), hex(crdt::TreeClientDelta{}));
    }

    void entries_are_sorted_and_the_last_of_equal_keys_counts() {
        // {10:1, 2:2, "10":3, 2.0:4}
        const Result<ClientDelta> delta = wire::decode_client_delta(Type::gcounter, from_hex("81a8636f756e74657273"
                                                                                             "84"
                                                                                             "0a01"
                                                                                             "0202"
                                                                                             "a2313003"
                                                                                             "cb400000000000000004"));
        CPPUNIT_ASSERT_MESSAGE(delta ? "" : delta.error().message, delta.ok());
        const crdt::GCounterClientDelta expected{{{2, 4}, {10, 3}}};
        CPPUNIT_ASSERT(expected == std::get<crdt::GCounterClientDelta>(*delta));
    }

    void tag_versions_are_skipped() {
        const Result<ClientDelta> delta = wire::decode_client_delta(
            Type::orset,
            from_hex("83a46164647380a772656d6f76657380ac7461675f76657273696f6e7381c41000112233445566778899aabb"
                     "ccddeeff920102"));
        CPPUNIT_ASSERT(delta.ok());
        CPPUNIT_ASSERT(ClientDelta(crdt::OrSetClientDelta{}) == *delta);
    }

    void missing_optional_sides_are_absent() {
        const Result<ClientDelta> pncounter = wire::decode_client_delta(Type::pncounter, from_hex("80"));
        CPPUNIT_ASSERT(pncounter.ok());
        CPPUNIT_ASSERT(ClientDelta(crdt::PnCounterClientDelta{}) == *pncounter);
        const Result<ClientDelta> lww = wire::decode_client_delta(Type::lww_register, from_hex("80"));
        CPPUNIT_ASSERT(lww.ok());
        CPPUNIT_ASSERT_EQUAL(std::string("found no field \"adds\", which is required"), refusal(Type::orset, "80"));
    }

    void refuses_keys_that_are_no_client_id() {
        for (const char* key : {"a178", "a0", "a2312e", "a22d31", "ff", "c0", "c40131", "cb3fe0000000000000",
                                "b43138343436373434303733373039353531363136"}) {  // 2^64
            const std::string hex = std::string("81a8636f756e7465727381") + key + "01";
            const std::string error = refusal(Type::gcounter, hex.c_str());
            CPPUNIT_ASSERT_MESSAGE(error, error.rfind("field counters: found ", 0) == 0);
        }
    }

    void refuses_a_map_inside_a_map() {
        CPPUNIT_ASSERT_EQUAL(
            std::string("field deltas.CRDTMap: found a CRDTMap delta inside a CRDTMap delta, expected a delta "
                        "of another type"),
            refusal(Type::crdt_map, "81a664656c74617381a16b81a7435244544d617081a664656c74617380"));
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ClientDeltaCodecTest);

}  // namespace meridian::test
