// Canonical JSON text (crdts.md section 2.4), JSON values, and their decoding from MessagePack (section 2.3).
#include <cppunit/extensions/HelperMacros.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>

#include "base/json_value.h"
#include "base/json_writer.h"
#include "wire/op_codec.h"
#include "wire/vectors.h"

namespace meridian::test {

namespace {

std::string float_text(double value) {
    std::string text;
    append_json_double(text, value);
    return text;
}

// The canonical bytes of a JSON value given in hex, or the error.
std::string canonical(const char* hex) {
    const Result<JsonValue> value = wire::decode_json_value(from_hex(hex));
    return value ? to_hex(value->msgpack()) : "error: " + value.error().message;
}
std::string text_of_hex(const char* hex) {
    const Result<JsonValue> value = wire::decode_json_value(from_hex(hex));
    return value ? value->to_text() : "error: " + value.error().message;
}
bool refused(const char* hex) {
    return !wire::decode_json_value(from_hex(hex)).ok();
}

std::string text(const char* expected) {
    return expected;
}

}  // namespace

class JsonTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(JsonTest);
    CPPUNIT_TEST(writes_floats_plainly_between_1e_minus_5_and_1e16);
    CPPUNIT_TEST(writes_other_floats_with_a_signed_exponent);
    CPPUNIT_TEST(writes_floats_that_read_back_the_same);
    CPPUNIT_TEST(escapes_what_json_must_and_nothing_else);
    CPPUNIT_TEST(writes_separators_between_members_only);
    CPPUNIT_TEST(writes_long_strings_in_parts);
    CPPUNIT_TEST(keeps_integers_apart_from_integral_floats);
    CPPUNIT_TEST(sorts_members_by_the_bytes_of_their_names);
    CPPUNIT_TEST(keeps_the_last_of_members_with_one_name);
    CPPUNIT_TEST(replaces_non_finite_floats_by_null);
    CPPUNIT_TEST(shortens_integers_and_widens_float32);
    CPPUNIT_TEST(refuses_what_json_has_no_form_for);
    CPPUNIT_TEST(refuses_more_than_128_levels);
    CPPUNIT_TEST(renders_the_example_of_the_specification);
    CPPUNIT_TEST(compares_by_text);
    CPPUNIT_TEST(makes_scalars);
    CPPUNIT_TEST_SUITE_END();

    void writes_floats_plainly_between_1e_minus_5_and_1e16() {
        CPPUNIT_ASSERT_EQUAL(text("100.0"), float_text(100));
        CPPUNIT_ASSERT_EQUAL(text("0.00001"), float_text(1e-5));
        CPPUNIT_ASSERT_EQUAL(text("0.000012"), float_text(1.2e-5));
        CPPUNIT_ASSERT_EQUAL(text("9007199254740992.0"), float_text(9007199254740992.0));
        CPPUNIT_ASSERT_EQUAL(text("9999999999999998.0"), float_text(9999999999999998.0));
        CPPUNIT_ASSERT_EQUAL(text("1.5"), float_text(1.5));
        CPPUNIT_ASSERT_EQUAL(text("-123.456"), float_text(-123.456));
        CPPUNIT_ASSERT_EQUAL(text("0.1"), float_text(0.1));
        CPPUNIT_ASSERT_EQUAL(text("0.0"), float_text(0.0));
        CPPUNIT_ASSERT_EQUAL(text("-0.0"), float_text(-0.0));
    }

    void writes_other_floats_with_a_signed_exponent() {
        CPPUNIT_ASSERT_EQUAL(text("1e+16"), float_text(1e16));
        CPPUNIT_ASSERT_EQUAL(text("1e+21"), float_text(1e21));
        CPPUNIT_ASSERT_EQUAL(text("1.5e-7"), float_text(1.5e-7));
        CPPUNIT_ASSERT_EQUAL(text("9.9e-6"), float_text(9.9e-6));
        CPPUNIT_ASSERT_EQUAL(text("1.2345678901234568e+17"), float_text(1.2345678901234568e17));
        CPPUNIT_ASSERT_EQUAL(text("5e-324"), float_text(5e-324));
        CPPUNIT_ASSERT_EQUAL(text("-1.7976931348623157e+308"), float_text(-std::numeric_limits<double>::max()));
        CPPUNIT_ASSERT_EQUAL(text("null"), float_text(std::nan("")));
        CPPUNIT_ASSERT_EQUAL(text("null"), float_text(-std::numeric_limits<double>::infinity()));
    }

