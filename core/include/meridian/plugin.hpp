// plugin.h made pleasant from C++20: values, sinks as objects, a function table made from a class. Header only; needs
// nothing else of ours. An exception that a plug-in's code lets out becomes a status: Failure its own, std::bad_alloc
// and everything else MERIDIAN_INTERNAL. No exception crosses the boundary.
//
// A store plug-in in outline:
//
//   class MyStore {
//   public:
//       MyStore(meridian::abi::Host host, const meridian::abi::Config& config);   // throws Failure
//       meridian_status commit(const meridian_commit_group& group, meridian::abi::StatusSink done);
//       ...                                                                       // see StoreTable
//   };
//   constexpr meridian_config_key keys[] = {...};
//   MERIDIAN_STORE_PLUGIN(MyStore, "my-store", "1.0", 0, "MIT", "Keeps data in ...", keys)
//
// store.hpp has what the functions of such a class have in common.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstring>
#include <exception>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "meridian/plugin.h"

namespace meridian::abi {

inline meridian_bytes bytes(std::string_view text) {
    return {text.data(), text.size()};
}
inline std::string_view view(meridian_bytes value) {
    return value.size == 0 ? std::string_view() : std::string_view(static_cast<const char*>(value.data), value.size);
}

// A failed [control] call, or a refused submit.
class Failure : public std::runtime_error {
public:
    Failure(meridian_status status, const std::string& text) : std::runtime_error(text), status_(status) {}
    meridian_status status() const { return status_; }

private:
    meridian_status status_;
};

inline void set_error(meridian_error* error, std::string_view text) noexcept {
    if (error == nullptr || error->text == nullptr || error->text_size == 0) return;
    const size_t size = std::min<size_t>(text.size(), error->text_size - 1);
    if (size != 0) std::memcpy(error->text, text.data(), size);
    error->text[size] = '\0';
}

// Runs code of the plug-in where no exception may leave.
template <class Function>
meridian_status guarded(meridian_error* error, Function&& function) noexcept {
    try {
        return function();
    } catch (const Failure& failure) {
        set_error(error, failure.what());
        return failure.status();
    } catch (const std::exception& exception) { set_error(error, exception.what()); } catch (...) {
        set_error(error, "an exception of unknown type");
    }
    return MERIDIAN_INTERNAL;
}

// The host's services. A value; valid until `destroy` returns.
class Host {
public:
    explicit Host(const meridian_host* table) : table_(table) {}
    void log(int32_t level, std::string_view text) const { table_->log(table_->context, level, bytes(text)); }
    uint64_t wall_ms() const { return table_->wall_ms(table_->context); }
    uint64_t monotonic_us() const { return table_->monotonic_us(table_->context); }
    void random(void* out, size_t size) const { table_->random(table_->context, out, size); }
    void metric(int32_t kind, const char* name, double value) const {
        table_->metric(table_->context, kind, name, value);
    }
    void timer(uint64_t delay_us, void (*callback)(void*), void* cookie) const {
        table_->timer(table_->context, delay_us, callback, cookie);
    }
    const void* extension(const char* name) const { return table_->get_extension(table_->context, name); }

private:
    const meridian_host* table_;
};

// The checked configuration, during `create` and `reconfigure`.
class Config {
public:
    explicit Config(const meridian_config* config) : config_(config) {}
    std::optional<std::string_view> find(std::string_view name) const {
        for (uint32_t i = 0; i < config_->count; ++i) {
            if (name == config_->values[i].name) return view(config_->values[i].value);
        }
        return std::nullopt;
    }
    // These throw Failure if there is no such value; the host has checked type and range.
    std::string_view text(std::string_view name) const {
        const auto value = find(name);
        if (!value) throw Failure(MERIDIAN_INVALID, "configuration key '" + std::string(name) + "' has no value");
        return *value;
    }
    int64_t integer(std::string_view name) const {
        const std::string_view value = text(name);
        int64_t number = 0;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
        if (error != std::errc() || end != value.data() + value.size()) {
            throw Failure(MERIDIAN_INVALID, "configuration key '" + std::string(name) + "' is not a number");
        }
        return number;
    }
    bool boolean(std::string_view name) const { return text(name) == "true"; }

private:
    const meridian_config* config_;
};

// Sinks as values. Call done() exactly once.
class StatusSink {
public:
    explicit StatusSink(const meridian_status_sink* sink) : context_(sink->context), done_(sink->done) {}
    void done(meridian_status status, std::string_view message = {}) const noexcept {
        done_(context_, status, bytes(message));
    }

private:
    void* context_;
    void (*done_)(void*, meridian_status, meridian_bytes);
};

class KeyRecordSink {
public:
    explicit KeyRecordSink(const meridian_key_record_sink* sink)
        : context_(sink->context), record_(sink->record), done_(sink->done) {}
    void record(const meridian_key_record& record) const noexcept { record_(context_, &record); }
    // A key without a snapshot has position 0, unless it was deleted at that position.
    void record(const meridian_key_name& name, std::optional<std::string_view> snapshot, uint64_t snapshot_position,
                const std::vector<meridian_bytes>& tail, uint64_t tail_position) const noexcept {
        meridian_key_record out{};
        out.struct_size = sizeof out;
        out.name = name;
        out.has_snapshot = snapshot ? 1 : 0;
        if (snapshot) out.snapshot = bytes(*snapshot);
        out.snapshot_position = snapshot_position;
        out.tail = tail.data();
        out.tail_count = tail.size();
        out.tail_position = tail_position;
        record(out);
    }
    // This key cannot be read.
    void failed(const meridian_key_name& name, meridian_status status, std::string_view message) const noexcept {
        meridian_key_record out{};
        out.struct_size = sizeof out;
        out.name = name;
        out.status = status;
        out.message = bytes(message);
        record(out);
    }
    void done(meridian_status status, std::string_view message = {}) const noexcept {
        done_(context_, status, bytes(message));
    }

private:
    void* context_;
    void (*record_)(void*, const meridian_key_record*);
    void (*done_)(void*, meridian_status, meridian_bytes);
};

class LogSink {
public:
    explicit LogSink(const meridian_log_sink* sink) : context_(sink->context), entry_(sink->entry), done_(sink->done) {}
    void entry(const meridian_log_entry& entry) const noexcept { entry_(context_, &entry); }
    void done(meridian_status status, std::string_view message = {}, uint64_t next_position = 0) const noexcept {
        done_(context_, status, bytes(message), next_position, 0, 0);
    }
    void gone(uint64_t floor) const noexcept { done_(context_, MERIDIAN_OK, {}, floor, 1, floor); }

private:
    void* context_;
    void (*entry_)(void*, const meridian_log_entry*);
    void (*done_)(void*, meridian_status, meridian_bytes, uint64_t, uint32_t, uint64_t);
};

class NameSink {
public:
    explicit NameSink(const meridian_name_sink* sink) : context_(sink->context), name_(sink->name), done_(sink->done) {}
    void name(std::string_view namespace_name, std::string_view key, uint64_t deadline_ms = 0) const noexcept {
        const meridian_key_name value{bytes(namespace_name), bytes(key)};
        name_(context_, &value, deadline_ms);
    }
    void done(meridian_status status, std::string_view message = {}, bool more = false) const noexcept {
        done_(context_, status, bytes(message), more ? 1 : 0);
    }

private:
    void* context_;
    void (*name_)(void*, const meridian_key_name*, uint64_t);
    void (*done_)(void*, meridian_status, meridian_bytes, uint32_t);
};

class MetadataSink {
public:
    explicit MetadataSink(const meridian_metadata_sink* sink)
        : context_(sink->context), value_(sink->value), done_(sink->done) {}
    void value(std::string_view name, std::optional<std::string_view> value) const noexcept {
        value_(context_, bytes(name), value ? 1 : 0, bytes(value.value_or(std::string_view())));
    }
    void done(meridian_status status, std::string_view message = {}) const noexcept {
        done_(context_, status, bytes(message));
    }

private:
    void* context_;
    void (*value_)(void*, meridian_bytes, uint32_t, meridian_bytes);
    void (*done_)(void*, meridian_status, meridian_bytes);
};

// Steps through an array whose elements say how large they are.
template <class Element, class Function>
void for_each(const Element* first, uint64_t count, Function&& function) {
    if (count == 0) return;
    const auto* at = reinterpret_cast<const unsigned char*>(first);
    const size_t step = first->struct_size;
    for (uint64_t i = 0; i < count; ++i, at += step) function(*reinterpret_cast<const Element*>(at));
}

// False if the elements lack fields that this header knows. (From ABI 1.0 on: fields that 1.0 has.)
template <class Element>
bool covered(const Element* first, uint64_t count) {
    return count == 0 || first->struct_size >= sizeof(Element);
}

// The C functions over a class. StoreClass has the functions called below, with these arguments; its constructor is
// StoreClass(Host, const Config&). `backup` and `reconfigure` may be missing. A submit that throws must not have kept
// its sink. Pages of at most 0 items are refused here.
template <class StoreClass>
struct StoreTable {
    static StoreClass& self(void* instance) { return *static_cast<StoreClass*>(instance); }

