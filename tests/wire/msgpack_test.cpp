#include "base/msgpack.h"

#include <cppunit/extensions/HelperMacros.h>

#include <limits>

#include "base/utf8.h"
#include "wire/vectors.h"

namespace meridian::test {

namespace {

template <class Write>
std::string written(Write write) {
    std::string bytes;
    MsgpackWriter writer(bytes);
    write(writer);
    return to_hex(bytes);
}
std::string unsigned_hex(uint64_t value) {
    return written([value](MsgpackWriter& writer) { writer.unsigned_integer(value); });
}
std::string signed_hex(int64_t value) {
    return written([value](MsgpackWriter& writer) { writer.signed_integer(value); });
}
// The first bytes of a string, byte string, array or map of this size.
std::string string_header(size_t size) {
    return written([size](MsgpackWriter& writer) { writer.string(std::string(size, 'x')); }).substr(0, 10);
}

std::string hex(const char* text) {
    return text;
}

}  // namespace

class MsgpackTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(MsgpackTest);
    CPPUNIT_TEST(writes_unsigned_integers_in_the_shortest_form);
    CPPUNIT_TEST(writes_negative_integers_in_the_shortest_form);
    CPPUNIT_TEST(writes_floats_as_float64_even_when_integral);
    CPPUNIT_TEST(writes_lengths_in_the_shortest_form);
    CPPUNIT_TEST(reads_every_integer_width_and_signedness);
    CPPUNIT_TEST(reads_every_form_of_text_bytes_and_extension);
    CPPUNIT_TEST(widens_float32);
    CPPUNIT_TEST(walks_nested_values);
    CPPUNIT_TEST(ignores_bytes_after_the_first_value);
    CPPUNIT_TEST(refuses_truncated_input_at_every_length);
    CPPUNIT_TEST(refuses_a_huge_count_without_its_elements);
    CPPUNIT_TEST(refuses_the_byte_that_starts_no_value);
    CPPUNIT_TEST(refuses_nesting_beyond_the_limit);
    CPPUNIT_TEST(measures_depth);
    CPPUNIT_TEST(tells_valid_utf8_from_invalid);
    CPPUNIT_TEST(recognises_a_single_unicode_scalar);
    CPPUNIT_TEST_SUITE_END();

    void writes_unsigned_integers_in_the_shortest_form() {
        CPPUNIT_ASSERT_EQUAL(hex("00"), unsigned_hex(0));
        CPPUNIT_ASSERT_EQUAL(hex("7f"), unsigned_hex(127));
        CPPUNIT_ASSERT_EQUAL(hex("cc80"), unsigned_hex(128));
        CPPUNIT_ASSERT_EQUAL(hex("ccff"), unsigned_hex(255));
        CPPUNIT_ASSERT_EQUAL(hex("cd0100"), unsigned_hex(256));
        CPPUNIT_ASSERT_EQUAL(hex("cdffff"), unsigned_hex(65535));
        CPPUNIT_ASSERT_EQUAL(hex("ce00010000"), unsigned_hex(65536));
        CPPUNIT_ASSERT_EQUAL(hex("ceffffffff"), unsigned_hex(4294967295));
        CPPUNIT_ASSERT_EQUAL(hex("cf0000000100000000"), unsigned_hex(4294967296));
        CPPUNIT_ASSERT_EQUAL(hex("cfffffffffffffffff"), unsigned_hex(std::numeric_limits<uint64_t>::max()));
    }

