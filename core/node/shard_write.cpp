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
        hold({0, nullptr, {}, [completion = std::move(completion), outcome = *std::move(refused)](Durability) {
                  completion(outcome);
              }});
        return Progress::executed;
    }
    if (request.idempotency_key.empty() && are_resident(request)) {
        execute_write(request, std::move(completion));
        return Progress::executed;
    }
    size_t bytes = 0;
    for (const WriteItem& item : request.items) bytes += 2 * (item.op_bytes.size() + item.key.size());
    const std::shared_ptr<WriteRequest> shared = counted(std::move(request), bytes, waiting_bytes_);
    return shared->idempotency_key.empty() ? write_on_keys(shared, completion) : write_once(shared, completion);
}

bool ShardImpl::are_resident(const WriteRequest& request) {
    return std::all_of(request.items.begin(), request.items.end(), [&](const WriteItem& item) {
        const KeySlot* slot = table_.find(request.namespace_name, item.key);
        return slot != nullptr && slot->phase != KeySlot::Phase::loading;
    });
}

Progress ShardImpl::write_on_keys(const std::shared_ptr<WriteRequest>& request, const WriteDone& completion) {
    std::vector<KeyName> names;
    names.reserve(request->items.size());
    for (const WriteItem& item : request->items) names.push_back({request->namespace_name, item.key});
    return with_keys(std::move(names), [this, request, completion] { execute_write(*request, completion); });
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
    env_.store.read_metadata({idempotency_name(*request)}, [this, request, completion](
                                                               Result<std::vector<std::optional<std::string>>> found) {
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
            hold({0, nullptr, {}, [completion, answer = *std::move(outcome)](Durability) { completion(answer); }});
        });
    });
}

std::optional<WriteOutcome> ShardImpl::check_items(const WriteRequest& request, std::span<KeySlot* const> slots,
                                                   uint64_t now_ms) const {
    if (request.items.size() == 1) {
        auto rejection = slots[0]->key.check(request.items[0].op, env_.limits.crdt, now_ms);
        if (!rejection) return std::nullopt;
        return failed_write(Status::rejected, std::move(rejection->text));
    }
    std::map<KeySlot*, crdt::KeyOverlay> overlays;
    for (size_t i = 0; i < slots.size(); ++i) {
        auto overlay = overlays.find(slots[i]);
        if (overlay == overlays.end()) {
            overlay = overlays.emplace(slots[i], crdt::KeyOverlay(slots[i]->key, now_ms)).first;
        }
        auto rejection = overlay->second.check_next(request.items[i].op, env_.limits.crdt);
        if (rejection) return failed_write(Status::rejected, std::move(rejection->text), i);
    }
    return std::nullopt;
}

void ShardImpl::execute_write(const WriteRequest& request, WriteDone completion) {
    const uint64_t now_ms = time_ms();
    const auto answer_now = [this, &completion](WriteOutcome outcome, uint64_t ticket) {
        hold({ticket,
              nullptr,
              {},
              [completion = std::move(completion), outcome = std::move(outcome)](Durability durability) {
                  completion(durability == Durability::durable
                                 ? outcome
                                 : failed_write(status_of(durability), text_of(durability)));
              }});
    };

    // The store may have failed while the request waited for its keys; no group would take it any more.
    if (env_.committer.failed()) {
        statistics_.refused.fetch_add(1, std::memory_order_relaxed);
        return answer_now(failed_write(Status::unavailable, env_.committer.failure()), 0);
    }
    std::vector<KeySlot*> slots;
    slots.reserve(request.items.size());
    uint64_t ticket = 0;
    for (const WriteItem& item : request.items) {
        slots.push_back(&resident(request.namespace_name, item.key));
        if (slots.back()->phase == KeySlot::Phase::corrupt) {
            statistics_.refused.fetch_add(1, std::memory_order_relaxed);
            return answer_now(failed_write(Status::corrupt, slots.back()->error), 0);
        }
        ticket = std::max(ticket, slots.back()->ticket);
    }
    if (auto rejected = check_items(request, slots, now_ms)) {
        statistics_.rejected.fetch_add(1, std::memory_order_relaxed);
        return answer_now(*std::move(rejected), ticket);
    }

    // From here on nothing can be refused: the whole batch happens.
    struct Change {
        size_t item;
        crdt::EntryStamp stamp;
        crdt::KeyApplied applied;
    };
    std::vector<Change> changes;
    Held held;
    WriteOutcome outcome;
    outcome.items.resize(request.items.size());
    for (size_t i = 0; i < request.items.size(); ++i) {
        const WriteItem& item = request.items[i];
        const crdt::EntryStamp stamp{env_.stamps.next_stamp(), env_.committer.incarnation()};
        crdt::KeyApplied applied = slots[i]->key.apply(item.op, item.ttl_ms, {stamp, env_.stamps});
        ItemOutcome& item_outcome = outcome.items[i];
        item_outcome.changed = applied.changed;
        if (applied.conflict) outcome.conflicts.push_back({item.key, *std::move(applied.conflict)});
        for (size_t v = 0; v < applied.views.size(); ++v) {
            held.frames.push_back(std::make_shared<DeltaFrame>(item.key, std::move(applied.views[v])));
            if (v == applied.own_view) item_outcome.delta = held.frames.back();
        }
        if (applied.changed) changes.push_back({i, stamp, std::move(applied)});
    }
    statistics_.accepted.fetch_add(request.items.size(), std::memory_order_relaxed);
    if (changes.empty()) {
        if (request.idempotency_key.empty()) return answer_now(std::move(outcome), ticket);
        // What changes nothing now could change something when it is repeated.
        return answer_recorded(request, std::move(outcome), completion);
    }

    Submission submission;
    submission.shard = env_.index;
    std::vector<KeySlot*> changed;
    for (size_t c = 0; c < changes.size(); ++c) {
        const Change& change = changes[c];
        KeySlot& slot = *slots[change.item];
        submission.entries.push_back(make_entry(slot, change.applied, change.stamp, request.source, request.client_id,
                                                request.items[change.item].op_bytes, request.idempotency_key,
                                                changes.size() - 1 - c));
        if (env_.replicated) submission.entries.back().view = outcome.items[change.item].delta;
        changed.push_back(&slot);
    }
    if (!request.idempotency_key.empty()) {
        submission.metadata.push_back(
            {idempotency_name(request), encode_idempotency(make_idempotency(request, outcome, now_ms))});
    }
    held.ticket = submit(std::move(submission), changed);
    held.namespace_name = std::make_shared<std::string>(request.namespace_name);
    held.done = [completion = std::move(completion), outcome = std::move(outcome)](Durability durability) mutable {
        completion(durability == Durability::durable ? std::move(outcome)
                                                     : failed_write(status_of(durability), text_of(durability)));
    };
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
    hold({ticket_of_ended_epoch, nullptr, {}, [completion](Durability durability) {
              completion(failed_write(status_of(durability), text_of(durability)));
          }});
}

