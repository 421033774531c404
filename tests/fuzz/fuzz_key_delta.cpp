// Core deltas of keys: what decodes is exactly what the encoder writes, and joins into an empty key without harm.
#include "fuzz_check.h"
#include "wire/key_codec.h"

using namespace meridian;

namespace {

class CountingStamps : public crdt::StampSource {
public:
    crdt::Hlc next_stamp() override { return {++wall_ms_, 0, 1}; }

private:
    uint64_t wall_ms_ = 1'700'000'000'000;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const Result<crdt::KeyDelta> delta = wire::decode_key_delta(input);
    if (!delta) {
        fuzz::require_error_text(delta.error().message);
        return 0;
    }
    fuzz::require(wire::encode_key_delta(*delta) == input, "a decoder accepts only what the encoder writes");
    CountingStamps stamps;
    crdt::Key key;
    key.join(*delta, {1'700'000'000'000, stamps});
    const std::string state = key.generation() == 0 ? "" : wire::encode_snapshot(key);
    fuzz::require(key.join(*delta, {1'700'000'000'000, stamps}).empty(), "joining twice tells clients nothing new");
    fuzz::require((key.generation() == 0 ? "" : wire::encode_snapshot(key)) == state, "join is idempotent");
    return 0;
}
