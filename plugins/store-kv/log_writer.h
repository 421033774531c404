// Appends records to the log and makes them durable: one write and one sync for all records that are given together and
// fit into the current segment.
//
// Threads: append() is for the writer thread alone; it takes the state mutex only for moments, never during I/O.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "segment.h"
#include "spare_pool.h"

namespace meridian::store_kv {

struct LogWriterOptions {
    std::string directory;
    StoreId store_id{};
    uint64_t segment_size = 64 << 20;
    uint64_t log_bytes_max = 8ULL << 30;
    uint64_t batch_bytes_max = 16 << 20;
};

// One group, as built by GroupWriter.
struct PendingRecord {
    std::string bytes;
    size_t payload_size = 0;
    uint64_t first_position = 0;
    uint64_t entry_count = 0;
};

struct AppendOutcome {
    enum class Status {
        durable,
        not_written,  // no space for it; nothing changed, try again later
        failed,  // the log takes no more: a write or sync failed. `written` tells whether bytes of it may be on disk
    };
    Status status = Status::durable;
    size_t count = 0;  // how many of the records the status is about, from the first on; at least 1
    bool written = false;
    std::shared_ptr<Segment> segment;  // durable: where they are
    std::vector<uint64_t> offsets;     // durable: of each record
    std::string message;
};

class LogWriter {
public:
    // `salt` gives random numbers. All references must outlive the writer.
    LogWriter(FileSystem& file_system, LogWriterOptions options, SparePool& spares, SegmentList& segments,
              std::mutex& state_mutex, std::function<uint64_t()> salt);

    // Makes the first segment of a new log. 0 or a negative errno.
    int create_first();
    // Goes on after the last segment of the list; `seal`: not in that segment but in a new one.
    void resume(bool seal);

    // Appends as many of the records as fit into one segment, the first at least. REQUIRES: positions continue
    // next_position().
    AppendOutcome append(const std::vector<PendingRecord*>& records);

    uint64_t next_sequence() const { return next_sequence_; }
    uint64_t next_position() const { return next_position_; }
    // Bytes left in the current segment. Any thread.
    uint64_t room() const { return room_.load(std::memory_order_relaxed); }

private:
    // Begins a new segment for a record of this size.
    AppendOutcome::Status roll(uint64_t record_bytes, std::string& message);
    AppendOutcome fail(size_t count, bool written, std::string message);
    int begin_segment(Spare spare, uint64_t capacity, bool& sync_failed);

    FileSystem& file_system_;
    const LogWriterOptions options_;
    SparePool& spares_;
    SegmentList& segments_;
    std::mutex& state_mutex_;
    std::function<uint64_t()> salt_;

    std::shared_ptr<Segment> current_;
    uint64_t offset_ = segment_header_size;
    uint64_t next_sequence_ = 1;
    uint64_t next_position_ = 1;
    bool seal_ = false;
    std::string failure_;  // not empty: what failed
    std::string buffer_;
    std::atomic<uint64_t> room_{0};
};

}  // namespace meridian::store_kv
