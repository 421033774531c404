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

constexpr size_t slice_keys_max = 64;
constexpr size_t slice_bytes_max = 1 << 20;
// No answer to a peer takes more; it asks for the others again.
constexpr size_t states_bytes_max = 4 << 20;

std::vector<KeyName> slice_of(const std::vector<KeyName>& names, size_t begin) {
    const auto first = names.begin() + static_cast<ptrdiff_t>(begin);
    return {first, first + static_cast<ptrdiff_t>(std::min(slice_keys_max, names.size() - begin))};
}

Error error_of(Durability durability) {
    return Error{durability == Durability::unknown ? "the store failed while the merge was in flight"
                                                   : "the merge was not committed"};
}

}  // namespace

void ShardImpl::merge(MergePart part) {
    merges_.push_back(std::make_shared<MergePart>(std::move(part)));
    if (merges_.size() == 1) next_merge();
}

void ShardImpl::load_ahead(std::vector<KeyName> names) {
    with_keys(std::move(names), [] {});
}

void ShardImpl::next_merge() {
    const std::shared_ptr<MergePart> merge = merges_.front();
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

void ShardImpl::execute_merge(const std::shared_ptr<MergePart>& merge) {
    const auto fail = [&](Error error) {
        merge->submitted(std::nullopt);
        hold(0, [done = std::move(merge->done), error = std::move(error)](Durability) { done(error); });
    };
    if (env_.committer.failed()) return fail({env_.committer.failure()});
    // Entries before these were lost with a group that failed.
    if (merge->epoch && *merge->epoch != epoch_) return fail(error_of(Durability::not_committed));
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
                           nullptr, std::nullopt});
        if (!entry.renumber) pending.back().remote = PendingEntry::Number{entry.origin, entry.sequence};
        changes.push_back({&slot, i, {}, {}});
    }
    const uint64_t ticket = submit(pending, changes, {});
    merge->submitted(epoch_);
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

// A question about many keys is answered in slices, so that nothing else on the lane waits for all of them. What a
// slice gave is durable before the next one begins.
struct ShardImpl::DigestRun {
    std::vector<KeyName> names;
    size_t next = 0;
    DigestKey key;
    std::vector<KeyDigest> digests;
    std::function<void(Result<std::vector<KeyDigest>>)> done;
};

void ShardImpl::digest(std::vector<KeyName> names, const DigestKey& key,
                       std::function<void(Result<std::vector<KeyDigest>>)> done) {
    next_digest_slice(std::make_shared<DigestRun>(DigestRun{std::move(names), 0, key, {}, std::move(done)}));
}

void ShardImpl::next_digest_slice(const std::shared_ptr<DigestRun>& run) {
    if (run->next == run->names.size()) return run->done(std::move(run->digests));
    auto slice = std::make_shared<std::vector<KeyName>>(slice_of(run->names, run->next));
    with_keys(*slice, [this, run, slice] {
        const uint64_t now_ms = time_ms();
        // Well before they can go anywhere, so that it does not matter when they do.
        const uint64_t half_ms = env_.limits.tombstone_grace_ms / 2;
        const uint64_t tombstones_before_ms = now_ms > half_ms ? now_ms - half_ms : 0;
        uint64_t ticket = 0;
        size_t bytes = 0;
        for (const KeyName& name : *slice) {
            if (bytes >= slice_bytes_max) break;
            ++run->next;
            const KeySlot& slot = resident(name.namespace_name, name.key);
            if (slot.phase != KeySlot::Phase::resident || slot.key.generation() == 0) continue;
            // An expired key counts: a node that has missed its last writes must hear of its end. Well before its row
            // can go, it is left out.
            const uint64_t expiry_ms = slot.key.expiry().deadline_ms;
            if (!slot.key.visible(now_ms) && now_ms - expiry_ms >= env_.limits.expired_row_guard_ms / 2) continue;
            ticket = std::max(ticket, slot.ticket);
            const std::string form = wire::encode_digest_form(slot.key, now_ms, tombstones_before_ms);
            bytes += form.size();
            run->digests.push_back({name, key_digest(run->key, name, form)});
        }
        hold(ticket, [this, run](Durability durability) {
            durability == Durability::durable ? next_digest_slice(run) : run->done(error_of(durability));
        });
    });
}

struct ShardImpl::StatesRun {
    std::vector<KeyName> names;
    size_t next = 0;
    size_t bytes = 0;
    std::vector<KeyState> states;
    std::function<void(Result<std::vector<KeyState>>)> done;
};

void ShardImpl::read_states(std::vector<KeyName> names, std::function<void(Result<std::vector<KeyState>>)> done) {
    next_states_slice(std::make_shared<StatesRun>(StatesRun{std::move(names), 0, 0, {}, std::move(done)}));
}

void ShardImpl::next_states_slice(const std::shared_ptr<StatesRun>& run) {
    if (run->next == run->names.size() || run->bytes >= states_bytes_max) return run->done(std::move(run->states));
    auto slice = std::make_shared<std::vector<KeyName>>(slice_of(run->names, run->next));
    with_keys(*slice, [this, run, slice] {
        uint64_t ticket = 0;
        for (const KeyName& name : *slice) {
            if (run->bytes >= states_bytes_max) break;
            ++run->next;
            const KeySlot& slot = resident(name.namespace_name, name.key);
            run->states.push_back({name, std::nullopt});
            if (slot.phase != KeySlot::Phase::resident || slot.key.generation() == 0) continue;
            ticket = std::max(ticket, slot.ticket);
            const std::string delta = wire::encode_key_delta(slot.key.full_delta());
            wire::LogEntryParts parts;
            parts.key_delta = delta;
            run->states.back().payload = wire::encode_log_entry(parts);
            run->bytes += delta.size();
        }
        hold(ticket, [this, run](Durability durability) {
            durability == Durability::durable ? next_states_slice(run) : run->done(error_of(durability));
        });
    });
}

}  // namespace meridian::node
