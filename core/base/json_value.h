// A JSON value as the CRDTs hold it: one string of canonical MessagePack. Compact, cheap to copy onto the wire, no
// recursion to destroy, and equal values have equal bytes.
//
// Canonical: shortest integer forms, floats always float64 and kept distinct from integers (1.0 is not 1), NaN and
// infinities replaced by nil, object members sorted by the UTF-8 bytes of their names, a repeated name keeps its last
// value, strings valid UTF-8. Only the wire decoders make one from
// outside bytes (wire/json_value_codec.h); they enforce the limit on depth.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace meridian {

class JsonValue {
public:
    // null
    JsonValue() : msgpack_("\xc0", 1) {}

    // REQUIRES: `msgpack` is canonical as described above.
    static JsonValue from_canonical_msgpack(std::string msgpack) {
        JsonValue value;
        value.msgpack_ = std::move(msgpack);
        return value;
    }

    static JsonValue string(std::string_view utf8);
    static JsonValue integer(int64_t number);
    static JsonValue boolean(bool truth);

    const std::string& msgpack() const { return msgpack_; }
    bool is_null() const { return msgpack_.size() == 1 && msgpack_[0] == '\xc0'; }

    // Canonical JSON text (crdts.md section 2.4): compact, members sorted, shortest round-trip floats.
    std::string to_text() const;

    // Nesting: a scalar is 0, an array or object 1 + its deepest member (empty: 1).
    unsigned depth() const;

    friend bool operator==(const JsonValue&, const JsonValue&) = default;

private:
    std::string msgpack_;
};

// Orders values by the bytes of their canonical JSON text; used for tie-breaks only.
int compare_text(const JsonValue& left, const JsonValue& right);

}  // namespace meridian
