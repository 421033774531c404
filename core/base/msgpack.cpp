#include "base/msgpack.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <exception>
#include <limits>

#include "base/json_writer.h"
#include "base/utf8.h"

// The parser alone, without Boost.
#ifndef MSGPACK_NO_BOOST
#define MSGPACK_NO_BOOST
#endif
#include <msgpack.hpp>

namespace meridian {

template <class Unsigned>
void MsgpackWriter::tagged(uint8_t tag, Unsigned value) {
    char buffer[1 + sizeof(Unsigned)];
    buffer[0] = static_cast<char>(tag);
    for (size_t i = 0; i < sizeof(Unsigned); ++i) {
        buffer[sizeof(Unsigned) - i] = static_cast<char>(value >> (8 * i));
    }
    out_.append(buffer, sizeof buffer);
}

void MsgpackWriter::unsigned_integer(uint64_t value) {
    if (value < 0x80) {
        byte(static_cast<uint8_t>(value));
    } else if (value <= 0xff) {
        tagged(0xcc, static_cast<uint8_t>(value));
    } else if (value <= 0xffff) {
        tagged(0xcd, static_cast<uint16_t>(value));
    } else if (value <= 0xffffffff) {
        tagged(0xce, static_cast<uint32_t>(value));
    } else {
        tagged(0xcf, value);
    }
}

void MsgpackWriter::signed_integer(int64_t value) {
    const auto bits = static_cast<uint64_t>(value);
    if (value >= 0) {
        unsigned_integer(bits);
    } else if (value >= -32) {
        byte(static_cast<uint8_t>(bits));
    } else if (value >= std::numeric_limits<int8_t>::min()) {
        tagged(0xd0, static_cast<uint8_t>(bits));
    } else if (value >= std::numeric_limits<int16_t>::min()) {
        tagged(0xd1, static_cast<uint16_t>(bits));
    } else if (value >= std::numeric_limits<int32_t>::min()) {
        tagged(0xd2, static_cast<uint32_t>(bits));
    } else {
        tagged(0xd3, bits);
    }
}

void MsgpackWriter::float64(double value) {
    tagged(0xcb, std::bit_cast<uint64_t>(value));
}

void MsgpackWriter::string(std::string_view utf8) {
    assert(utf8.size() <= 0xffffffff);
    if (utf8.size() < 32) {
        byte(static_cast<uint8_t>(0xa0 | utf8.size()));
    } else if (utf8.size() <= 0xff) {
        tagged(0xd9, static_cast<uint8_t>(utf8.size()));
    } else if (utf8.size() <= 0xffff) {
        tagged(0xda, static_cast<uint16_t>(utf8.size()));
    } else {
        tagged(0xdb, static_cast<uint32_t>(utf8.size()));
    }
    out_.append(utf8);
}

void MsgpackWriter::binary(std::string_view bytes) {
    binary_header(bytes.size());
    out_.append(bytes);
}

void MsgpackWriter::binary_header(size_t size) {
    assert(size <= 0xffffffff);
    if (size <= 0xff) {
        tagged(0xc4, static_cast<uint8_t>(size));
    } else if (size <= 0xffff) {
        tagged(0xc5, static_cast<uint16_t>(size));
    } else {
        tagged(0xc6, static_cast<uint32_t>(size));
    }
}

void MsgpackWriter::array(size_t count) {
    assert(count <= 0xffffffff);
    if (count < 16) {
        byte(static_cast<uint8_t>(0x90 | count));
    } else if (count <= 0xffff) {
        tagged(0xdc, static_cast<uint16_t>(count));
    } else {
        tagged(0xdd, static_cast<uint32_t>(count));
    }
}

void MsgpackWriter::map(size_t count) {
    assert(count <= 0xffffffff);
    if (count < 16) {
        byte(static_cast<uint8_t>(0x80 | count));
    } else if (count <= 0xffff) {
        tagged(0xde, static_cast<uint16_t>(count));
    } else {
        tagged(0xdf, static_cast<uint32_t>(count));
    }
}

std::string MsgpackNode::describe() const {
    switch (kind()) {
        case MsgpackKind::nil:
            return "nil";
        case MsgpackKind::boolean:
            return boolean() ? "true" : "false";
        case MsgpackKind::unsigned_integer:
            return "the integer " + std::to_string(unsigned_integer());
        case MsgpackKind::negative_integer:
            return "the integer " + std::to_string(negative_integer());
        case MsgpackKind::float64: {
            std::string text = "the float ";
            append_json_double(text, float64());
            return text;
        }
        case MsgpackKind::string: {
            constexpr size_t quoted_bytes_max = 40;
            if (size() <= quoted_bytes_max && is_valid_utf8(bytes())) {
                std::string text = "the string \"";
                append_json_escaped(text, bytes());
                return text + '"';
            }
            return "a string of " + std::to_string(size()) + " bytes";
        }
        case MsgpackKind::binary:
            return "a byte string of " + std::to_string(size()) + " bytes";
        case MsgpackKind::extension:
            return "an extension value";
        case MsgpackKind::array:
            return "an array of " + std::to_string(size()) + " elements";
        case MsgpackKind::map:
            return "a map of " + std::to_string(size()) + " entries";
    }
    return "an unknown value";
}

namespace {

class TapeVisitor : public msgpack::null_visitor {
public:
    TapeVisitor(std::vector<MsgpackToken>& tokens, unsigned nesting_max) : tokens_(tokens), nesting_max_(nesting_max) {}

