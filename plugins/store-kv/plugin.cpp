// The plug-in's entry: its note, its descriptor.
#include "meridian/plugin.hpp"
#include "descriptor.h"
#include "store.h"

MERIDIAN_PLUGIN_NOTE(MERIDIAN_KIND_STORE, STORE_KV_NAME, STORE_KV_VERSION);

namespace {

using Table = meridian::abi::StoreTable<meridian::store_kv::KvStore>;

const meridian_plugin_descriptor descriptor = {
    MERIDIAN_IDENTITY(MERIDIAN_KIND_STORE, STORE_KV_NAME, STORE_KV_VERSION),
    sizeof(meridian_plugin_descriptor),
    MERIDIAN_STORE_BACKUP,
    "Apache-2.0",
    "Embedded store: a segmented log with group commit, snapshots in LMDB",
    nullptr,
    meridian::store_kv::config_keys,
    meridian::store_kv::config_key_count,
    Table::create,
    nullptr,
    Table::stop,
    Table::destroy,
    nullptr,
    &Table::functions,
    nullptr,
};

}  // namespace

extern "C" MERIDIAN_EXPORT const meridian_plugin_descriptor* meridian_plugin(void) {
    return &descriptor;
}
