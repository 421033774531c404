// Snapshots: encoded on the lane in slices, given to the store once the log is durable up to what they contain. A slice
// that the store does not take is given to it again in parts, so that a key that cannot be written keeps no other.
#include <algorithm>
#include <iterator>
#include <utility>

#include "node/shard_impl.h"
#include "wire/key_codec.h"

namespace meridian::node {

namespace {

constexpr size_t slice_keys_max = 64;
constexpr size_t slice_bytes_max = 4 << 20;
// Compacting costs time in proportion to the value, so a hot key is not compacted at each of its checkpoints.
constexpr uint64_t compaction_interval_ms = 600'000;
// When so many keys of a slice have failed one by one, and none was written, it is not because of the keys: for a while
// slices are not taken apart.
constexpr size_t failures_alone_max = 4;
constexpr uint64_t whole_slices_us = 5'000'000;
constexpr size_t damage_told_max = 100;
// A key that is put away undecoded is looked at again after this time: another version of the node may read it.
constexpr uint64_t unread_retry_ms = 24 * 3'600'000;

}  // namespace

struct ShardImpl::CheckpointRun {
    std::vector<KeyName> names;
    size_t next = 0;
    size_t keys_written = 0;
    std::function<void(size_t)> done;
    // Of the slice that is under way: what has still to be written, the next part last.
    std::vector<std::vector<SnapshotWrite>> parts;
    size_t slice_written = 0;
    size_t failures_alone = 0;
};

void ShardImpl::checkpoint(std::vector<KeyName> names, std::function<void(size_t keys_written)> done) {
    auto run = std::make_shared<CheckpointRun>();
    run->names = std::move(names);
    run->done = std::move(done);
    next_checkpoint_slice(run);
}

void ShardImpl::next_checkpoint_slice(const std::shared_ptr<CheckpointRun>& run) {
    if (run->next == run->names.size()) {
        run->done(run->keys_written);
        return;
    }
    const size_t count = std::min(slice_keys_max, run->names.size() - run->next);
    const auto first = run->names.begin() + static_cast<ptrdiff_t>(run->next);
    std::vector<KeyName> names(first, first + static_cast<ptrdiff_t>(count));
    with_keys(names, [this, run, names] { checkpoint_slice(run, names); });
}

void ShardImpl::checkpoint_slice(const std::shared_ptr<CheckpointRun>& run, const std::vector<KeyName>& names) {
    auto writes = std::make_shared<std::vector<SnapshotWrite>>();
    uint64_t ticket = 0;
    size_t bytes = 0;
    for (const KeyName& name : names) {
        if (bytes >= slice_bytes_max) break;
        ++run->next;
        KeySlot& slot = resident(name.namespace_name, name.key);
        auto write = snapshot_of(slot);
        if (!write) continue;
        slot.checkpointing = true;
        ticket = std::max(ticket, write->position);
        if (write->state) bytes += write->state->size();
        writes->push_back(std::move(*write));
    }
    if (writes->empty()) {
        // Not a call: a long list of keys with nothing to write must not deepen the stack.
        env_.lane.post([this, run] { next_checkpoint_slice(run); });
        return;
    }
    run->slice_written = 0;
    run->failures_alone = 0;
    hold(ticket, [this, run, writes](Durability durability) {
        if (durability == Durability::durable) {
            run->parts.push_back(std::move(*writes));
            return write_next_part(run);
        }
        for (const SnapshotWrite& write : *writes) on_written(write, "the log was not committed");
        on_slice_written(run);
    });
}

void ShardImpl::write_next_part(const std::shared_ptr<CheckpointRun>& run) {
    if (run->parts.empty()) return on_slice_written(run);
    auto part = std::make_shared<std::vector<SnapshotWrite>>(std::move(run->parts.back()));
    run->parts.pop_back();
    env_.store.checkpoint(*part, [this, run, part](const std::string& error) {
        env_.lane.post([this, run, part, error] { on_part_written(run, std::move(*part), error); });
    });
}

void ShardImpl::on_part_written(const std::shared_ptr<CheckpointRun>& run, std::vector<SnapshotWrite> part,
                                const std::string& error) {
    if (!error.empty() && run->slice_written == 0 && run->failures_alone >= failures_alone_max)
        whole_slices_until_us_ = env_.clock.monotonic_us() + whole_slices_us;
    const bool may_split = env_.clock.monotonic_us() >= whole_slices_until_us_ && !env_.store.usage().failed;
    if (!error.empty() && part.size() > 1 && may_split) {
        const auto middle = part.begin() + static_cast<ptrdiff_t>(part.size() / 2);
        run->parts.emplace_back(std::make_move_iterator(middle), std::make_move_iterator(part.end()));
        part.erase(middle, part.end());
        run->parts.push_back(std::move(part));
        return write_next_part(run);
    }
    for (const SnapshotWrite& write : part) on_written(write, error);
    if (error.empty()) {
        whole_slices_until_us_ = 0;
        run->keys_written += part.size();
        run->slice_written += part.size();
    } else if (part.size() == 1) {
        run->failures_alone += 1;
        tell_damage("key '" + part[0].name.key + "' of namespace '" + part[0].name.namespace_name +
                    "' cannot be written to the store, and keeps its log: " + error);
    } else {
        tell_damage("keys cannot be written to the store, and keep their log: " + error);
    }
    write_next_part(run);
}

void ShardImpl::on_slice_written(const std::shared_ptr<CheckpointRun>& run) {
    if (env_.store.usage().failed) return run->done(run->keys_written);
    next_checkpoint_slice(run);
}

std::optional<SnapshotWrite> ShardImpl::snapshot_of(KeySlot& slot) {
    if (slot.phase == KeySlot::Phase::corrupt) return unread_row_of(slot);
    if (slot.phase != KeySlot::Phase::resident || slot.checkpointing || slot.key.generation() == 0) return std::nullopt;
    if (!slot.dirty() && !slot.row_outdated) return std::nullopt;
    const uint64_t now_ms = time_ms();
    SnapshotWrite write;
    write.name = slot.name;
    write.position = slot.ticket;
    const uint64_t expiry_ms = slot.key.expiry().deadline_ms;
    if (expiry_ms != 0 && now_ms > expiry_ms && now_ms - expiry_ms >= env_.limits.expired_row_guard_ms) return write;
    if (now_ms - slot.compacted_at_ms >= compaction_interval_ms) {
        slot.compacted_at_ms = now_ms;
        const uint64_t covered_ms = std::min(now_ms, env_.covered_before_ms.load(std::memory_order_relaxed));
        slot.key.compact({now_ms, covered_ms, env_.limits.tombstone_grace_ms});
        table_.recharge(slot);
    }
    write.deadline_ms = attention_ms(slot.key);
    write.state = wire::encode_snapshot(slot.key);
    return write;
}

// Its deadlines are not known: it is brought up again when it is to be tried again.
std::optional<SnapshotWrite> ShardImpl::unread_row_of(KeySlot& slot) {
    if (slot.unread.empty() || slot.checkpointing) return std::nullopt;
    return SnapshotWrite{slot.name, slot.ticket, time_ms() + unread_retry_ms, std::move(slot.unread)};
}

void ShardImpl::on_written(const SnapshotWrite& write, const std::string& error) {
    KeySlot* slot = table_.find(write.name.namespace_name, write.name.key);
    if (error.empty()) {
        statistics_.checkpoints.fetch_add(1, std::memory_order_relaxed);
        if (write.state) statistics_.checkpoint_bytes.fetch_add(write.state->size(), std::memory_order_relaxed);
    }
    if (slot == nullptr) return;
    slot->checkpointing = false;
    if (slot->phase == KeySlot::Phase::corrupt) {
        if (error.empty() && slot->dirty()) {
            statistics_.set_aside.fetch_add(1, std::memory_order_relaxed);
            tell_damage(slot->error + "; what the store has of it is kept, and its log entries with that");
        }
        return forget_if_unreadable(*slot);
    }
    if (!error.empty() || slot->phase != KeySlot::Phase::resident) return;
    slot->snapshot_position = std::max(slot->snapshot_position, write.position);
    slot->row_outdated = false;
    if (!write.state && evictable(*slot) && slot->ticket == write.position) table_.erase(*slot);
}

// Each once: the same text may come at each checkpoint. And not without end.
void ShardImpl::tell_damage(const std::string& text) {
    if (env_.damage && damage_told_.size() < damage_told_max && damage_told_.insert(text).second) env_.damage(text);
}

}  // namespace meridian::node
