#include "node/committer.h"

#include <algorithm>
#include <utility>

#include "base/binary.h"

namespace meridian::node {

namespace {

// How far ahead of the newest stamp the persisted ceiling is set, so that few groups carry a new one.
constexpr uint64_t ceiling_step_ms = 5000;

size_t size_of(const Submission& submission) {
    size_t bytes = 0;
    for (const PendingEntry& entry : submission.entries) {
        bytes += entry.payload.size() + entry.name.key.size() + entry.name.namespace_name.size() + 64;
    }
    for (const MetadataWrite& write : submission.metadata) {
        bytes += write.name.size() + (write.value ? write.value->size() : 0) + 16;
    }
    return bytes;
}

}  // namespace

std::string encode_head(const Committer::Start& head) {
    BinaryWriter out;
    out.varint(head.incarnation);
    out.varint(head.sequence);
    out.varint(head.clock_ceiling_ms);
    return out.take();
}

std::optional<Committer::Start> decode_head(std::string_view bytes) {
    BinaryReader in(bytes);
    Committer::Start head;
    head.incarnation = in.varint();
    head.sequence = in.varint();
    head.clock_ceiling_ms = in.varint();
    if (!in.ok() || !in.at_end()) return std::nullopt;
    return head;
}

Committer::Committer(Options options, Store& store, const NodeClock& clock, Lane& lane)
    : options_(options), store_(store), clock_(clock), lane_(lane) {}

void Committer::start(const Start& start, std::vector<CommitListener*> listeners, std::vector<Lane*> lanes) {
    start_ = start;
    listeners_ = std::move(listeners);
    lanes_ = std::move(lanes);
    const std::lock_guard lock(mutex_);
    next_ticket_ = store_.opening().next_position;
    durable_ = next_ticket_ - 1;
}

Refusal Committer::reserve(size_t bytes) const {
    if (failed_.load(std::memory_order_acquire) || draining_.load(std::memory_order_acquire))
        return Refusal::unavailable;
    const uint64_t pending = pending_bytes_.load(std::memory_order_relaxed) + bytes;
    if (pending > options_.pending_bytes_max) return Refusal::overloaded;
    const StoreUsage usage = store_.usage();
    if (usage.failed || usage.log_bytes_available < pending) return Refusal::unavailable;
    if (usage.log_bytes_since_checkpoint > options_.log_backlog_bytes_max) return Refusal::overloaded;
    return Refusal::none;
}

// REQUIRES: mutex_ held. The caller posts close_group() if close_scheduled_ was not set.
uint64_t Committer::enqueue(Submission submission, size_t bytes) {
    const size_t entries = submission.entries.size();
    next_ticket_ += entries;
    pending_.push_back({std::move(submission), next_ticket_ - 1, bytes});
    pending_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    pending_entries_.fetch_add(entries, std::memory_order_relaxed);
    return next_ticket_ - 1;
}

std::optional<uint64_t> Committer::submit(Submission submission, uint64_t epoch) {
    const size_t bytes = size_of(submission);
    uint64_t ticket = 0;
    bool schedule = false;
    {
        const std::lock_guard lock(mutex_);
        if (epoch != epoch_) return std::nullopt;
        ticket = enqueue(std::move(submission), bytes);
        schedule = !std::exchange(close_scheduled_, true);
    }
    if (schedule) lane_.post([this] { close_group(); });
    return ticket;
}

void Committer::submit_metadata(std::vector<MetadataWrite> metadata) {
    Submission submission;
    submission.metadata = std::move(metadata);
    const size_t bytes = size_of(submission);
    bool schedule = false;
    {
        const std::lock_guard lock(mutex_);
        if (failed_.load(std::memory_order_relaxed)) return;
        enqueue(std::move(submission), bytes);
        schedule = !std::exchange(close_scheduled_, true);
    }
    if (schedule) lane_.post([this] { close_group(); });
}

std::string Committer::failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
}

