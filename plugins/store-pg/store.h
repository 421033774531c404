// The store on PostgreSQL.
//
//   committer   one thread and one connection: groups, each a transaction of one round trip; in a shared store the two
//               steps of a group, with the locks of one group at a time
//   readers     threads with a connection each, made when there is something to read
//   upkeep      one thread and one connection: checkpoints, deletion of log entries that nobody needs
//   watcher     one thread and one connection, in a shared store: what other nodes have committed
//
// A group first writes its number into this node's row of the table of writers. If the connection dies before the
// answer to COMMIT, the next connection locks that row, which waits for the old transaction to end, and compares.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <variant>
#include <vector>

#include "group_arrays.h"
#include "meridian/store.hpp"
#include "session.h"
#include "stale_set.h"
#include "watcher.h"

namespace meridian::store_pg {

// Of a transaction that met a deadlock, a lock held for too long, or a server that went away.
inline constexpr uint32_t attempts_max = 20;

class PgStore {
public:
    PgStore(abi::Host host, const abi::Config& config);
    ~PgStore();
    PgStore(const PgStore&) = delete;
    PgStore& operator=(const PgStore&) = delete;

    void stop(uint64_t deadline_us);
    void opening(meridian_store_opening& out) const noexcept;
    void usage(meridian_store_usage& out) const noexcept;

    meridian_status commit(const meridian_commit_group& group, abi::StatusSink sink);
    meridian_status read_keys(const meridian_key_name* names, uint64_t count, abi::KeyRecordSink sink);
    meridian_status checkpoint(const meridian_snapshot_write* snapshots, uint64_t count, abi::StatusSink sink);
    void stale_keys(uint64_t count_max, const std::function<void(std::string_view, std::string_view)>& name) const;
    void retain_from(uint64_t position);
    meridian_status read_log(uint64_t from_position, uint64_t entries_max, uint64_t bytes_max, abi::LogSink sink);
    meridian_status scan_keys(std::string_view in_namespace, const meridian_key_name* after, uint64_t count_max,
                              abi::NameSink sink);
    meridian_status scan_due(uint64_t until_ms, uint64_t count_max, abi::NameSink sink);
    meridian_status read_metadata(const meridian_bytes* names, uint64_t count, abi::MetadataSink sink);
    meridian_status scan_metadata(std::string_view prefix, std::string_view after, uint64_t count_max,
                                  abi::MetadataSink sink);

    // The extension of shared stores.
    meridian_status lock_group(const meridian_row_want* rows, uint64_t count, uint64_t deadline_us,
                               const meridian_row_sink& sink);
    meridian_status commit_locked(const meridian_commit_group& group, const meridian_snapshot_write* rows,
                                  uint64_t row_count, abi::StatusSink sink);
    meridian_status abort_locked(abi::StatusSink sink);
    void watch(void* context, void (*changed)(void* context, uint64_t last_position));

private:
    struct CommitJob {
        abi::Group group;
        abi::StatusSink sink;
    };
    struct LockJob {
        std::vector<abi::Name> names;
        std::vector<std::optional<uint64_t>> cached_versions;
        uint64_t deadline_us = 0;
        meridian_row_sink sink{};
    };
    struct CommitLockedJob {
        abi::Group group;
        std::vector<abi::Snapshot> rows;
        abi::StatusSink sink;
    };
    struct AbortJob {
        abi::StatusSink sink;
    };
    using Job = std::variant<CommitJob, LockJob, CommitLockedJob, AbortJob>;
    // Locks that are held between the two steps of a group.
    struct Held {
        uint64_t deadline_us = 0;
        uint64_t group_number = 0;
        uint64_t next_position = 0;
    };
    enum class Outcome { committed, not_committed, unknown };
    struct Result {
        meridian_status status = MERIDIAN_OK;
        std::string message;
    };

    // --- store.cpp
    void open();
    uint64_t random_number(uint64_t below) const;
    // Past the deadline of stop().
    bool is_late() const;
    // False if the store is late before the time has passed.
    bool sleep_us(uint64_t duration_us);
    // The n-th pause of a series, with jitter.
    uint64_t pause_us(uint32_t attempt) const;
    void take_figures(const std::vector<Command>& batch, const std::vector<Rows>& rows);
    void fail(const std::string& message);

