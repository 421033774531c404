// MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md): an appending writer, and a reader in two steps:
// MsgpackTape parses one value into a flat list of tokens, MsgpackNode walks it. The type-directed decoders in
// core/wire are built on these.
//
// Memory while reading: one token (16 bytes) for each value that is really there, whatever a length field promises;
// strings are borrowed from the input. No recursion. Not thread-safe; values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace meridian {

// Appends to a string that the caller owns. Shortest forms of integers and lengths; floats always float64, also when
// integral.
class MsgpackWriter {
public:
    explicit MsgpackWriter(std::string& out) : out_(out) {}

    void nil() { byte(0xc0); }
    void boolean(bool truth) { byte(truth ? 0xc3 : 0xc2); }
    void unsigned_integer(uint64_t value);
    void signed_integer(int64_t value);
    void float64(double value);
    // REQUIRES for strings, bytes and counts: below 2^32, which the limits on messages ensure.
    void string(std::string_view utf8);
    void binary(std::string_view bytes);
    void binary_header(size_t size);  // `size` bytes of payload follow by raw()
    void array(size_t count);
    void map(size_t count);  // entries: key, value, key, value ...
    // Bytes that already are MessagePack, or the payload after binary_header().
    void raw(std::string_view bytes) { out_.append(bytes); }

private:
    void byte(uint8_t value) { out_.push_back(static_cast<char>(value)); }
    template <class Unsigned>
    void tagged(uint8_t tag, Unsigned value);

    std::string& out_;
};

enum class MsgpackKind : uint8_t {
    nil,
    boolean,
    unsigned_integer,
    negative_integer,
    float64,  // also a widened float32
    string,   // not checked for valid UTF-8
    binary,
    extension,
    array,
    map,
};

struct MsgpackToken {
    union {
        uint64_t number;      // boolean, unsigned_integer
        int64_t negative;     // negative_integer
        double real;          // float64
        const char* data;     // string, binary, extension (type byte first); borrowed from the input
        uint64_t token_span;  // array, map: tokens of the whole value, this one included
    };
    uint32_t size = 0;  // bytes, elements or entries
    MsgpackKind kind = MsgpackKind::nil;
};

// One value on a tape. Borrowed: valid as long as the tape and its input. The getters REQUIRE the matching kind.
class MsgpackNode {
public:
    explicit MsgpackNode(const MsgpackToken* token) : token_(token) {}

    MsgpackKind kind() const { return token_->kind; }
    bool is_nil() const { return kind() == MsgpackKind::nil; }
    bool is_container() const { return kind() == MsgpackKind::array || kind() == MsgpackKind::map; }

    bool boolean() const { return token_->number != 0; }
    uint64_t unsigned_integer() const { return token_->number; }
    int64_t negative_integer() const { return token_->negative; }
    double float64() const { return token_->real; }
    std::string_view bytes() const { return {token_->data, token_->size}; }  // string, binary, extension
    uint32_t size() const { return token_->size; }                           // elements of an array, entries of a map

    // First element or first key. REQUIRES: a container that is not empty.
    MsgpackNode first() const { return MsgpackNode(token_ + 1); }
    // The value after this one: next element, or the value of a key, or the next key. REQUIRES: there is one.
    MsgpackNode next() const { return MsgpackNode(token_ + (is_container() ? token_->token_span : 1)); }

    // The next token in document order: as next(), but the first member of a container that is not empty.
    MsgpackNode following() const { return MsgpackNode(token_ + 1); }

    // What was found, for error texts: "the integer 5", "a map of 2 entries", "nil". Short valid UTF-8.
    std::string describe() const;

private:
    const MsgpackToken* token_;
};

class MsgpackTape {
public:
    // As deep as the existing servers read.
    static constexpr unsigned nesting_max_default = 1024;

    // Parses the first value of `bytes`, which must outlive the tape; what follows it is ignored. At most `nesting_max`
    // containers may be open at once.
    static Result<MsgpackTape> parse(std::string_view bytes, unsigned nesting_max = nesting_max_default);

    MsgpackNode root() const { return MsgpackNode(tokens_.data()); }
    // A scalar has depth 0, a container 1 + that of its deepest member (empty: 1).
    unsigned depth() const { return depth_; }
    // Bytes that the value took.
    size_t bytes_used() const { return bytes_used_; }

private:
    std::vector<MsgpackToken> tokens_;
    size_t bytes_used_ = 0;
    unsigned depth_ = 0;
};

}  // namespace meridian
