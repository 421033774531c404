#include "replication/seal.h"

#include <sodium.h>

#include <cassert>

namespace meridian::replication {

static_assert(Seal::code_bytes == crypto_auth_hmacsha256_BYTES);

std::string_view refusal_text(RefusalReason reason) {
    switch (reason) {
        case RefusalReason::malformed:
            return "malformed";
        case RefusalReason::foreign_cluster:
            return "foreign_cluster";
        case RefusalReason::bad_mac:
            return "bad_mac";
        case RefusalReason::not_signed:
            return "unsigned";
        case RefusalReason::too_new:
            return "too_new";
    }
    return "malformed";
}

Seal::Seal(std::string cluster_id, std::string secret, bool required)
    : cluster_id_(std::move(cluster_id)), secret_(std::move(secret)), required_(required && !secret_.empty()) {}

std::string Seal::code(std::string_view pairs) const {
    assert(signs());
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, reinterpret_cast<const unsigned char*>(secret_.data()), secret_.size());
    crypto_auth_hmacsha256_update(&state, reinterpret_cast<const unsigned char*>(pairs.data()), pairs.size());
    std::string code(code_bytes, '\0');
    crypto_auth_hmacsha256_final(&state, reinterpret_cast<unsigned char*>(code.data()));
    return code;
}

bool Seal::matches(std::string_view pairs, std::string_view code) const {
    if (code.size() != code_bytes) return false;
    return sodium_memcmp(this->code(pairs).data(), code.data(), code_bytes) == 0;
}

}  // namespace meridian::replication
