// The committer: the one place where entries get their numbers and go to the store.
//
// Group commit (Gray, Reuter, "Transaction Processing", 1993, section 10.4): one group is in flight; what the shards
// submit meanwhile becomes the next. A submission (one client's batch) is never split over groups.
//
// The commit ticket of an entry is the log position that it will have. When a group fails, every submission after it
// fails too, because it was computed from the failed state; the positions are used again if the group surely did not
// commit. Each failure starts an epoch: a shard that has not yet heard of it submits under the old epoch and is
// refused.
//
// What is submitted is copied into the buffers of its group, which are used again for a later one: a write costs no
// memory that one lane takes and another gives back.
//
// Threads: submit() and reserve() from any lane; everything else on the commit lane. One mutex, held while a submission
// is copied.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/environment.h"
#include "node/log_index.h"
#include "node/node_clock.h"
#include "node/received_vector.h"
#include "node/store.h"
#include "node/version_vector.h"

namespace meridian::node {

struct CommittedEntry;
class DeltaFrame;
class ReplicationListener;

// Borrowed text, valid until submit() returns.
struct PendingEntry {
    std::string_view namespace_name;
    std::string_view key;
    uint64_t wall_ms = 0;
    uint64_t deadline_ms = 0;
    std::string_view payload;
    std::shared_ptr<const DeltaFrame> view;  // of an own entry: what clients are told of its own effect; may be null
    // Of an entry that another node accepted. Absent: an own one, numbered when its group is closed.
    struct Number {
        Origin origin;
        uint64_t sequence = 0;
    };
    std::optional<Number> remote;
};

struct Submission {
    size_t shard = 0;
    std::span<const PendingEntry> entries;
    std::vector<MetadataWrite> metadata;
    VersionVector raised;  // of which this node holds the effect without the entries
    // For a submission without entries, which no ticket stands for: told on the commit lane what became of its group.
    std::function<void(CommitStatus)> settled;
};

// What a shard is told about the log, in order, on its own lane.
class CommitListener {
public:
    virtual ~CommitListener() = default;
    // Everything up to `ticket` is on stable storage.
    virtual void on_durable(uint64_t ticket) = 0;
    // Nothing after `durable` was or will be committed under this epoch; tickets up to `unknown_through` have an
    // unknown outcome (none if it equals `durable`). `epoch` is the one to submit under from now on.
    virtual void on_commit_failed(uint64_t durable, uint64_t unknown_through, uint64_t epoch) = 0;
};

enum class Refusal : uint8_t { none, overloaded, unavailable };

class Committer {
public:
    struct Options {
        uint64_t node_id = 0;
        size_t pending_bytes_max = 0;
        size_t group_bytes_max = 0;
        uint64_t log_backlog_bytes_max = 0;  // refuse writes when this much log waits for checkpoints
        Lane* replication_lane = nullptr;    // null: a node alone
    };
    struct Start {
        uint64_t incarnation = 0;
        uint64_t sequence = 0;          // last used
        uint64_t clock_ceiling_ms = 0;  // durable
        VersionVector received;         // of other origins, earlier incarnations of this node among them
    };

    Committer(Options options, Store& store, const NodeClock& clock, Lane& lane);
    ~Committer();

    // REQUIRES: called once, before the first submit. `listeners[i]` runs on `lanes[i]`.
    void start(const Start& start, std::vector<CommitListener*> listeners, std::vector<Lane*> lanes);

    // To be asked before an op is applied: whether its entry of about `bytes` may be written. A later submit of it
    // cannot be refused for space.
    Refusal reserve(size_t bytes) const;

    // The ticket of the last entry (of the newest entry so far if there are only metadata), or nothing if the shard's
    // epoch is over: on_commit_failed is then on its way.
    std::optional<uint64_t> submit(Submission submission, uint64_t epoch);
    // Metadata that depends on no shard's state: goes with a later group, or is lost if that group fails.
    void submit_metadata(std::vector<MetadataWrite> metadata);

    // Commit lane only: the log is durable up to here.
    uint64_t durable_position() const { return durable_; }
    // Any thread.
    uint64_t incarnation() const { return incarnation_.load(std::memory_order_acquire); }
    // What is durable, this node's own entries included. Any thread.
    VersionVector vector() const;

