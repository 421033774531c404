#include "node/key_digest.h"

#include <sodium.h>

namespace meridian::node {

namespace {

class Blake2b {
public:
    explicit Blake2b(size_t output_bytes) : output_bytes_(output_bytes) {
        crypto_generichash_init(&state_, nullptr, 0, output_bytes);
    }
    Blake2b(const DigestKey& key, size_t output_bytes) : output_bytes_(output_bytes) {
        crypto_generichash_init(&state_, key.data(), key.size(), output_bytes);
    }
    Blake2b& add(std::string_view bytes) {
        crypto_generichash_update(&state_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
        return *this;
    }
    Blake2b& add_zero() { return add(std::string_view("", 1)); }
    Blake2b& add(const KeyName& name) { return add(name.namespace_name).add_zero().add(name.key); }
    void finish(uint8_t* out) { crypto_generichash_final(&state_, out, output_bytes_); }
    // The first 8 bytes; the first of them is the most significant.
    uint64_t finish() {
        std::array<uint8_t, crypto_generichash_BYTES> output{};
        finish(output.data());
        uint64_t value = 0;
        for (size_t i = 0; i < 8; ++i) value = value << 8 | output[i];
        return value;
    }

private:
    crypto_generichash_state state_;
    const size_t output_bytes_;
};

}  // namespace

DigestKey digest_key(std::string_view cluster_id) {
    DigestKey key;
    static_assert(sizeof key == crypto_generichash_BYTES && sizeof key == crypto_generichash_KEYBYTES);
    Blake2b(key.size()).add("meridian state digest").add_zero().add(cluster_id).finish(key.data());
    return key;
}

uint64_t key_digest(const DigestKey& key, const KeyName& name, std::string_view canonical_state) {
    return Blake2b(key, crypto_generichash_BYTES).add(name).add_zero().add(canonical_state).finish();
}

uint64_t key_path(const DigestKey& key, const KeyName& name) {
    return Blake2b(key, crypto_generichash_BYTES_MIN).add(name).finish();
}

}  // namespace meridian::node
