// Ops, batches and register undo: check, apply in memory, hand to the committer, hold the outcome.
#include <algorithm>
#include <map>
#include <utility>

#include "node/shard_impl.h"
#include "wire/key_codec.h"
#include "wire/log_entry.h"
#include "wire/op_codec.h"

namespace meridian::node {

namespace {

// A log entry is larger than its op: the core delta, the names and the framing.
constexpr size_t entry_overhead_bytes = 512;

// A ticket that on_commit_failed settles: of what was applied after its epoch had ended.
constexpr uint64_t ticket_of_ended_epoch = UINT64_MAX;

// A request that adds `bytes` to the counter for as long as anybody holds it.
template <class Request>
std::shared_ptr<Request> counted(Request request, size_t bytes, std::shared_ptr<std::atomic<size_t>> counter) {
    *counter += bytes;
    auto owned = std::make_unique<Request>(std::move(request));
    return {owned.release(), [counter = std::move(counter), bytes](const Request* held) {
                const std::unique_ptr<const Request> end_of_it(held);
                *counter -= bytes;
            }};
}

WriteOutcome failed_write(Status status, std::string text, size_t item = 0) {
    WriteOutcome outcome;
    outcome.status = status;
    outcome.text = std::move(text);
    outcome.rejected_item = item;
    return outcome;
}

Status status_of(Durability durability) {
    return durability == Durability::unknown ? Status::outcome_unknown : Status::unavailable;
}

const char* text_of(Durability durability) {
    return durability == Durability::unknown ? "the store failed while the write was in flight"
                                             : "the write was not committed";
}

}  // namespace

bool ShardImpl::overloaded() const {
    return waiting_ + outbox_.size() >= env_.limits.waiting_requests_max;
}

// Reasons to refuse that need no key.
std::optional<WriteOutcome> ShardImpl::refuse_write(const WriteRequest& request) const {
    if (request.items.empty()) return failed_write(Status::rejected, "batch must not be empty");
    if (request.items.size() > env_.limits.batch_items_max) {
        return failed_write(Status::rejected, "invalid operation: batch of " + std::to_string(request.items.size()) +
                                                  " items, at most " + std::to_string(env_.limits.batch_items_max));
    }
    if (request.idempotency_key.size() > idempotency_key_bytes_max) {
        return failed_write(Status::rejected, "invalid operation: Idempotency-Key of " +
                                                  std::to_string(request.idempotency_key.size()) + " bytes, at most " +
                                                  std::to_string(idempotency_key_bytes_max));
    }
    size_t bytes = 0;
    for (size_t i = 0; i < request.items.size(); ++i) {
        const WriteItem& item = request.items[i];
        if (item.key.empty()) return failed_write(Status::rejected, "invalid operation: crdt id is empty", i);
        if (item.key.size() > env_.limits.key_bytes_max) {
            return failed_write(Status::rejected,
                                "invalid operation: crdt id of " + std::to_string(item.key.size()) +
                                    " bytes, at most " + std::to_string(env_.limits.key_bytes_max),
                                i);
        }
        bytes += 2 * (item.op_bytes.size() + item.key.size()) + entry_overhead_bytes;
    }
    switch (env_.committer.reserve(bytes)) {
        case Refusal::none:
            break;
        case Refusal::overloaded:
            return failed_write(Status::overloaded, "too many writes wait for the log");
        case Refusal::unavailable: {
            const std::string why = env_.committer.failure();
            return failed_write(Status::unavailable, why.empty() ? "the log has no space" : why);
        }
    }
    if (overloaded() || *waiting_bytes_ + bytes > env_.limits.pending_commit_bytes_max) {
        return failed_write(Status::overloaded, "too many requests are waiting");
    }
    if (table_.bytes() > 2 * env_.cache_bytes_max) {
        return failed_write(Status::overloaded, "the state cache is full of keys that wait for a checkpoint");
    }
    return std::nullopt;
}

Progress ShardImpl::write(WriteRequest request, std::function<void(WriteOutcome)> completion) {
    if (auto refused = refuse_write(request)) {
        auto& counter = refused->status == Status::rejected ? statistics_.rejected : statistics_.refused;
        counter.fetch_add(1, std::memory_order_relaxed);
        answer_write(*std::move(refused), 0, std::move(completion));
        return Progress::executed;
    }
    if (request.idempotency_key.empty() && find_slots(request)) {
        execute_write(request, std::move(completion));
        return Progress::executed;
    }
    size_t bytes = 0;
    for (const WriteItem& item : request.items) bytes += 2 * (item.op_bytes.size() + item.key.size());
    const std::shared_ptr<WriteRequest> shared = counted(std::move(request), bytes, waiting_bytes_);
    return shared->idempotency_key.empty() ? write_on_keys(shared, completion) : write_once(shared, completion);
}

bool ShardImpl::find_slots(const WriteRequest& request) {
    slots_.clear();
    for (const WriteItem& item : request.items) {
        KeySlot* slot = table_.find(request.namespace_name, item.key);
        if (slot == nullptr || slot->phase == KeySlot::Phase::loading) return false;
        slots_.push_back(slot);
    }
    return true;
}

Progress ShardImpl::write_on_keys(const std::shared_ptr<WriteRequest>& request, const WriteDone& completion) {
    std::vector<KeyName> names;
    names.reserve(request->items.size());
    for (const WriteItem& item : request->items) names.push_back({request->namespace_name, item.key});
    return with_keys(std::move(names), [this, request, completion] {
        find_slots(*request);
        execute_write(*request, completion);
    });
}

// With an Idempotency-Key: the first request's answer if the store has one, else the write itself. Twins go one after
// the other, each when the one before it has been answered: what that one wrote is in the store by then.
Progress ShardImpl::write_once(const std::shared_ptr<WriteRequest>& request, const WriteDone& completion) {
    const std::string name = idempotency_name(*request);
    const WriteDone done = [this, name, completion](WriteOutcome outcome) {
        completion(std::move(outcome));
        if (auto twin = idempotency_.finish(name)) twin();
    };
    ++waiting_;
    idempotency_.begin(name, [this, request, done] { look_up_record(request, done); });
    return Progress::waiting;
}

void ShardImpl::look_up_record(const std::shared_ptr<WriteRequest>& request, const WriteDone& completion) {
    env_.store.read_metadata({idempotency_name(*request)},
                             [this, request, completion](Result<std::vector<std::optional<std::string>>> found) {
                                 env_.lane.post([this, request, completion, found = std::move(found)] {
                                     --waiting_;
                                     std::optional<WriteOutcome> outcome;
                                     if (!found) {
                                         statistics_.refused.fetch_add(1, std::memory_order_relaxed);
                                         outcome = failed_write(Status::unavailable, found.error().message);
                                     } else if (found->front()) {
                                         const auto record = decode_idempotency(*found->front());
                                         if (record) outcome = replay(*record, *request);
                                     }
                                     if (!outcome) {
                                         write_on_keys(request, completion);
                                         return;
                                     }
                                     answer_write(*std::move(outcome), 0, completion);
                                 });
                             });
}

std::optional<WriteOutcome> ShardImpl::check_items(const WriteRequest& request, uint64_t now_ms) const {
    if (request.items.size() == 1) {
        auto rejection = slots_[0]->key.check(request.items[0].op, env_.limits.crdt, now_ms);
        if (!rejection) return std::nullopt;
        return failed_write(Status::rejected, std::move(rejection->text));
    }
    std::map<KeySlot*, crdt::KeyOverlay> overlays;
    for (size_t i = 0; i < slots_.size(); ++i) {
        auto overlay = overlays.find(slots_[i]);
        if (overlay == overlays.end()) {
            overlay = overlays.emplace(slots_[i], crdt::KeyOverlay(slots_[i]->key, now_ms)).first;
        }
        auto rejection = overlay->second.check_next(request.items[i].op, env_.limits.crdt);
        if (rejection) return failed_write(Status::rejected, std::move(rejection->text), i);
    }
    return std::nullopt;
}

void ShardImpl::answer_write(WriteOutcome outcome, uint64_t ticket, WriteDone completion) {
    Held held;
    held.ticket = ticket;
    held.written = std::move(completion);
    held.outcome = std::move(outcome);
    hold(std::move(held));
}

void ShardImpl::finish_write(Held& held, Durability durability) {
    held.written(durability == Durability::durable ? std::move(held.outcome)
                                                   : failed_write(status_of(durability), text_of(durability)));
}

void ShardImpl::execute_write(const WriteRequest& request, WriteDone completion) {
    const uint64_t now_ms = time_ms();
    // The store may have failed while the request waited for its keys; no group would take it any more.
    if (env_.committer.failed()) {
        statistics_.refused.fetch_add(1, std::memory_order_relaxed);
        return answer_write(failed_write(Status::unavailable, env_.committer.failure()), 0, std::move(completion));
    }
    uint64_t ticket = 0;
    for (const KeySlot* slot : slots_) {
        if (slot->phase == KeySlot::Phase::corrupt) {
            statistics_.refused.fetch_add(1, std::memory_order_relaxed);
            return answer_write(failed_write(Status::corrupt, slot->error), 0, std::move(completion));
        }
        ticket = std::max(ticket, slot->ticket);
    }
    if (auto rejected = check_items(request, now_ms)) {
        statistics_.rejected.fetch_add(1, std::memory_order_relaxed);
        return answer_write(*std::move(rejected), ticket, std::move(completion));
    }

    // From here on nothing can be refused: the whole batch happens.
    changes_.clear();
    Held held;
    WriteOutcome& outcome = held.outcome;
    outcome.items.resize(request.items.size());
    for (size_t i = 0; i < request.items.size(); ++i) {
        const WriteItem& item = request.items[i];
        KeySlot& slot = *slots_[i];
        const crdt::EntryStamp stamp{env_.stamps.next_stamp(now_ms), env_.committer.incarnation()};
        crdt::KeyApplied applied = slot.key.apply(item.op, item.ttl_ms, {stamp, env_.stamps});
        ItemOutcome& item_outcome = outcome.items[i];
        item_outcome.changed = applied.changed;
        if (applied.conflict) outcome.conflicts.push_back({item.key, *std::move(applied.conflict)});
        // Most writes are a single item with a single view: the outcome then says all that the room is told.
        const bool alone = request.items.size() == 1 && applied.views.size() == 1 && applied.own_view == 0;
        for (size_t v = 0; v < applied.views.size(); ++v) {
            auto frame = std::make_shared<const DeltaFrame>(slot.shared_name, std::move(applied.views[v]));
            if (!alone) held.frames.push_back(frame);
            if (v == applied.own_view) item_outcome.delta = std::move(frame);
        }
        if (applied.changed) changes_.push_back({&slot, i, stamp, std::move(applied)});
    }
    statistics_.accepted.fetch_add(request.items.size(), std::memory_order_relaxed);
    if (changes_.empty()) {
        if (request.idempotency_key.empty()) return answer_write(std::move(outcome), ticket, std::move(completion));
        // What changes nothing now could change something when it is repeated.
        return answer_recorded(request, std::move(outcome), completion);
    }

    encoder_.clear();
    for (size_t c = 0; c < changes_.size(); ++c) {
        const Change& change = changes_[c];
        wire::LogEntryParts parts;
        parts.stamp = change.stamp;
        parts.batch_following = changes_.size() - 1 - c;
        parts.source = static_cast<uint8_t>(request.source);
        parts.client_id = request.client_id;
        parts.op_bytes = request.items[change.item].op_bytes;
        parts.idempotency_key = request.idempotency_key;
        encoder_.add(change.slot->name, attention_ms(change.slot->key), parts, change.applied.delta);
        if (env_.replicated) encoder_.set_view(outcome.items[change.item].delta);
    }
    std::vector<MetadataWrite> metadata;
    if (!request.idempotency_key.empty()) {
        metadata.push_back({idempotency_name(request), encode_idempotency(make_idempotency(request, outcome, now_ms))});
    }
    held.ticket = submit(encoder_.entries(), changes_, std::move(metadata));
    changes_.clear();  // what they hold may be large
    held.name = slots_.front()->shared_name;
    held.written = std::move(completion);
    hold(std::move(held));
    arm_timer();
}

void ShardImpl::answer_recorded(const WriteRequest& request, WriteOutcome outcome, const WriteDone& completion) {
    Submission submission;
    submission.shard = env_.index;
    submission.metadata.push_back(
        {idempotency_name(request), encode_idempotency(make_idempotency(request, outcome, time_ms()))});
    submission.settled = [this, completion, outcome = std::move(outcome)](CommitStatus status) {
        env_.lane.post([this, completion, outcome, status] {
            const Durability durability =
                status == CommitStatus::outcome_unknown ? Durability::unknown : Durability::not_committed;
            ready_.push_back([completion, answer = status == CommitStatus::durable
                                                       ? outcome
                                                       : failed_write(status_of(durability), text_of(durability))] {
                completion(answer);
            });
            schedule_release();
        });
    };
    if (env_.committer.submit(std::move(submission), epoch_)) return;
    hold(ticket_of_ended_epoch,
         [completion](Durability durability) { completion(failed_write(status_of(durability), text_of(durability))); });
}

uint64_t ShardImpl::submit(std::span<const PendingEntry> entries, std::span<const Change> changes,
                           std::vector<MetadataWrite> metadata) {
    Submission submission;
    submission.shard = env_.index;
    submission.entries = entries;
    submission.metadata = std::move(metadata);
    const uint64_t last = env_.committer.submit(std::move(submission), epoch_).value_or(ticket_of_ended_epoch);
    const uint64_t first = last == ticket_of_ended_epoch ? last : last - (changes.size() - 1);
    for (size_t i = 0; i < changes.size(); ++i) {
        changes[i].slot->ticket = last == ticket_of_ended_epoch ? last : first + i;
        table_.changed(*changes[i].slot);
    }
    return last;
}

Progress ShardImpl::undo(UndoRequest request, std::function<void(UndoOutcome)> completion) {
    WriteRequest probe;
    probe.items.push_back({request.key, crdt::LwwRegisterOp{}, request.request_bytes, std::nullopt});
    if (auto refused = refuse_write(probe)) {
        hold(0, [completion = std::move(completion), outcome = *std::move(refused)](Durability) {
            UndoOutcome undo_outcome;
            undo_outcome.status = outcome.status;
            undo_outcome.text = outcome.text;
            completion(undo_outcome);
        });
        return Progress::executed;
    }
    const size_t bytes = 2 * (request.request_bytes.size() + request.key.size());
    const std::shared_ptr<UndoRequest> shared = counted(std::move(request), bytes, waiting_bytes_);
    return with_keys({{shared->namespace_name, shared->key}},
                     [this, shared, completion = std::move(completion)] { execute_undo(shared, completion); });
}

void ShardImpl::execute_undo(const std::shared_ptr<UndoRequest>& request,
                             const std::function<void(UndoOutcome)>& completion) {
    KeySlot& slot = resident(request->namespace_name, request->key);
    Held held;
    held.ticket = slot.ticket;
    UndoOutcome outcome;
    if (env_.committer.failed()) {  // see execute_write()
        held.ticket = 0;
        outcome.status = Status::unavailable;
        outcome.text = env_.committer.failure();
    } else if (slot.phase == KeySlot::Phase::corrupt) {
        outcome.status = Status::corrupt;
        outcome.text = slot.error;
    } else {
        switch (slot.key.check_undo(request->target, time_ms())) {
            case crdt::Key::UndoCheck::wrong_type:
                outcome.status = Status::rejected;
                outcome.text = "invalid operation: crdt is not a lwwregister";
                break;
            case crdt::Key::UndoCheck::overwritten:
                outcome.skipped = true;
                outcome.text = "entry has been overwritten by a concurrent write";
                break;
            case crdt::Key::UndoCheck::possible: {
                const crdt::EntryStamp stamp{env_.stamps.next_stamp(), env_.committer.incarnation()};
                Change change{&slot, 0, stamp, {}};
                crdt::KeyApplied& applied = change.applied;
                applied =
                    slot.key.apply_undo(request->target, request->restore, request->client_id, {stamp, env_.stamps});
                if (!applied.changed) {
                    outcome.skipped = true;
                    outcome.text = "restore value is identical to current";
                    break;
                }
                wire::LogEntryParts parts;
                parts.stamp = stamp;
                parts.source = static_cast<uint8_t>(Source::undo);
                parts.client_id = request->client_id;
                parts.op_bytes = request->request_bytes;
                encoder_.clear();
                encoder_.add(slot.name, attention_ms(slot.key), parts, applied.delta);
                for (crdt::ClientDelta& view : applied.views) {
                    held.frames.push_back(std::make_shared<DeltaFrame>(slot.shared_name, std::move(view)));
                }
                if (env_.replicated && !held.frames.empty()) encoder_.set_view(held.frames.back());
                held.ticket = submit(encoder_.entries(), {&change, 1}, {});
                held.name = slot.shared_name;
                statistics_.accepted.fetch_add(1, std::memory_order_relaxed);
                break;
            }
        }
    }
    held.done = [completion, outcome = std::move(outcome)](Durability durability) mutable {
        if (durability != Durability::durable) {
            outcome = {};
            outcome.status = status_of(durability);
            outcome.text = text_of(durability);
        }
        completion(std::move(outcome));
    };
    hold(std::move(held));
}

}  // namespace meridian::node