    static meridian_status create(const meridian_host* host, const meridian_config* config, void** instance,
                                  meridian_error* error) noexcept {
        static_assert(has_backup || !names_backup,
                      "backup: expected meridian_status backup(std::string_view target, StatusSink sink)");
        static_assert(has_reconfigure || !names_reconfigure, "reconfigure: expected void reconfigure(const Config&)");
        return guarded(error, [&]() -> meridian_status {
            *instance = new StoreClass(Host(host), Config(config));
            return MERIDIAN_OK;
        });
    }
    static meridian_status reconfigure(void* instance, const meridian_config* config, meridian_error* error) noexcept {
        return guarded(error, [&]() -> meridian_status {
            if constexpr (has_reconfigure) self(instance).reconfigure(Config(config));
            return MERIDIAN_OK;
        });
    }
    static void stop(void* instance, uint64_t deadline_us) noexcept {
        guarded(nullptr, [&]() -> meridian_status {
            self(instance).stop(deadline_us);
            return MERIDIAN_OK;
        });
    }
    static void destroy(void* instance) noexcept { delete static_cast<StoreClass*>(instance); }

    static void opening(void* instance, meridian_store_opening* out) noexcept { self(instance).opening(*out); }
    static void usage(void* instance, meridian_store_usage* out) noexcept { self(instance).usage(*out); }
    static meridian_status commit(void* instance, const meridian_commit_group* group,
                                  const meridian_status_sink* sink) noexcept {
        if (group->struct_size < sizeof *group || !covered(group->entries, group->entry_count) ||
            !covered(group->metadata, group->metadata_count)) {
            return MERIDIAN_INVALID;
        }
        return guarded(nullptr, [&] { return self(instance).commit(*group, StatusSink(sink)); });
    }
    static meridian_status read_keys(void* instance, const meridian_key_name* names, uint64_t count,
                                     const meridian_key_record_sink* sink) noexcept {
        return guarded(nullptr, [&] { return self(instance).read_keys(names, count, KeyRecordSink(sink)); });
    }
    static meridian_status checkpoint(void* instance, const meridian_snapshot_write* snapshots, uint64_t count,
                                      const meridian_status_sink* sink) noexcept {
        if (!covered(snapshots, count)) return MERIDIAN_INVALID;
        return guarded(nullptr, [&] { return self(instance).checkpoint(snapshots, count, StatusSink(sink)); });
    }
    static void stale_keys(void* instance, uint64_t count_max, void* context,
                           void (*name)(void*, const meridian_key_name*)) noexcept {
        guarded(nullptr, [&]() -> meridian_status {
            self(instance).stale_keys(count_max, [&](std::string_view namespace_name, std::string_view key) {
                const meridian_key_name value{bytes(namespace_name), bytes(key)};
                name(context, &value);
            });
            return MERIDIAN_OK;
        });
    }
    static void retain_from(void* instance, uint64_t position) noexcept {
        guarded(nullptr, [&]() -> meridian_status {
            self(instance).retain_from(position);
            return MERIDIAN_OK;
        });
    }
    static meridian_status read_log(void* instance, uint64_t from_position, uint64_t entries_max, uint64_t bytes_max,
                                    const meridian_log_sink* sink) noexcept {
        if (entries_max == 0) return MERIDIAN_INVALID;
        return guarded(nullptr,
                       [&] { return self(instance).read_log(from_position, entries_max, bytes_max, LogSink(sink)); });
    }
    static meridian_status scan_keys(void* instance, meridian_bytes namespace_name, const meridian_key_name* after,
                                     uint64_t count_max, const meridian_name_sink* sink) noexcept {
        if (count_max == 0) return MERIDIAN_INVALID;
        return guarded(
            nullptr, [&] { return self(instance).scan_keys(view(namespace_name), after, count_max, NameSink(sink)); });
    }
    static meridian_status scan_due(void* instance, uint64_t until_ms, uint64_t count_max,
                                    const meridian_name_sink* sink) noexcept {
        if (count_max == 0) return MERIDIAN_INVALID;
        return guarded(nullptr, [&] { return self(instance).scan_due(until_ms, count_max, NameSink(sink)); });
    }
    static meridian_status read_metadata(void* instance, const meridian_bytes* names, uint64_t count,
                                         const meridian_metadata_sink* sink) noexcept {
        return guarded(nullptr, [&] { return self(instance).read_metadata(names, count, MetadataSink(sink)); });
    }
    static meridian_status scan_metadata(void* instance, meridian_bytes prefix, meridian_bytes after,
                                         uint64_t count_max, const meridian_metadata_sink* sink) noexcept {
        if (count_max == 0) return MERIDIAN_INVALID;
        return guarded(nullptr, [&] {
            return self(instance).scan_metadata(view(prefix), view(after), count_max, MetadataSink(sink));
        });
    }
    static meridian_status backup(void* instance, meridian_bytes target, const meridian_status_sink* sink) noexcept {
        return guarded(nullptr, [&]() -> meridian_status {
            if constexpr (has_backup) return self(instance).backup(view(target), StatusSink(sink));
            return MERIDIAN_NOT_SUPPORTED;
        });
    }
    // A member of such a name which cannot be called as what it should be is a mistake, and must not be left out
    // silently.
    static constexpr bool names_backup = requires { &StoreClass::backup; };
    static constexpr bool has_backup = requires(StoreClass & store, StatusSink sink) {
        store.backup(std::string_view(), sink);
    };
    static constexpr bool names_reconfigure = requires { &StoreClass::reconfigure; };
    static constexpr bool has_reconfigure = requires(StoreClass & store, const Config& config) {
        store.reconfigure(config);
    };

