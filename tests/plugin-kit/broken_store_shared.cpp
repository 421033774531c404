// The shared-store extension of BrokenStore: rows have versions and one holder at a time.
#include <algorithm>
#include <chrono>
#include <set>

#include "broken_store.h"

namespace meridian::plugin_kit {

struct BrokenStore::Lock {
    struct Want {
        abi::Name name;
        std::optional<uint64_t> cached_version;
    };
    std::vector<Want> wants;
    uint64_t deadline_us = 0;
    meridian_row_sink sink{};
};

const meridian_shared_store_functions* BrokenStore::shared_functions() {
    static const meridian_shared_store_functions functions = {
        sizeof functions,
        0,
        [](void* instance, const meridian_row_want* rows, uint64_t count, uint64_t deadline_us,
           const meridian_row_sink* sink) {
            auto& self = *static_cast<BrokenStore*>(instance);
            return abi::guarded(nullptr, [&] { return self.lock_group(rows, count, deadline_us, sink); });
        },
        [](void* instance, const meridian_commit_group* group, const meridian_snapshot_write* rows, uint64_t row_count,
           const meridian_status_sink* sink) {
            auto& self = *static_cast<BrokenStore*>(instance);
            return abi::guarded(nullptr,
                                [&] { return self.commit_locked(*group, rows, row_count, abi::StatusSink(sink)); });
        },
        [](void* instance, const meridian_status_sink* sink) {
            auto& self = *static_cast<BrokenStore*>(instance);
            return abi::guarded(nullptr, [&] { return self.abort_locked(abi::StatusSink(sink)); });
        },
        [](void* instance, void* context, void (*changed)(void*, uint64_t)) {
            auto& self = *static_cast<BrokenStore*>(instance);
            const std::lock_guard lock(self.mutex_);
            self.shared_->watchers[&self] = [context, changed](uint64_t position) { changed(context, position); };
        },
    };
    return &functions;
}

meridian_status BrokenStore::lock_group(const meridian_row_want* rows, uint64_t count, uint64_t deadline_us,
                                        const meridian_row_sink* sink) {
    auto lock = std::make_shared<Lock>();
    abi::for_each(rows, count, [&](const meridian_row_want& row) {
        lock->wants.push_back({abi::Name(row.name), std::nullopt});
        if (row.has_cached_version != 0) lock->wants.back().cached_version = row.cached_version;
    });
    lock->deadline_us = deadline_us;
    lock->sink = *sink;
    return writer_.submit([this, lock](bool) { run_lock(*lock); });
}

void BrokenStore::run_lock(const Lock& wanted) {
    std::unique_lock lock(mutex_);
    const auto free = [&] {
        const uint64_t now_us = host_.monotonic_us();
        return std::all_of(wanted.wants.begin(), wanted.wants.end(), [&](const Lock::Want& want) {
            const SharedState::Row& row = shared_->rows[want.name];
            const bool ended = now_us >= row.held_until_us && !defect_.is("locks-for-ever");
            return row.holder == nullptr || row.holder == this || ended || defect_.is("locks-without-waiting");
        });
    };
    // Deadlines of other holders pass without a word.
    while (!free() && !stopping_) shared_->changed.wait_for(lock, std::chrono::milliseconds(5));
    if (stopping_) return wanted.sink.done(wanted.sink.context, MERIDIAN_CANCELLED, {}, 0, 0);
    for (const Lock::Want& want : wanted.wants) {
        SharedState::Row& row = shared_->rows[want.name];
        row.holder = this;
        row.held_until_us = wanted.deadline_us;
        if (want.cached_version == row.version && !defect_.is("gives-rows-that-are-cached")) continue;
        const ModelData::Record data = data_.read(want.name);
        std::vector<meridian_bytes> tail;
        for (const std::string& payload : data.tail) tail.push_back(abi::bytes(payload));
        meridian_row out{};
        out.struct_size = sizeof out;
        out.name = want.name.borrowed();
        out.version = row.version;
        out.record.struct_size = sizeof out.record;
        out.record.name = out.name;
        out.record.has_snapshot = data.snapshot ? 1 : 0;
        if (data.snapshot) out.record.snapshot = abi::bytes(*data.snapshot);
        out.record.snapshot_position = data.snapshot_position;
        out.record.tail = tail.data();
        out.record.tail_count = tail.size();
        out.record.tail_position = data.tail_position;
        wanted.sink.row(wanted.sink.context, &out);
    }
    wanted.sink.done(wanted.sink.context, MERIDIAN_OK, {}, data_.next_position(), data_.next_position());
}

// True if there was a lock that had not ended. REQUIRES: mutex_ is held.
bool BrokenStore::give_up_locks() {
    bool held = false;
    for (auto& [name, row] : shared_->rows) {
        if (row.holder != this) continue;
        held = held || host_.monotonic_us() < row.held_until_us;
        row.holder = nullptr;
    }
    shared_->changed.notify_all();
    return held;
}

meridian_status BrokenStore::commit_locked(const meridian_commit_group& group, const meridian_snapshot_write* rows,
                                           uint64_t row_count, abi::StatusSink sink) {
    abi::Group copy(group);
    auto record = std::make_shared<JournalRecord>();
    record->entries = std::move(copy.entries);
    record->metadata = std::move(copy.metadata);
    record->snapshots = abi::copy_snapshots(rows, row_count, UINT64_MAX);
    return writer_.submit([this, record, sink](bool) {
        const meridian_status status = write_locked(*record);
        sink.done(status, status == MERIDIAN_OK ? "" : "the lock has ended");
    });
}

meridian_status BrokenStore::write_locked(const JournalRecord& record) {
    const std::lock_guard lock(mutex_);
    if (!give_up_locks()) return MERIDIAN_INVALID;
    std::set<abi::Name> written;
    for (const abi::Entry& entry : record.entries) {
        data_.apply_entry(entry);
        written.insert(entry.name);
    }
    data_.apply_metadata(record.metadata);
    for (const abi::Snapshot& snapshot : record.snapshots) {
        data_.apply_snapshot(snapshot);
        written.insert(snapshot.name);
    }
    for (const abi::Name& name : written) shared_->rows[name].version += 1;
    for (const auto& [watcher, changed] : shared_->watchers) {
        if (watcher != this && !defect_.is("tells-nobody")) changed(data_.next_position() - 1);
    }
    return MERIDIAN_OK;
}

meridian_status BrokenStore::abort_locked(abi::StatusSink sink) {
    return writer_.submit([this, sink](bool) {
        {
            const std::lock_guard lock(mutex_);
            if (defect_.is("aborts-change-versions")) {
                for (auto& [name, row] : shared_->rows) row.version += row.holder == this ? 1 : 0;
            }
            give_up_locks();
        }
        sink.done(MERIDIAN_OK);
    });
}

}  // namespace meridian::plugin_kit
