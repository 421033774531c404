// Envelopes and logs of ops, with and without a secret: what decodes comes back equal through the encoder.
#include "base/utf8.h"
#include "fuzz_check.h"
#include "replication/envelope.h"
#include "replication/legacy_log.h"

using namespace meridian;

namespace {

// Nothing that a stranger can write passes the last one, save with a code that he cannot make.
const replication::Seal seals[] = {{"", "", false}, {"blue", "", false}, {"blue", "secret", false}};

void require_error(const Error& error) {
    fuzz::require_error_text(error.message);
    fuzz::require(is_valid_utf8(error.message), "an error text is UTF-8");
}

void check_envelope(std::string_view input, const replication::Seal& seal) {
    const Result<replication::Envelope> envelope = replication::decode_envelope(input, seal);
    if (!envelope) {
        require_error(envelope.error());
        return;
    }
    const std::string bytes = replication::encode_envelope(*envelope, seal);
    const Result<replication::Envelope> again = replication::decode_envelope(bytes, seal);
    fuzz::require(again.ok(), "an encoded envelope decodes");
    fuzz::require(again->origin() == envelope->origin(), "its origin comes back");
    fuzz::require(again->namespace_name == envelope->namespace_name && again->key == envelope->key, "its names too");
    fuzz::require(again->delta_bytes == envelope->delta_bytes, "its delta too");
    fuzz::require(again->numbered.has_value() == envelope->numbered.has_value(), "its number too");
    if (envelope->numbered) {
        fuzz::require(again->numbered->sequence == envelope->numbered->sequence, "its sequence too");
        fuzz::require(again->numbered->payload == envelope->numbered->payload, "its payload too");
    }
    fuzz::require(replication::encode_envelope(*again, seal) == bytes, "equal envelopes have equal bytes");
}

void check_log(std::string_view input) {
    const auto log = replication::decode_legacy_log(input);
    if (!log) {
        require_error(log.error());
        return;
    }
    // Numbers that the encoder does not take are not asked of it.
    for (size_t i = 1; i < log->size(); ++i) {
        if ((*log)[i].position <= (*log)[i - 1].position) return;
    }
    const auto encode = [](const std::vector<replication::LegacyLogEntry>& entries) {
        replication::LegacyLogWriter writer(SIZE_MAX, SIZE_MAX);
        for (const replication::LegacyLogEntry& entry : entries) fuzz::require(writer.add(entry), "there is room");
        return std::move(writer).finish();
    };
    const std::string bytes = encode(*log);
    const auto again = replication::decode_legacy_log(bytes);
    fuzz::require(again.ok() && again->size() == log->size(), "an encoded log decodes");
    fuzz::require(encode(*again) == bytes, "equal logs have equal bytes");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    for (const replication::Seal& seal : seals) check_envelope(input, seal);
    check_log(input);
    return 0;
}
