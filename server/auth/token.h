// Tokens (client-api.md section 4): base64url(claims) "." base64url(Ed25519 over the ASCII bytes of the first part).
// Pure functions; every function may be called from any thread after sodium_init().
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "auth/permissions.h"
#include "base/result.h"

namespace meridian::server {

using PublicKey = std::array<uint8_t, 32>;

struct Claims {
    std::string namespace_name;
    uint64_t client_id = 0;
    uint64_t expires_at_ms = 0;
    Permissions permissions;
    std::optional<PublicKey> client_key;  // ops must be signed with it
    friend bool operator==(const Claims&, const Claims&) = default;
};

// An Ed25519 key pair made from a seed of 32 bytes.
class SigningKey {
public:
    static SigningKey from_seed(const std::array<uint8_t, 32>& seed);
    // 64 hexadecimal digits, either case.
    static Result<SigningKey> from_hex(std::string_view hex);

    const PublicKey& public_key() const { return public_key_; }
    std::array<uint8_t, 64> sign(std::string_view bytes) const;

private:
    PublicKey public_key_{};
    std::array<uint8_t, 64> secret_key_{};
};

std::string base64url_encode(std::string_view bytes);
// Strict: no padding, no bits left over. Nothing if `text` is anything else.
std::optional<std::string> base64url_decode(std::string_view text);

// Field order of the existing servers, so that equal claims give equal tokens.
std::string encode_claims(const Claims& claims);
Result<Claims> decode_claims(std::string_view msgpack);
std::string issue_token(const Claims& claims, const SigningKey& key);

// What the client is told when a token is refused: an HTTP status of 401, a code and a message (section 4.6).
struct TokenRefusal {
    std::string code;
    std::string message;
};
struct TokenVerdict {
    std::optional<Claims> claims;
    TokenRefusal refusal;  // when there are no claims
};

inline constexpr size_t token_bytes_max = 16 << 10;

// Everything but the expiry.
TokenVerdict verify_token(std::string_view token, const PublicKey& key);
TokenRefusal expired_refusal(uint64_t expires_at_ms, uint64_t now_ms);

// Strict Ed25519 verification: canonical encodings, no keys of small order.
bool verify_signature(std::string_view signature, std::string_view bytes, const PublicKey& key);

// [a-z0-9_-]{1,64}
bool is_valid_namespace(std::string_view name);

}  // namespace meridian::server
