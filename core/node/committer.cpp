#include "node/committer.h"

#include <algorithm>
#include <utility>

#include "base/binary.h"
#include "node/replication_port.h"

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

Committer::~Committer() = default;

void Committer::start(const Start& start, std::vector<CommitListener*> listeners, std::vector<Lane*> lanes) {
    start_ = start;
    listeners_ = std::move(listeners);
    lanes_ = std::move(lanes);
    received_ = ReceivedVector(start_.received);
    incarnation_.store(start_.incarnation, std::memory_order_release);
    const std::lock_guard lock(mutex_);
    next_ticket_ = store_.opening().next_position;
    durable_ = next_ticket_ - 1;
    vector_ = with_own(start_.received, start_.sequence);
}

VersionVector Committer::with_own(VersionVector received, uint64_t sequence) const {
    if (sequence != 0) received[{options_.node_id, start_.incarnation}] = sequence;
    return received;
}

VersionVector Committer::vector() const {
    const std::lock_guard lock(mutex_);
    return vector_;
}

void Committer::begin_incarnation(uint64_t incarnation, std::function<void(CommitStatus)> settled) {
    Submission submission;
    if (start_.sequence != 0) {
        const Origin before{options_.node_id, start_.incarnation};
        submission.metadata.push_back(sequence_write(vector_prefix, before, start_.sequence));
        start_.received[before] = start_.sequence;
        received_ = ReceivedVector(start_.received);
    }
    start_.incarnation = incarnation;
    start_.sequence = 0;
    incarnation_.store(incarnation, std::memory_order_release);
    submission.settled = std::move(settled);
    enqueue_and_schedule(std::move(submission));
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
    enqueue_and_schedule(std::move(submission));
}

void Committer::raise(VersionVector vector, std::function<void(CommitStatus)> settled) {
    Submission submission;
    submission.raised = std::move(vector);
    submission.settled = std::move(settled);
    enqueue_and_schedule(std::move(submission));
}

// Of a submission that depends on no shard's state, and so on no epoch.
void Committer::enqueue_and_schedule(Submission submission) {
    const size_t bytes = size_of(submission);
    bool schedule = false;
    {
        const std::lock_guard lock(mutex_);
        if (!failed_.load(std::memory_order_relaxed)) {
            enqueue(std::move(submission), bytes);
            schedule = !std::exchange(close_scheduled_, true);
        } else if (submission.settled) {
            lane_.post([settled = std::move(submission.settled)] { settled(CommitStatus::not_committed); });
        }
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
            number_entry(entry, numbered);
            numbered.wall_ms = entry.wall_ms;
            numbered.deadline_ms = entry.deadline_ms;
            numbered.name = std::move(entry.name);
            numbered.payload = std::move(entry.payload);
            group.entries.push_back(std::move(numbered));
        }
        for (const auto& [origin, sequence] : queued.submission.raised) {
            received_.stage_raise(origin, sequence);
            flight_raised_[origin] = sequence;
            group.metadata.push_back(sequence_write(log_floor_prefix, origin, sequence));
        }
        for (MetadataWrite& write : queued.submission.metadata) group.metadata.push_back(std::move(write));
        if (queued.submission.settled) flight_settled_.push_back(std::move(queued.submission.settled));
    }
    flight_entries_ = group.entries.size();
    add_vector_metadata(group);
    // Every stamp in the group was given out before now, so this covers them all: each is below the ceiling, not at it,
    // because a restarted clock gives stamps from the ceiling on.
    flight_ceiling_ms_ = start_.clock_ceiling_ms;
    const uint64_t newest_ms = clock_.newest_wall_ms();
    if (newest_ms >= flight_ceiling_ms_) flight_ceiling_ms_ = newest_ms + ceiling_step_ms;
    group.metadata.push_back(
        {std::string(head_metadata_name), encode_head({start_.incarnation, flight_sequence_, flight_ceiling_ms_, {}})});
    in_flight_ = true;
    store_.commit(std::move(group), [this](CommitResult result) {
        lane_.post([this, result = std::move(result)] { on_commit_result(result); });
    });
}

// An own entry gets the next number, and is kept for replication.
void Committer::number_entry(PendingEntry& entry, LogEntry& numbered) {
    if (entry.remote) {
        numbered.origin_node_id = entry.remote->origin.node_id;
        numbered.origin_incarnation = entry.remote->origin.incarnation;
        numbered.origin_sequence = entry.remote->sequence;
        if (entry.remote->sequence != 0) received_.stage(entry.remote->origin, entry.remote->sequence);
        return;
    }
    numbered.origin_node_id = options_.node_id;
    numbered.origin_incarnation = start_.incarnation;
    numbered.origin_sequence = ++flight_sequence_;
    if (replication_listener_ != nullptr) {
        flight_committed_.push_back(
            {numbered.origin_sequence, entry.wall_ms, entry.name, entry.payload, std::move(entry.view)});
    }
}

// What the group adds to the vector, and now and then where in the log that is.
void Committer::add_vector_metadata(CommitGroup& group) {
    for (const auto& [origin, sequence] : received_.staged())
        group.metadata.push_back(sequence_write(vector_prefix, origin, sequence));
    if (options_.replication_lane == nullptr || group.entries.empty()) return;
    const uint64_t position = group.entries.back().position;
    if (position < log_index_.last_position() + LogIndex::interval || !received_.without_gaps()) return;
    flight_index_.emplace(position, with_own(received_.vector_with_staged(), flight_sequence_));
    group.metadata.push_back(index_write(position, flight_index_->second));
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
    received_.commit();
    if (!flight_raised_.empty()) log_index_.raise(std::exchange(flight_raised_, {}));
    if (flight_index_) log_index_.add(flight_index_->first, std::move(flight_index_->second));
    flight_index_.reset();
    if (options_.replication_lane != nullptr) {
        VersionVector vector = with_own(received_.vector_with_staged(), start_.sequence);
        const std::lock_guard lock(mutex_);
        vector_ = std::move(vector);
    }
    if (!flight_committed_.empty()) {
        options_.replication_lane->post(
            [listener = replication_listener_, committed = std::exchange(flight_committed_, {})]() mutable {
                listener->on_committed(std::move(committed));
            });
    }
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
    received_.abandon();
    flight_raised_.clear();
    flight_index_.reset();
    flight_committed_.clear();
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
