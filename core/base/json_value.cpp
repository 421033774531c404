#include "base/json_value.h"

#include <cassert>

#include "base/json_writer.h"
#include "base/msgpack.h"

namespace meridian {

JsonValue JsonValue::string(std::string_view utf8) {
    std::string bytes;
    MsgpackWriter(bytes).string(utf8);
    return from_canonical_msgpack(std::move(bytes));
}

JsonValue JsonValue::integer(int64_t number) {
    std::string bytes;
    MsgpackWriter(bytes).signed_integer(number);
    return from_canonical_msgpack(std::move(bytes));
}

JsonValue JsonValue::boolean(bool truth) {
    std::string bytes;
    MsgpackWriter(bytes).boolean(truth);
    return from_canonical_msgpack(std::move(bytes));
}

std::string JsonValue::to_text() const {
    JsonWriter writer;
    writer.value(*this);
    return writer.take();
}

unsigned JsonValue::depth() const {
    const Result<MsgpackTape> tape = MsgpackTape::parse(msgpack_);
    assert(tape.ok());
    return tape.ok() ? tape->depth() : 0;
}

int compare_text(const JsonValue& left, const JsonValue& right) {
    if (left == right) return 0;
    return left.to_text().compare(right.to_text());
}

}  // namespace meridian