    void writes_negative_integers_in_the_shortest_form() {
        CPPUNIT_ASSERT_EQUAL(hex("05"), signed_hex(5));
        CPPUNIT_ASSERT_EQUAL(hex("cc80"), signed_hex(128));
        CPPUNIT_ASSERT_EQUAL(hex("ff"), signed_hex(-1));
        CPPUNIT_ASSERT_EQUAL(hex("e0"), signed_hex(-32));
        CPPUNIT_ASSERT_EQUAL(hex("d0df"), signed_hex(-33));
        CPPUNIT_ASSERT_EQUAL(hex("d080"), signed_hex(-128));
        CPPUNIT_ASSERT_EQUAL(hex("d1ff7f"), signed_hex(-129));
        CPPUNIT_ASSERT_EQUAL(hex("d18000"), signed_hex(-32768));
        CPPUNIT_ASSERT_EQUAL(hex("d2ffff7fff"), signed_hex(-32769));
        CPPUNIT_ASSERT_EQUAL(hex("d280000000"), signed_hex(-2147483648LL));
        CPPUNIT_ASSERT_EQUAL(hex("d3ffffffff7fffffff"), signed_hex(-2147483649LL));
        CPPUNIT_ASSERT_EQUAL(hex("d38000000000000000"), signed_hex(std::numeric_limits<int64_t>::min()));
    }

    void writes_floats_as_float64_even_when_integral() {
        CPPUNIT_ASSERT_EQUAL(hex("cb3ff0000000000000"), written([](MsgpackWriter& writer) { writer.float64(1.0); }));
        CPPUNIT_ASSERT_EQUAL(hex("cb8000000000000000"), written([](MsgpackWriter& writer) { writer.float64(-0.0); }));
    }

    void writes_lengths_in_the_shortest_form() {
        CPPUNIT_ASSERT_EQUAL(hex("a0"), string_header(0));
        CPPUNIT_ASSERT_EQUAL(hex("bf78787878"), string_header(31));
        CPPUNIT_ASSERT_EQUAL(hex("d920787878"), string_header(32));
        CPPUNIT_ASSERT_EQUAL(hex("d9ff787878"), string_header(255));
        CPPUNIT_ASSERT_EQUAL(hex("da01007878"), string_header(256));
        CPPUNIT_ASSERT_EQUAL(hex("db00010000"), string_header(65536));
        const auto binary = [](size_t size) {
            return written([size](MsgpackWriter& writer) { writer.binary_header(size); });
        };
        CPPUNIT_ASSERT_EQUAL(hex("c400"), binary(0));
        CPPUNIT_ASSERT_EQUAL(hex("c4ff"), binary(255));
        CPPUNIT_ASSERT_EQUAL(hex("c50100"), binary(256));
        CPPUNIT_ASSERT_EQUAL(hex("c600010000"), binary(65536));
        const auto array = [](size_t size) { return written([size](MsgpackWriter& writer) { writer.array(size); }); };
        CPPUNIT_ASSERT_EQUAL(hex("9f"), array(15));
        CPPUNIT_ASSERT_EQUAL(hex("dc0010"), array(16));
        CPPUNIT_ASSERT_EQUAL(hex("dd00010000"), array(65536));
        const auto map = [](size_t size) { return written([size](MsgpackWriter& writer) { writer.map(size); }); };
        CPPUNIT_ASSERT_EQUAL(hex("8f"), map(15));
        CPPUNIT_ASSERT_EQUAL(hex("de0010"), map(16));
        CPPUNIT_ASSERT_EQUAL(hex("df00010000"), map(65536));
    }

    void reads_every_integer_width_and_signedness() {
        for (const char* five : {"05", "cc05", "cd0005", "ce00000005", "cf0000000000000005", "d005", "d10005",
                                 "d200000005", "d30000000000000005"}) {
            const std::string bytes = from_hex(five);
            const Result<MsgpackTape> tape = MsgpackTape::parse(bytes);
            CPPUNIT_ASSERT_MESSAGE(five, tape.ok());
            CPPUNIT_ASSERT_MESSAGE(five, tape->root().kind() == MsgpackKind::unsigned_integer);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(five, uint64_t{5}, tape->root().unsigned_integer());
        }
        for (const char* minus_five : {"fb", "d0fb", "d1fffb", "d2fffffffb", "d3fffffffffffffffb"}) {
            const std::string bytes = from_hex(minus_five);
            const Result<MsgpackTape> tape = MsgpackTape::parse(bytes);
            CPPUNIT_ASSERT_MESSAGE(minus_five, tape.ok());
            CPPUNIT_ASSERT_MESSAGE(minus_five, tape->root().kind() == MsgpackKind::negative_integer);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(minus_five, int64_t{-5}, tape->root().negative_integer());
        }
    }

