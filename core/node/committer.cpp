#include "node/committer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/binary.h"
#include "node/replication_port.h"

namespace meridian::node {

namespace {

// How far ahead of the newest stamp the persisted ceiling is set, so that few groups carry a new one.
constexpr uint64_t ceiling_step_ms = 5000;
// A group's buffer that grew beyond this is not kept for the next one.
constexpr size_t text_bytes_kept = 1 << 20;

size_t size_of(const Submission& submission) {
    size_t bytes = 16;  // a group that holds something has a size
    for (const PendingEntry& entry : submission.entries) {
        bytes += entry.payload.size() + entry.key.size() + entry.namespace_name.size() + 64;
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

std::optional<std::vector<MetadataWrite>> new_incarnation_writes(std::string_view head_bytes, uint64_t node_id,
                                                                 uint64_t incarnation) {
    auto head = decode_head(head_bytes);
    if (!head) return std::nullopt;
    std::vector<MetadataWrite> writes;
    if (head->sequence != 0)
        writes.push_back(sequence_write(vector_prefix, {node_id, head->incarnation}, head->sequence));
    // Greater than the one before, as incarnations of a node are, even if the clock has gone back.
    head->incarnation = std::max(head->incarnation + 1, incarnation);
    head->sequence = 0;
    writes.push_back({std::string(head_metadata_name), encode_head(*head)});
    return writes;
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
    if (in_flight_) {  // it ends with the numbers that it began with
        after_flight_.push_back(
            [this, incarnation, settled = std::move(settled)] { begin_incarnation(incarnation, settled); });
        return;
    }
    if (start_.sequence != 0) {
        const Origin before{options_.node_id, start_.incarnation};
        former_[before] = start_.sequence;
        received_.keep(before, start_.sequence);
    }
    start_.incarnation = incarnation;
    start_.sequence = 0;
    incarnation_.store(incarnation, std::memory_order_release);
    Submission submission;
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

void Committer::Group::add(Submission submission, size_t charged_bytes, uint64_t ticket) {
    for (const PendingEntry& entry : submission.entries) {
        text.append(entry.namespace_name).append(entry.key).append(entry.payload);
        if (entry.view) {
            views.resize(entries.size());
            views.push_back(entry.view);
        }
        entries.push_back({entry.namespace_name.size(), entry.key.size(), entry.payload.size(), entry.wall_ms,
                           entry.deadline_ms, entry.remote});
    }
    merge_into(raised, submission.raised);
    std::move(submission.metadata.begin(), submission.metadata.end(), std::back_inserter(metadata));
    if (submission.settled) settled.push_back(std::move(submission.settled));
    if (shards.size() <= submission.shard) shards.resize(submission.shard + 1);
    shards[submission.shard] = true;
    last_ticket = ticket;
    bytes += charged_bytes;
}

void Committer::Group::clear() {
    if (text.capacity() > text_bytes_kept) std::string().swap(text);
    text.clear();
    entries.clear();
    views.clear();
    metadata.clear();
    raised.clear();
    settled.clear();
    shards.clear();
    last_ticket = 0;
    bytes = 0;
}

// REQUIRES: mutex_ held. The caller posts close_group() if close_scheduled_ was not set.
uint64_t Committer::enqueue(Submission submission, size_t bytes) {
    const size_t entries = submission.entries.size();
    next_ticket_ += entries;
    if (!pending_.back().empty() && pending_.back().bytes + bytes > options_.group_bytes_max) pending_.emplace_back();
    pending_.back().add(std::move(submission), bytes, next_ticket_ - 1);
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

// Makes the oldest waiting group the one in flight. False if there is none.
bool Committer::take_group() {
    const std::lock_guard lock(mutex_);
    if (pending_.front().empty() || failed_.load(std::memory_order_relaxed)) {
        close_scheduled_ = false;
        return false;
    }
    std::swap(flight_, pending_.front());
    if (pending_.size() > 1) pending_.pop_front();
    return true;
}

void Committer::number_entries() {
    numbered_.clear();
    numbered_.reserve(flight_.entries.size());
    flight_sequence_ = start_.sequence;
    uint64_t position = durable_;
    std::string_view text = flight_.text;
    const auto take = [&text](size_t bytes) {
        const std::string_view taken = text.substr(0, bytes);
        text.remove_prefix(bytes);
        return taken;
    };
    for (size_t index = 0; index < flight_.entries.size(); ++index) {
        const Group::Entry& entry = flight_.entries[index];
        LogEntryView& numbered = numbered_.emplace_back();
        numbered.position = ++position;
        numbered.wall_ms = entry.wall_ms;
        numbered.deadline_ms = entry.deadline_ms;
        numbered.namespace_name = take(entry.namespace_bytes);
        numbered.key = take(entry.key_bytes);
        numbered.payload = take(entry.payload_bytes);
        number_entry(index, numbered);
    }
}

// An own entry gets the next number, and is kept for replication.
void Committer::number_entry(size_t index, LogEntryView& numbered) {
    if (const auto& remote = flight_.entries[index].remote) {
        numbered.origin_node_id = remote->origin.node_id;
        numbered.origin_incarnation = remote->origin.incarnation;
        numbered.origin_sequence = remote->sequence;
        if (remote->sequence != 0) received_.stage(remote->origin, remote->sequence);
        return;
    }
    numbered.origin_node_id = options_.node_id;
    numbered.origin_incarnation = start_.incarnation;
    numbered.origin_sequence = ++flight_sequence_;
    if (replication_listener_ == nullptr) return;
    CommittedEntry& committed = flight_committed_.emplace_back();
    committed.sequence = numbered.origin_sequence;
    committed.origin = {options_.node_id, start_.incarnation};
    committed.wall_ms = numbered.wall_ms;
    committed.name.namespace_name = numbered.namespace_name;
    committed.name.key = numbered.key;
    committed.payload = numbered.payload;
    if (index < flight_.views.size()) committed.view = std::move(flight_.views[index]);
}

// What the group adds to the vector, and now and then where in the log that is.
void Committer::add_vector_metadata() {
    // What is held already says nothing about the log.
    std::erase_if(flight_.raised,
                  [this](const auto& raised) { return raised.second <= received_.held_with_staged(raised.first); });
    for (const auto& [origin, sequence] : flight_.raised) {
        received_.stage_raise(origin, sequence);
        flight_.metadata.push_back(sequence_write(log_floor_prefix, origin, sequence));
    }
    // With the first group that is numbered under a new incarnation.
    for (const auto& [origin, sequence] : former_)
        flight_.metadata.push_back(sequence_write(vector_prefix, origin, sequence));
    for (const auto& [origin, sequence] : received_.staged())
        flight_.metadata.push_back(sequence_write(vector_prefix, origin, sequence));
    if (options_.replication_lane == nullptr || numbered_.empty()) return;
    const uint64_t position = numbered_.back().position;
    if (position < log_index_.last_position() + LogIndex::interval || !received_.without_gaps()) return;
    flight_index_.emplace(position, with_own(received_.vector_with_staged(), flight_sequence_));
    flight_.metadata.push_back(index_write(position, flight_index_->second));
}

void Committer::close_group() {
    if (in_flight_) return;  // close_scheduled_ stays set: the result of the flight closes the next group
    if (!take_group()) {
        check_drained();
        return;
    }
    number_entries();
    add_vector_metadata();
    // Every stamp in the group was given out before now, so this covers them all: each is below the ceiling, not at it,
    // because a restarted clock gives stamps from the ceiling on.
    flight_ceiling_ms_ = start_.clock_ceiling_ms;
    const uint64_t newest_ms = clock_.newest_wall_ms();
    if (newest_ms >= flight_ceiling_ms_) flight_ceiling_ms_ = newest_ms + ceiling_step_ms;
    flight_.metadata.push_back(
        {std::string(head_metadata_name), encode_head({start_.incarnation, flight_sequence_, flight_ceiling_ms_, {}})});
    in_flight_ = true;
    store_.commit_views({numbered_, flight_.metadata}, [this](CommitResult result) {
        lane_.post([this, result = std::move(result)] { on_commit_result(result); });
    });
}

void Committer::on_commit_result(const CommitResult& result) {
    in_flight_ = false;
    pending_bytes_.fetch_sub(flight_.bytes, std::memory_order_relaxed);
    pending_entries_.fetch_sub(flight_.entries.size(), std::memory_order_relaxed);
    if (result.status == CommitStatus::durable) {
        succeed();
    } else {
        fail(result);
    }
    for (const auto& settled : std::exchange(flight_.settled, {})) settled(result.status);
    flight_.clear();
    for (const auto& task : std::exchange(after_flight_, {})) task();
    close_group();
}

void Committer::succeed() {
    durable_ = flight_.last_ticket;
    start_.sequence = flight_sequence_;
    start_.clock_ceiling_ms = flight_ceiling_ms_;
    received_.commit();
    former_.clear();
    if (!flight_.raised.empty()) log_index_.raise(flight_.raised);
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
    entries_.fetch_add(flight_.entries.size(), std::memory_order_relaxed);
    bytes_.fetch_add(flight_.bytes, std::memory_order_relaxed);
    for (size_t shard = 0; shard < flight_.shards.size(); ++shard) {
        if (!flight_.shards[shard]) continue;
        lanes_[shard]->post([listener = listeners_[shard], ticket = durable_] { listener->on_durable(ticket); });
    }
}

void Committer::fail(const CommitResult& result) {
    const bool unknown = result.status == CommitStatus::outcome_unknown;
    received_.abandon();
    flight_index_.reset();
    flight_committed_.clear();
    uint64_t epoch = 0;
    std::vector<std::function<void(CommitStatus)>> settled;
    {
        const std::lock_guard lock(mutex_);
        epoch = ++epoch_;
        for (Group& group : pending_) {
            std::move(group.settled.begin(), group.settled.end(), std::back_inserter(settled));
            pending_bytes_.fetch_sub(group.bytes, std::memory_order_relaxed);
            pending_entries_.fetch_sub(group.entries.size(), std::memory_order_relaxed);
        }
        pending_.resize(1);
        pending_.front().clear();
        next_ticket_ = durable_ + 1;
        failure_ = result.message;
        if (unknown) failed_.store(true, std::memory_order_release);
    }
    const uint64_t unknown_through = unknown ? flight_.last_ticket : durable_;
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
