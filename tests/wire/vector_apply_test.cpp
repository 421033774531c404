// Applies the published op vectors and convergence scenarios to keys, and compares deltas, conflicts, refusals and
// values.
#include <cppunit/extensions/HelperMacros.h>

#include <map>
#include <set>

#include "base/json_writer.h"
#include "crdt/key.h"
#include "wire/client_delta_codec.h"
#include "wire/op_codec.h"
#include "wire/vectors.h"

namespace meridian::test {

namespace {

using crdt::Hlc;
using crdt::Key;
using crdt::Op;

constexpr uint64_t now_ms = 1'700'000'000'000;

class CountingStamps : public crdt::StampSource {
public:
    Hlc next_stamp() override { return {now_ms, ++logical_, 900}; }

private:
    uint16_t logical_ = 0;
};

Op decoded(const std::string& bytes) {
    Result<Op> op = wire::decode_op(bytes);
    CPPUNIT_ASSERT_MESSAGE(op ? "" : op.error().message, op.ok());
    return *std::move(op);
}

// A key at one node, with the clock of that node.
struct Replica {
    Key key;
    CountingStamps stamps;

    crdt::KeyApplied apply(const Op& op, uint64_t received_ms = now_ms) {
        const std::optional<crdt::Rejection> rejection = key.check(op, crdt::Limits{}, received_ms);
        CPPUNIT_ASSERT_MESSAGE(rejection ? rejection->text : "", !rejection);
        Hlc stamp = stamps.next_stamp();
        stamp.wall_ms = received_ms;
        return key.apply(op, std::nullopt, {{stamp, 1}, stamps});
    }
    void compact_everything_old_enough() {
        constexpr uint64_t long_after_ms = 2 * now_ms;
        key.compact({long_after_ms, long_after_ms, 1});
    }
};

std::string empty_value_of(crdt::Type type) {
    JsonWriter writer;
    switch (type) {
        case crdt::Type::gcounter:
            crdt::GCounter().write_value(writer, now_ms);
            break;
        case crdt::Type::pncounter:
            crdt::PnCounter().write_value(writer, now_ms);
            break;
        case crdt::Type::orset:
            crdt::OrSet().write_value(writer, now_ms);
            break;
        case crdt::Type::lww_register:
            crdt::LwwRegister().write_value(writer, now_ms);
            break;
        case crdt::Type::presence:
            crdt::Presence().write_value(writer, now_ms);
            break;
        case crdt::Type::crdt_map:
            crdt::CrdtMap().write_value(writer, now_ms);
            break;
        case crdt::Type::rga:
            crdt::Rga().write_value(writer, now_ms);
            break;
        case crdt::Type::tree:
            crdt::Tree().write_value(writer, now_ms);
            break;
    }
    return writer.take();
}

// The value as HTTP shows it; of a key that was never written, the empty value of the op's type.
std::string value_of(const Key& key, crdt::Type type, uint64_t at_ms = now_ms) {
    return key.visible(at_ms) ? key.value_json(at_ms) : empty_value_of(type);
}

// What clients are told, as they get it: the deltas in hex, one after another.
std::string told(const std::vector<crdt::ClientDelta>& views) {
    std::string text;
    for (const crdt::ClientDelta& view : views) {
        if (!text.empty()) text += " ";
        text += to_hex(wire::encode_client_delta(view, wire::KeyForm::integer_keys));
    }
    return text.empty() ? "nothing" : text;
}

std::string conflict_text(const std::optional<crdt::Conflict>& conflict) {
    if (!conflict) return "none";
    if (const auto* lww = std::get_if<crdt::LwwOverwritten>(&*conflict)) {
        return "LwwOverwritten " + std::to_string(lww->winning_client_id) + " " + std::to_string(lww->winning_ts_ms);
    }
    const auto& cycle = std::get<crdt::TreeMoveCycle>(*conflict);
    return "TreeMoveCycle " + to_text(cycle.node_id) + " " +
           (cycle.attempted_parent_id ? to_text(*cycle.attempted_parent_id) : "root");
}

std::string expected_conflict(const JsonObject& reference) {
    if (!has(reference, "conflict")) return "none";
    const JsonObject conflict = reference->getObject("conflict");
    if (conflict->has("LwwOverwritten")) {
        const JsonObject lww = conflict->getObject("LwwOverwritten");
        return "LwwOverwritten " + text_of(lww, "winning_client_id") + " " + text_of(lww, "winning_ts_ms");
    }
    const JsonObject cycle = conflict->getObject("TreeMoveCycle");
    return "TreeMoveCycle " + text_of(cycle, "node_id") + " " + text_of(cycle, "attempted_parent_id");
}

std::map<std::string, JsonObject> by_id(const std::vector<JsonObject>& cases) {
    std::map<std::string, JsonObject> map;
    for (const JsonObject& item : cases) map[text_of(item, "id")] = item;
    return map;
}

std::string op_bytes(const JsonObject& item) {
    return from_hex(text_of(item, "op_hex"));
}

}  // namespace

class VectorApplyTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(VectorApplyTest);
    CPPUNIT_TEST(typescript_ops_have_the_effect_of_the_vectors);
    CPPUNIT_TEST(python_and_rust_ops_have_the_delta_of_the_vectors);
    CPPUNIT_TEST(ops_that_the_reference_refuses_to_apply_are_refused_with_its_text);
    CPPUNIT_TEST(scenarios_end_with_the_required_value);
    CPPUNIT_TEST(scenarios_survive_a_full_exchange_with_an_empty_replica);
    CPPUNIT_TEST(a_sync_delivers_what_a_fresh_replica_needs);
    CPPUNIT_TEST(legacy_states_have_the_value_of_an_equivalent_key);
    CPPUNIT_TEST_SUITE_END();

