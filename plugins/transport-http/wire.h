// The bytes that are this transport's own: the body of a batch of deltas, base64url in the query of a pull. Pure
// functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace meridian::transport_http {

struct Delta {
    std::string_view namespace_name;  // at most 255 bytes
    std::string_view envelope;
};

// A batch is a row of deltas: size of the namespace in 1 byte, namespace, size of the envelope in 4 bytes, big-endian,
// envelope.
constexpr size_t batch_overhead_bytes = 1 + 255 + 4;  // at most, for each
void append_to_batch(std::string& batch, const Delta& delta);
// Takes the first delta off the front; nothing if `batch` does not begin with a whole one.
std::optional<Delta> take_from_batch(std::string_view& batch);
bool is_batch(std::string_view batch);

// RFC 4648 section 5, without padding. Nothing if `text` has another character, padding, or bits beyond the end.
std::string base64url_encode(std::string_view bytes);
std::optional<std::string> base64url_decode(std::string_view text);

}  // namespace meridian::transport_http
