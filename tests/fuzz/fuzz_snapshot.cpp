// Snapshots of keys: what decodes is exactly what the encoder writes, and can be read by everything that reads a key.
#include "base/json_text.h"
#include "fuzz_check.h"
#include "wire/key_codec.h"
#include "wire/unread_key.h"

using namespace meridian;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const Result<wire::UnreadKey> unread = wire::decode_unread_key(input);
    fuzz::require(!unread || wire::is_unread_key(input), "a key that is put away says so");
    fuzz::require(!unread || wire::encode_unread_key(*unread) == input,
                  "a decoder accepts only what the encoder writes");
    const Result<crdt::Key> key = wire::decode_snapshot(input);
    fuzz::require(!key || !unread, "a snapshot is one thing");
    if (!key) {
        fuzz::require_error_text(key.error().message);
        return 0;
    }
    fuzz::require(wire::encode_snapshot(*key) == input, "a decoder accepts only what the encoder writes");
    constexpr uint64_t now_ms = 1'700'000'000'000;
    if (key->visible(now_ms)) fuzz::require(is_compact_json(key->value_json(now_ms)), "the value is compact JSON");
    (void)key->sync({now_ms, crdt::SequenceForm::ascending_siblings});
    (void)key->sync({now_ms, crdt::SequenceForm::left_neighbour_chain});
    fuzz::require(wire::encode_key_delta(key->full_delta()).size() > 0, "a key has a full delta");
    return 0;
}
