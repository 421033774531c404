#include "crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace meridian::store_kv {
namespace {

constexpr uint32_t polynomial_reflected = 0x82f63b78;

// tables[k][b]: the effect of byte b followed by k zero bytes; eight of them take eight bytes a step.
using Tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr Tables make_tables() {
    Tables tables{};
    for (uint32_t byte = 0; byte < 256; ++byte) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? polynomial_reflected : 0);
        tables[0][byte] = crc;
    }
    for (uint32_t byte = 0; byte < 256; ++byte) {
        for (size_t k = 1; k < 8; ++k) {
            const uint32_t previous = tables[k - 1][byte];
            tables[k][byte] = (previous >> 8) ^ tables[0][previous & 0xff];
        }
    }
    return tables;
}

constexpr Tables tables = make_tables();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t crc32c_sse42(const void* data, size_t size, uint32_t crc) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    uint64_t state = ~crc;
    while (size >= 8) {
        uint64_t word = 0;
        std::memcpy(&word, bytes, 8);
        state = _mm_crc32_u64(state, word);
        bytes += 8;
        size -= 8;
    }
    auto narrow = static_cast<uint32_t>(state);
    while (size-- > 0) narrow = _mm_crc32_u8(narrow, *bytes++);
    return ~narrow;
}
#endif

using Function = uint32_t (*)(const void*, size_t, uint32_t);

Function choose() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return crc32c_sse42;
#endif
    return crc32c_portable;
}

}  // namespace

uint32_t crc32c_portable(const void* data, size_t size, uint32_t crc) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    uint32_t state = ~crc;
    while (size >= 8) {
        const uint32_t low = state ^ (static_cast<uint32_t>(bytes[0]) | static_cast<uint32_t>(bytes[1]) << 8 |
                                      static_cast<uint32_t>(bytes[2]) << 16 | static_cast<uint32_t>(bytes[3]) << 24);
        state = tables[7][low & 0xff] ^ tables[6][(low >> 8) & 0xff] ^ tables[5][(low >> 16) & 0xff] ^
                tables[4][low >> 24] ^ tables[3][bytes[4]] ^ tables[2][bytes[5]] ^ tables[1][bytes[6]] ^
                tables[0][bytes[7]];
        bytes += 8;
        size -= 8;
    }
    while (size-- > 0) state = (state >> 8) ^ tables[0][(state ^ *bytes++) & 0xff];
    return ~state;
}

uint32_t crc32c(const void* data, size_t size, uint32_t crc) {
    static const Function function = choose();
    return function(data, size, crc);
}

}  // namespace meridian::store_kv
