// Scans of names, deadlines and metadata. Each merges the index (or the metadata that is not in the database yet) with
// the database, and looks at the index first: what a checkpoint moves in between is then seen twice, not missed.
#include <algorithm>
#include <map>
#include <set>

#include "store.h"

namespace meridian::store_kv {
namespace {

bool starts_with(std::string_view text, std::string_view prefix) {
    return text.substr(0, prefix.size()) == prefix;
}

}  // namespace

// Fills `out` with the smallest names after `after`; true if there are more.
Result<bool> KvStore::collect_names(const std::string& prefix, const std::string& after, size_t count_max,
                                    std::vector<std::string>& out) {
    std::set<std::string, std::less<>> names;
    {
        const std::lock_guard lock(state_mutex_);
        const std::string_view start = std::max<std::string_view>(prefix, after);
        for (auto at = index_.names().lower_bound(start); at != index_.names().end(); ++at) {
            if (!starts_with(*at, prefix) || names.size() > count_max) break;
            if (*at > after) names.emplace(*at);
        }
    }
    const auto database = database_->read();
    if (!database) return database.error();
    auto stored = database->names_after(after, prefix, count_max + 1);
    if (!stored) return stored.error();
    for (std::string& name : *stored) names.insert(std::move(name));
    const bool more = names.size() > count_max;
    for (const std::string& name : names) {
        if (out.size() == count_max) break;
        out.push_back(name);
    }
    return more;
}

meridian_status KvStore::scan_keys(std::string_view namespace_name, const meridian_key_name* after, uint64_t count_max,
                                   abi::NameSink sink) {
    if (!namespace_name.empty() && !abi::valid_namespace(abi::bytes(namespace_name))) return MERIDIAN_INVALID;
    std::string prefix;
    if (!namespace_name.empty()) prefix = join_name(namespace_name, {});
    std::string start;
    if (after != nullptr) start = join_name(abi::view(after->namespace_name), abi::view(after->key));
    const auto count = static_cast<size_t>(std::min<uint64_t>(count_max, page_count_max));
    return readers_.submit([this, sink, prefix, start, count](bool cancelled) {
        if (cancelled) return sink.done(MERIDIAN_CANCELLED);
        std::vector<std::string> names;
        Result<bool> more = Error{"out of memory while listing keys"};
        abi::guarded(nullptr, [&]() -> meridian_status {
            more = collect_names(prefix, start, count, names);
            return MERIDIAN_OK;
        });
        if (!more) return sink.done(MERIDIAN_IO, more.error().message);
        for (const std::string& name : names) sink.name(namespace_of(name), key_of(name));
        sink.done(MERIDIAN_OK, {}, *more);
    });
}

meridian_status KvStore::scan_due(uint64_t until_ms, uint64_t count_max, abi::NameSink sink) {
    const auto count = static_cast<size_t>(std::min<uint64_t>(count_max, page_count_max));
    return readers_.submit([this, sink, until_ms, count](bool cancelled) {
        if (cancelled) return sink.done(MERIDIAN_CANCELLED);
        std::set<std::pair<uint64_t, std::string>> due;
        std::string error = "out of memory while listing deadlines";
        abi::guarded(nullptr, [&]() -> meridian_status {
            {
                const std::lock_guard lock(state_mutex_);
                for (const auto& [deadline_ms, name] : index_.deadlines()) {
                    if (deadline_ms > until_ms || due.size() > count) break;
                    due.emplace(deadline_ms, name);
                }
            }
            const auto database = database_->read();
            if (!database) {
                error = database.error().message;
                return MERIDIAN_IO;
            }
            size_t found = 0;
            const auto visit = [&](uint64_t deadline_ms, std::string_view name) {
                {
                    // A key with newer entries has its deadline from them. One that a checkpoint takes meanwhile may
                    // be given with an older one; who is given a key looks at the key.
                    const std::lock_guard lock(state_mutex_);
                    if (index_.find(name) != nullptr) return true;
                }
                due.emplace(deadline_ms, name);
                return ++found <= count;
            };
            database->deadlines(until_ms, visit, [this](const std::string& damage) {
                say_damage(damage + "; keys that it has do not expire until they are written again");
            });
            error.clear();
            return MERIDIAN_OK;
        });
        if (!error.empty()) return sink.done(MERIDIAN_IO, error);
        size_t given = 0;
        for (const auto& [deadline_ms, name] : due) {
            if (given++ == count) break;
            sink.name(namespace_of(name), key_of(name), deadline_ms);
        }
        sink.done(MERIDIAN_OK, {}, due.size() > count);
    });
}

meridian_status KvStore::read_metadata(const meridian_bytes* names, uint64_t count, abi::MetadataSink sink) {
    std::vector<std::string> wanted;
    for (uint64_t i = 0; i < count; ++i) {
        if (!abi::valid_metadata_name(names[i])) return MERIDIAN_INVALID;
        wanted.emplace_back(abi::view(names[i]));
    }
    return readers_.submit([this, sink, wanted = std::move(wanted)](bool cancelled) {
        if (cancelled) return sink.done(MERIDIAN_CANCELLED);
        std::string error = "out of memory while reading metadata";
        abi::guarded(nullptr, [&]() -> meridian_status {
            std::vector<std::optional<std::string>> values(wanted.size());
            std::vector<bool> pending(wanted.size(), false);
            {
                const std::lock_guard lock(state_mutex_);
                for (size_t i = 0; i < wanted.size(); ++i) {
                    const auto found = index_.metadata().find(wanted[i]);
                    if (found == index_.metadata().end()) continue;
                    pending[i] = true;
                    values[i] = found->second.value;
                }
            }
            const auto database = database_->read();
            if (!database) {
                error = database.error().message;
                return MERIDIAN_IO;
            }
            for (size_t i = 0; i < wanted.size(); ++i) {
                if (pending[i]) continue;
                auto value = database->metadata(wanted[i]);
                if (!value) {
                    error = value.error().message;
                    return MERIDIAN_CORRUPT;
                }
                values[i] = std::move(*value);
            }
            error.clear();
            for (size_t i = 0; i < wanted.size(); ++i) {
                sink.value(wanted[i], values[i] ? std::optional<std::string_view>(*values[i]) : std::nullopt);
            }
            return MERIDIAN_OK;
        });
        sink.done(error.empty() ? MERIDIAN_OK : MERIDIAN_CORRUPT, error);
    });
}

meridian_status KvStore::scan_metadata(std::string_view prefix, std::string_view after, uint64_t count_max,
                                       abi::MetadataSink sink) {
    if (prefix.size() > abi::metadata_name_bytes_max || after.size() > abi::metadata_name_bytes_max)
        return MERIDIAN_INVALID;
    const auto count = static_cast<size_t>(std::min<uint64_t>(count_max, page_count_max));
    return readers_.submit(
        [this, sink, prefix = std::string(prefix), after = std::string(after), count](bool cancelled) {
            if (cancelled) return sink.done(MERIDIAN_CANCELLED);
            std::map<std::string, std::string, std::less<>> found;
            // Deleted ones too: when the database is looked at they may be gone from the index, and still be there.
            std::set<std::string, std::less<>> pending;
            std::string error = "out of memory while listing metadata";
            abi::guarded(nullptr, [&]() -> meridian_status {
                {
                    const std::lock_guard lock(state_mutex_);
                    for (auto at = index_.metadata().lower_bound(std::max(prefix, after));
                         at != index_.metadata().end(); ++at) {
                        if (!starts_with(at->first, prefix) || found.size() == count) break;
                        if (at->first <= after) continue;
                        pending.insert(at->first);
                        if (at->second.value) found.emplace(at->first, *at->second.value);
                    }
                }
                const auto database = database_->read();
                if (!database) {
                    error = database.error().message;
                    return MERIDIAN_IO;
                }
                size_t taken = 0;
                const auto scanned =
                    database->metadata_after(prefix, after, [&](std::string_view name, std::string_view value) {
                        if (pending.count(name) != 0) return true;
                        found.try_emplace(std::string(name), value);
                        return ++taken < count;
                    });
                error = scanned ? std::string() : scanned.error().message;
                return MERIDIAN_OK;
            });
            if (!error.empty()) return sink.done(MERIDIAN_CORRUPT, error);
            size_t given = 0;
            for (const auto& [name, value] : found) {
                if (given++ == count) break;
                sink.value(name, value);
            }
            sink.done(MERIDIAN_OK);
        });
}

}  // namespace meridian::store_kv
