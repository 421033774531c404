// Client ops: what decodes comes back equal through the encoder, and has a JSON form.
#include "base/json_text.h"
#include "base/utf8.h"
#include "fuzz_check.h"
#include "wire/op_codec.h"

using namespace meridian;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const Result<crdt::Op> op = wire::decode_op(input);
    if (!op) {
        fuzz::require_error_text(op.error().message);
        fuzz::require(is_valid_utf8(op.error().message), "an error text is UTF-8");
        return 0;
    }
    const std::string bytes = wire::encode_op(*op);
    const Result<crdt::Op> again = wire::decode_op(bytes);
    fuzz::require(again.ok(), "an encoded op decodes");
    fuzz::require(*again == *op, "an encoded op decodes to the same op");
    fuzz::require(wire::encode_op(*again) == bytes, "equal ops have equal bytes");
    fuzz::require(is_compact_json(wire::op_to_json(*op)), "the JSON form is compact JSON");
    (void)crdt::op_mask(*op);
    (void)crdt::newest_wall_ms(*op);
    return 0;
}