PendingEntry ShardImpl::make_entry(const KeySlot& slot, const crdt::KeyApplied& applied, const crdt::EntryStamp& stamp,
                                   Source source, uint64_t client_id, const std::string& op_bytes,
                                   const std::string& idempotency_key, uint64_t batch_following) const {
    wire::LogEntryPayload payload;
    payload.stamp = stamp;
    payload.batch_following = batch_following;
    payload.source = static_cast<uint8_t>(source);
    payload.client_id = client_id;
    payload.key_delta = wire::encode_key_delta(applied.delta);
    payload.op_bytes = op_bytes;
    payload.idempotency_key = idempotency_key;
    PendingEntry entry;
    entry.name = slot.name;
    entry.wall_ms = stamp.hlc.wall_ms;
    entry.deadline_ms = attention_ms(slot.key);
    entry.payload = wire::encode_log_entry(payload);
    return entry;
}

uint64_t ShardImpl::submit(Submission submission, std::span<KeySlot* const> slots) {
    const uint64_t last = env_.committer.submit(std::move(submission), epoch_).value_or(ticket_of_ended_epoch);
    const uint64_t first = last == ticket_of_ended_epoch ? last : last - (slots.size() - 1);
    for (size_t i = 0; i < slots.size(); ++i) {
        slots[i]->ticket = last == ticket_of_ended_epoch ? last : first + i;
        table_.changed(*slots[i]);
    }
    return last;
}

Progress ShardImpl::undo(UndoRequest request, std::function<void(UndoOutcome)> completion) {
    WriteRequest probe;
    probe.items.push_back({request.key, crdt::LwwRegisterOp{}, request.request_bytes, std::nullopt});
    if (auto refused = refuse_write(probe)) {
        hold({0, nullptr, {}, [completion = std::move(completion), outcome = *std::move(refused)](Durability) {
                  UndoOutcome undo_outcome;
                  undo_outcome.status = outcome.status;
                  undo_outcome.text = outcome.text;
                  completion(undo_outcome);
              }});
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
                crdt::KeyApplied applied =
                    slot.key.apply_undo(request->target, request->restore, request->client_id, {stamp, env_.stamps});
                if (!applied.changed) {
                    outcome.skipped = true;
                    outcome.text = "restore value is identical to current";
                    break;
                }
                Submission submission;
                submission.shard = env_.index;
                submission.entries.push_back(
                    make_entry(slot, applied, stamp, Source::undo, request->client_id, request->request_bytes, {}, 0));
                for (crdt::ClientDelta& view : applied.views) {
                    held.frames.push_back(std::make_shared<DeltaFrame>(slot.name.key, std::move(view)));
                }
                if (env_.replicated && !held.frames.empty()) submission.entries.back().view = held.frames.back();
                KeySlot* const slots[] = {&slot};
                held.ticket = submit(std::move(submission), slots);
                held.namespace_name = std::make_shared<std::string>(request->namespace_name);
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
