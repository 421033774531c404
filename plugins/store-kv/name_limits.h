// What names may look like (meridian/plugin.h states these limits).
#pragma once

#include <cstddef>
#include <cstring>

#include "meridian/plugin.h"

namespace meridian::store_kv {

constexpr size_t namespace_bytes_max = 255;
constexpr size_t key_bytes_max = 4096;
constexpr size_t metadata_name_max = 480;
constexpr size_t page_count_max = 100'000;

inline bool valid_namespace(meridian_bytes name) {
    return name.size >= 1 && name.size <= namespace_bytes_max &&
           std::memchr(name.data, 0, static_cast<size_t>(name.size)) == nullptr;
}

inline bool valid_name(const meridian_key_name& name) {
    return valid_namespace(name.namespace_name) && name.key.size >= 1 && name.key.size <= key_bytes_max;
}

}  // namespace meridian::store_kv
