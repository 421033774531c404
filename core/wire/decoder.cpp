#include "wire/decoder.h"

#include <charconv>

#include "base/utf8.h"

namespace meridian::wire {

bool Decoder::fail(MsgpackNode found, std::string_view expected) {
    problem_ = "found " + found.describe() + ", expected ";
    problem_ += expected;
    return false;
}

bool Decoder::fail(std::string problem) {
    problem_ = std::move(problem);
    return false;
}

bool Decoder::within(std::string_view name) {
    if (!path_.empty()) path_.insert(0, 1, '.');
    path_.insert(0, name);
    return false;
}

Error Decoder::error() const {
    if (path_.empty()) return Error{problem_};
    return Error{"field " + path_ + ": " + problem_};
}

namespace {

std::string_view unsigned_type_name(uint64_t value_max) {
    switch (value_max) {
        case std::numeric_limits<uint8_t>::max():
            return "an unsigned 8-bit integer";
        case std::numeric_limits<uint16_t>::max():
            return "an unsigned 16-bit integer";
        case std::numeric_limits<uint32_t>::max():
            return "an unsigned 32-bit integer";
        default:
            return "an unsigned 64-bit integer";
    }
}

// A name for error texts, which must stay short and valid UTF-8: names may come from outside.
std::string quoted(std::string_view name) {
    constexpr size_t quoted_bytes_max = 40;
    if (name.size() > quoted_bytes_max || !is_valid_utf8(name)) return std::to_string(name.size()) + " bytes";
    return "\"" + std::string(name) + "\"";
}

}  // namespace

bool read_unsigned(Decoder& decoder, MsgpackNode node, uint64_t value_max, uint64_t& out, bool* from_float) {
    uint64_t value = 0;
    bool is_float = false;
    if (node.kind() == MsgpackKind::unsigned_integer) {
        value = node.unsigned_integer();
    } else if (node.kind() == MsgpackKind::float64) {
        constexpr double two_to_64 = 18446744073709551616.0;
        const double real = node.float64();
        // Written so that NaN fails; only then may the conversion be made.
        if (!(real >= 0 && real < two_to_64)) return decoder.fail(node, unsigned_type_name(value_max));
        value = static_cast<uint64_t>(real);
        if (static_cast<double>(value) != real) return decoder.fail(node, unsigned_type_name(value_max));
        is_float = true;
    } else {
        return decoder.fail(node, unsigned_type_name(value_max));
    }
    if (value > value_max) return decoder.fail(node, unsigned_type_name(value_max));
    out = value;
    if (from_float != nullptr) *from_float = is_float;
    return true;
}

bool read_string(Decoder& decoder, MsgpackNode node, std::string_view& out) {
    if (node.kind() != MsgpackKind::string) return decoder.fail(node, "a string");
    if (!is_valid_utf8(node.bytes())) {
        return decoder.fail("found a string of " + std::to_string(node.size()) +
                            " bytes that are not UTF-8, expected UTF-8");
    }
    out = node.bytes();
    return true;
}

bool read_string(Decoder& decoder, MsgpackNode node, std::string& out) {
    std::string_view text;
    if (!read_string(decoder, node, text)) return false;
    out.assign(text);
    return true;
}

bool read_bytes(Decoder& decoder, MsgpackNode node, std::string& out) {
    if (node.kind() == MsgpackKind::binary || node.kind() == MsgpackKind::string) {
        out.assign(node.bytes());
        return true;
    }
    if (node.kind() != MsgpackKind::array) return decoder.fail(node, "a byte string");
    out.clear();
    out.reserve(node.size());
    return read_array(decoder, node, [&](MsgpackNode element) {
        uint8_t byte = 0;
        if (!read_integer(decoder, element, byte)) return false;
        out.push_back(static_cast<char>(byte));
        return true;
    });
}

bool read_integer_key(Decoder& decoder, MsgpackNode node, uint64_t& out) {
    if (node.kind() != MsgpackKind::string) {
        return read_unsigned(decoder, node, std::numeric_limits<uint64_t>::max(), out);
    }
    const std::string_view text = node.bytes();
    const char* const end = text.data() + text.size();
    const std::from_chars_result parsed = std::from_chars(text.data(), end, out);
    if (parsed.ec != std::errc() || parsed.ptr != end) {
        return decoder.fail(node, "an unsigned 64-bit integer or its decimal text as a key");
    }
    return true;
}

std::optional<VariantNode> read_variant(Decoder& decoder, MsgpackNode node, std::string_view expected) {
    if (node.kind() == MsgpackKind::map && node.size() == 1 && node.first().kind() == MsgpackKind::string) {
        return VariantNode{node.first().bytes(), node.first().next()};
    }
    decoder.fail(node, std::string(expected) + ": a map of exactly one entry, variant name to content");
    return std::nullopt;
}

bool fail_unknown_variant(Decoder& decoder, std::string_view name, std::string_view expected) {
    return decoder.fail("found the variant " + quoted(name) + ", expected " + std::string(expected));
}

namespace detail {

bool fail_not_struct(Decoder& decoder, MsgpackNode found) {
    return decoder.fail(found, "a map of fields");
}

bool fail_too_many_elements(Decoder& decoder, MsgpackNode found, size_t expected_max) {
    return decoder.fail(found, "at most " + std::to_string(expected_max) + " fields");
}

bool fail_key_not_string(Decoder& decoder, MsgpackNode found) {
    return decoder.fail(found, "a field name, which is a string");
}

bool fail_duplicate(Decoder& decoder, std::string_view name) {
    return decoder.fail("found the field " + quoted(name) + " twice, expected it once");
}

bool fail_missing(Decoder& decoder, std::string_view name) {
    return decoder.fail("found no field " + quoted(name) + ", which is required");
}

}  // namespace detail

}  // namespace meridian::wire
