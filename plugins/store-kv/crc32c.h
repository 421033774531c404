// CRC32C (Castagnoli): the SSE 4.2 instruction where the processor has it, tables otherwise.
// Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace meridian::store_kv {

// Continues `crc` (0 to begin) over more bytes: crc32c(b, crc32c(a)) == crc32c(a + b).
uint32_t crc32c(const void* data, size_t size, uint32_t crc = 0);
inline uint32_t crc32c(std::string_view bytes, uint32_t crc = 0) {
    return crc32c(bytes.data(), bytes.size(), crc);
}

// The table version, which the tests compare with the other.
uint32_t crc32c_portable(const void* data, size_t size, uint32_t crc = 0);

}  // namespace meridian::store_kv
