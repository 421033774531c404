// A store that keeps the contract of plugin.h, but for the one defect that its configuration key `defect` names. Small
// and slow; for the tests of the conformance kit only.
//
// Threads: one for commits, snapshots and backups, one for reads. Locks: `mutex_` guards the data.
#pragma once

#include <atomic>
#include <functional>
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

private:
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
    const Defect defect_;
    mutable std::mutex mutex_;
    ModelData data_{defect_};         // guarded by mutex_
    std::string directory_;           // empty: nothing is kept
    std::optional<Journal> journal_;  // of the writing thread, like the next four
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