    // --- store_commit.cpp, on the committer's thread
    meridian_status enqueue(Job job, uint64_t size);
    void run_committer();
    std::optional<Job> next_job();
    bool may_run(const Job& job) const;
    void run(const CommitJob& job);
    Result commit_group(const CommitJob& job);
    // One try to have a connection that may commit.
    bool connect_once(std::string& why);
    // Tries until `deadline_us`, or the store is late.
    bool connect_until(uint64_t deadline_us, std::string& why);
    // After a connection was lost with this group in it: what has become of it. Waits as long as it takes.
    Outcome settle(uint64_t group_number, uint64_t entry_count);
    void check_head(uint64_t expected_position);
    void committed(const abi::Group& group, const std::map<abi::Name, KeyTouch>& touches, uint64_t group_number);

    // --- store_locked.cpp, on the committer's thread
    void run(const LockJob& job);
    void run(const CommitLockedJob& job);
    void run(const AbortJob& job);
    Result commit_held(const CommitLockedJob& job, const Held& held);
    void give_rows(const LockJob& job, const Rows& rows) const;
    void release_locks();

    // --- store_read.cpp
    class Reader;  // a connection that is given back
    // Runs `fetch` with a connection, again if it is lost, until that has no point; then `give` with what it returned.
    template <class Sink, class Fetch, class Give>
    meridian_status submit_read(Sink sink, Fetch fetch, Give give);
    template <class Fetch>
    auto with_reader(Fetch fetch);
    std::unique_ptr<Connection> take_reader();
    void give_back(std::unique_ptr<Connection> reader);

    // --- store_upkeep.cpp, on the thread of upkeep_
    Result write_snapshots(const std::vector<abi::Snapshot>& snapshots);
    void request_upkeep();
    void run_upkeep();
    void drop_entries();
    void read_stale_page();
    // Runs `work` with the connection of upkeep, again as with_reader() does.
    Result with_upkeep(const std::function<void(Connection&)>& work);

    const abi::Host host_;
    const Settings settings_;
    StoreId store_id_{};
    bool created_ = false;
    Head opening_head_;

    std::atomic<bool> stopping_{false};
    std::atomic<uint64_t> stop_deadline_us_{UINT64_MAX};
    std::mutex stop_mutex_;
    std::condition_variable stop_wake_;

    std::atomic<bool> failed_{false};
    std::atomic<bool> connected_{false};
    std::atomic<uint64_t> log_bytes_{0};
    std::atomic<uint64_t> stale_bytes_{0};
    std::atomic<uint64_t> durable_position_{0};
    std::atomic<uint64_t> retain_from_{0};
    StaleSet stale_;

    // Of the committer's thread, once it runs.
    std::atomic<bool> reconnecting_{false};
    std::unique_ptr<Session> session_;
    std::string failure_;
    std::string last_connect_error_;
    uint32_t connect_attempts_ = 0;
    uint64_t group_number_ = 0;         // of the last group that was begun
    uint64_t acknowledged_number_ = 0;  // of the last group that was reported as committed
    uint64_t next_position_ = 1;
    std::optional<Held> held_;

    std::mutex commit_mutex_;
    std::condition_variable commit_wake_;
    std::deque<std::pair<Job, uint64_t>> jobs_;  // with their sizes; guarded by commit_mutex_, like the next two
    uint64_t waiting_bytes_ = 0;
    bool commit_stopping_ = false;

    std::mutex reader_mutex_;
    std::vector<std::unique_ptr<Connection>> idle_readers_;  // guarded by reader_mutex_

    Connection upkeep_connection_;
    std::atomic<bool> upkeep_requested_{false};

    std::unique_ptr<Watcher> watcher_;
    // The last members: their threads end before the rest goes.
    abi::TaskQueue readers_;
    abi::TaskQueue upkeep_;
    std::thread committer_;
};

}  // namespace meridian::store_pg