    void reads_every_form_of_text_bytes_and_extension() {
        struct Form {
            const char* bytes;
            MsgpackKind kind;
            const char* content;  // of an extension: its type first
        };
        for (const Form& form :
             {Form{"a26869", MsgpackKind::string, "6869"}, Form{"d9026869", MsgpackKind::string, "6869"},
              Form{"da00026869", MsgpackKind::string, "6869"}, Form{"db000000026869", MsgpackKind::string, "6869"},
              Form{"c40100", MsgpackKind::binary, "00"}, Form{"c5000100", MsgpackKind::binary, "00"},
              Form{"c60000000100", MsgpackKind::binary, "00"}, Form{"d40701", MsgpackKind::extension, "0701"},
              Form{"d5070102", MsgpackKind::extension, "070102"},
              Form{"d60701020304", MsgpackKind::extension, "0701020304"},
              Form{"d7070102030405060708", MsgpackKind::extension, "070102030405060708"},
              Form{"d80700000000000000000000000000000000", MsgpackKind::extension,
                   "0700000000000000000000000000000000"},
              Form{"c7010709", MsgpackKind::extension, "0709"}, Form{"c800010709", MsgpackKind::extension, "0709"},
              Form{"c9000000010709", MsgpackKind::extension, "0709"}, Form{"c70007", MsgpackKind::extension, "07"}}) {
            const std::string bytes = from_hex(form.bytes);
            const Result<MsgpackTape> tape = MsgpackTape::parse(bytes);
            CPPUNIT_ASSERT_MESSAGE(form.bytes, tape.ok());
            CPPUNIT_ASSERT_MESSAGE(form.bytes, tape->root().kind() == form.kind);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(form.bytes, hex(form.content), to_hex(tape->root().bytes()));
            CPPUNIT_ASSERT_EQUAL_MESSAGE(form.bytes, bytes.size(), tape->bytes_used());
        }
    }

    void widens_float32() {
        const std::string bytes = from_hex("ca3fc00000");
        const Result<MsgpackTape> tape = MsgpackTape::parse(bytes);
        CPPUNIT_ASSERT(tape.ok());
        CPPUNIT_ASSERT_EQUAL(1.5, tape->root().float64());
    }

    void walks_nested_values() {
        // {"a": [1, [], {"b": nil}], "c": "d"}
        const std::string bytes = from_hex(
            "82a1619301"
            "90"
            "81a162c0"
            "a163a164");
        const Result<MsgpackTape> tape = MsgpackTape::parse(bytes);
        CPPUNIT_ASSERT(tape.ok());
        const MsgpackNode map = tape->root();
        CPPUNIT_ASSERT_EQUAL(uint32_t{2}, map.size());
        const MsgpackNode list = map.first().next();
        CPPUNIT_ASSERT_EQUAL(uint32_t{3}, list.size());
        CPPUNIT_ASSERT(list.first().next().kind() == MsgpackKind::array);
        CPPUNIT_ASSERT(list.first().next().next().kind() == MsgpackKind::map);
        const MsgpackNode second_key = list.next();
        CPPUNIT_ASSERT_EQUAL(std::string_view("c"), second_key.bytes());
        CPPUNIT_ASSERT_EQUAL(std::string_view("d"), second_key.next().bytes());
    }

    void ignores_bytes_after_the_first_value() {
        const std::string bytes = from_hex(
            "8101c0"
            "ffc1");
        const Result<MsgpackTape> tape = MsgpackTape::parse(bytes);
        CPPUNIT_ASSERT(tape.ok());
        CPPUNIT_ASSERT_EQUAL(size_t{3}, tape->bytes_used());
    }

    void refuses_truncated_input_at_every_length() {
        const std::string whole = from_hex("83a3616263cd01009301c403aabbcca0cb3ff0000000000000dc0001d90178");
        CPPUNIT_ASSERT(!MsgpackTape::parse(whole).ok());  // the third value is missing
        const std::string complete = whole + from_hex("c0");
        // 83 abc:256, [1, bin, ""]:1.0, [str8]: nil
        CPPUNIT_ASSERT(MsgpackTape::parse(complete).ok());
        for (size_t size = 0; size < complete.size(); ++size) {
            CPPUNIT_ASSERT_MESSAGE(std::to_string(size), !MsgpackTape::parse(complete.substr(0, size)).ok());
        }
    }

