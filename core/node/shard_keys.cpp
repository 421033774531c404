// Keys in memory: loading, eviction, deadlines.
#include <algorithm>
#include <iterator>
#include <utility>

#include "node/shard_impl.h"
#include "wire/key_codec.h"
#include "wire/log_entry.h"
#include "wire/unread_key.h"

namespace meridian::node {

namespace {

// Wall clocks jump: a timer is never trusted for longer than this.
constexpr uint64_t timer_ms_max = 10'000;
// Bounds the work of one call of make_room().
constexpr size_t eviction_scan_max = 256;
constexpr size_t eviction_checkpoint_keys = 64;
// When none of those could be written, the next are not asked for at once.
constexpr uint64_t eviction_pause_us = 100'000;
// Reads of one shard that the store has at the same time, and keys in each: enough to keep it busy, few enough that no
// store has to refuse one.
constexpr size_t loads_in_flight_max = 2;
constexpr size_t load_keys_max = 128;

}  // namespace

ShardImpl::ShardImpl(const Environment& environment)
    : env_(environment), table_(environment.cache_bytes_max), durable_(environment.store.opening().next_position - 1) {}

// A request that waits for keys. Its slots are pinned, so that none is evicted while the others load.
struct ShardImpl::Gathering {
    std::vector<KeySlot*> slots;
    std::function<void()> task;
};

Progress ShardImpl::with_keys(std::vector<KeyName> names, std::function<void()> task) {
    bool all_here = true;
    std::vector<KeyName> missing;
    std::vector<KeySlot*> slots;
    slots.reserve(names.size());
    for (KeyName& name : names) {
        KeySlot* slot = table_.find(name.namespace_name, name.key);
        if (slot == nullptr) {
            slot = &table_.insert(name);
            missing.push_back(std::move(name));
        }
        all_here = all_here && slot->phase != KeySlot::Phase::loading;
        slots.push_back(slot);
    }
    if (all_here) {
        task();
        return Progress::executed;
    }
    auto gathering = std::make_shared<Gathering>();
    gathering->slots = std::move(slots);
    gathering->task = std::move(task);
    for (KeySlot* slot : gathering->slots) ++slot->pins;
    ++waiting_;
    if (!missing.empty()) load(std::move(missing));
    gather(gathering);
    return Progress::waiting;
}

// Waits for the first slot that is still loading; runs the task once there is none.
bool ShardImpl::gather(const std::shared_ptr<Gathering>& gathering) {
    for (KeySlot* slot : gathering->slots) {
        if (slot->phase == KeySlot::Phase::loading) {
            slot->waiting.push_back([this, gathering] { gather(gathering); });
            return false;
        }
    }
    --waiting_;
    gathering->task();
    std::vector<KeySlot*>& slots = gathering->slots;
    for (KeySlot* slot : slots) --slot->pins;
    std::sort(slots.begin(), slots.end());
    slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
    for (KeySlot* slot : slots) forget_if_unreadable(*slot);
    return true;
}

// What could not be read once may be readable the next time.
void ShardImpl::forget_if_unreadable(KeySlot& slot) {
    if (slot.phase == KeySlot::Phase::corrupt && evictable(slot)) table_.erase(slot);
}

// REQUIRES: inside a task given to with_keys() for this key.
KeySlot& ShardImpl::resident(std::string_view namespace_name, std::string_view key) {
    return *table_.find(namespace_name, key);
}

void ShardImpl::load(std::vector<KeyName> names) {
    for (KeyName& name : names) to_load_.push_back(std::move(name));
    load_more();
}

void ShardImpl::load_more() {
    while (loads_in_flight_ < loads_in_flight_max && !to_load_.empty()) {
        std::vector<KeyName> names;
        while (names.size() < load_keys_max && !to_load_.empty()) {
            names.push_back(std::move(to_load_.front()));
            to_load_.pop_front();
        }
        ++loads_in_flight_;
        env_.store.read_keys(std::move(names), [this](std::vector<KeyRecord> records) {
            env_.lane.post([this, records = std::move(records)]() mutable { on_loaded(std::move(records)); });
        });
    }
}

void ShardImpl::on_loaded(std::vector<KeyRecord> records) {
    --loads_in_flight_;
    load_more();
    for (KeyRecord& record : records) {
        KeySlot* slot = table_.find(record.name.namespace_name, record.name.key);
        if (slot == nullptr || slot->phase != KeySlot::Phase::loading) continue;
        restore(*slot, std::move(record));
        statistics_.loaded.fetch_add(1, std::memory_order_relaxed);
        for (Task& task : std::exchange(slot->waiting, {})) task();
    }
    make_room();
    publish_statistics();
}

Result<crdt::Key> ShardImpl::decode(const wire::UnreadKey& stored) {
    crdt::Key key;
    if (stored.snapshot) {
        auto decoded = wire::decode_snapshot(*stored.snapshot);
        if (!decoded) return decoded.error();
        key = *std::move(decoded);
    }
    for (const std::string& payload : stored.entries) {
        const auto bytes = wire::key_delta_of_log_entry(payload);
        if (!bytes) return bytes.error();
        const auto delta = wire::decode_key_delta(*bytes);
        if (!delta) return delta.error();
        // What joining tells clients is of no interest: whoever subscribes is sent the whole state.
        key.join(*delta, {time_ms(), env_.stamps});
    }
    return key;
}

void ShardImpl::restore(KeySlot& slot, KeyRecord record) {
    wire::UnreadKey stored;
    slot.error = std::move(record.error);
    slot.snapshot_position = record.snapshot_position;
    slot.ticket = std::max(record.snapshot_position, record.tail_position);
    const bool has_tail = !record.tail.empty();
    const bool was_unread = record.snapshot && wire::is_unread_key(*record.snapshot);
    auto unread = was_unread ? wire::decode_unread_key(*record.snapshot) : Result<wire::UnreadKey>(Error{});
    if (unread) {
        stored = *std::move(unread);
    } else {
        stored.snapshot = std::move(record.snapshot);
    }
    std::move(record.tail.begin(), record.tail.end(), std::back_inserter(stored.entries));
    if (slot.error.empty()) {
        auto key = decode(stored);
        if (key) {
            slot.key = *std::move(key);
        } else {
            slot.error = key.error().message;
            slot.unread = wire::encode_unread_key(stored);
        }
    }
    if (!slot.error.empty()) {
        statistics_.unreadable.fetch_add(1, std::memory_order_relaxed);
        slot.error =
            "key '" + slot.name.key + "' of namespace '" + slot.name.namespace_name + "' cannot be read: " + slot.error;
        slot.phase = KeySlot::Phase::corrupt;
        table_.recharge(slot);
        return;
    }
    // Those who were here before the key left the memory have still to be told what expired since.
    if (has_tail || was_unread) slot.key.assume_shown();
    slot.phase = KeySlot::Phase::resident;
    table_.changed(slot);
    arm_timer();
}

bool ShardImpl::evictable(const KeySlot& slot) const {
    return slot.pins == 0 && slot.phase != KeySlot::Phase::loading && slot.waiting.empty() && !slot.checkpointing;
}

void ShardImpl::make_room() {
    if (!table_.over_limit()) return;
    std::vector<KeyName> dirty;
    size_t visited = 0;
    table_.visit_oldest([&](KeySlot& slot) {
        if (slot.state_frames[0] || slot.state_frames[1] || slot.emptying_frames) {
            slot.drop_frames();  // they can be made again, and whoever is being sent them holds them
            table_.recharge(slot);
        }
        if (evictable(slot)) {
            if (!slot.dirty()) {
                table_.erase(slot);
                statistics_.evicted.fetch_add(1, std::memory_order_relaxed);
            } else if (dirty.size() < eviction_checkpoint_keys) {
                dirty.push_back(slot.name);
            }
        }
        return table_.over_limit() && ++visited < eviction_scan_max;
    });
    if (table_.over_limit() && !dirty.empty() && !std::exchange(evicting_, true)) {
        // This makes them the most recently used: those that cannot be written are not the first again.
        checkpoint(std::move(dirty), [this](size_t keys_written) {
            const auto go_on = [this] {
                evicting_ = false;
                make_room();
            };
            if (keys_written > 0) return go_on();
            env_.lane.post_after(eviction_pause_us, go_on);
        });
    }
}

void ShardImpl::arm_timer() {
    const uint64_t deadline_ms = table_.next_deadline_ms();
    if (deadline_ms == 0 || (timer_ms_ != 0 && timer_ms_ <= deadline_ms)) return;
    const uint64_t now_ms = time_ms();
    const uint64_t delay_ms = deadline_ms > now_ms ? std::min(deadline_ms - now_ms, timer_ms_max) : 0;
    timer_ms_ = now_ms + delay_ms;
    if (timer_ms_ == 0) timer_ms_ = 1;
    env_.lane.post_after(delay_ms * 1000, [this, armed_ms = timer_ms_] {
        if (timer_ms_ == armed_ms) timer_ms_ = 0;
        on_timer();
    });
}

void ShardImpl::on_timer() {
    const uint64_t now_ms = time_ms();
    while (KeySlot* slot = table_.take_due(now_ms)) expire(*slot, now_ms);
    arm_timer();
}

void ShardImpl::expire(KeySlot& slot, uint64_t now_ms) {
    Held held;
    held.ticket = slot.ticket;
    held.name = slot.shared_name;
    for (crdt::ClientDelta& delta : slot.key.expire(now_ms)) {
        held.frames.push_back(std::make_shared<DeltaFrame>(slot.shared_name, std::move(delta)));
    }
    table_.changed(slot);
    if (!held.frames.empty()) hold(std::move(held));
}

// When the store is to bring this key up again: clients have to be told, or the row has outlived its guard.
uint64_t ShardImpl::attention_ms(const crdt::Key& key) const {
    uint64_t attention_ms = key.next_deadline_ms();
    const uint64_t expiry_ms = key.expiry().deadline_ms;
    if (expiry_ms != 0) {
        const uint64_t guard_ms = env_.limits.expired_row_guard_ms;
        const uint64_t removal_ms = expiry_ms > UINT64_MAX - guard_ms ? UINT64_MAX : expiry_ms + guard_ms;
        attention_ms = attention_ms == 0 ? removal_ms : std::min(attention_ms, removal_ms);
    }
    return attention_ms;
}

struct ShardImpl::DueRun {
    std::vector<KeyName> names;
    size_t next = 0;
    size_t keys_written = 0;
    std::function<void(size_t)> done;
};

void ShardImpl::handle_due(std::vector<KeyName> names, std::function<void(size_t keys_written)> done) {
    auto run = std::make_shared<DueRun>();
    run->names = std::move(names);
    run->done = std::move(done);
    next_due_slice(run);
}

// In slices: the keys of one are all in memory at the same time.
void ShardImpl::next_due_slice(const std::shared_ptr<DueRun>& run) {
    if (run->next == run->names.size()) return run->done(run->keys_written);
    const size_t count = std::min(load_keys_max, run->names.size() - run->next);
    const auto first = run->names.begin() + static_cast<ptrdiff_t>(run->next);
    auto slice = std::make_shared<std::vector<KeyName>>(first, first + static_cast<ptrdiff_t>(count));
    run->next += count;
    with_keys(*slice, [this, run, slice] {
        const uint64_t now_ms = time_ms();
        for (const KeyName& name : *slice) {
            KeySlot& slot = resident(name.namespace_name, name.key);
            if (slot.phase != KeySlot::Phase::resident) continue;
            expire(slot, now_ms);
            slot.row_outdated = true;
        }
        arm_timer();
        checkpoint(*slice, [this, run](size_t keys_written) {
            run->keys_written += keys_written;
            next_due_slice(run);
        });
    });
}

}  // namespace meridian::node
