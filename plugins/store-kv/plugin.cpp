// The plug-in's entry: its note, its descriptor.
#include "meridian/plugin.hpp"
#include "descriptor.h"
#include "store.h"

MERIDIAN_STORE_PLUGIN(meridian::store_kv::KvStore, "store-kv", "0.1.0", 0, "Apache-2.0",
                      "Embedded store: a segmented log with group commit, snapshots in LMDB",
                      meridian::store_kv::config_keys)
