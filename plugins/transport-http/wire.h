// The bytes that are this transport's own: the body of a batch of deltas, base64url in the query of a pull. Pure
// functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace meridian::transport_http {

// A batch is a row of envelopes, each after its size in 4 bytes, big-endian.
constexpr size_t batch_prefix_bytes = 4;
void append_to_batch(std::string& batch, std::string_view envelope);
// Takes the first envelope off the front; nothing if `batch` does not begin with a whole one.
std::optional<std::string_view> take_from_batch(std::string_view& batch);
bool is_batch(std::string_view batch);

// RFC 4648 section 5, without padding. Nothing if `text` has another character, padding, or bits beyond the end.
std::string base64url_encode(std::string_view bytes);
std::optional<std::string> base64url_decode(std::string_view text);

}  // namespace meridian::transport_http