    void writes_floats_that_read_back_the_same() {
        constexpr uint64_t seed = 20240501;
        std::mt19937_64 random(seed);
        for (int i = 0; i < 20000; ++i) {
            // Half of them over all bit patterns, half near the borders of plain notation.
            double value = 0;
            if (i % 2 == 0) {
                const uint64_t bits = random();
                std::memcpy(&value, &bits, sizeof value);
                if (!std::isfinite(value)) continue;
            } else {
                value = std::ldexp(static_cast<double>(random() >> 11), static_cast<int>(random() % 90) - 75);
            }
            const std::string written = float_text(value);
            const std::string where = "seed " + std::to_string(seed) + ", step " + std::to_string(i) + ": " + written;
            CPPUNIT_ASSERT_EQUAL_MESSAGE(where, value, std::strtod(written.c_str(), nullptr));
            const double magnitude = std::fabs(value);
            const bool plain = value == 0 || (magnitude >= 1e-5 && magnitude < 1e16);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(where, plain, written.find('e') == std::string::npos);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(where, plain, plain && written.find('.') != std::string::npos);
        }
    }

    void escapes_what_json_must_and_nothing_else() {
        std::string out;
        append_json_escaped(out, "\"\\\b\t\n\f\r");
        CPPUNIT_ASSERT_EQUAL(text("\\\"\\\\\\b\\t\\n\\f\\r"), out);
        out.clear();
        append_json_escaped(out, std::string_view("\x00\x01\x1f\x0b", 4));
        CPPUNIT_ASSERT_EQUAL(text("\\u0000\\u0001\\u001f\\u000b"), out);
        out.clear();
        const std::string raw = "/\x7f\xe2\x80\xa8\xc3\xa9\xf0\x9f\xa6\x80";
        append_json_escaped(out, raw);
        CPPUNIT_ASSERT_EQUAL(raw, out);
    }

    void writes_separators_between_members_only() {
        JsonWriter writer;
        writer.begin_object();
        writer.key("a");
        writer.begin_array();
        writer.number(uint64_t{1});
        writer.null();
        writer.begin_object();
        writer.end_object();
        writer.raw("[2]");
        writer.end_array();
        writer.key("b");
        writer.boolean(false);
        writer.key("c");
        writer.number(int64_t{-3});
        writer.end_object();
        CPPUNIT_ASSERT_EQUAL(text(R"({"a":[1,null,{},[2]],"b":false,"c":-3})"), writer.text());
    }

    void writes_long_strings_in_parts() {
        JsonWriter writer;
        writer.begin_array();
        writer.begin_string();
        writer.string_part("a\"");
        writer.string_part("");
        writer.string_part("b");
        writer.end_string();
        writer.string("c");
        writer.end_array();
        CPPUNIT_ASSERT_EQUAL(text(R"(["a\"b","c"])"), writer.take());
    }

    void keeps_integers_apart_from_integral_floats() {
        CPPUNIT_ASSERT_EQUAL(text("1"), text_of_hex("01"));
        CPPUNIT_ASSERT_EQUAL(text("1.0"), text_of_hex("cb3ff0000000000000"));
        CPPUNIT_ASSERT_EQUAL(text("18446744073709551615"), text_of_hex("cfffffffffffffffff"));
        CPPUNIT_ASSERT_EQUAL(text("-9223372036854775808"), text_of_hex("d38000000000000000"));
    }

    void sorts_members_by_the_bytes_of_their_names() {
        // {"b":1,"a":2,"é":3,"":4,"ab":{"z":[],"y":{}}}
        CPPUNIT_ASSERT_EQUAL(text(R"({"":4,"a":2,"ab":{"y":{},"z":[]},"b":1,"é":3})"),
                             text_of_hex("85"
                                         "a16201"
                                         "a16102"
                                         "a2c3a903"
                                         "a004"
                                         "a2616282a17a90a17980"));
    }

    void keeps_the_last_of_members_with_one_name() {
        CPPUNIT_ASSERT_EQUAL(text("82a16103a16202"), canonical("84"
                                                               "a16101"
                                                               "a16202"
                                                               "a161a0"
                                                               "a16103"));
    }

