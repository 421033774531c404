// The embedded store: a segmented log with group commit, and LMDB for snapshots and metadata. Implements the functions
// of meridian_store_functions (meridian/plugin.h says what each promises); plugin.cpp makes the table.
//
// Threads: a writer (commits), readers (reads, scans), one for checkpoints and upkeep (deleting segments,
// preallocating), and one that looks for damage. Locks: the state mutex guards the segment list and the key index and
// is held for moments, never during I/O; queues have their own. LMDB transactions are never begun with the state mutex
// held.
//
// Order of things, which the safety rests on:
//   - the index learns of entries after the sync of their group, and before its completion;
//   - a reader copies places from the index before it begins its LMDB transaction, so that what a checkpoint removes
//     from the index in between is in the snapshot that it reads;
//   - a segment is deleted after the database has recorded a recovery point behind it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "data_directory.h"
#include "file_system.h"
#include "key_index.h"
#include "log_writer.h"
#include "meridian/store.hpp"
#include "scrubber.h"
#include "snapshot_db.h"
#include "spare_pool.h"

namespace meridian::store_kv {

constexpr size_t page_count_max = 100'000;  // names in one page of a scan

// What is wrong with it: it could not be read, or (code 0) is not what was written.
std::string unreadable_entry(const Segment& segment, const EntryPlace& place, int code);

struct StoreOptions {
    std::string directory;
    uint64_t segment_size = 64 << 20;
    uint64_t log_bytes_max = 8ULL << 30;
    uint64_t map_size = 256ULL << 30;
    uint64_t commit_queue_bytes_max = 64 << 20;
    size_t spare_segments = 2;
    size_t read_threads = 2;
    ScrubOptions scrub;

    static StoreOptions from(const abi::Config& config);
};

class KvStore {
public:
    KvStore(abi::Host host, const abi::Config& config) : KvStore(host, config, real_file_system()) {}
    // Opens and recovers; throws abi::Failure.
    KvStore(abi::Host host, const abi::Config& config, FileSystem& file_system);
    ~KvStore();
    KvStore(const KvStore&) = delete;
    KvStore& operator=(const KvStore&) = delete;

    void reconfigure(const abi::Config& config);
    void stop(uint64_t deadline_us);

    void opening(meridian_store_opening& out) const noexcept;
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
    struct CommitJob {
        PendingRecord record;
        abi::StatusSink sink;
    };
    struct Snapshot {
        std::string name;
        uint64_t position = 0;
        uint64_t deadline_ms = 0;
        std::optional<std::string> state;
    };
    // What a reader found in the index, with the files that it needs.
    struct TailCopy {
        std::vector<EntryPlace> places;
        std::vector<std::shared_ptr<Segment>> segments;  // of each place
    };

    // store.cpp
    void open();
    void recover();
    Result<void> replay(const ReadTransaction& database, Segment& segment, const RecordAt& record,
                        std::unordered_map<std::string, uint64_t>& covered);
    void fail(const std::string& message);
    void refresh_usage();

    // store_commit.cpp
    void run_writer();
    void write_jobs(std::vector<CommitJob>& jobs);
    void apply(const AppendOutcome& outcome, const std::vector<PendingRecord*>& records);
    void finish(CommitJob& job, meridian_status status, const std::string& message);
    void say_no_space(const std::string& message);

    // store_read.cpp
    size_t read_chunk(const std::vector<std::string>& names, size_t begin, size_t end, const abi::KeyRecordSink& sink);
    Result<uint64_t> read_page(uint64_t from_position, uint64_t entries_max, uint64_t bytes_max,
                               const abi::LogSink& sink);
    Result<Mark> locate(Segment& segment, uint64_t position, uint64_t& end_offset);

    // store_scan.cpp
    Result<bool> collect_names(const std::string& prefix, const std::string& after, size_t count_max,
                               std::vector<std::string>& out);

