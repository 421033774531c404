// The plug-in's entry: its note, its descriptor, the table of the shared store's functions.
#include <cstring>

#include "descriptor.h"
#include "meridian/plugin.hpp"
#include "store.h"

namespace meridian::store_pg {
namespace {

PgStore& self(void* instance) {
    return *static_cast<PgStore*>(instance);
}

meridian_status lock_group(void* instance, const meridian_row_want* rows, uint64_t count, uint64_t deadline_us,
                           const meridian_row_sink* sink) noexcept {
    if (!abi::covered(rows, count)) return MERIDIAN_INVALID;
    return abi::guarded(nullptr, [&] { return self(instance).lock_group(rows, count, deadline_us, *sink); });
}

meridian_status commit_locked(void* instance, const meridian_commit_group* group, const meridian_snapshot_write* rows,
                              uint64_t row_count, const meridian_status_sink* sink) noexcept {
    if (group->struct_size < sizeof *group || !abi::covered(group->entries, group->entry_count) ||
        !abi::covered(group->metadata, group->metadata_count) || !abi::covered(rows, row_count)) {
        return MERIDIAN_INVALID;
    }
    return abi::guarded(nullptr,
                        [&] { return self(instance).commit_locked(*group, rows, row_count, abi::StatusSink(sink)); });
}

meridian_status abort_locked(void* instance, const meridian_status_sink* sink) noexcept {
    return abi::guarded(nullptr, [&] { return self(instance).abort_locked(abi::StatusSink(sink)); });
}

void watch(void* instance, void* context, void (*changed)(void*, uint64_t)) noexcept {
    abi::guarded(nullptr, [&]() -> meridian_status {
        self(instance).watch(context, changed);
        return MERIDIAN_OK;
    });
}

constexpr meridian_shared_store_functions shared_functions = {
    sizeof(meridian_shared_store_functions), 0, lock_group, commit_locked, abort_locked, watch};

const void* get_extension(const char* name_and_version) {
    return std::strcmp(name_and_version, MERIDIAN_SHARED_STORE_EXTENSION) == 0 ? &shared_functions : nullptr;
}

constexpr meridian_plugin_descriptor make_descriptor() {
    auto out = abi::StoreTable<PgStore>::descriptor(
        MERIDIAN_IDENTITY(MERIDIAN_KIND_STORE, "store-pg", "0.1.0"), MERIDIAN_STORE_SHARED, "Apache-2.0",
        "Keeps data in a PostgreSQL database, of one node or shared", config_keys);
    out.get_extension = get_extension;
    return out;
}

}  // namespace
}  // namespace meridian::store_pg

MERIDIAN_PLUGIN_NOTE(MERIDIAN_KIND_STORE, "store-pg", "0.1.0");
extern "C" MERIDIAN_EXPORT const meridian_plugin_descriptor* MERIDIAN_PLUGIN_ENTRY(void) {
    static constexpr meridian_plugin_descriptor descriptor = meridian::store_pg::make_descriptor();
    return &descriptor;
}
