// The node: namespaces, the write path, reads, expiry. One Node per process; it is driven by lanes that the caller
// supplies and starts no threads.
//
// Shape. Every namespace belongs to one shard (a hash of its name); a shard's state is touched on its lane only, so
// there are no locks on it. A committer on its own lane numbers entries, commits them in groups, and tells the shards
// what became durable.
//
// The rule of the write path: nothing computed from memory leaves the node before the log is durable up to the commit
// ticket of what it was computed from. The shard therefore holds every outcome and every frame until then, and lets
// them go in the order in which they were produced.
//
// Threads: functions of Shard are called on that shard's lane only, and completions and RoomListener calls come on that
// lane, never inside the call that asked. Node's own functions say otherwise where they differ. Limits: NodeLimits;
// when one is reached the request completes with Status::overloaded or unavailable.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/environment.h"
#include "base/result.h"
#include "crdt/client_delta.h"
#include "crdt/contract.h"
#include "crdt/op.h"
#include "node/store.h"
#include "wire/key_form.h"

namespace meridian::node {

using wire::KeyForm;

// One client delta. Immutable to its readers, on any thread.
class DeltaFrame {
public:
    // The key's name is shared by all its frames.
    DeltaFrame(std::shared_ptr<const KeyName> name, crdt::ClientDelta delta)
        : name_(std::move(name)), delta_(std::move(delta)) {}
    const std::string& key() const { return name_->key; }
    const crdt::ClientDelta& delta() const { return delta_; }
    // The whole `{"Delta": {crdt_id, delta_bytes}}` message, encoded at most once per key form, by whoever asks first,
    // and kept with the frame.
    const std::string& message(KeyForm form) const;
    // The delta's MessagePack, which ends that message.
    std::string_view delta_bytes(KeyForm form) const;
    // The message for a buffer that many frames are gathered in; nothing is kept. `scratch` lends its memory.
    void append_message(std::string& out, KeyForm form, std::string& scratch) const;

private:
    struct Message {
        std::once_flag encoded;
        std::string bytes;
        size_t delta_bytes = 0;
    };
    const Message& encoded(KeyForm form) const;

    std::shared_ptr<const KeyName> name_;
    crdt::ClientDelta delta_;
    mutable Message messages_[2];
};
using DeltaFramePtr = std::shared_ptr<const DeltaFrame>;

enum class Status : uint8_t {
    ok,
    rejected,              // the op is invalid; `text` is the client's message
    not_found,             // no such key (reads)
    overloaded,            // a queue or cache limit was reached; nothing was done; try later
    unavailable,           // no log space, or the store is read-only; nothing was done
    outcome_unknown,       // the write may or may not become durable: the store failed while it was in flight
    idempotency_mismatch,  // the Idempotency-Key was used for another request
    corrupt,               // the stored key cannot be read; `text` says why
};

// Where a write came from; kept in the log for history and webhooks.
enum class Source : uint8_t { http = 0, ws = 1, ws_batch = 2, undo = 3 };

struct WriteItem {
    std::string key;
    crdt::Op op;
    std::string op_bytes;  // as received, envelope included
    std::optional<uint64_t> ttl_ms;
};

inline constexpr size_t idempotency_key_bytes_max = 255;

// One op, or a batch that happens whole or not at all.
struct WriteRequest {
    std::string namespace_name;
    Source source = Source::ws;
    uint64_t client_id = 0;        // of the token
    std::vector<WriteItem> items;  // not empty
    std::string idempotency_key;   // empty = none
};

struct ItemOutcome {
    bool changed = false;
    DeltaFramePtr delta;  // the client delta that tells the op's own effect, null when there was none
};

// Of a write to a register that another client had written meanwhile.
struct KeyConflict {
    std::string key;
    crdt::Conflict conflict;
};

struct WriteOutcome {
    Status status = Status::ok;
    std::string text;
    size_t rejected_item = 0;            // when rejected: index of the first offending item
    std::vector<ItemOutcome> items;      // when ok: one each
    std::vector<KeyConflict> conflicts;  // in the order of the items
};

struct UndoRequest {
    std::string namespace_name;
    std::string key;
    uint64_t client_id = 0;
    crdt::Hlc target;
    JsonValue restore;          // null: the register was empty before
    std::string request_bytes;  // kept in the log
};
struct UndoOutcome {
    Status status = Status::ok;
    std::string text;  // when rejected, or the reason when skipped
    bool skipped = false;
};

// The full state of a key as client deltas, in sending order; shared by everybody who asks between two changes.
struct StateFrames {
    std::vector<DeltaFramePtr> frames;  // empty: nothing to send
};
struct StateOutcome {
    Status status = Status::ok;
    std::string text;
    // With not_found, if the key has expired: what empties it for a connection that was told of it and has missed the
    // end. It names what the key held, so it is for nobody else.
    std::shared_ptr<const StateFrames> state;
};
struct ValueOutcome {
    Status status = Status::ok;
    std::string text;  // the JSON text of the value
};

// Told of everything that becomes visible in a namespace. Implemented by the network edge.
class RoomListener {
public:
    virtual ~RoomListener() = default;
    // A delta that every connection of the namespace may have to be told, in order.
    virtual void on_delta(const std::string& namespace_name, const DeltaFramePtr& frame) = 0;
    // All outcomes and deltas of one durable group have been given: the moment to send what has been collected.
    virtual void on_group_end() = 0;
};

struct NodeLimits {
    crdt::Limits crdt;
    size_t cache_bytes_max = 256 << 20;          // resident states of all shards together
    size_t waiting_requests_max = 100'000;       // per shard: for cold keys and held outcomes
    size_t pending_commit_bytes_max = 64 << 20;  // applied and not yet durable
    size_t group_bytes_max = 8 << 20;            // of one commit group
    size_t key_bytes_max = 1024;
    size_t batch_items_max = 10'000;
    uint64_t idempotency_retention_ms = 24ULL * 3600 * 1000;
    uint64_t expired_row_guard_ms = 7ULL * 24 * 3600 * 1000;
    uint64_t checkpoint_interval_ms = 10'000;
    uint64_t checkpoint_log_bytes = 64 << 20;  // checkpoints begin early when the log since the last has grown to this
    uint64_t log_backlog_bytes_max = 1ULL << 30;  // writes are refused while this much log waits for checkpoints
    uint64_t log_retention_ms = 7ULL * 24 * 3600 * 1000;
    uint64_t log_retention_bytes = 1ULL << 30;
    uint64_t tombstone_grace_ms = 30ULL * 24 * 3600 * 1000;
};

// Whether a request has been executed in memory when the call returns (its completion may still wait for the log), or
// waits for a key to be loaded. A caller that must keep the order of its requests holds the next one back while one is
// `waiting`; executed requests complete in the order in which they were executed, reads of values (HTTP) aside.
enum class Progress : uint8_t { executed, waiting };

class Shard {
public:
    virtual ~Shard() = default;