    void check(const Failures& failures) { CPPUNIT_ASSERT_MESSAGE(failures.text(), failures.text().empty()); }

    void typescript_ops_have_the_effect_of_the_vectors() {
        const std::map<std::string, std::string> required_deltas = {
            // Same stamp, same author, another value: a later write, stored with logical + 1 so that every client
            // accepts it (crdts.md D-12).
            {"lww-set-same-ms-same-client-greater",
             "81a5656e74727983a576616c7565a27a7aa3686c6383a777616c6c5f6d73cf0000018bcfe56800a76c6f676963616c01"
             "a76e6f64655f696401a6617574686f7201"},
            // ttl 0 is never alive (crdts.md section 4.5): nobody sees a change.
            {"presence-heartbeat-null-ttl0", "nothing"},
            // A departure is told twice, nil for TypeScript and Python, the tombstone entry for Rust (section 4.5).
            {"presence-leave",
             "81a76368616e6765738101c0 "
             "81a76368616e676573810183a464617461c0a3686c6383a777616c6c5f6d73cf0000018bcfe56801a76c6f676963616c00"
             "a76e6f64655f696401a674746c5f6d7300"},
            // A discarded move comes with one that states the actual placement, stamped by the server (section 4.8):
            // two ops before it and the move itself took stamps 1 to 3, so its op_id is stamp 4 of node 900.
            {"tree-move-cycle",
             "82a36f70739181a84d6f76654e6f646584a56f705f696483a777616c6c5f6d73cf0000018bcfe56800a76c6f676963616c04"
             "a76e6f64655f6964cd0384a76e6f64655f696483a777616c6c5f6d73cf0000018bcfe56800a76c6f676963616c00"
             "a76e6f64655f696401ad6e65775f706172656e745f6964c0ac6e65775f706f736974696f6ea26130"
             "af6469736361726465645f6d6f76657391"
             "85a76e6f64655f696483a777616c6c5f6d73cf0000018bcfe56800a76c6f676963616c00a76e6f64655f696401"
             "b3617474656d707465645f706172656e745f696483a777616c6c5f6d73cf0000018bcfe56800a76c6f676963616c01"
             "a76e6f64655f696401b2617474656d707465645f706f736974696f6ea26130b061637475616c5f706172656e745f6964c0"
             "af61637475616c5f706f736974696f6ea26130"},
        };
        const std::map<std::string, JsonObject> cases = by_id(cases_of(load_vectors("client-ops"), "cases"));
        Failures failures;
        unsigned compared = 0;
        for (const auto& [id, item] : cases) {
            const JsonObject reference = item->getObject("reference");
            if (!has(reference, "accepted")) continue;
            ++compared;
            Replica replica;
            const Poco::JSON::Array::Ptr before = item->getArray("after");
            for (unsigned i = 0; i < before->size(); ++i) {
                replica.apply(decoded(op_bytes(cases.at(before->getElement<std::string>(i)))));
            }
            const Op op = decoded(op_bytes(item));
            const crdt::KeyApplied applied = replica.apply(op);

            const bool other = has(reference, "delta_without_tag_versions_hex");
            std::string expected = "nothing";
            if (has(reference, "delta_hex")) {
                expected = text_of(reference, other ? "delta_without_tag_versions_hex" : "delta_hex");
            }
            const auto required = required_deltas.find(id);
            if (required != required_deltas.end()) expected = required->second;
            failures.expect_equal(id + " (delta)", expected, told(applied.views));
            failures.expect_equal(id + " (conflict)", expected_conflict(reference), conflict_text(applied.conflict));
            if (has(reference, "http_value")) {
                failures.expect_equal(id + " (value)", text_of(reference, "http_value"),
                                      value_of(replica.key, crdt::type_of(op)));
            }
        }
        CPPUNIT_ASSERT(compared > 60);
        check(failures);
    }

