// One shard: the keys of its namespaces, requests on them, and what waits for the log. See node.h for the contract.
// Everything here runs on the shard's lane, but the atomics of statistics().
//
// Reading order: shard_write.cpp (ops, batches, undo), shard_read.cpp (values, states), shard_keys.cpp (loading,
// eviction, deadlines), shard_checkpoint.cpp (snapshots), shard_commit.cpp (what became durable, what failed),
// shard_replicate.cpp (what comes from other nodes and what they ask for).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "node/committer.h"
#include "node/entry_encoder.h"
#include "node/idempotency.h"
#include "node/key_table.h"
#include "node/node.h"
#include "node/node_clock.h"
#include "node/outbox.h"
#include "node/replication_port.h"
#include "wire/unread_key.h"

namespace meridian::node {

class ShardImpl final : public Shard, public CommitListener {
public:
    struct Environment {
        size_t index = 0;
        Lane& lane;
        Clock& clock;
        NodeClock& stamps;
        Store& store;
        Committer& committer;
        const NodeLimits& limits;
        size_t cache_bytes_max = 0;
        bool replicated = false;
        // Entries stamped before this wall time are held by every member of the cluster.
        const std::atomic<uint64_t>& covered_before_ms;
        std::function<void(const std::string& text)> damage;  // NodeOptions
    };
    explicit ShardImpl(const Environment& environment);

    // Shard
    void set_listener(RoomListener* listener) override { listener_ = listener; }
    Progress write(WriteRequest request, std::function<void(WriteOutcome)> completion) override;
    Progress undo(UndoRequest request, std::function<void(UndoOutcome)> completion) override;
    Progress read_state(std::string namespace_name, std::string key, crdt::SequenceForm form,
                        std::function<void(StateOutcome)> completion) override;
    Progress read_value(std::string namespace_name, std::string key,
                        std::function<void(ValueOutcome)> completion) override;
    void barrier(std::function<void()> completion) override;

    // CommitListener
    void on_durable(uint64_t ticket) override;
    void on_commit_failed(uint64_t durable, uint64_t unknown_through, uint64_t epoch) override;

    // Snapshots of these keys go to the store as soon as the log allows; `done` runs once, on this lane, with how many
    // keys were written. Of a key that this version cannot decode, what the store gave is written as it is
    // (wire/unread_key.h), so that the log need not keep it; keys that the store cannot read are left out.
    void checkpoint(std::vector<KeyName> names, std::function<void(size_t keys_written)> done);
    // The store says that the time of these keys has come: tells clients, renews the stored deadline, removes rows that
    // are past their guard. `done` as above.
    void handle_due(std::vector<KeyName> names, std::function<void(size_t keys_written)> done);

    // As ReplicationPort::merge, for the keys of this shard; both functions are called once, on this lane.
    struct MergePart {
        std::vector<RemoteEntry> entries;
        // Under which the part before this one was given to the committer: what comes after a group that failed must
        // not be committed without it. Absent: this is the first.
        std::optional<uint64_t> epoch;
        // The part has been given to the committer, under this epoch; nothing if it never will be.
        std::function<void(std::optional<uint64_t>)> submitted;
        std::function<void(Result<void>)> done;
    };
    void merge(MergePart part);
    // Brings the keys into memory, if they are not there.
    void load_ahead(std::vector<KeyName> names);
    // Digests of those keys that can be read and are visible, once what they were computed from is durable.
    void digest(std::vector<KeyName> names, const DigestKey& key,
                std::function<void(Result<std::vector<KeyDigest>>)> done);
    // States of those that exist, likewise; not of all if they are large.
    void read_states(std::vector<KeyName> names, std::function<void(Result<std::vector<KeyState>>)> done);

    struct Statistics {
        std::atomic<uint64_t> accepted{0}, rejected{0}, refused{0}, loaded{0}, evicted{0}, checkpoints{0},
            checkpoint_bytes{0}, states_built{0}, resident{0}, resident_bytes{0}, unreadable{0}, set_aside{0};
    };
    const Statistics& statistics() const { return statistics_; }

private:
    // The time by which expiry is judged, everywhere: that of the stamps, which after a restart or a backward jump of
    // the wall clock is ahead of it.
    uint64_t time_ms() const { return std::max(env_.clock.wall_ms(), env_.stamps.newest_wall_ms()); }

    using WriteDone = std::function<void(WriteOutcome)>;

    // shard_write.cpp
    Progress write_once(const std::shared_ptr<WriteRequest>& request, const WriteDone& completion);
    void look_up_record(const std::shared_ptr<WriteRequest>& request, const WriteDone& completion);
    // Puts the slots of the items into slots_. False if one is not in memory.
    bool find_slots(const WriteRequest& request);
    Progress write_on_keys(const std::shared_ptr<WriteRequest>& request, const WriteDone& completion);
    bool overloaded() const;
    // REQUIRES: find_slots().
    void execute_write(const WriteRequest& request, WriteDone completion);
    void answer_write(WriteOutcome outcome, uint64_t ticket, WriteDone completion);
    static void finish_write(Held& held, Durability durability);
    std::optional<WriteOutcome> refuse_write(const WriteRequest& request) const;
    std::optional<WriteOutcome> check_items(const WriteRequest& request, uint64_t now_ms) const;
    void execute_undo(const std::shared_ptr<UndoRequest>& request, const std::function<void(UndoOutcome)>& completion);
    // Answers a write that changed nothing once its idempotency record is durable.
    void answer_recorded(const WriteRequest& request, WriteOutcome outcome, const WriteDone& completion);
    // What has been applied to a key and must be logged.
    struct Change {
        KeySlot* slot;
        size_t item;
        crdt::EntryStamp stamp;
        crdt::KeyApplied applied;
    };
    // Gives the encoded entries to the committer, one for each change, and sets the tickets of their keys; the ticket
    // to hold the outcome for.
    uint64_t submit(std::span<const PendingEntry> entries, std::span<const Change> changes,
                    std::vector<MetadataWrite> metadata);