void Committer::close_group() {
    if (in_flight_) return;  // close_scheduled_ stays set: the result of the flight closes the next group
    std::vector<Queued> taken;
    {
        const std::lock_guard lock(mutex_);
        if (pending_.empty() || failed_.load(std::memory_order_relaxed)) {
            close_scheduled_ = false;
        } else {
            size_t bytes = 0, count = 0;
            while (count < pending_.size() &&
                   (count == 0 || bytes + pending_[count].bytes <= options_.group_bytes_max)) {
                bytes += pending_[count++].bytes;
            }
            if (count == pending_.size()) {
                taken.swap(pending_);
            } else {
                taken.assign(std::make_move_iterator(pending_.begin()),
                             std::make_move_iterator(pending_.begin() + count));
                pending_.erase(pending_.begin(), pending_.begin() + count);
            }
        }
    }
    if (taken.empty()) {
        check_drained();
        return;
    }

    CommitGroup group;
    flight_bytes_ = 0;
    flight_sequence_ = start_.sequence;
    flight_shards_.assign(listeners_.size(), false);
    uint64_t position = durable_;
    for (Queued& queued : taken) {
        flight_bytes_ += queued.bytes;
        flight_last_ticket_ = queued.last_ticket;
        flight_shards_[queued.submission.shard] = true;
        for (PendingEntry& entry : queued.submission.entries) {
            LogEntry numbered;
            numbered.position = ++position;
            numbered.origin_node_id = options_.node_id;
            numbered.origin_incarnation = start_.incarnation;
            numbered.origin_sequence = ++flight_sequence_;
            numbered.wall_ms = entry.wall_ms;
            numbered.deadline_ms = entry.deadline_ms;
            numbered.name = std::move(entry.name);
            numbered.payload = std::move(entry.payload);
            group.entries.push_back(std::move(numbered));
        }
        for (MetadataWrite& write : queued.submission.metadata) group.metadata.push_back(std::move(write));
        if (queued.submission.settled) flight_settled_.push_back(std::move(queued.submission.settled));
    }
    flight_entries_ = group.entries.size();
    // Every stamp in the group was given out before now, so this covers them all: each is below the ceiling, not at it,
    // because a restarted clock gives stamps from the ceiling on.
    flight_ceiling_ms_ = start_.clock_ceiling_ms;
    const uint64_t newest_ms = clock_.newest_wall_ms();
    if (newest_ms >= flight_ceiling_ms_) flight_ceiling_ms_ = newest_ms + ceiling_step_ms;
    group.metadata.push_back(
        {std::string(head_metadata_name), encode_head({start_.incarnation, flight_sequence_, flight_ceiling_ms_})});
    in_flight_ = true;
    store_.commit(std::move(group), [this](CommitResult result) {
        lane_.post([this, result = std::move(result)] { on_commit_result(result); });
    });
}

void Committer::on_commit_result(const CommitResult& result) {
    in_flight_ = false;
    pending_bytes_.fetch_sub(flight_bytes_, std::memory_order_relaxed);
    pending_entries_.fetch_sub(flight_entries_, std::memory_order_relaxed);
    if (result.status == CommitStatus::durable) {
        succeed();
    } else {
        fail(result);
    }
    for (const auto& settled : std::exchange(flight_settled_, {})) settled(result.status);
    close_group();
}

void Committer::succeed() {
    durable_ = flight_last_ticket_;
    start_.sequence = flight_sequence_;
    start_.clock_ceiling_ms = flight_ceiling_ms_;
    groups_.fetch_add(1, std::memory_order_relaxed);
    entries_.fetch_add(flight_entries_, std::memory_order_relaxed);
    bytes_.fetch_add(flight_bytes_, std::memory_order_relaxed);
    for (size_t shard = 0; shard < listeners_.size(); ++shard) {
        if (!flight_shards_[shard]) continue;
        lanes_[shard]->post([listener = listeners_[shard], ticket = durable_] { listener->on_durable(ticket); });
    }
}

void Committer::fail(const CommitResult& result) {
    const bool unknown = result.status == CommitStatus::outcome_unknown;
    uint64_t epoch = 0;
    std::vector<std::function<void(CommitStatus)>> settled;
    {
        const std::lock_guard lock(mutex_);
        epoch = ++epoch_;
        for (Queued& queued : pending_) {
            if (queued.submission.settled) settled.push_back(std::move(queued.submission.settled));
            pending_bytes_.fetch_sub(queued.bytes, std::memory_order_relaxed);
            pending_entries_.fetch_sub(queued.submission.entries.size(), std::memory_order_relaxed);
        }
        pending_.clear();
        next_ticket_ = durable_ + 1;
        failure_ = result.message;
        if (unknown) failed_.store(true, std::memory_order_release);
    }
    const uint64_t unknown_through = unknown ? flight_last_ticket_ : durable_;
    for (size_t shard = 0; shard < listeners_.size(); ++shard) {
        lanes_[shard]->post([listener = listeners_[shard], durable = durable_, unknown_through, epoch] {
            listener->on_commit_failed(durable, unknown_through, epoch);
        });
    }
    for (const auto& tell : settled) tell(CommitStatus::not_committed);
}

void Committer::drain(std::function<void()> idle) {
    draining_.store(true, std::memory_order_release);
    lane_.post([this, idle = std::move(idle)] {
        drained_ = idle;
        close_group();
    });
}

void Committer::check_drained() {
    if (!drained_ || in_flight_) return;
    auto idle = std::exchange(drained_, nullptr);
    idle();
}

Committer::Statistics Committer::statistics() const {
    return {groups_.load(std::memory_order_relaxed), entries_.load(std::memory_order_relaxed),
            bytes_.load(std::memory_order_relaxed), pending_entries_.load(std::memory_order_relaxed)};
}

}  // namespace meridian::node