    void python_and_rust_ops_have_the_delta_of_the_vectors() {
        const JsonObject file = load_vectors("client-ops-other");
        Failures failures;
        std::vector<JsonObject> cases = cases_of(file, "python");
        for (const JsonObject& item : cases_of(file, "rust")) cases.push_back(item);
        for (const JsonObject& item : cases) {
            if (!item->has("op_hex")) continue;
            const JsonObject reference = item->getObject("reference");
            Replica replica;
            std::string expected = "nothing";
            if (text_of(item, "id") == "rs-orset-remove") {
                // A remove of a tag that has not been seen is kept and told, so that a late add has no effect (crdts.md
                // section 4.3).
                expected = "82a46164647380a772656d6f76657381a7226170706c652291c41011111111222243338444555555555555";
            } else if (has(reference, "delta_hex")) {
                const Result<crdt::ClientDelta> delta = wire::decode_client_delta(
                    crdt::type_of(decoded(op_bytes(item))), from_hex(text_of(reference, "delta_hex")));
                CPPUNIT_ASSERT(delta.ok());
                expected = told({*delta});
            }
            failures.expect_equal(text_of(item, "id"), expected, told(replica.apply(decoded(op_bytes(item))).views));
        }
        check(failures);
    }

    void ops_that_the_reference_refuses_to_apply_are_refused_with_its_text() {
        const std::map<std::string, JsonObject> cases = by_id(cases_of(load_vectors("client-ops"), "cases"));
        Failures failures;
        unsigned refused = 0;
        for (const auto& [id, item] : cases) {
            const JsonObject reference = item->getObject("reference");
            const bool at_apply = has(reference, "stage") && text_of(reference, "stage") == "apply";
            // The reference crashes on a nested map; the text is ours to choose (crdts.md section 4.6).
            const bool nested_map = id == "crdtmap-nested-map";
            if (!at_apply && !nested_map) continue;
            ++refused;
            Replica replica;
            const Poco::JSON::Array::Ptr before = item->getArray("after");
            for (unsigned i = 0; i < before->size(); ++i) {
                replica.apply(decoded(op_bytes(cases.at(before->getElement<std::string>(i)))));
            }
            const std::optional<crdt::Rejection> rejection =
                replica.key.check(decoded(op_bytes(item)), crdt::Limits{}, now_ms);
            const std::string expected =
                nested_map ? "invalid operation: CRDTMap cannot be nested" : text_of(reference, "error");
            failures.expect_equal(id, expected, rejection ? rejection->text : "accepted");
        }
        CPPUNIT_ASSERT(refused >= 4);
        check(failures);
    }

