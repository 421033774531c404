// JSON values: canonical bytes are a fixed point, and the text is UTF-8. Also stamps and vector clocks, which clients
// send alone.
#include "base/json_text.h"
#include "fuzz_check.h"
#include "wire/op_codec.h"

using namespace meridian;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    (void)wire::check_vector_clock(input);
    if (const Result<crdt::Hlc> stamp = wire::decode_hlc(input)) {
        const Result<crdt::Hlc> again = wire::decode_hlc(wire::encode_hlc(*stamp));
        fuzz::require(again.ok() && *again == *stamp, "an encoded stamp decodes to the same stamp");
    }
    const Result<JsonValue> value = wire::decode_json_value(input);
    if (!value) {
        fuzz::require_error_text(value.error().message);
        return 0;
    }
    const Result<JsonValue> again = wire::decode_json_value(value->msgpack());
    fuzz::require(again.ok() && *again == *value, "canonical bytes decode to themselves");
    fuzz::require(value->depth() <= wire::json_depth_max, "the depth is limited");
    fuzz::require(is_compact_json(value->to_text()), "the text is compact JSON");
    fuzz::require(compare_text(*value, *again) == 0, "a value equals itself");
    return 0;
}