    // store_checkpoint.cpp
    void run_upkeep();
    meridian_status write_snapshots(std::vector<Snapshot>& snapshots, std::string& message);
    Result<void> write_slice(std::vector<Snapshot>& snapshots, size_t begin, size_t end, std::string& left);
    Result<WriteTransaction> begin_database();
    Result<void> commit_database(WriteTransaction& transaction);
    Error ended(const WriteTransaction& transaction, const Error& error);
    uint64_t slice_bytes_max() const;
    void say_damage(const std::string& damage);
    bool metadata_waits() const;
    Result<void> flush_metadata();
    Result<void> advance_recovery(bool to_the_end);
    void delete_segments();
    void warn_once(const Result<void>& result);
    void refill_spares();
    LogPoint recovery_point() const;
    DatabaseState database_state() const;

    // store_aside.cpp
    void note_unreadable(const std::string& name);
    void set_aside_unreadable();
    Result<bool> set_aside(const std::string& name, bool pressed);

    // store_backup.cpp
    Result<void> fill_copy(const std::string& target);
    Result<void> copy_to(const std::string& target);

    abi::Host host_;
    StoreOptions options_;
    FileSystem& files_;
    std::optional<DataDirectory> directory_;
    std::unique_ptr<SnapshotDb> database_;

    mutable std::mutex state_mutex_;
    SegmentList segments_;              // guarded by state_mutex_
    KeyIndex index_{segments_};         // guarded by state_mutex_
    std::string failure_;               // guarded by state_mutex_; what went wrong when failed_
    uint64_t backup_pin_ = 0;           // guarded by state_mutex_; segments from this number on stay; 0 = none
    std::set<std::string> unreadable_;  // guarded by state_mutex_; keys with entries in the log, met lately

    std::unique_ptr<SparePool> spares_;
    std::unique_ptr<LogWriter> writer_;
    std::unique_ptr<Scrubber> scrubber_;
    LogPoint recovery_;                 // of the upkeep thread: as the database has it
    std::string upkeep_warning_;        // of the upkeep thread: the last, which is not said again
    std::vector<std::string> waiting_;  // of the upkeep thread: keys whose entries in the log cannot be read
    DatabaseState known_;               // as the database had it at open
    std::mutex said_mutex_;
    std::set<std::string> said_;  // guarded by said_mutex_; damage that was logged

    bool created_ = false;
    uint64_t opening_next_position_ = 1;
    uint64_t opening_floor_ = 1;

    std::atomic<bool> failed_{false};
    std::atomic<bool> stopping_{false};  // a running backup gives up
    std::atomic<uint64_t> durable_position_{0};
    std::atomic<uint64_t> durable_sequence_{0};
    std::atomic<uint64_t> retain_from_{0};
    std::atomic<uint64_t> log_bytes_{0};
    std::atomic<uint64_t> pending_bytes_{0};
    std::atomic<uint64_t> available_bytes_{0};
    std::atomic<uint64_t> allocatable_bytes_{0};

    std::mutex commit_mutex_;
    std::condition_variable commit_wake_;
    std::vector<CommitJob> commit_queue_;  // guarded by commit_mutex_, like the next two
    uint64_t commit_queue_bytes_ = 0;
    bool commit_stopping_ = false;
    uint64_t no_space_said_us_ = 0;  // of the writer thread: when it was logged that there is none; 0 = never
    std::thread writer_thread_;

    std::mutex upkeep_mutex_;
    std::condition_variable upkeep_wake_;
    std::deque<abi::TaskQueue::Task> upkeep_tasks_;  // guarded by upkeep_mutex_, like the next three
    bool upkeep_wanted_ = false;
    bool upkeep_stopping_ = false;
    uint64_t upkeep_deadline_us_ = 0;
    std::thread upkeep_thread_;

    abi::TaskQueue readers_;
    abi::TaskQueue backups_{1};
    bool stopped_ = false;

    void wake_upkeep();
};

}  // namespace meridian::store_kv
