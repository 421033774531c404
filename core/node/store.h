// The store as the node sees it. Implementations: the adapter to store plug-ins (plugin/store_adapter.h) and the
// simulated store of the tests. Everything that can wait is submit + completion.
//
// What a store keeps
//   log        entries numbered by position, contiguous from 1; written in groups, each all or nothing
//   metadata   small named values, written together with a group
//   snapshots  one row a key: the key's state and the log position that it reflects. A separate, later call; never
//   ahead of the log
//
// Threads: every function may be called from several lanes at the same time, except commit(): one group is in flight,
// its successor is submitted after its completion. A completion runs exactly once, never inside the submitting call, on
// any thread of the store, and does no more than post to a lane. What a completed commit() or checkpoint() wrote is
// seen by every read submitted after the completion began; what a commit() left behind that did not complete as durable
// is seen by no read until the store is opened again. Ownership: the store takes what it is given by value and
// borrows views until the call returns; what a completion is given is its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace meridian::node {

struct KeyName {
    std::string namespace_name;
    std::string key;
    friend auto operator<=>(const KeyName&, const KeyName&) = default;
};

struct LogEntry {
    uint64_t position = 0;  // local, contiguous; assigned by the node when it closes the group
    uint64_t origin_node_id = 0;
    uint64_t origin_incarnation = 0;
    uint64_t origin_sequence = 0;  // contiguous per (node, incarnation)
    uint64_t wall_ms = 0;          // when this node accepted or received it; about ascending with the position
    uint64_t deadline_ms = 0;      // earliest wall time at which the key needs attention (expiry); 0 = never
    KeyName name;
    std::string payload;  // wire/log_entry.h; opaque to the store
};

// An entry on its way into the log: the same with borrowed text.
struct LogEntryView {
    uint64_t position = 0;
    uint64_t origin_node_id = 0;
    uint64_t origin_incarnation = 0;
    uint64_t origin_sequence = 0;
    uint64_t wall_ms = 0;
    uint64_t deadline_ms = 0;
    std::string_view namespace_name;
    std::string_view key;
    std::string_view payload;
};

struct MetadataWrite {
    std::string name;
    std::optional<std::string> value;  // absent = delete
};

// What one commit writes.
struct CommitGroup {
    std::vector<LogEntry> entries;  // ascending positions, the first is the store's next position
    std::vector<MetadataWrite> metadata;
};
struct CommitGroupView {
    std::span<const LogEntryView> entries;
    std::span<const MetadataWrite> metadata;
};

enum class CommitStatus : uint8_t {
    durable,          // on stable storage
    not_committed,    // surely nothing of the group was or will be written (full disk before the write, ...): retry is
                      // allowed
    outcome_unknown,  // a write or sync failed: the store takes no more writes until it is opened again
};

struct CommitResult {
    CommitStatus status = CommitStatus::durable;
    std::string message;  // for the log, when not durable
};

// What a key's state is made of: the last snapshot, then the payloads of all later log entries of that key, in order.
struct KeyRecord {
    KeyName name;
    std::optional<std::string> snapshot;
    uint64_t snapshot_position = 0;  // entries up to this position are in the snapshot
    std::vector<std::string> tail;
    uint64_t tail_position = 0;  // position of the last entry in `tail`; 0 if there is none
    std::string error;           // not empty: this key cannot be read (quarantined); the text says why
};

struct SnapshotWrite {
    KeyName name;
    uint64_t position = 0;             // the state reflects the log up to here; REQUIRES: durable
    uint64_t deadline_ms = 0;          // as in LogEntry
    std::optional<std::string> state;  // absent = delete the row
};

struct DueKey {
    KeyName name;
    uint64_t deadline_ms = 0;
};

// A page of the log. If `from` was below the oldest kept position, `gone` is true and `floor` names that position.
struct LogPage {
    std::vector<LogEntry> entries;
    uint64_t next_position = 0;
    bool gone = false;
    uint64_t floor = 0;
    std::string error;
};

struct KeyPage {
    std::vector<KeyName> names;  // in byte order of (namespace, key)
    bool more = false;
    std::string error;
};

// What the store knew when it was opened.
struct StoreOpening {
    std::string store_id;  // 16 random bytes, made when the store was created
    uint64_t next_position = 1;
    uint64_t floor = 1;    // oldest kept position
    bool created = false;  // the store was empty and has just been made
};

struct StoreUsage {
    uint64_t log_bytes = 0;                   // on disk
    uint64_t log_bytes_since_checkpoint = 0;  // written and not covered by snapshots
    uint64_t log_bytes_available = 0;         // space that the log may surely still take; 0 refuses writes
    bool failed = false;                      // a sync failed: read-only until restart
};

class Store {
public:
    virtual ~Store() = default;

    virtual const StoreOpening& opening() const = 0;
    // Cheap (atomics); any thread.
    virtual StoreUsage usage() const = 0;

    // Writes the group to the log and makes it durable. The node has one group in flight.
    virtual void commit_views(const CommitGroupView& group, std::function<void(CommitResult)> completion) = 0;
    void commit(const CommitGroup& group, std::function<void(CommitResult)> completion) {
        std::vector<LogEntryView> entries;
        entries.reserve(group.entries.size());
        for (const LogEntry& entry : group.entries) {
            entries.push_back({entry.position, entry.origin_node_id, entry.origin_incarnation, entry.origin_sequence,
                               entry.wall_ms, entry.deadline_ms, entry.name.namespace_name, entry.name.key,
                               entry.payload});
        }
        commit_views({entries, group.metadata}, std::move(completion));
    }

    virtual void read_keys(std::vector<KeyName> names, std::function<void(std::vector<KeyRecord>)> completion) = 0;

    // Writes snapshots; when the completion reports success they are on stable storage and log entries up to their
    // positions are no longer needed for these keys. Empty text = success.
    virtual void checkpoint(std::vector<SnapshotWrite> snapshots,
                            std::function<void(std::string error)> completion) = 0;

    // Keys that have log entries newer than their snapshot, oldest first, at most `count_max`.
    virtual std::vector<KeyName> stale_keys(size_t count_max) const = 0;

    // Log entries before this position may be deleted once snapshots cover them.
    virtual void retain_from(uint64_t position) = 0;

    virtual void read_log(uint64_t from_position, size_t entries_max, size_t bytes_max,
                          std::function<void(LogPage)> completion) = 0;

    // Keys after `after` (absent: from the start) whose namespace is `namespace_name` (empty: all).
    virtual void scan_keys(std::string namespace_name, std::optional<KeyName> after, size_t count_max,
                           std::function<void(KeyPage)> completion) = 0;

    // Keys with a deadline at or before `until_ms`, in order of deadline.
    virtual void scan_due(uint64_t until_ms, size_t count_max, std::function<void(std::vector<DueKey>)> completion) = 0;

    // One value for each name, absent if there is none. An error is not "absent": nothing is known then.
    virtual void read_metadata(std::vector<std::string> names,
                               std::function<void(Result<std::vector<std::optional<std::string>>>)> completion) = 0;
    // Names beginning with `prefix` after `after`, with their values.
    virtual void scan_metadata(std::string prefix, std::string after, size_t count_max,
                               std::function<void(std::vector<std::pair<std::string, std::string>>)> completion) = 0;

    // A consistent copy into a new directory while the node runs. Empty text = success.
    virtual void backup(std::string target_directory, std::function<void(std::string error)> completion) = 0;

    // Completes what is outstanding, then releases the store. No completion runs after it returns. Blocks.
    virtual void close() = 0;
};

}  // namespace meridian::node
