#include "base/json_writer.h"

#include <array>
#include <cassert>
#include <charconv>
#include <cmath>

#include "base/json_value.h"
#include "base/msgpack.h"

namespace meridian {

void append_json_escaped(std::string& out, std::string_view utf8) {
    static constexpr char hex[] = "0123456789abcdef";
    size_t copied = 0;
    for (size_t i = 0; i < utf8.size(); ++i) {
        const auto byte = static_cast<unsigned char>(utf8[i]);
        if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
        out.append(utf8.substr(copied, i - copied));
        copied = i + 1;
        switch (byte) {
            case '"':
                out += "\\\"";
                break;
            case '\\':
                out += "\\\\";
                break;
            case '\b':
                out += "\\b";
                break;
            case '\t':
                out += "\\t";
                break;
            case '\n':
                out += "\\n";
                break;
            case '\f':
                out += "\\f";
                break;
            case '\r':
                out += "\\r";
                break;
            default:
                out += "\\u00";
                out.push_back(hex[byte >> 4]);
                out.push_back(hex[byte & 0xf]);
        }
    }
    out.append(utf8.substr(copied));
}

namespace {

template <class Integer>
void append_integer(std::string& out, Integer value) {
    std::array<char, 24> buffer;
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
    out.append(buffer.data(), end);
}

}  // namespace

void append_json_double(std::string& out, double value) {
    if (!std::isfinite(value)) {
        out += "null";
        return;
    }
    if (std::signbit(value)) {
        out.push_back('-');
        value = -value;
    }
    if (value == 0) {
        out += "0.0";
        return;
    }
    // "d[.ddd]e±xx": the shortest digits that round-trip, to be laid out anew.
    std::array<char, 32> buffer;
    const char* end =
        std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific).ptr;
    std::string_view text(buffer.data(), static_cast<size_t>(end - buffer.data()));
    const size_t exponent_mark = text.find('e');
    std::string_view exponent_text = text.substr(exponent_mark + 1);
    if (exponent_text.front() == '+') exponent_text.remove_prefix(1);
    int exponent = 0;
    std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(), exponent);

    const std::string_view mantissa = text.substr(0, exponent_mark);
    std::array<char, 20> digits;
    size_t digit_count = 0;
    for (const char c : mantissa) {
        if (c != '.') digits[digit_count++] = c;
    }
    const std::string_view digits_text(digits.data(), digit_count);

    if (exponent < -5 || exponent > 15) {
        out.append(mantissa);
        out.push_back('e');
        out.push_back(exponent < 0 ? '-' : '+');
        append_integer(out, exponent < 0 ? -exponent : exponent);
    } else if (exponent < 0) {
        out += "0.";
        out.append(static_cast<size_t>(-exponent - 1), '0');
        out.append(digits_text);
    } else {
        const auto whole_digits = static_cast<size_t>(exponent) + 1;
        if (digit_count <= whole_digits) {
            out.append(digits_text);
            out.append(whole_digits - digit_count, '0');
            out += ".0";
        } else {
            out.append(digits_text.substr(0, whole_digits));
            out.push_back('.');
            out.append(digits_text.substr(whole_digits));
        }
    }
}

void JsonWriter::separate() {
    if (after_key_) {
        after_key_ = false;
        return;
    }
    if (has_member_.empty()) return;
    if (has_member_.back()) text_.push_back(',');
    has_member_.back() = true;
}

void JsonWriter::begin_object() {
    separate();
    text_.push_back('{');
    has_member_.push_back(false);
}

void JsonWriter::end_object() {
    has_member_.pop_back();
    text_.push_back('}');
}

void JsonWriter::begin_array() {
    separate();
    text_.push_back('[');
    has_member_.push_back(false);
}

void JsonWriter::end_array() {
    has_member_.pop_back();
    text_.push_back(']');
}

void JsonWriter::key(std::string_view name) {
    string(name);
    text_.push_back(':');
    after_key_ = true;
}

void JsonWriter::null() {
    raw("null");
}

void JsonWriter::boolean(bool truth) {
    raw(truth ? "true" : "false");
}

void JsonWriter::number(uint64_t value) {
    separate();
    append_integer(text_, value);
}

void JsonWriter::number(int64_t value) {
    separate();
    append_integer(text_, value);
}

void JsonWriter::number(double value) {
    separate();
    append_json_double(text_, value);
}

void JsonWriter::string(std::string_view utf8) {
    begin_string();
    string_part(utf8);
    end_string();
}

void JsonWriter::begin_string() {
    separate();
    text_.push_back('"');
}

void JsonWriter::string_part(std::string_view utf8) {
    append_json_escaped(text_, utf8);
}

void JsonWriter::end_string() {
    text_.push_back('"');
}

void JsonWriter::raw(std::string_view json_text) {
    separate();
    text_.append(json_text);
}

void JsonWriter::value(const JsonValue& json) {
    const Result<MsgpackTape> tape = MsgpackTape::parse(json.msgpack());
    if (!tape) {  // not canonical, which from_canonical_msgpack() forbids
        assert(false);
        null();
        return;
    }
    struct Open {
        bool is_map;
        uint32_t left;  // members still to write
    };
    std::vector<Open> open;
    MsgpackNode node = tape->root();
    for (;;) {
        switch (node.kind()) {
            case MsgpackKind::boolean:
                boolean(node.boolean());
                break;
            case MsgpackKind::unsigned_integer:
                number(node.unsigned_integer());
                break;
            case MsgpackKind::negative_integer:
                number(node.negative_integer());
                break;
            case MsgpackKind::float64:
                number(node.float64());
                break;
            case MsgpackKind::string:
                string(node.bytes());
                break;
            case MsgpackKind::array:
                begin_array();
                open.push_back({false, node.size()});
                break;
            case MsgpackKind::map:
                begin_object();
                open.push_back({true, node.size()});
                break;
            case MsgpackKind::nil:
            case MsgpackKind::binary:     // never in a JSON value
            case MsgpackKind::extension:  // never in a JSON value
                null();
                break;
        }
        while (!open.empty() && open.back().left == 0) {
            open.back().is_map ? end_object() : end_array();
            open.pop_back();
        }
        if (open.empty()) return;
        --open.back().left;
        // Tokens are in document order: the one after a container's own is its first member.
        node = node.following();
        if (open.back().is_map) {
            key(node.bytes());
            node = node.following();
        }
    }
}

}  // namespace meridian
