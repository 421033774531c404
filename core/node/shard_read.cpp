// Values and states.
#include <utility>

#include "node/shard_impl.h"

namespace meridian::node {

namespace {

template <class Outcome>
Outcome failed_read(Status status, std::string text) {
    Outcome outcome;
    outcome.status = status;
    outcome.text = std::move(text);
    return outcome;
}

std::shared_ptr<const StateFrames> to_frames(const std::shared_ptr<const KeyName>& name,
                                             std::vector<crdt::ClientDelta> deltas) {
    auto state = std::make_shared<StateFrames>();
    state->frames.reserve(deltas.size());
    for (crdt::ClientDelta& delta : deltas) {
        state->frames.push_back(std::make_shared<DeltaFrame>(name, std::move(delta)));
    }
    return state;
}

constexpr const char* store_failed_text = "the write that this answer depends on was not committed";

}  // namespace

// A name that no write can have made is not worth asking the store for.
bool ShardImpl::may_exist(const std::string& key) const {
    return !key.empty() && key.size() <= env_.limits.key_bytes_max;
}

Progress ShardImpl::read_state(std::string namespace_name, std::string key, crdt::SequenceForm form,
                               std::function<void(StateOutcome)> completion) {
    if (!may_exist(key)) {
        hold(0, [completion = std::move(completion)](Durability) {
            completion(failed_read<StateOutcome>(Status::not_found, {}));
        });
        return Progress::executed;
    }
    if (overloaded()) {
        hold(0, [completion = std::move(completion)](Durability) {
            completion(failed_read<StateOutcome>(Status::overloaded, "too many requests are waiting"));
        });
        return Progress::executed;
    }
    auto name = std::make_shared<KeyName>(KeyName{std::move(namespace_name), std::move(key)});
    return with_keys({*name}, [this, name, form, completion = std::move(completion)] {
        execute_read_state(name, form, completion, true);
    });
}

void ShardImpl::execute_read_state(const std::shared_ptr<KeyName>& name, crdt::SequenceForm form,
                                   const std::function<void(StateOutcome)>& completion, bool retry) {
    KeySlot& slot = resident(name->namespace_name, name->key);
    StateOutcome outcome;
    if (slot.phase == KeySlot::Phase::corrupt) {
        outcome = failed_read<StateOutcome>(Status::corrupt, slot.error);
    } else if (!slot.key.visible(time_ms())) {
        outcome.status = Status::not_found;
        if (slot.key.generation() != 0) outcome.state = emptying_frames(slot);
    } else {
        outcome.state = state_frames(slot, form);
    }
    hold(slot.ticket, [this, name, form, completion, retry, outcome](Durability durability) {
        if (durability == Durability::durable) {
            completion(outcome);
        } else if (retry) {
            with_keys({*name}, [this, name, form, completion] { execute_read_state(name, form, completion, false); });
        } else {
            completion(failed_read<StateOutcome>(Status::unavailable, store_failed_text));
        }
    });
}

std::shared_ptr<const StateFrames> ShardImpl::state_frames(KeySlot& slot, crdt::SequenceForm form) {
    // Only a text, by itself or in a map, has more than one form.
    const crdt::Type type = slot.key.type();
    if (type != crdt::Type::rga && type != crdt::Type::crdt_map) form = crdt::SequenceForm::ascending_siblings;
    auto& cached = slot.state_frames[static_cast<size_t>(form)];
    if (!cached) {
        cached = to_frames(slot.shared_name, slot.key.sync({time_ms(), form}));
        statistics_.states_built.fetch_add(1, std::memory_order_relaxed);
        table_.recharge(slot);
    }
    return cached;
}

std::shared_ptr<const StateFrames> ShardImpl::emptying_frames(KeySlot& slot) {
    if (!slot.emptying_frames) {
        slot.emptying_frames = to_frames(slot.shared_name, slot.key.emptying());
        table_.recharge(slot);
    }
    return slot.emptying_frames;
}

Progress ShardImpl::read_value(std::string namespace_name, std::string key,
                               std::function<void(ValueOutcome)> completion) {
    if (!may_exist(key)) {
        ready_.push_back(
            [completion = std::move(completion)] { completion(failed_read<ValueOutcome>(Status::not_found, {})); });
        schedule_release();
        return Progress::executed;
    }
    if (overloaded()) {
        ready_.push_back([completion = std::move(completion)] {
            completion(failed_read<ValueOutcome>(Status::overloaded, "too many requests are waiting"));
        });
        schedule_release();
        return Progress::executed;
    }
    auto name = std::make_shared<KeyName>(KeyName{std::move(namespace_name), std::move(key)});
    return with_keys({*name},
                     [this, name, completion = std::move(completion)] { execute_read_value(name, completion, true); });
}

void ShardImpl::execute_read_value(const std::shared_ptr<KeyName>& name,
                                   const std::function<void(ValueOutcome)>& completion, bool retry) {
    KeySlot& slot = resident(name->namespace_name, name->key);
    const uint64_t now_ms = time_ms();
    ValueOutcome outcome;
    if (slot.phase == KeySlot::Phase::corrupt) {
        outcome = failed_read<ValueOutcome>(Status::corrupt, slot.error);
    } else if (!slot.key.visible(now_ms)) {
        outcome.status = Status::not_found;
    } else {
        outcome.text = slot.key.value_json(now_ms);
    }
    if (slot.ticket <= durable_) {
        // Nothing before it can be held that this answer depends on: it need not wait in line.
        ready_.push_back([completion, outcome = std::move(outcome)] { completion(outcome); });
        schedule_release();
        return;
    }
    hold(slot.ticket, [this, name, completion, retry, outcome = std::move(outcome)](Durability durability) {
        if (durability == Durability::durable) {
            completion(outcome);
        } else if (retry) {
            with_keys({*name}, [this, name, completion] { execute_read_value(name, completion, false); });
        } else {
            completion(failed_read<ValueOutcome>(Status::unavailable, store_failed_text));
        }
    });
}

}  // namespace meridian::node
