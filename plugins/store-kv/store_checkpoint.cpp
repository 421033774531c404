// The upkeep thread: snapshots and metadata into the database in slices, the recovery point, deletion of segments,
// preallocation.
#include <algorithm>

#include "store.h"

namespace meridian::store_kv {
namespace {

constexpr uint64_t slice_bytes_least = 256 << 10;  // of one LMDB transaction, the last row aside
constexpr uint64_t slice_bytes_most = 16 << 20;
constexpr size_t damage_said_max = 100;
constexpr size_t slice_rows_max = 512;
constexpr size_t upkeep_tasks_max = 64;
constexpr size_t metadata_pending_max = 4096;  // more are moved to the database without waiting for a checkpoint
constexpr auto upkeep_interval = std::chrono::seconds(1);

}  // namespace

meridian_status KvStore::checkpoint(const meridian_snapshot_write* snapshots, uint64_t count, abi::StatusSink sink) {
    std::vector<Snapshot> copies;
    copies.reserve(static_cast<size_t>(count));
    bool valid = true;
    abi::for_each(snapshots, count, [&](const meridian_snapshot_write& write) {
        valid = valid && abi::valid_name(write.name) && write.position <= durable_position_ &&
                write.state.size <= group_bytes_max;
        if (!valid) return;
        Snapshot copy;
        copy.name = join_name(abi::view(write.name.namespace_name), abi::view(write.name.key));
        copy.position = write.position;
        copy.deadline_ms = write.deadline_ms;
        if (write.remove == 0) copy.state = abi::view(write.state);
        copies.push_back(std::move(copy));
    });
    if (!valid) return MERIDIAN_INVALID;
    const std::lock_guard lock(upkeep_mutex_);
    if (upkeep_stopping_) return MERIDIAN_CANCELLED;
    if (upkeep_tasks_.size() >= upkeep_tasks_max) return MERIDIAN_BUSY;
    auto shared = std::make_shared<std::vector<Snapshot>>(std::move(copies));
    upkeep_tasks_.push_back([this, sink, shared](bool cancelled) {
        if (cancelled) return sink.done(MERIDIAN_CANCELLED);
        std::string message = "out of memory while writing snapshots";
        const meridian_status status = abi::guarded(nullptr, [&] { return write_snapshots(*shared, message); });
        sink.done(status, message);
    });
    upkeep_wake_.notify_all();
    return MERIDIAN_OK;
}

void KvStore::run_upkeep() {
    std::unique_lock lock(upkeep_mutex_);
    upkeep_wanted_ = true;
    for (;;) {
        upkeep_wake_.wait_for(lock, upkeep_interval,
                              [this] { return upkeep_stopping_ || upkeep_wanted_ || !upkeep_tasks_.empty(); });
        const bool stopping = upkeep_stopping_;
        if (!upkeep_tasks_.empty()) {
            const abi::TaskQueue::Task task = std::move(upkeep_tasks_.front());
            upkeep_tasks_.pop_front();
            const bool cancelled = stopping && host_.monotonic_us() >= upkeep_deadline_us_;
            upkeep_wanted_ = true;
            lock.unlock();
            task(cancelled);
            lock.lock();
            continue;
        }
        upkeep_wanted_ = false;
        lock.unlock();
        const meridian_status status = abi::guarded(nullptr, [&]() -> meridian_status {
            if (!failed_ && (stopping || metadata_waits())) warn_once(flush_metadata());
            if (!failed_) set_aside_unreadable();
            if (!failed_) {
                warn_once(advance_recovery(stopping));
                delete_segments();
            }
            if (!stopping) refill_spares();
            const std::lock_guard state_lock(state_mutex_);
            refresh_usage();
            return MERIDIAN_OK;
        });
        if (status != MERIDIAN_OK)
            host_.log(MERIDIAN_LOG_WARNING, "out of memory during upkeep; it will be tried again");
        if (stopping) return;
        lock.lock();
    }
}

void KvStore::warn_once(const Result<void>& result) {
    if (result || result.error().message == upkeep_warning_) return;
    upkeep_warning_ = result.error().message;
    host_.log(MERIDIAN_LOG_WARNING, upkeep_warning_);
}

// Each once, and not without end.
void KvStore::say_damage(const std::string& damage) {
    if (damage.empty()) return;
    {
        const std::lock_guard lock(said_mutex_);
        if (said_.size() >= damage_said_max || !said_.insert(damage).second) return;
    }
    host_.log(MERIDIAN_LOG_ERROR, damage);
}

// Metadata moves to the database with a checkpoint, or before when there is much of it, or when it is all that keeps an
// older segment.
bool KvStore::metadata_waits() const {
    const std::lock_guard lock(state_mutex_);
    const auto& pending = index_.metadata();
    if (pending.size() > metadata_pending_max) return true;
    const uint64_t current = segments_.back()->header.number;
    return std::any_of(pending.begin(), pending.end(),
                       [&](const auto& item) { return item.second.segment != current; });
}

DatabaseState KvStore::database_state() const {
    DatabaseState state;
    state.store_id = directory_->store_id();
    state.recovery = recovery_;
    state.sequence_known = durable_sequence_;
    return state;
}

meridian_status KvStore::write_snapshots(std::vector<Snapshot>& snapshots, std::string& message) {
    std::string left;
    size_t begin = 0;
    while (begin < snapshots.size()) {
        if (failed_) {
            const std::lock_guard lock(state_mutex_);
            message = failure_;
            return MERIDIAN_READ_ONLY;
        }
        size_t end = begin;
        std::set<std::string_view> names;  // each once in a transaction
        for (uint64_t bytes = 0; end < snapshots.size() && end - begin < slice_rows_max && bytes < slice_bytes_max();
             ++end) {
            if (!names.insert(snapshots[end].name).second) break;
            bytes += snapshots[end].name.size() + (snapshots[end].state ? snapshots[end].state->size() : 0);
        }
        if (auto written = write_slice(snapshots, begin, end, left); !written) {
            message = written.error().message;
            return failed_ ? MERIDIAN_OUTCOME_UNKNOWN : MERIDIAN_IO;
        }
        begin = end;
    }
    // The snapshots are there, whatever becomes of this: it is tried again.
    if (!failed_) warn_once(flush_metadata());
    message = left;
    return left.empty() ? MERIDIAN_OK : MERIDIAN_CORRUPT;
}

// Each transaction reads the list of free pages, so it writes at least about as much, within reason.
uint64_t KvStore::slice_bytes_max() const {
    return std::clamp(database_->free_list_bytes(), slice_bytes_least, slice_bytes_most);
}

// All of this thread's transactions: none is begun when writing has ended.
Result<WriteTransaction> KvStore::begin_database() {
    if (failed_) {
        const std::lock_guard lock(state_mutex_);
        return Error{failure_};
    }
    return database_->write();
}

// For an error of a row, which ends its transaction.
Error KvStore::ended(const WriteTransaction& transaction, const Error& error) {
    if (transaction.conflict()) fail(error.message);
    return error;
}

// Stops writing before it waits for readers, so that a failure is seen at once.
Result<void> KvStore::commit_database(WriteTransaction& transaction) {
    if (failed_) {
        // Found by another thread since it was begun.
        const std::lock_guard lock(state_mutex_);
        return Error{failure_};
    }
    auto committed = transaction.commit();
    if (!committed && transaction.conflict()) fail(committed.error().message);
    if (!committed && transaction.io_failed()) {
        fail(committed.error().message);
        database_->reopen_after_panic();
    }
    return committed;
}

// Snapshots whose two places in the database are damaged are left out, and told by `left`.
Result<void> KvStore::write_slice(std::vector<Snapshot>& snapshots, size_t begin, size_t end, std::string& left) {
    auto transaction = begin_database();
    if (!transaction) return transaction.error();
    std::vector<bool> written(end - begin);
    for (size_t i = begin; i < end; ++i) {
        const Snapshot& snapshot = snapshots[i];
        std::optional<std::string_view> state;
        if (snapshot.state) state = *snapshot.state;
        const auto put = transaction->put_snapshot(snapshot.name, snapshot.position, snapshot.deadline_ms, state);
        if (!put) return ended(*transaction, put.error());
        say_damage(put->damage);
        written[i - begin] = put->written;
        if (!put->written) left = put->damage;
    }
    if (auto put = transaction->put_state(database_state()); !put) return put;
    if (auto committed = commit_database(*transaction); !committed) return committed;
    const std::lock_guard lock(state_mutex_);
    for (size_t i = begin; i < end; ++i) {
        if (!written[i - begin]) continue;
        index_.covered(snapshots[i].name, snapshots[i].position);
        snapshots[i].state.reset();
    }
    refresh_usage();
    return {};
}

// Moves all pending metadata into the database, in slices.
Result<void> KvStore::flush_metadata() {
    struct Item {
        std::string name;
        PendingMetadata pending;
    };
    std::string after;
    std::string left;
    for (;;) {
        std::vector<Item> items;
        {
            const std::lock_guard lock(state_mutex_);
            uint64_t bytes = 0;
            for (auto at = index_.metadata().upper_bound(after); at != index_.metadata().end(); ++at) {
                if (items.size() == slice_rows_max || bytes >= slice_bytes_max()) break;
                bytes += at->first.size() + (at->second.value ? at->second.value->size() : 0);
                items.push_back({at->first, at->second});
            }
        }
        if (items.empty()) return left.empty() ? Result<void>() : Result<void>(Error{left});
        after = items.back().name;
        auto transaction = begin_database();
        if (!transaction) return transaction.error();
        for (Item& item : items) {
            std::optional<std::string_view> value;
            if (item.pending.value) value = *item.pending.value;
            const auto put = transaction->put_metadata(item.name, value);
            if (!put) return ended(*transaction, put.error());
            say_damage(put->damage);
            if (put->written) continue;
            left = put->damage;
            item.name.clear();
        }
        if (auto put = transaction->put_state(database_state()); !put) return put;
        if (auto committed = commit_database(*transaction); !committed) return committed;
        const std::lock_guard lock(state_mutex_);
        for (const Item& item : items)
            if (!item.name.empty()) index_.metadata_stored(item.name, item.pending.sequence);
    }
}

// The first point of the log that the database may still need.
LogPoint KvStore::recovery_point() const {
    const std::lock_guard lock(state_mutex_);
    LogPoint point;
    for (size_t i = 0; i < segments_.size(); ++i) {
        const Segment& segment = *segments_[i];
        const bool last = i + 1 == segments_.size();
        point.segment = segment.header.number;
        if (segment.live != 0) {
            point.offset = segment_header_size;
            point.sequence = segment.header.first_sequence;
            point.position = segment.header.first_position;
            break;
        }
        if (last) {
            point.offset = segment.end_offset;
            point.sequence = segment.next_sequence;
            point.position = segment.next_position;
        }
    }
    return point.sequence > recovery_.sequence || point.segment > recovery_.segment ? point : recovery_;
}

Result<void> KvStore::advance_recovery(bool to_the_end) {
    const LogPoint point = recovery_point();
    // Within one segment it is worth a transaction only when the store is closed: recovery then has nothing to read.
    if (point.segment == recovery_.segment && !to_the_end) return {};
    DatabaseState state = database_state();
    state.recovery = point;
    state.closed = to_the_end;
    for (size_t forgotten = slice_rows_max; forgotten == slice_rows_max;) {
        auto transaction = begin_database();
        if (!transaction) return transaction.error();
        if (auto put = transaction->put_state(state); !put) return put;
        auto removed = transaction->forget_deletions(point.position, slice_rows_max);
        if (!removed) return ended(*transaction, removed.error());
        if (auto committed = commit_database(*transaction); !committed) return committed;
        recovery_ = point;
        forgotten = *removed;
    }
    return {};
}

void KvStore::delete_segments() {
    for (;;) {
        std::shared_ptr<Segment> segment;
        {
            const std::lock_guard lock(state_mutex_);
            if (segments_.size() < 2) return;
            const uint64_t number = segments_.front()->header.number;
            if (number >= recovery_.segment || (backup_pin_ != 0 && number >= backup_pin_)) return;
            if (segments_[1]->header.first_position > retain_from_) return;
            segment = segments_.front();
            segments_.pop_front();
        }
        // Nobody can take a new reference now. A reader that still has one keeps the file's content: it is not recycled
        // then.
        const bool unused = segment.use_count() == 1;
        int synced = 0;
        if (!unused || !spares_->recycle(segment->path, segment->file, synced)) {
            if (const int code = files_.remove(segment->path); code != 0) {
                host_.log(MERIDIAN_LOG_WARNING, segment->path + ": removing a log segment: " + error_text(code));
                // It stays the oldest: the next one must not go before it.
                const std::lock_guard lock(state_mutex_);
                segments_.push_front(std::move(segment));
                return;
            }
            synced = files_.sync_directory(directory_->log_path());
        }
        // One removal at a time reaches the disk, so that a crash leaves no gap in the numbers.
        if (synced != 0) {
            fail(directory_->log_path() + ": syncing the removal of a log segment: " + error_text(synced));
            return;
        }
    }
}

void KvStore::refill_spares() {
    const auto busy = [this] {
        const std::lock_guard lock(upkeep_mutex_);
        return upkeep_stopping_ || !upkeep_tasks_.empty();
    };
    const auto measure = [this] {
        const int64_t free = files_.free_bytes(directory_->log_path());
        allocatable_bytes_ = free < 0 ? 0 : static_cast<uint64_t>(free);
    };
    measure();
    // A store that is hardly written to needs none yet.
    if (writer_->room() > options_.segment_size / 2) return;
    while (!failed_ && spares_->count() < spares_->count_max() && !busy()) {
        {
            const std::lock_guard lock(state_mutex_);
            if (segments_.bytes() + spares_->bytes() + options_.segment_size > options_.log_bytes_max) return;
        }
        // Without space there is nothing to do but to look again after upkeep_interval.
        if (spares_->refill(busy) != 0) break;
    }
    measure();
}

}  // namespace meridian::store_kv
