// What became durable, what failed, and letting go of what waited for it.
#include <utility>

#include "node/shard_impl.h"

namespace meridian::node {

void ShardImpl::hold(Held&& held) {
    outbox_.push(std::move(held));
    if (outbox_.ready(durable_)) schedule_release();
}

void ShardImpl::hold(uint64_t ticket, std::function<void(Durability)> done) {
    Held held;
    held.ticket = ticket;
    held.done = std::move(done);
    hold(std::move(held));
}

void ShardImpl::schedule_release() {
    if (std::exchange(release_scheduled_, true)) return;
    env_.lane.post([this] { release(); });
}

void ShardImpl::tell_room(const Held& held) {
    const std::string& room = held.name->namespace_name;
    for (const DeltaFramePtr& frame : held.frames) listener_->on_delta(room, frame);
    if (!held.frames.empty()) return;
    for (const ItemOutcome& item : held.outcome.items) {
        if (item.delta) listener_->on_delta(room, item.delta);
    }
}

void ShardImpl::let_go(Held& held, Durability durability) {
    if (durability == Durability::durable && listener_ != nullptr && held.name) tell_room(held);
    if (held.written) return finish_write(held, durability);
    if (held.done) held.done(durability);
}

void ShardImpl::release() {
    release_scheduled_ = false;
    for (Task& task : std::exchange(ready_, {})) task();
    while (outbox_.ready(durable_)) {
        Held held = outbox_.pop();
        let_go(held, Durability::durable);
    }
    if (listener_ != nullptr) listener_->on_group_end();
    make_room();
    publish_statistics();
}

void ShardImpl::on_durable(uint64_t ticket) {
    durable_ = ticket;
    release();
}

void ShardImpl::on_commit_failed(uint64_t durable, uint64_t unknown_through, uint64_t epoch) {
    durable_ = durable;
    epoch_ = epoch;
    // Keys first: whatever the outcomes below start must find the state that is really in the store.
    std::vector<KeyName> reload;
    table_.visit_oldest([&](KeySlot& slot) {
        if (slot.phase != KeySlot::Phase::resident || slot.ticket <= durable_) return true;
        if (slot.pins == 0) {
            table_.erase(slot);
        } else {
            slot.phase = KeySlot::Phase::loading;
            slot.key = crdt::Key();
            slot.ticket = 0;
            slot.snapshot_position = 0;
            table_.changed(slot);
            reload.push_back(slot.name);
        }
        return true;
    });
    if (!reload.empty()) load(std::move(reload));
    for (Held& held : outbox_.take_all()) {
        const Durability durability = held.ticket <= durable_          ? Durability::durable
                                      : held.ticket <= unknown_through ? Durability::unknown
                                                                       : Durability::not_committed;
        let_go(held, durability);
    }
    release();
}

void ShardImpl::barrier(std::function<void()> completion) {
    hold(durable_, [completion = std::move(completion)](Durability) { completion(); });
}

void ShardImpl::publish_statistics() {
    statistics_.resident.store(table_.count(), std::memory_order_relaxed);
    statistics_.resident_bytes.store(table_.bytes(), std::memory_order_relaxed);
}

}  // namespace meridian::node
