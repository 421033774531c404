// Commits: building records on the submitting thread, writing them on the writer thread.
#include "crc32c.h"
#include "store.h"

namespace meridian::store_kv {
namespace {

constexpr uint64_t no_space_said_interval_us = 60'000'000;

}  // namespace

meridian_status KvStore::commit(const meridian_commit_group& group, abi::StatusSink sink) {
    if (group.entry_count == 0 && group.metadata_count == 0) return MERIDIAN_INVALID;
    uint64_t bytes = 32;
    bool valid = true;
    uint64_t position = group.entry_count == 0 ? 0 : group.entries->position;
    const uint64_t first_position = position;
    abi::for_each(group.entries, group.entry_count, [&](const meridian_log_entry& entry) {
        valid = valid && entry.position == position++ && abi::valid_name(entry.name);
        bytes += 64 + entry.name.namespace_name.size + entry.name.key.size + entry.payload.size;
        valid = valid && bytes <= group_bytes_max;
    });
    abi::for_each(group.metadata, group.metadata_count, [&](const meridian_metadata_write& write) {
        valid = valid && abi::valid_metadata_name(write.name);
        bytes += 16 + write.name.size + write.value.size;
        valid = valid && bytes <= group_bytes_max;
    });
    if (!valid) return MERIDIAN_INVALID;

    GroupWriter writer(first_position, group.entry_count, static_cast<size_t>(bytes));
    abi::for_each(group.entries, group.entry_count, [&](const meridian_log_entry& entry) {
        EntryView view;
        view.origin_node_id = entry.origin_node_id;
        view.origin_incarnation = entry.origin_incarnation;
        view.origin_sequence = entry.origin_sequence;
        view.wall_ms = entry.wall_ms;
        view.deadline_ms = entry.deadline_ms;
        view.payload = abi::view(entry.payload);
        writer.entry(view, abi::view(entry.name.namespace_name), abi::view(entry.name.key));
    });
    writer.begin_metadata(group.metadata_count);
    abi::for_each(group.metadata, group.metadata_count, [&](const meridian_metadata_write& write) {
        MetadataView view;
        view.name = abi::view(write.name);
        if (write.remove == 0) view.value = abi::view(write.value);
        writer.metadata(view);
    });
    CommitJob job{PendingRecord{}, sink};
    job.record.payload_size = writer.payload_size();
    job.record.first_position = first_position;
    job.record.entry_count = group.entry_count;
    job.record.bytes = writer.take();

    const std::lock_guard lock(commit_mutex_);
    if (commit_stopping_) return MERIDIAN_CANCELLED;
    const uint64_t size = job.record.bytes.size();
    if (commit_queue_bytes_ != 0 && commit_queue_bytes_ + size > options_.commit_queue_bytes_max) return MERIDIAN_BUSY;
    commit_queue_bytes_ += size;
    commit_queue_.push_back(std::move(job));
    commit_wake_.notify_one();
    return MERIDIAN_OK;
}

void KvStore::run_writer() {
    std::vector<CommitJob> jobs;
    for (;;) {
        {
            std::unique_lock lock(commit_mutex_);
            commit_wake_.wait(lock, [this] { return commit_stopping_ || !commit_queue_.empty(); });
            if (commit_queue_.empty()) return;
            jobs.swap(commit_queue_);
            commit_queue_bytes_ = 0;
        }
        write_jobs(jobs);
        jobs.clear();
    }
}

void KvStore::finish(CommitJob& job, meridian_status status, const std::string& message) {
    job.sink.done(status, message);
}

void KvStore::write_jobs(std::vector<CommitJob>& jobs) {
    using Status = AppendOutcome::Status;
    std::vector<PendingRecord*> run;
    for (size_t begin = 0; begin < jobs.size();) {
        if (failed_) {
            std::string message;
            {
                const std::lock_guard lock(state_mutex_);
                message = failure_;
            }
            finish(jobs[begin++], MERIDIAN_READ_ONLY, message);
            continue;
        }
        run.clear();
        uint64_t position = writer_->next_position();
        for (size_t i = begin; i < jobs.size(); ++i) {
            PendingRecord& record = jobs[i].record;
            if (record.entry_count != 0 && record.first_position != position) break;
            position += record.entry_count;
            run.push_back(&record);
        }
        if (run.empty()) {
            finish(jobs[begin], MERIDIAN_INVALID,
                   "the group begins at position " + std::to_string(jobs[begin].record.first_position) +
                       ", the log's next is " + std::to_string(position));
            ++begin;
            continue;
        }
        const AppendOutcome outcome = writer_->append(run);
        meridian_status status = MERIDIAN_OK;
        std::string message = outcome.message;
        if (outcome.status == Status::durable) {
            // A failure here (out of memory) leaves the index behind the log: what is written counts, no more is taken.
            message.clear();
            const meridian_status applied = abi::guarded(nullptr, [&]() -> meridian_status {
                apply(outcome, run);
                return MERIDIAN_OK;
            });
            if (applied != MERIDIAN_OK) {
                status = MERIDIAN_OUTCOME_UNKNOWN;
                message = "out of memory while indexing what was written";
                fail(message);
            }
        } else if (outcome.status == Status::not_written) {
            status = MERIDIAN_NO_SPACE;
            say_no_space(message);
            wake_upkeep();
        } else {
            status = outcome.written ? MERIDIAN_OUTCOME_UNKNOWN : MERIDIAN_READ_ONLY;
            fail(message);
        }
        for (size_t i = 0; i < outcome.count; ++i) finish(jobs[begin++], status, message);
    }
}

// Every group is refused for the same reason until there is space.
void KvStore::say_no_space(const std::string& message) {
    const uint64_t now_us = host_.monotonic_us();
    if (no_space_said_us_ != 0 && now_us - no_space_said_us_ < no_space_said_interval_us) return;
    no_space_said_us_ = now_us;
    host_.log(MERIDIAN_LOG_WARNING, message + "; writes that need the space are refused until there is some");
}

void KvStore::apply(const AppendOutcome& outcome, const std::vector<PendingRecord*>& records) {
    Segment& segment = *outcome.segment;
    const bool new_segment = outcome.offsets.front() == segment_header_size;
    {
        const std::lock_guard lock(state_mutex_);
        for (size_t i = 0; i < outcome.count; ++i) {
            const uint64_t offset = outcome.offsets[i];
            const uint64_t sequence = segment.next_sequence;
            add_mark(segment.marks, {segment.next_position, sequence, offset});
            const std::string_view payload =
                std::string_view(records[i]->bytes).substr(record_header_size, records[i]->payload_size);
            read_group(
                payload,
                [&](const EntryView& entry) {
                    EntryPlace place;
                    place.position = entry.position;
                    place.segment = static_cast<uint32_t>(segment.header.number);
                    place.offset = static_cast<uint32_t>(offset + record_header_size + entry.payload_offset);
                    place.length = static_cast<uint32_t>(entry.payload.size());
                    place.checksum = crc32c(entry.payload);
                    index_.add(entry.name, place, entry.deadline_ms, segment);
                },
                [&](const MetadataView& write) { index_.put_metadata(write.name, write.value, sequence, segment); });
            segment.next_sequence += 1;
            segment.next_position += records[i]->entry_count;
            segment.end_offset = offset + records[i]->bytes.size();
        }
        durable_position_ = segment.next_position - 1;
        durable_sequence_ = segment.next_sequence - 1;
        refresh_usage();
    }
    if (new_segment) wake_upkeep();
}

}  // namespace meridian::store_kv
