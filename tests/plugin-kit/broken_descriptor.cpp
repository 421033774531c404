// The descriptor of a broken store. The build defines which: BROKEN_PLAIN has the defects that its configuration names,
// the others are wrong in the descriptor itself, which no configuration can change.
#include "broken_store.h"

namespace {

namespace abi = meridian::abi;
using Store = meridian::plugin_kit::BrokenStore;
using Table = abi::StoreTable<Store>;

constexpr uint32_t key_size = sizeof(meridian_config_key);

#if defined(BROKEN_VOLATILE)
constexpr uint32_t capabilities = MERIDIAN_STORE_VOLATILE;
constexpr const char* keep = "false";
constexpr const char* shared = "false";
#elif defined(BROKEN_SHARED)
constexpr uint32_t capabilities = MERIDIAN_STORE_SHARED;
constexpr const char* keep = "false";
constexpr const char* shared = "true";
#else
constexpr uint32_t capabilities = MERIDIAN_STORE_BACKUP;
constexpr const char* keep = "true";
constexpr const char* shared = "false";
#endif

const meridian_config_key keys[] = {
    {key_size, MERIDIAN_TYPE_PATH, 0, 0, "directory", "data", 0, 0, nullptr, nullptr, "Where the data are."},
    {key_size, MERIDIAN_TYPE_STRING, MERIDIAN_KEY_RELOADABLE, 0, "defect", "none", 0, 0, nullptr, nullptr,
     "What is wrong with the store."},
    {key_size, MERIDIAN_TYPE_BOOLEAN, 0, 0, "shared", shared, 0, 0, nullptr, nullptr,
     "Whether all instances on one directory have the same data."},
    {key_size, MERIDIAN_TYPE_BOOLEAN, 0, 0, "keep", keep, 0, 0, nullptr, nullptr,
#ifdef BROKEN_KEY
     "Whether data are kept,\nor not."},
#else
     "Whether data are kept."},
#endif
};

// Functions that the table of plugin.hpp cannot be made to have.
[[maybe_unused]] meridian_status commit_any_size(void* instance, const meridian_commit_group* group,
                                                 const meridian_status_sink* sink) {
    meridian_commit_group whole = *group;
    whole.struct_size = sizeof whole;
    return Table::commit(instance, &whole, sink);
}
// The defect of a store does not change.
meridian_status reconfigure(void*, const meridian_config*, meridian_error* error) {
#ifdef BROKEN_RELOAD
    abi::set_error(error, "no");
    return MERIDIAN_INVALID;
#else
    abi::set_error(error, "");
    return MERIDIAN_OK;
#endif
}
[[maybe_unused]] meridian_status scan_any_count(void* instance, uint64_t until_ms, uint64_t count_max,
                                                const meridian_name_sink* sink) {
    return Table::scan_due(instance, until_ms, count_max == 0 ? 1 : count_max, sink);
}
[[maybe_unused]] meridian_status backup_although_unsupported(void*, meridian_bytes, const meridian_status_sink* sink) {
    sink->done(sink->context, MERIDIAN_OK, {});
    return MERIDIAN_OK;
}
[[maybe_unused]] const void* shared_extension(const char* name) {
    const bool known = std::string_view(name) == MERIDIAN_SHARED_STORE_EXTENSION;
    return known ? Store::shared_functions() : nullptr;
}
[[maybe_unused]] const void* any_extension(const char*) {
    return keys;
}

meridian_store_functions make_functions() {
    meridian_store_functions out = Table::functions;
#ifdef BROKEN_NO_READ_LOG
    out.read_log = nullptr;
#elif defined(BROKEN_ANY_SIZE)
    out.commit = commit_any_size;
#elif defined(BROKEN_ANY_COUNT)
    out.scan_due = scan_any_count;
#elif defined(BROKEN_BACKUP)
    out.backup = backup_although_unsupported;
#elif defined(BROKEN_VOLATILE)
    out.backup = nullptr;
#endif
    return out;
}
const meridian_store_functions functions = make_functions();

meridian_plugin_descriptor make_descriptor() {
    meridian_plugin_descriptor out{};
    out.identity = MERIDIAN_IDENTITY(MERIDIAN_KIND_STORE, "store-broken", "1");
    out.struct_size = sizeof out;
    out.capabilities = capabilities;
    out.licence = "Apache-2.0";
    out.summary = "A store with one defect, for the tests of the conformance kit";
    out.config_keys = keys;
    out.config_key_count = sizeof keys / sizeof keys[0];
    out.create = Table::create;
    out.reconfigure = reconfigure;
    out.stop = Table::stop;
    out.destroy = Table::destroy;
    out.store = &functions;
#ifdef BROKEN_LICENCE
    out.licence = nullptr;
#elif defined(BROKEN_EXTENSION)
    out.get_extension = any_extension;
#elif defined(BROKEN_SHARED)
    out.get_extension = shared_extension;
#elif defined(BROKEN_BACKUP)
    out.capabilities = 0;
#endif
    return out;
}
const meridian_plugin_descriptor descriptor = make_descriptor();

}  // namespace

MERIDIAN_PLUGIN_NOTE(MERIDIAN_KIND_STORE, "store-broken", "1");

extern "C" MERIDIAN_EXPORT const meridian_plugin_descriptor* meridian_plugin(void) {
    return &descriptor;
}
#ifdef BROKEN_EXPORTS
extern "C" MERIDIAN_EXPORT const meridian_plugin_descriptor* another_symbol(void);
extern "C" MERIDIAN_EXPORT const meridian_plugin_descriptor* another_symbol(void) {
    return &descriptor;
}
#endif