    virtual void set_listener(RoomListener* listener) = 0;

    // The caller has checked authorization, signature and clock drift.
    virtual Progress write(WriteRequest request, std::function<void(WriteOutcome)> completion) = 0;
    virtual Progress undo(UndoRequest request, std::function<void(UndoOutcome)> completion) = 0;
    // Full state for a client, for Subscribe and Sync. The completion comes in order with the deltas given to the
    // listener: every delta given before it is contained in the state, every later one is not.
    virtual Progress read_state(std::string namespace_name, std::string key, crdt::SequenceForm form,
                                std::function<void(StateOutcome)> completion) = 0;
    virtual Progress read_value(std::string namespace_name, std::string key,
                                std::function<void(ValueOutcome)> completion) = 0;
    // Completes when every request executed before it on this shard has completed.
    virtual void barrier(std::function<void()> completion) = 0;
};

struct NodeStatistics {
    uint64_t writes_accepted = 0, writes_rejected = 0, writes_refused = 0;
    uint64_t groups_committed = 0, entries_committed = 0, bytes_committed = 0;
    uint64_t keys_resident = 0, resident_bytes = 0, keys_loaded = 0, keys_evicted = 0;
    uint64_t checkpoints = 0, checkpoint_bytes = 0;
    uint64_t unreadable_loads = 0;  // of keys that the store could not read, or gave in a form that is not understood
    uint64_t keys_set_aside = 0;    // of the latter, those whose log entries were put away with their snapshot
    uint64_t states_built = 0;      // for clients; those who ask between two changes of a key share one
    uint64_t pending_entries = 0;
    bool writable = true;
    std::string unwritable_reason;
};

struct NodeOptions {
    uint64_t node_id = 0;
    NodeLimits limits;
    // On which the node talks to replication. Null: a node alone, which does nothing for others.
    Lane* replication_lane = nullptr;
    // Told, for people, about keys that the node cannot read or write while it goes on with the others. On a shard's
    // lane; may be null.
    std::function<void(const std::string& text)> damage = nullptr;
};

class ReplicationPort;

class Node {
public:
    // Reads what it needs from the store (metadata, not data) and is then ready. `shard_lanes` and `commit_lane` must
    // outlive the node. `ready` runs on the commit lane, with an error if the metadata is unusable. Null if the
    // cryptographic library does not start.
    static std::unique_ptr<Node> open(NodeOptions options, Store& store, Clock& clock, Random& random,
                                      std::vector<Lane*> shard_lanes, Lane& commit_lane,
                                      std::function<void(Result<void>)> ready);
    virtual ~Node() = default;

    virtual size_t shard_count() const = 0;
    virtual size_t shard_index(std::string_view namespace_name) const = 0;  // any thread
    virtual Shard& shard(size_t index) = 0;
    // Null for a node alone.
    virtual ReplicationPort* replication() = 0;
    virtual NodeStatistics statistics() const = 0;  // any thread

    // Refuses new writes, commits what is pending, checkpoints stale keys until all are done or the deadline
    // (monotonic) has passed, then calls `done` on the commit lane. Any thread; once. Afterwards: stop the lanes, close
    // the store, destroy the node.
    virtual void stop(uint64_t deadline_us, std::function<void()> done) = 0;
};

}  // namespace meridian::node