    // Applies one run of a scenario.
    Replica run_scenario(const JsonObject& scenario, const JsonObject& run) {
        Replica replica;
        const JsonObject ops = scenario->getObject("ops");
        const Poco::JSON::Array::Ptr order = run->getArray("order");
        for (unsigned i = 0; i < order->size(); ++i) {
            const std::string step = order->getElement<std::string>(i);
            if (step == "!compact") {
                replica.compact_everything_old_enough();
            } else {
                // Presence lasts from the time of receipt: every heartbeat arrives at the instant of its stamp.
                const Op op = decoded(from_hex(text_of(ops->getObject(step), "hex")));
                replica.apply(op,
                              type_of_scenario(scenario) == crdt::Type::presence ? *crdt::newest_wall_ms(op) : now_ms);
            }
        }
        return replica;
    }
    std::vector<JsonObject> runs_of(const JsonObject& scenario) { return cases_of(scenario, "runs"); }
    // When the value is looked at: the presence scenarios play at the end of the century.
    uint64_t read_time_ms(const JsonObject& scenario) {
        constexpr uint64_t presence_now_ms = 4'102'444'800'002;
        return type_of_scenario(scenario) == crdt::Type::presence ? presence_now_ms : now_ms;
    }
    crdt::Type type_of_scenario(const JsonObject& scenario) {
        return *crdt::type_from_variant_name(text_of(scenario, "type"));
    }

    void scenarios_end_with_the_required_value() {
        Failures failures;
        for (const JsonObject& scenario : cases_of(load_vectors("scenarios"), "scenarios")) {
            unsigned number = 0;
            for (const JsonObject& run : runs_of(scenario)) {
                const Replica replica = run_scenario(scenario, run);
                failures.expect_equal(text_of(scenario, "id") + " run " + std::to_string(++number),
                                      text_of(scenario, "required_http_value"),
                                      value_of(replica.key, type_of_scenario(scenario), read_time_ms(scenario)));
            }
        }
        check(failures);
    }

    void scenarios_survive_a_full_exchange_with_an_empty_replica() {
        Failures failures;
        for (const JsonObject& scenario : cases_of(load_vectors("scenarios"), "scenarios")) {
            // The runs of one scenario on as many nodes; then every node gives its state to every other.
            std::vector<Replica> replicas;
            for (const JsonObject& run : runs_of(scenario)) replicas.push_back(run_scenario(scenario, run));
            replicas.emplace_back();
            for (Replica& to : replicas) {
                for (Replica& from : replicas) {
                    if (from.key.generation() == 0) continue;
                    to.key.join(from.key.full_delta(), {read_time_ms(scenario), to.stamps});
                }
            }
            for (const Replica& replica : replicas) {
                failures.expect_equal(text_of(scenario, "id"), text_of(scenario, "required_http_value"),
                                      value_of(replica.key, type_of_scenario(scenario), read_time_ms(scenario)));
                if (!(replica.key == replicas.front().key)) failures.add(text_of(scenario, "id"), "states differ");
            }
        }
        check(failures);
    }