    static constexpr meridian_store_functions functions = {
        sizeof(meridian_store_functions),
        0,
        opening,
        usage,
        commit,
        read_keys,
        checkpoint,
        stale_keys,
        retain_from,
        read_log,
        scan_keys,
        scan_due,
        read_metadata,
        scan_metadata,
        has_backup ? backup : nullptr,
    };

    // The descriptor of a store that has no extensions. `capabilities`:
    // MERIDIAN_STORE_*; MERIDIAN_STORE_BACKUP is added if the class has `backup`.
    template <size_t key_count>
    static constexpr meridian_plugin_descriptor descriptor(const meridian_identity& identity, uint32_t capabilities,
                                                           const char* licence, const char* summary,
                                                           const meridian_config_key (&keys)[key_count]) {
        meridian_plugin_descriptor out{};
        out.identity = identity;
        out.struct_size = sizeof out;
        out.capabilities = capabilities | (has_backup ? uint32_t{MERIDIAN_STORE_BACKUP} : 0);
        out.licence = licence;
        out.summary = summary;
        out.config_keys = keys;
        out.config_key_count = key_count;
        out.create = create;
        out.reconfigure = has_reconfigure ? reconfigure : nullptr;
        out.stop = stop;
        out.destroy = destroy;
        out.store = &functions;
        return out;
    }
};

}  // namespace meridian::abi

// Everything that a store plug-in needs outside of its class: note, descriptor, entry. Once, at file scope outside of
// any namespace; string literals only. `keys_`: an array of meridian_config_key.
#define MERIDIAN_STORE_PLUGIN(StoreClass, name_, version_, capabilities_, licence_, summary_, keys_)                \
    MERIDIAN_PLUGIN_NOTE(MERIDIAN_KIND_STORE, name_, version_);                                                     \
    extern "C" MERIDIAN_EXPORT const meridian_plugin_descriptor* MERIDIAN_PLUGIN_ENTRY(void) {                      \
        static constexpr meridian_plugin_descriptor descriptor = meridian::abi::StoreTable<StoreClass>::descriptor( \
            MERIDIAN_IDENTITY(MERIDIAN_KIND_STORE, name_, version_), capabilities_, licence_, summary_, keys_);     \
        return &descriptor;                                                                                         \
    }