    void refuses_a_huge_count_without_its_elements() {
        for (const char* lie : {"ddffffffff", "dfffffffff", "dbffffffff", "c6ffffffff", "c9ffffffff", "ddffffffff01"}) {
            const Result<MsgpackTape> tape = MsgpackTape::parse(from_hex(lie));
            CPPUNIT_ASSERT_MESSAGE(lie, !tape.ok());
        }
    }

    void refuses_the_byte_that_starts_no_value() {
        CPPUNIT_ASSERT(!MsgpackTape::parse(from_hex("c1")).ok());
        CPPUNIT_ASSERT(!MsgpackTape::parse(from_hex("91c1")).ok());
    }

    void refuses_nesting_beyond_the_limit() {
        const auto nested = [](size_t depth) { return std::string(depth, '\x91') + '\xc0'; };
        CPPUNIT_ASSERT(MsgpackTape::parse(nested(1024)).ok());
        CPPUNIT_ASSERT(!MsgpackTape::parse(nested(1025)).ok());
        CPPUNIT_ASSERT(!MsgpackTape::parse(nested(1'000'000)).ok());
        CPPUNIT_ASSERT(MsgpackTape::parse(nested(3), 3).ok());
        CPPUNIT_ASSERT(!MsgpackTape::parse(nested(4), 3).ok());
    }

    void measures_depth() {
        const auto depth = [](const char* text) {
            const std::string bytes = from_hex(text);
            return MsgpackTape::parse(bytes)->depth();
        };
        CPPUNIT_ASSERT_EQUAL(0U, depth("c0"));
        CPPUNIT_ASSERT_EQUAL(1U, depth("90"));
        CPPUNIT_ASSERT_EQUAL(1U, depth("80"));
        CPPUNIT_ASSERT_EQUAL(2U, depth("9201"
                                       "9101"));
        CPPUNIT_ASSERT_EQUAL(3U, depth("93"
                                       "90"
                                       "9190"
                                       "01"));
    }

    void tells_valid_utf8_from_invalid() {
        for (const char* valid : {"", "a", "abcdefgh\xc3\xa9", "\xc2\x80", "\xef\xbf\xbf", "\xf0\x9f\xa6\x80",
                                  "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80"}) {
            CPPUNIT_ASSERT_MESSAGE(to_hex(valid), is_valid_utf8(valid));
        }
        for (const char* invalid : {"\x80", "\xc3", "\xc0\xaf", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
                                    "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
                                    "\xff", "abcdefgh\xe2\x82", "\xe2\x28\xa1"}) {
            CPPUNIT_ASSERT_MESSAGE(to_hex(invalid), !is_valid_utf8(invalid));
        }
    }

    void recognises_a_single_unicode_scalar() {
        CPPUNIT_ASSERT(single_utf8_scalar("H") == U'H');
        CPPUNIT_ASSERT(single_utf8_scalar(std::string_view("\0", 1)) == char32_t{0});
        CPPUNIT_ASSERT(single_utf8_scalar("\xf0\x9f\xa6\x80") == char32_t{0x1f980});
        CPPUNIT_ASSERT(!single_utf8_scalar(""));
        CPPUNIT_ASSERT(!single_utf8_scalar("ab"));
        CPPUNIT_ASSERT(!single_utf8_scalar("e\xcc\x81"));
        CPPUNIT_ASSERT(!single_utf8_scalar("\xed\xa0\x80"));
        for (const char32_t scalar : {U'\0', char32_t{0x7f}, char32_t{0x80}, char32_t{0x7ff}, char32_t{0x800},
                                      char32_t{0xffff}, char32_t{0x10000}, char32_t{0x10ffff}}) {
            std::string text;
            append_utf8(text, scalar);
            CPPUNIT_ASSERT(single_utf8_scalar(text) == scalar);
        }
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(MsgpackTest);

}  // namespace meridian::test