    unsigned depth() const { return depth_; }
    bool too_deep() const { return too_deep_; }
    bool truncated() const { return truncated_; }

    bool visit_nil() {
        add(MsgpackKind::nil);
        return true;
    }
    bool visit_boolean(bool truth) {
        add(MsgpackKind::boolean).number = truth ? 1 : 0;
        return true;
    }
    bool visit_positive_integer(uint64_t value) {
        add(MsgpackKind::unsigned_integer).number = value;
        return true;
    }
    // Called for the signed forms, whatever the sign of the value.
    bool visit_negative_integer(int64_t value) {
        if (value >= 0) return visit_positive_integer(static_cast<uint64_t>(value));
        add(MsgpackKind::negative_integer).negative = value;
        return true;
    }
    bool visit_float32(float value) { return visit_float64(static_cast<double>(value)); }
    bool visit_float64(double value) {
        add(MsgpackKind::float64).real = value;
        return true;
    }
    bool visit_str(const char* data, uint32_t size) { return add_bytes(MsgpackKind::string, data, size); }
    bool visit_bin(const char* data, uint32_t size) { return add_bytes(MsgpackKind::binary, data, size); }
    bool visit_ext(const char* data, uint32_t size) { return add_bytes(MsgpackKind::extension, data, size); }

    bool start_array(uint32_t count) { return open(MsgpackKind::array, count); }
    bool end_array() { return close(); }
    bool start_map(uint32_t count) { return open(MsgpackKind::map, count); }
    bool end_map() { return close(); }

    void insufficient_bytes(size_t, size_t) { truncated_ = true; }

private:
    MsgpackToken& add(MsgpackKind kind) {
        MsgpackToken& token = tokens_.emplace_back();
        token.kind = kind;
        return token;
    }
    bool add_bytes(MsgpackKind kind, const char* data, uint32_t size) {
        MsgpackToken& token = add(kind);
        token.data = data;
        token.size = size;
        return true;
    }
    // While a container is open, its token_span links to the container around it.
    bool open(MsgpackKind kind, uint32_t count) {
        if (open_count_ == nesting_max_) {
            too_deep_ = true;
            return false;
        }
        depth_ = std::max(depth_, ++open_count_);
        const uint64_t index = tokens_.size();
        MsgpackToken& token = add(kind);
        token.size = count;
        token.token_span = innermost_;
        innermost_ = index;
        return true;
    }
    bool close() {
        MsgpackToken& token = tokens_[innermost_];
        const uint64_t span = tokens_.size() - innermost_;
        innermost_ = token.token_span;
        token.token_span = span;
        --open_count_;
        return true;
    }

    std::vector<MsgpackToken>& tokens_;
    const unsigned nesting_max_;
    uint64_t innermost_ = 0;
    unsigned open_count_ = 0;
    unsigned depth_ = 0;
    bool too_deep_ = false;
    bool truncated_ = false;
};

}  // namespace

Result<MsgpackTape> MsgpackTape::parse(std::string_view bytes, unsigned nesting_max) {
    if (bytes.empty()) return Error{"found no bytes, expected a MessagePack value"};
    MsgpackTape tape;
    // Room for an ordinary op at once; a vector grows for anything else.
    tape.tokens_.reserve(std::min<size_t>(bytes.size(), 32));
    TapeVisitor visitor(tape.tokens_, nesting_max);
    try {
        const bool complete = msgpack::parse(bytes.data(), bytes.size(), tape.bytes_used_, visitor);
        if (visitor.too_deep()) {
            return Error{"found values nested more than " + std::to_string(nesting_max) + " deep in MessagePack"};
        }
        if (visitor.truncated()) {
            return Error{"found the end of the input after " + std::to_string(bytes.size()) +
                         " bytes, expected more of a MessagePack value"};
        }
        if (!complete) return Error{"found a byte that starts no MessagePack value"};
    } catch (const std::exception& failure) { return Error{std::string("not MessagePack: ") + failure.what()}; }
    tape.depth_ = visitor.depth();
    return tape;
}

}  // namespace meridian