    void a_sync_delivers_what_a_fresh_replica_needs() {
        Failures failures;
        unsigned compared = 0;
        for (const JsonObject& scenario : cases_of(load_vectors("scenarios"), "scenarios")) {
            if (!scenario->has("required_for_fresh_replica_after_sync_with_empty_clock")) continue;
            ++compared;
            const std::string id = text_of(scenario, "id");
            const Replica replica = run_scenario(scenario, runs_of(scenario).front());
            const std::vector<crdt::ClientDelta> views =
                replica.key.sync({now_ms, crdt::SequenceForm::ascending_siblings});
            CPPUNIT_ASSERT_EQUAL(size_t{1}, views.size());
            if (const auto* lww = std::get_if<crdt::LwwRegisterClientDelta>(&views[0])) {
                CPPUNIT_ASSERT_MESSAGE(id, lww->entry.has_value());
                failures.expect_equal(id, "\"hello\"", lww->entry->value.to_text());
            } else {
                const auto& orset = std::get<crdt::OrSetClientDelta>(views[0]);
                CPPUNIT_ASSERT_EQUAL(size_t{1}, orset.adds.size());
                failures.expect_equal(id, "\"x\"", orset.adds[0].first);
                CPPUNIT_ASSERT_EQUAL(size_t{1}, orset.adds[0].second.size());
            }
        }
        CPPUNIT_ASSERT_EQUAL(2U, compared);
        check(failures);
    }

    void legacy_states_have_the_value_of_an_equivalent_key() {
        // Legacy states are not read; these ops build the same content.
        const crdt::Tag tag{
            {0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x43, 0x33, 0x84, 0x44, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55}};
        const Hlc first{now_ms, 0, 1};
        const Hlc second{now_ms, 1, 1};
        using Side = crdt::PnCounterOp::Side;
        using crdt::OrSetOp;
        using crdt::RgaOp;
        using crdt::TreeOp;
        const RgaOp insert_a = crdt::RgaInsert{first, std::nullopt, U'a', false};
        const RgaOp delete_a = crdt::RgaDelete{first, false};
        const std::map<std::string, std::vector<Op>> content = {
            {"gcounter", {crdt::GCounterOp{1, 5}, crdt::GCounterOp{42, 300}}},
            {"pncounter", {crdt::PnCounterOp{Side::increment, 42, 10}}},
            {"orset", {OrSetOp(crdt::OrSetAdd{JsonValue::string("apple"), tag, 7, 3})}},
            {"orset-no-versions", {OrSetOp(crdt::OrSetAdd{JsonValue::string("apple"), tag, 0, 0})}},
            {"lww", {crdt::LwwRegisterOp{JsonValue::string("hello"), first, 1}}},
            {"crdtmap",
             {crdt::CrdtMapOp{"body", crdt::Type::rga, RgaOp(crdt::RgaInsert{first, std::nullopt, U'x', false})}}},
            {"rga", {insert_a, RgaOp(crdt::RgaInsert{second, first, U'b', false}), delete_a}},
            {"rga-legacy", {insert_a, delete_a}},
            {"tree",
             {TreeOp(crdt::TreeAddNode{first, std::nullopt, "a0", "Root", false}),
              TreeOp(crdt::TreeAddNode{second, first, "a0", "Kid", false}),
              TreeOp(crdt::TreeMoveNode{Hlc{now_ms + 9, 3, 1}, second, std::nullopt, "b0", false, false})}},
        };
        const std::set<std::string> empty = {"gcounter-empty", "orset-empty", "lww-empty", "tree-empty",
                                             "unknown-field"};
        Failures failures;
        for (const JsonObject& item : cases_of(load_vectors("states-derived"), "states")) {
            const JsonObject reference = item->getObject("reference");
            if (!has(reference, "http_value")) continue;  // presence: depends on the wall clock
            const std::string id = text_of(item, "id");
            const crdt::Type type = *crdt::type_from_variant_name(text_of(item, "type"));
            Replica replica;
            if (empty.count(id) == 0) {
                CPPUNIT_ASSERT_MESSAGE(id, content.count(id) == 1);
                for (const Op& op : content.at(id)) replica.apply(op);
            }
            failures.expect_equal(id, text_of(reference, "http_value"), value_of(replica.key, type));
        }
        check(failures);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(VectorApplyTest);

}  // namespace meridian::test
