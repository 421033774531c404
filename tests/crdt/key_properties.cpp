// Properties of every type behind a key, on random histories (RapidCheck prints the seed and the shrunk history of a
// failure).
#include <cppunit/extensions/HelperMacros.h>
#include <rapidcheck.h>

#include "crdt/key_history.h"

namespace rc {

template <>
struct Arbitrary<meridian::test::Step> {
    static Gen<meridian::test::Step> arbitrary() {
        using meridian::test::Step;
        return gen::build<Step>(gen::set(&Step::replica, gen::inRange(0U, 3U)),
                                gen::set(&Step::op, gen::inRange(0U, 64U)), gen::set(&Step::delivered),
                                gen::set(&Step::ttl, gen::inRange(0U, 16U)));
    }
};

}  // namespace rc

namespace meridian::test {

void showValue(const Step& step, std::ostream& out) {
    out << "{replica " << step.replica << ", op " << step.op << ", delivered " << step.delivered << ", ttl " << step.ttl
        << "}";
}

class KeyProperties : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(KeyProperties);
    CPPUNIT_TEST(replicas_converge);
    CPPUNIT_TEST(join_is_commutative_associative_and_idempotent);
    CPPUNIT_TEST(encodings_come_back_and_are_canonical);
    CPPUNIT_TEST(decoders_take_only_what_encoders_write);
    CPPUNIT_TEST_SUITE_END();

    // Once for each type, and for a mixture.
    template <class Property>
    void for_every_type(const std::string& what, Property property) {
        for (unsigned code = 1; code <= crdt::type_code_max + 1; ++code) {
            const bool mixed = code > crdt::type_code_max;
            const auto type = static_cast<crdt::Type>(code);
            const auto& pool = mixed ? mixed_pool() : op_pool(type);
            const std::string name = what + " (" + (mixed ? "mixed" : std::string(crdt::variant_name(type))) + ")";
            const bool held = rc::check(name, [&](const std::vector<Step>& steps, uint64_t shuffle) {
                const std::string problem = property(run_history(pool, steps, correct_join), shuffle);
                if (!problem.empty()) RC_FAIL(problem);
            });
            CPPUNIT_ASSERT_MESSAGE(name, held);
        }
    }

    void replicas_converge() {
        for_every_type("replicas converge",
                       [](const Run& run, uint64_t shuffle) { return check_convergence(run, shuffle, correct_join); });
    }
    void join_is_commutative_associative_and_idempotent() {
        for_every_type("join laws", [](const Run& run, uint64_t) { return check_join_laws(run); });
    }
    void encodings_come_back_and_are_canonical() {
        for_every_type("codecs", [](const Run& run, uint64_t) { return check_codecs(run); });
    }
    void decoders_take_only_what_encoders_write() {
        for_every_type("decoders", [](const Run& run, uint64_t shuffle) { return check_decoders(run, shuffle); });
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(KeyProperties);

}  // namespace meridian::test
