// Snapshots: encoded on the lane in slices, given to the store once the log is durable up to what they contain.
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

}  // namespace

struct ShardImpl::CheckpointRun {
    std::vector<KeyName> names;
    size_t next = 0;
    size_t keys_written = 0;
    std::function<void(size_t)> done;
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
    hold(ticket, [this, run, writes](Durability durability) {
        if (durability != Durability::durable) {
            on_checkpointed(run, *writes, "the log was not committed");
            return;
        }
        env_.store.checkpoint(*writes, [this, run, writes](const std::string& error) {
            env_.lane.post([this, run, writes, error] { on_checkpointed(run, *writes, error); });
        });
    });
}

std::optional<SnapshotWrite> ShardImpl::snapshot_of(KeySlot& slot) {
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

void ShardImpl::on_checkpointed(const std::shared_ptr<CheckpointRun>& run, const std::vector<SnapshotWrite>& written,
                                const std::string& error) {
    for (const SnapshotWrite& write : written) {
        KeySlot* slot = table_.find(write.name.namespace_name, write.name.key);
        if (slot == nullptr) continue;
        slot->checkpointing = false;
        if (!error.empty()) continue;
        if (slot->phase != KeySlot::Phase::resident) continue;
        slot->snapshot_position = std::max(slot->snapshot_position, write.position);
        slot->row_outdated = false;
        if (!write.state && evictable(*slot) && slot->ticket == write.position) table_.erase(*slot);
    }
    if (error.empty()) {
        run->keys_written += written.size();
        statistics_.checkpoints.fetch_add(written.size(), std::memory_order_relaxed);
        for (const SnapshotWrite& write : written) {
            if (write.state) statistics_.checkpoint_bytes.fetch_add(write.state->size(), std::memory_order_relaxed);
        }
    } else if (env_.store.usage().failed) {
        run->done(run->keys_written);
        return;
    }
    // A key that cannot be written, because its place in the store is damaged, does not keep the others.
    next_checkpoint_slice(run);
}

}  // namespace meridian::node
