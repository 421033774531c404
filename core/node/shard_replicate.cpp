// What comes from other nodes, and what they ask for.
#include <algorithm>
#include <utility>

#include "node/key_digest.h"
#include "node/shard_impl.h"
#include "wire/key_codec.h"
#include "wire/key_digest.h"
#include "wire/log_entry.h"

namespace meridian::node {

namespace {

Error error_of(Durability durability) {
    return Error{durability == Durability::unknown ? "the store failed while the merge was in flight"
                                                   : "the merge was not committed"};
}

}  // namespace

struct ShardImpl::Merge {
    std::vector<RemoteEntry> entries;
    std::function<void(Result<void>)> done;
};

void ShardImpl::merge(std::vector<RemoteEntry> entries, std::function<void(Result<void>)> done) {
    merges_.push_back(std::make_shared<Merge>(Merge{std::move(entries), std::move(done)}));
    if (merges_.size() == 1) next_merge();
}

void ShardImpl::next_merge() {
    const std::shared_ptr<Merge> merge = merges_.front();
    std::vector<KeyName> names;
    names.reserve(merge->entries.size());
    for (const RemoteEntry& entry : merge->entries) names.push_back(entry.name);
    with_keys(std::move(names), [this, merge] {
        execute_merge(merge);
        merges_.pop_front();
        // Not a call: many merges of keys that are here must not deepen the stack.
        if (!merges_.empty()) env_.lane.post([this] { next_merge(); });
    });
}

void ShardImpl::execute_merge(const std::shared_ptr<Merge>& merge) {
    const auto fail = [&](Error error) {
        hold(0, [done = std::move(merge->done), error = std::move(error)](Durability) { done(error); });
    };
    if (env_.committer.failed()) return fail({env_.committer.failure()});
    std::vector<KeySlot*> slots;
    std::vector<crdt::KeyDelta> deltas;
    slots.reserve(merge->entries.size());
    deltas.reserve(merge->entries.size());
    size_t bytes = 0;
    for (const RemoteEntry& entry : merge->entries) {
        bytes += entry.payload.size() + entry.name.key.size() + entry.name.namespace_name.size();
        slots.push_back(&resident(entry.name.namespace_name, entry.name.key));
        if (slots.back()->phase == KeySlot::Phase::corrupt) return fail({slots.back()->error});
        const auto delta_bytes = wire::key_delta_of_log_entry(entry.payload);
        auto delta = delta_bytes ? wire::decode_key_delta(*delta_bytes) : Result<crdt::KeyDelta>(delta_bytes.error());
        if (!delta) {
            return fail({"entry of key '" + entry.name.key + "' of namespace '" + entry.name.namespace_name +
                         "': " + delta.error().message});
        }
        deltas.push_back(*std::move(delta));
    }
    switch (env_.committer.reserve(bytes)) {
        case Refusal::none:
            break;
        case Refusal::overloaded:
            return fail({"too many writes wait for the log"});
        case Refusal::unavailable:
            return fail({"the log has no space"});
    }

    // From here on nothing can fail but the commit.
    const uint64_t now_ms = time_ms();
    std::vector<PendingEntry> pending;
    std::vector<Change> changes;
    std::vector<Held> told;
    for (size_t i = 0; i < merge->entries.size(); ++i) {
        const RemoteEntry& entry = merge->entries[i];
        KeySlot& slot = *slots[i];
        if (told.empty() || told.back().name->namespace_name != entry.name.namespace_name) {
            told.emplace_back();
            told.back().name = slot.shared_name;
        }
        for (crdt::ClientDelta& view : slot.key.join(deltas[i], {now_ms, env_.stamps}))
            told.back().frames.push_back(std::make_shared<DeltaFrame>(slot.shared_name, std::move(view)));
        pending.push_back({slot.name.namespace_name, slot.name.key, now_ms, attention_ms(slot.key), entry.payload,
                           nullptr, PendingEntry::Number{entry.origin, entry.sequence}});
        changes.push_back({&slot, i, {}, {}});
    }
    const uint64_t ticket = submit(pending, changes, {});
    for (Held& held : told) {
        held.ticket = ticket;
        if (&held == &told.back()) {
            held.done = [done = std::move(merge->done)](Durability durability) {
                done(durability == Durability::durable ? Result<void>() : error_of(durability));
            };
        }
        hold(std::move(held));
    }
    arm_timer();
}

void ShardImpl::digest(std::vector<KeyName> names, const DigestKey& key,
                       std::function<void(Result<std::vector<KeyDigest>>)> done) {
    auto shared = std::make_shared<std::vector<KeyName>>(std::move(names));
    with_keys(*shared, [this, shared, key, done = std::move(done)] {
        const uint64_t now_ms = time_ms();
        // Well before they can go anywhere, so that it does not matter when they do.
        const uint64_t half_ms = env_.limits.tombstone_grace_ms / 2;
        const uint64_t tombstones_before_ms = now_ms > half_ms ? now_ms - half_ms : 0;
        std::vector<KeyDigest> digests;
        uint64_t ticket = 0;
        for (const KeyName& name : *shared) {
            const KeySlot& slot = resident(name.namespace_name, name.key);
            if (slot.phase != KeySlot::Phase::resident || slot.key.generation() == 0) continue;
            // An expired key counts: a node that has missed its last writes must hear of its end. Well before its row
            // can go, it is left out.
            const uint64_t expiry_ms = slot.key.expiry().deadline_ms;
            if (!slot.key.visible(now_ms) && now_ms - expiry_ms >= env_.limits.expired_row_guard_ms / 2) continue;
            ticket = std::max(ticket, slot.ticket);
            digests.push_back(
                {name, key_digest(key, name, wire::encode_digest_form(slot.key, now_ms, tombstones_before_ms))});
        }
        hold(ticket, [done, digests = std::move(digests)](Durability durability) {
            durability == Durability::durable ? done(digests) : done(error_of(durability));
        });
    });
}

void ShardImpl::read_states(std::vector<KeyName> names, std::function<void(Result<std::vector<KeyState>>)> done) {
    auto shared = std::make_shared<std::vector<KeyName>>(std::move(names));
    with_keys(*shared, [this, shared, done = std::move(done)] {
        std::vector<KeyState> states;
        uint64_t ticket = 0;
        for (const KeyName& name : *shared) {
            const KeySlot& slot = resident(name.namespace_name, name.key);
            states.push_back({name, std::nullopt});
            if (slot.phase != KeySlot::Phase::resident || slot.key.generation() == 0) continue;
            ticket = std::max(ticket, slot.ticket);
            const std::string delta = wire::encode_key_delta(slot.key.full_delta());
            wire::LogEntryParts parts;
            parts.key_delta = delta;
            states.back().payload = wire::encode_log_entry(parts);
        }
        hold(ticket, [done, states = std::move(states)](Durability durability) {
            durability == Durability::durable ? done(states) : done(error_of(durability));
        });
    });
}

}  // namespace meridian::node
