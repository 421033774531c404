#include "log_writer.h"

#include <algorithm>
#include <cerrno>

#include "log_recovery.h"

namespace meridian::store_kv {

LogWriter::LogWriter(FileSystem& file_system, LogWriterOptions options, SparePool& spares, SegmentList& segments,
                     std::mutex& state_mutex, std::function<uint64_t()> salt)
    : file_system_(file_system),
      options_(std::move(options)),
      spares_(spares),
      segments_(segments),
      state_mutex_(state_mutex),
      salt_(std::move(salt)) {}

int LogWriter::create_first() {
    Spare spare;
    if (const int code = spares_.make(options_.segment_size, spare); code != 0) return code;
    if (const int code = spares_.fill(spare); code != 0) return code;
    bool sync_failed = false;
    return begin_segment(std::move(spare), options_.segment_size, sync_failed);
}

void LogWriter::resume(bool seal) {
    const std::lock_guard lock(state_mutex_);
    current_ = segments_.back();
    offset_ = current_->end_offset;
    next_sequence_ = current_->next_sequence;
    next_position_ = current_->next_position;
    seal_ = seal;
    room_ = seal ? 0 : current_->header.capacity - offset_;
}

int LogWriter::begin_segment(Spare spare, uint64_t capacity, bool& sync_failed) {
    auto segment = std::make_shared<Segment>();
    segment->header.number = current_ ? current_->header.number + 1 : 1;
    segment->header.first_sequence = next_sequence_;
    segment->header.first_position = next_position_;
    segment->header.capacity = capacity;
    segment->header.store_id = options_.store_id;
    segment->header.salt = salt_();
    segment->path = segment_path(options_.directory, segment->header.number);
    segment->next_sequence = next_sequence_;
    segment->next_position = next_position_;
    segment->marks_complete = true;
    segment->scanned = true;
    int code = write_fully(*spare.file, 0, encode_segment_header(segment->header));
    if (code != 0) {
        file_system_.remove(spare.path);
        return code;
    }
    sync_failed = true;  // until proven otherwise: from here on a failure leaves us unsure of what is on disk
    code = spare.file->sync();
    if (code == 0) code = file_system_.rename(spare.path, segment->path);
    if (code == 0) code = file_system_.sync_directory(options_.directory);
    if (code != 0) return code;
    sync_failed = false;
    segment->file = std::move(spare.file);
    current_ = segment;
    offset_ = segment_header_size;
    seal_ = false;
    room_ = capacity - offset_;
    const std::lock_guard lock(state_mutex_);
    segments_.push_back(std::move(segment));
    return 0;
}

AppendOutcome::Status LogWriter::roll(uint64_t record_bytes, std::string& message) {
    using Status = AppendOutcome::Status;
    const uint64_t capacity = std::max(options_.segment_size, segment_header_size + record_bytes);
    Spare spare;
    if (capacity != options_.segment_size || !spares_.take(spare)) {
        uint64_t used = spares_.bytes();
        {
            const std::lock_guard lock(state_mutex_);
            used += segments_.bytes();
        }
        if (used + capacity > options_.log_bytes_max) {
            message = "the log has " + std::to_string(used) + " bytes and needs a segment of " +
                      std::to_string(capacity) + ": log_bytes_max is " + std::to_string(options_.log_bytes_max);
            return Status::not_written;
        }
        if (const int code = spares_.make(capacity, spare); code != 0) {
            message = options_.directory + ": making a log segment of " + std::to_string(capacity) +
                      " bytes: " + error_text(code);
            return Status::not_written;
        }
    }
    const std::string path = spare.path;
    bool sync_failed = false;
    if (const int code = begin_segment(std::move(spare), capacity, sync_failed); code != 0) {
        message = path + ": beginning a log segment: " + error_text(code);
        return sync_failed ? Status::failed : Status::not_written;
    }
    return Status::durable;
}

AppendOutcome LogWriter::fail(size_t count, bool written, std::string message) {
    failure_ = message;
    room_ = 0;
    AppendOutcome outcome;
    outcome.status = AppendOutcome::Status::failed;
    outcome.count = count;
    outcome.written = written;
    outcome.message = std::move(message);
    return outcome;
}

AppendOutcome LogWriter::append(const std::vector<PendingRecord*>& records) {
    if (!failure_.empty()) return fail(1, false, failure_);
    const uint64_t first_size = records.front()->bytes.size();
    if (seal_ || first_size > current_->header.capacity - offset_) {
        AppendOutcome outcome;
        outcome.count = 1;
        outcome.status = roll(first_size, outcome.message);
        if (outcome.status == AppendOutcome::Status::failed) return fail(1, false, outcome.message);
        if (outcome.status != AppendOutcome::Status::durable) return outcome;
    }

    AppendOutcome outcome;
    outcome.segment = current_;
    uint64_t end = offset_;
    uint64_t sequence = next_sequence_;
    for (PendingRecord* record : records) {
        const uint64_t size = record->bytes.size();
        const bool first = outcome.offsets.empty();
        if (!first && (size > current_->header.capacity - end || end + size - offset_ > options_.batch_bytes_max))
            break;
        RecordHeader header;
        header.generation = current_->header.number;
        header.sequence = sequence++;
        header.synced_sequence = next_sequence_ - 1;
        finish_record(record->bytes, static_cast<uint32_t>(record->payload_size), current_->header.salt, header);
        outcome.offsets.push_back(end);
        end += size;
    }
    outcome.count = outcome.offsets.size();

    std::string_view bytes = records.front()->bytes;
    if (outcome.count > 1) {
        buffer_.clear();
        for (size_t i = 0; i < outcome.count; ++i) buffer_ += records[i]->bytes;
        bytes = buffer_;
    }
    if (const int code = write_fully(*current_->file, offset_, bytes); code != 0) {
        return fail(outcome.count, true,
                    current_->path + ": writing " + std::to_string(bytes.size()) + " bytes at offset " +
                        std::to_string(offset_) + ": " + error_text(code));
    }
    if (const int code = current_->file->sync(); code != 0) {
        return fail(outcome.count, true, current_->path + ": syncing the log: " + error_text(code));
    }
    offset_ = end;
    next_sequence_ = sequence;
    for (size_t i = 0; i < outcome.count; ++i) next_position_ += records[i]->entry_count;
    room_ = current_->header.capacity - offset_;
    return outcome;
}

}  // namespace meridian::store_kv