    // Told of own entries, on the replication lane. REQUIRES: before the first write.
    void set_replication_listener(ReplicationListener* listener) { replication_listener_ = listener; }
    // Sequences begin anew under another incarnation; writes that wait are numbered under it. REQUIRES: commit lane.
    // `settled` as in Submission.
    void begin_incarnation(uint64_t incarnation, std::function<void(CommitStatus)> settled);
    // The node holds the effect of all that `vector` counts. Any thread; `settled` as in Submission.
    void raise(VersionVector vector, std::function<void(CommitStatus)> settled);
    // Where each origin's entries are in the log; thread-safe.
    LogIndex& log_index() { return log_index_; }
    bool failed() const { return failed_.load(std::memory_order_acquire); }
    std::string failure() const;

    // From now on reserve() refuses; `idle` runs on the commit lane once nothing is pending or in flight.
    void drain(std::function<void()> idle);

    struct Statistics {
        uint64_t groups = 0, entries = 0, bytes = 0, pending_entries = 0;
    };
    Statistics statistics() const;

private:
    // What one commit writes, and whom to tell.
    struct Group {
        struct Entry {
            size_t namespace_bytes, key_bytes, payload_bytes;
            uint64_t wall_ms, deadline_ms;
            std::optional<PendingEntry::Number> remote;
        };
        std::string text;  // namespace, key and payload of each entry, back to back
        std::vector<Entry> entries;
        std::vector<std::shared_ptr<const DeltaFrame>> views;  // of the first entries; the others have none
        std::vector<MetadataWrite> metadata;
        VersionVector raised;
        std::vector<std::function<void(CommitStatus)>> settled;
        std::vector<bool> shards;  // that have submitted
        uint64_t last_ticket = 0;
        size_t bytes = 0;  // as charged

        bool empty() const { return bytes == 0; }
        void add(Submission submission, size_t charged_bytes, uint64_t ticket);
        void clear();  // keeps the memory
    };

    uint64_t enqueue(Submission submission, size_t bytes);
    void enqueue_and_schedule(Submission submission);
    bool take_group();
    void number_entries();
    void number_entry(size_t index, LogEntryView& numbered);
    void add_vector_metadata();
    VersionVector with_own(VersionVector received, uint64_t sequence) const;
    void close_group();
    void on_commit_result(const CommitResult& result);
    void succeed();
    void fail(const CommitResult& result);
    void check_drained();

    const Options options_;
    Store& store_;
    const NodeClock& clock_;
    Lane& lane_;
    Start start_;
    std::vector<CommitListener*> listeners_;
    std::vector<Lane*> lanes_;
    ReplicationListener* replication_listener_ = nullptr;
    LogIndex log_index_;
    std::atomic<uint64_t> incarnation_{0};

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::deque<Group> pending_ = std::deque<Group>(1);  // not empty: the last one is open
    uint64_t next_ticket_ = 1;
    uint64_t epoch_ = 1;
    bool close_scheduled_ = false;
    std::string failure_;
    VersionVector vector_;

    // Commit lane only.
    ReceivedVector received_;
    std::vector<CommittedEntry> flight_committed_;
    std::optional<std::pair<uint64_t, VersionVector>> flight_index_;
    bool in_flight_ = false;
    uint64_t durable_ = 0;
    Group flight_;
    std::vector<LogEntryView> numbered_;  // the entries of `flight_`
    VersionVector former_;                // of incarnations whose end is not durable yet
    uint64_t flight_sequence_ = 0;
    uint64_t flight_ceiling_ms_ = 0;
    std::vector<std::function<void()>> after_flight_;  // what must wait for the result of the flight
    std::function<void()> drained_;

    std::atomic<uint64_t> pending_bytes_{0};  // queued and in flight
    std::atomic<uint64_t> pending_entries_{0};
    std::atomic<bool> failed_{false};
    std::atomic<bool> draining_{false};
    std::atomic<uint64_t> groups_{0}, entries_{0}, bytes_{0};
};

// The metadata record with which each group renews the node's head: incarnation, last sequence, clock ceiling.
inline constexpr std::string_view head_metadata_name = "node/head";
std::string encode_head(const Committer::Start& head);
std::optional<Committer::Start> decode_head(std::string_view bytes);
// What begins a new incarnation, at least `incarnation`, in a store that no node has open: to be committed to it. What
// was written in the former one is counted in the vector, so that other nodes hear of what they lack of it. Nothing if
// `head_bytes` are malformed.
std::optional<std::vector<MetadataWrite>> new_incarnation_writes(std::string_view head_bytes, uint64_t node_id,
                                                                 uint64_t incarnation);

}  // namespace meridian::node
