#include "base/msgpack.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <limits>

#include "base/json_writer.h"
#include "base/utf8.h"

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

enum class Outcome : uint8_t { complete, truncated, too_deep, invalid };

// One pass over the bytes, without recursion and without memory but the tape: while a container is open, its token_span
// holds the index of the container around it and how many of its members are still to come.
class TapeParser {
public:
    TapeParser(std::string_view bytes, std::vector<MsgpackToken>& tokens, unsigned nesting_max)
        : at_(bytes.data()), end_(at_ + bytes.size()), tokens_(tokens), nesting_max_(nesting_max) {}

    unsigned depth() const { return depth_; }
    const char* position() const { return at_; }

    Outcome parse() {
        for (;;) {
            if (const Outcome outcome = value(); outcome != Outcome::complete) return outcome;
            // A value ends all containers whose last member it is.
            while (open_count_ != 0 && members_left() == 0) close();
            if (open_count_ == 0) return Outcome::complete;
            --tokens_[innermost_].token_span;
        }
    }

private:
    static constexpr uint64_t members_mask = UINT32_MAX;

    size_t left() const { return static_cast<size_t>(end_ - at_); }
    uint64_t members_left() const { return tokens_[innermost_].token_span & members_mask; }

    // REQUIRES: left() >= size.
    uint64_t big_endian(unsigned size) {
        uint64_t number = 0;
        for (unsigned i = 0; i < size; ++i) number = number << 8 | static_cast<uint8_t>(*at_++);
        return number;
    }
    MsgpackToken& add(MsgpackKind kind) {
        MsgpackToken& token = tokens_.emplace_back();
        token.kind = kind;
        return token;
    }
    Outcome unsigned_integer(uint64_t number) {
        add(MsgpackKind::unsigned_integer).number = number;
        return Outcome::complete;
    }
    // The signed forms, whatever the sign of the value.
    Outcome signed_integer(int64_t number) {
        if (number >= 0) return unsigned_integer(static_cast<uint64_t>(number));
        add(MsgpackKind::negative_integer).negative = number;
        return Outcome::complete;
    }
    Outcome real(double number) {
        add(MsgpackKind::float64).real = number;
        return Outcome::complete;
    }
    Outcome bytes(MsgpackKind kind, uint64_t size) {
        if (left() < size) return Outcome::truncated;
        MsgpackToken& token = add(kind);
        token.data = at_;
        token.size = static_cast<uint32_t>(size);
        at_ += size;
        return Outcome::complete;
    }
    // Each member takes a byte at least: what promises more of them than there are bytes is truncated.
    Outcome container(MsgpackKind kind, uint64_t count) {
        if (open_count_ == nesting_max_) return Outcome::too_deep;
        const uint64_t members = kind == MsgpackKind::map ? 2 * count : count;
        if (members > left()) return Outcome::truncated;
        depth_ = std::max(depth_, ++open_count_);
        const uint64_t index = tokens_.size();
        MsgpackToken& token = add(kind);
        token.size = static_cast<uint32_t>(count);
        token.token_span = innermost_ << 32 | members;
        innermost_ = index;
        return Outcome::complete;
    }
    void close() {
        MsgpackToken& token = tokens_[innermost_];
        const uint64_t around = token.token_span >> 32;
        token.token_span = tokens_.size() - innermost_;
        innermost_ = around;
        --open_count_;
    }

    Outcome value() {
        if (left() == 0) return Outcome::truncated;
        const auto tag = static_cast<uint8_t>(*at_++);
        if (tag < 0x80) return unsigned_integer(tag);
        if (tag < 0x90) return container(MsgpackKind::map, tag & 0x0fU);
        if (tag < 0xa0) return container(MsgpackKind::array, tag & 0x0fU);
        if (tag < 0xc0) return bytes(MsgpackKind::string, tag & 0x1fU);
        if (tag >= 0xe0) return signed_integer(static_cast<int8_t>(tag));
        // Bytes of the number, or of the length, that follows the tags 0xc0 to 0xdf.
        static constexpr uint8_t number_bytes[32] = {0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8,
                                                     1, 2, 4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4};
        const unsigned size = number_bytes[tag - 0xc0];
        if (left() < size) return Outcome::truncated;
        const uint64_t number = big_endian(size);
        switch (tag) {
            case 0xc0:
                add(MsgpackKind::nil).number = 0;
                return Outcome::complete;
            case 0xc2:
            case 0xc3:
                add(MsgpackKind::boolean).number = tag & 1U;
                return Outcome::complete;
            case 0xc4:
            case 0xc5:
            case 0xc6:
                return bytes(MsgpackKind::binary, number);
            case 0xc7:
            case 0xc8:
            case 0xc9:
                return bytes(MsgpackKind::extension, number + 1);  // with the byte that tells its type
            case 0xca:
                return real(static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(number))));
            case 0xcb:
                return real(std::bit_cast<double>(number));
            case 0xcc:
            case 0xcd:
            case 0xce:
            case 0xcf:
                return unsigned_integer(number);
            case 0xd0:
                return signed_integer(static_cast<int8_t>(number));
            case 0xd1:
                return signed_integer(static_cast<int16_t>(number));
            case 0xd2:
                return signed_integer(static_cast<int32_t>(number));
            case 0xd3:
                return signed_integer(static_cast<int64_t>(number));
            case 0xd4:
            case 0xd5:
            case 0xd6:
            case 0xd7:
            case 0xd8:
                return bytes(MsgpackKind::extension, (uint64_t{1} << (tag - 0xd4)) + 1);
            case 0xd9:
            case 0xda:
            case 0xdb:
                return bytes(MsgpackKind::string, number);
            case 0xdc:
            case 0xdd:
                return container(MsgpackKind::array, number);
            case 0xde:
            case 0xdf:
                return container(MsgpackKind::map, number);
            default:
                return Outcome::invalid;  // 0xc1 is never used
        }
    }

    const char* at_;
    const char* end_;
    std::vector<MsgpackToken>& tokens_;
    const unsigned nesting_max_;
    uint64_t innermost_ = 0;
    unsigned open_count_ = 0;
    unsigned depth_ = 0;
};

}  // namespace

Result<MsgpackTape> MsgpackTape::parse(std::string_view bytes, unsigned nesting_max) {
    if (bytes.empty()) return Error{"found no bytes, expected a MessagePack value"};
    if (bytes.size() > UINT32_MAX) return Error{"found more than 4 GiB of MessagePack"};
    MsgpackTape tape;
    // Room for an ordinary op at once; a vector grows for anything else.
    tape.tokens_.reserve(std::min<size_t>(bytes.size(), 32));
    TapeParser parser(bytes, tape.tokens_, nesting_max);
    switch (parser.parse()) {
        case Outcome::complete:
            break;
        case Outcome::truncated:
            return Error{"found the end of the input after " + std::to_string(bytes.size()) +
                         " bytes, expected more of a MessagePack value"};
        case Outcome::too_deep:
            return Error{"found values nested more than " + std::to_string(nesting_max) + " deep in MessagePack"};
        case Outcome::invalid:
            return Error{"found a byte that starts no MessagePack value"};
    }
    tape.depth_ = parser.depth();
    tape.bytes_used_ = static_cast<size_t>(parser.position() - bytes.data());
    return tape;
}

}  // namespace meridian