    void replaces_non_finite_floats_by_null() {
        CPPUNIT_ASSERT_EQUAL(text("93c0c0c0"), canonical("93"
                                                         "cb7ff8000000000000"
                                                         "cb7ff0000000000000"
                                                         "caff800000"));
    }

    void shortens_integers_and_widens_float32() {
        CPPUNIT_ASSERT_EQUAL(text("05"), canonical("d30000000000000005"));
        CPPUNIT_ASSERT_EQUAL(text("ff"), canonical("d2ffffffff"));
        CPPUNIT_ASSERT_EQUAL(text("cb3ff8000000000000"), canonical("ca3fc00000"));
        CPPUNIT_ASSERT_EQUAL(text("a161"), canonical("db0000000161"));
        CPPUNIT_ASSERT_EQUAL(text("91c2"), canonical("dd00000001c2"));
        CPPUNIT_ASSERT_EQUAL(text("81a161c3"), canonical("df00000001d90161c3"));
    }

    void refuses_what_json_has_no_form_for() {
        CPPUNIT_ASSERT(refused("c40101"));        // bytes
        CPPUNIT_ASSERT(refused("91c400"));        // bytes inside
        CPPUNIT_ASSERT(refused("d6ff00000000"));  // a timestamp
        CPPUNIT_ASSERT(refused("810101"));        // an integer as a name
        CPPUNIT_ASSERT(refused("81c4016101"));    // bytes as a name
        CPPUNIT_ASSERT(refused("a1ff"));          // not UTF-8
        CPPUNIT_ASSERT(refused("81a1ff01"));      // a name that is not UTF-8
        CPPUNIT_ASSERT(refused("a3eda080"));      // a surrogate
        CPPUNIT_ASSERT(refused(""));
    }

    void refuses_more_than_128_levels() {
        const auto nested = [](char container, size_t depth) {
            std::string bytes;
            for (size_t i = 0; i < depth; ++i) bytes += container == 'a' ? from_hex("91") : from_hex("81a16b");
            return bytes + from_hex("c0");
        };
        for (const char container : {'a', 'm'}) {
            const Result<JsonValue> deepest = wire::decode_json_value(nested(container, 128));
            CPPUNIT_ASSERT(deepest.ok());
            CPPUNIT_ASSERT_EQUAL(128U, deepest->depth());
            CPPUNIT_ASSERT(!wire::decode_json_value(nested(container, 129)).ok());
        }
    }

    void renders_the_example_of_the_specification() {
        const char* example =
            "87a161ffa361727292c3c2a3626967cfffffffffffffffffa166cb3ff0000000000000a16ec0a173a2c3a9a17a01";
        CPPUNIT_ASSERT_EQUAL(text(example), canonical(example));
        CPPUNIT_ASSERT_EQUAL(
            text(R"({"a":-1,"arr":[true,false],"big":18446744073709551615,"f":1.0,"n":null,"s":"é","z":1})"),
            text_of_hex(example));
    }

    void compares_by_text() {
        const JsonValue two = JsonValue::integer(2);
        const JsonValue ten = JsonValue::integer(10);
        CPPUNIT_ASSERT(compare_text(ten, two) < 0);
        CPPUNIT_ASSERT(compare_text(two, ten) > 0);
        CPPUNIT_ASSERT_EQUAL(0, compare_text(two, JsonValue::integer(2)));
        CPPUNIT_ASSERT(compare_text(JsonValue::string("a"), JsonValue::string("b")) < 0);
        CPPUNIT_ASSERT(compare_text(JsonValue::string("z"), JsonValue()) < 0);  // a quote sorts before a letter
    }

    void makes_scalars() {
        CPPUNIT_ASSERT_EQUAL(text("null"), JsonValue().to_text());
        CPPUNIT_ASSERT(JsonValue().is_null());
        CPPUNIT_ASSERT_EQUAL(text("true"), JsonValue::boolean(true).to_text());
        CPPUNIT_ASSERT_EQUAL(text("-129"), JsonValue::integer(-129).to_text());
        CPPUNIT_ASSERT_EQUAL(text("\"x\\n\""), JsonValue::string("x\n").to_text());
        CPPUNIT_ASSERT_EQUAL(0U, JsonValue::string("x").depth());
        CPPUNIT_ASSERT(!JsonValue::string("x").is_null());
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(JsonTest);

}  // namespace meridian::test
