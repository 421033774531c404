// The published convergence scenarios (tests/data/vectors/scenarios.json), run through Key: ops as clients encode them,
// in each order, must end with the required HTTP value.
#include <cppunit/extensions/HelperMacros.h>

#include <Poco/JSON/Array.h>

#include "crdt/key.h"
#include "crdt/key_history.h"
#include "wire/op_codec.h"
#include "wire/vectors.h"

using namespace meridian::crdt;

namespace meridian::test {

class ScenariosTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(ScenariosTest);
    CPPUNIT_TEST(every_run_of_every_scenario_ends_with_the_required_value);
    CPPUNIT_TEST_SUITE_END();

    void every_run_of_every_scenario_ends_with_the_required_value() {
        const auto scenarios = cases_of(load_vectors("scenarios"), "scenarios");
        CPPUNIT_ASSERT_EQUAL(size_t(20), scenarios.size());
        Failures failures;
        for (const auto& scenario : scenarios) {
            for (const auto& run : cases_of(scenario, "runs")) check(scenario, *run->getArray("order"), failures);
        }
        CPPUNIT_ASSERT_EQUAL(std::string(), failures.text());
    }

    static void check(const JsonObject& scenario, const Poco::JSON::Array& order, Failures& failures) {
        const std::string required = text_of(scenario, "required_http_value");
        std::string name = text_of(scenario, "id");
        Key key;      // applies the ops
        Key replica;  // joins their deltas
        CountingStamps stamps(1);
        uint64_t now_ms = 1000;
        for (unsigned i = 0; i < order.size(); ++i) {
            const auto step = order.getElement<std::string>(i);
            name += " " + step;
            if (step == "!compact") {
                const uint64_t far_ms = now_ms + 400ULL * 24 * 3600 * 1000;
                key.compact({far_ms, far_ms, 1});
                replica.compact({far_ms, far_ms, 1});
                continue;
            }
            const auto decoded = wire::decode_op(from_hex(text_of(scenario->getObject("ops")->getObject(step), "hex")));
            if (!decoded) return failures.add(name, decoded.error().message);
            // A presence op is received when it is stamped.
            now_ms = std::max(now_ms + 1, std::holds_alternative<PresenceOp>(*decoded) ? *newest_wall_ms(*decoded) : 0);
            if (const auto refused = key.check(*decoded, Limits{}, now_ms)) return failures.add(name, refused->text);
            // Receipts as the scenario's stamps: a late heartbeat is received at its own time by another node.
            uint64_t received_ms = now_ms;
            if (std::holds_alternative<PresenceOp>(*decoded)) received_ms = *newest_wall_ms(*decoded);
            const auto applied = key.apply(*decoded, std::nullopt, {{{received_ms, 0, 1}, 1}, stamps});
            if (applied.changed) replica.join(applied.delta, {now_ms, stamps});
        }
        failures.expect_equal(name, required, key.value_json(now_ms));
        failures.expect_equal(name + ", replica", required, replica.value_json(now_ms));
        const auto told = key.sync({now_ms, SequenceForm::ascending_siblings});
        if (told.empty()) failures.add(name, "a sync tells nothing");
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ScenariosTest);

}  // namespace meridian::test