    // shard_read.cpp
    bool may_exist(const std::string& key) const;
    void execute_read_state(const std::shared_ptr<KeyName>& name, crdt::SequenceForm form,
                            const std::function<void(StateOutcome)>& completion, bool retry);
    void execute_read_value(const std::shared_ptr<KeyName>& name, const std::function<void(ValueOutcome)>& completion,
                            bool retry);
    std::shared_ptr<const StateFrames> state_frames(KeySlot& slot, crdt::SequenceForm form);
    std::shared_ptr<const StateFrames> emptying_frames(KeySlot& slot);

    // shard_keys.cpp
    // Runs `task` once all keys are in memory (or corrupt): at once if they are.
    Progress with_keys(std::vector<KeyName> names, std::function<void()> task);
    struct Gathering;
    bool gather(const std::shared_ptr<Gathering>& gathering);
    KeySlot& resident(std::string_view namespace_name, std::string_view key);
    void load(std::vector<KeyName> names);
    void load_more();
    void on_loaded(std::vector<KeyRecord> records);
    void forget_if_unreadable(KeySlot& slot);
    // The key of what the store has of it, by this version.
    Result<crdt::Key> decode(const wire::UnreadKey& stored);
    void restore(KeySlot& slot, KeyRecord record);
    void make_room();
    void arm_timer();
    void on_timer();
    void expire(KeySlot& slot, uint64_t now_ms);
    struct DueRun;
    void next_due_slice(const std::shared_ptr<DueRun>& run);
    uint64_t attention_ms(const crdt::Key& key) const;
    bool evictable(const KeySlot& slot) const;

    // shard_checkpoint.cpp
    struct CheckpointRun;
    void next_checkpoint_slice(const std::shared_ptr<CheckpointRun>& run);
    void checkpoint_slice(const std::shared_ptr<CheckpointRun>& run, const std::vector<KeyName>& names);
    void write_next_part(const std::shared_ptr<CheckpointRun>& run);
    void on_part_written(const std::shared_ptr<CheckpointRun>& run, std::vector<SnapshotWrite> part,
                         const std::string& error);
    void on_slice_written(const std::shared_ptr<CheckpointRun>& run);
    void on_written(const SnapshotWrite& write, const std::string& error);
    std::optional<SnapshotWrite> snapshot_of(KeySlot& slot);
    std::optional<SnapshotWrite> unread_row_of(KeySlot& slot);
    void tell_damage(const std::string& text);

    // shard_replicate.cpp
    void next_merge();
    struct DigestRun;
    void next_digest_slice(const std::shared_ptr<DigestRun>& run);
    struct StatesRun;
    void next_states_slice(const std::shared_ptr<StatesRun>& run);
    void execute_merge(const std::shared_ptr<MergePart>& merge);

    // shard_commit.cpp
    void hold(Held&& held);
    void hold(uint64_t ticket, std::function<void(Durability)> done);
    void schedule_release();
    void release();
    void let_go(Held& held, Durability durability);
    void tell_room(const Held& held);
    void publish_statistics();

    const Environment env_;
    RoomListener* listener_ = nullptr;
    KeyTable table_;
    Outbox outbox_;
    IdempotencyTable idempotency_;
    // Of the write that is being executed; members for the sake of their memory.
    std::vector<KeySlot*> slots_;
    std::vector<Change> changes_;
    EntryEncoder encoder_;
    std::vector<Task> ready_;  // outcomes that wait for nothing but the end of the call
    bool release_scheduled_ = false;
    uint64_t durable_ = 0;  // as told by the committer
    uint64_t epoch_ = 1;
    size_t waiting_ = 0;  // requests that wait for keys
    // Of writes that have not been executed. Shared and atomic, because a request that waits can outlive the shard, and
    // its last holder may be a thread of the store.
    const std::shared_ptr<std::atomic<size_t>> waiting_bytes_ = std::make_shared<std::atomic<size_t>>(0);
    std::deque<KeyName> to_load_;  // waits for a free read of the store
    size_t loads_in_flight_ = 0;
    bool evicting_ = false;  // a checkpoint that makes room is under way
    std::set<std::string> damage_told_;
    uint64_t whole_slices_until_us_ = 0;  // a slice that the store does not take is not taken apart before
    // One after the other, so that the entries of an origin reach the log in their order. The first is under way.
    std::deque<std::shared_ptr<MergePart>> merges_;
    uint64_t timer_ms_ = 0;  // wall time for which the timer is armed, 0 = not
    Statistics statistics_;
};

}  // namespace meridian::node
