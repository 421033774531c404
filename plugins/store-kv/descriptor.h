// The descriptor of this plug-in, for plugin.cpp and for tests that replace parts of it.
#pragma once

#include "meridian/plugin.h"

namespace meridian::store_kv {

#define STORE_KV_NAME "store-kv"
#define STORE_KV_VERSION "0.1.0"

extern const meridian_config_key config_keys[];
extern const uint64_t config_key_count;

}  // namespace meridian::store_kv
