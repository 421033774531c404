// A store that keeps the contract of plugin.h, but for the one defect that its configuration key `defect` names. Small
// and slow; for the tests of the conformance kit only.
//
// Threads: one for commits, snapshots and backups, one for reads. Locks: `mutex_` guards the data.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "journal.h"
#include "meridian/plugin.hpp"
#include "meridian/store.hpp"
#include "model_data.h"

namespace meridian::plugin_kit {

class BrokenStore;

// The data of a store, and what its instances need to share it. With MERIDIAN_STORE_SHARED all instances of this
// process on one directory have the same.
struct SharedState {
    explicit SharedState(const std::string& defect_name) : defect(defect_name) {}

    struct Row {
        uint64_t version = 1;
        const BrokenStore* holder = nullptr;
        uint64_t held_until_us = 0;
    };
    const Defect defect;
    std::mutex mutex;
    std::condition_variable changed;
    ModelData data{defect};  // guarded by mutex, like what follows
    std::map<abi::Name, Row> rows;
    std::map<const BrokenStore*, std::function<void(uint64_t)>> watchers;
};

class BrokenStore {
public:
    BrokenStore(abi::Host host, const abi::Config& config);
    ~BrokenStore();
    BrokenStore(const BrokenStore&) = delete;
    BrokenStore& operator=(const BrokenStore&) = delete;

    void stop(uint64_t deadline_us);
    void opening(meridian_store_opening& out) const noexcept { out = opening_; }
    void usage(meridian_store_usage& out) const noexcept;
    meridian_status commit(const meridian_commit_group& group, abi::StatusSink sink);
    meridian_status read_keys(const meridian_key_name* names, uint64_t count, abi::KeyRecordSink sink);
    meridian_status checkpoint(const meridian_snapshot_write* snapshots, uint64_t count, abi::StatusSink sink);
    void stale_keys(uint64_t count_max, const std::function<void(std::string_view, std::string_view)>& name) const;
    void retain_from(uint64_t position) noexcept;
    meridian_status read_log(uint64_t from_position, uint64_t entries_max, uint64_t bytes_max, abi::LogSink sink);
    meridian_status scan_keys(std::string_view namespace_name, const meridian_key_name* after, uint64_t count_max,
                              abi::NameSink sink);
    meridian_status scan_due(uint64_t until_ms, uint64_t count_max, abi::NameSink sink);
    meridian_status read_metadata(const meridian_bytes* names, uint64_t count, abi::MetadataSink sink);
    meridian_status scan_metadata(std::string_view prefix, std::string_view after, uint64_t count_max,
                                  abi::MetadataSink sink);
    meridian_status backup(std::string_view target, abi::StatusSink sink);

    // The extension of shared stores: broken_store_shared.cpp.
    static const meridian_shared_store_functions* shared_functions();

private:
    struct Lock;

    meridian_status lock_group(const meridian_row_want* rows, uint64_t count, uint64_t deadline_us,
                               const meridian_row_sink* sink);
    void run_lock(const Lock& lock);
    meridian_status commit_locked(const meridian_commit_group& group, const meridian_snapshot_write* rows,
                                  uint64_t row_count, abi::StatusSink sink);
    meridian_status write_locked(const JournalRecord& record);
    meridian_status abort_locked(abi::StatusSink sink);
    bool give_up_locks();

    struct Commit {
        JournalRecord record;
        std::optional<meridian_bytes> borrowed;  // for the defect: a value that was not copied
        abi::StatusSink sink;
    };
    using Task = abi::TaskQueue::Task;

    // broken_store.cpp
    void open(const std::string& directory);
    void load(const JournalRecord& record);
    void remember(const JournalRecord& record);
    void fail_overlapping();
    meridian_status submit_read(Task task);

    // broken_store_write.cpp
    void run_commit(Commit& commit, bool cancelled);
    meridian_status write_group(JournalRecord& record, std::string& message);
    void apply_group(const JournalRecord& record);
    meridian_status copy_to(const std::string& target) const;

    abi::Host host_;
    const std::shared_ptr<SharedState> shared_;
    const Defect& defect_ = shared_->defect;
    std::mutex& mutex_ = shared_->mutex;
    ModelData& data_ = shared_->data;  // guarded by mutex_
    std::string directory_;            // empty: nothing is kept
    std::optional<Journal> journal_;   // of the writing thread, like the next four
    std::vector<JournalRecord> kept_back_;
    uint64_t also_next_ = 0;
    std::function<void()> held_back_;
    uint64_t commits_run_ = 0;
    meridian_store_opening opening_{};
    std::atomic<uint64_t> commits_{0};
    std::atomic<int> inside_{0};
    std::atomic<int> timers_{0};
    std::atomic<bool> stopping_{false};
    std::atomic<bool> stopped_{false};
    std::atomic<bool> destroyed_{false};
    std::thread chatter_;
    abi::TaskQueue writer_{8192};
    abi::TaskQueue readers_{4096};
};

}  // namespace meridian::plugin_kit
