// Verified tokens, remembered by a cryptographic hash of their bytes until they expire: a signature check costs 60 us,
// a look-up about one. The bytes themselves would be half of what an idle connection's token takes. Refused tokens are
// not remembered. One per event loop; not thread-safe.
#pragma once

#include <sodium.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>

#include "auth/token.h"

namespace meridian::server {

// A verified token, shared by the requests and connections that use it.
struct Session {
    Claims claims;
    Access access;
    explicit Session(Claims verified) : claims(std::move(verified)), access(claims.permissions, claims.client_id) {}
};
using SessionPtr = std::shared_ptr<const Session>;

class TokenCache {
public:
    TokenCache(PublicKey key, size_t tokens_max = 50'000) : key_(key), tokens_max_(tokens_max) {}

    std::variant<SessionPtr, TokenRefusal> verify(std::string_view token, uint64_t now_ms) {
        const Digest digest = digest_of(token);
        if (const auto known = sessions_.find(digest); known != sessions_.end()) {
            if (now_ms < known->second->claims.expires_at_ms) return known->second;
            const uint64_t expired_at_ms = known->second->claims.expires_at_ms;
            sessions_.erase(known);
            return expired_refusal(expired_at_ms, now_ms);
        }
        TokenVerdict verdict = verify_token(token, key_);
        if (!verdict.claims) return verdict.refusal;
        if (now_ms >= verdict.claims->expires_at_ms) return expired_refusal(verdict.claims->expires_at_ms, now_ms);
        // Full: start again rather than keep an order of use; at worst each token is checked once more.
        if (sessions_.size() >= tokens_max_) sessions_.clear();
        auto session = std::make_shared<const Session>(std::move(*verdict.claims));
        sessions_.emplace(digest, session);
        return session;
    }

private:
    using Digest = std::array<uint8_t, 32>;
    struct FirstBytes {
        size_t operator()(const Digest& digest) const {
            size_t hash = 0;
            std::memcpy(&hash, digest.data(), sizeof hash);
            return hash;
        }
    };
    static Digest digest_of(std::string_view token) {
        Digest digest{};
        crypto_generichash(digest.data(), digest.size(), reinterpret_cast<const unsigned char*>(token.data()),
                           token.size(), nullptr, 0);
        return digest;
    }

    PublicKey key_;
    size_t tokens_max_;
    std::unordered_map<Digest, SessionPtr, FirstBytes> sessions_;
};

}  // namespace meridian::server
