// Segments of the log in memory, and reading records from their files.
//
// Threads: the fields of Segment below the line are guarded by the store's state mutex; the others never change after
// the segment was made. SegmentReader is for one thread.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "file_system.h"
#include "record.h"

namespace meridian::store_kv {

// A known place in a segment: the record there begins with this position (or has no entries, and it is the next).
struct Mark {
    uint64_t position = 0;
    uint64_t sequence = 0;
    uint64_t offset = 0;
};

struct Segment {
    SegmentHeader header;
    std::string path;
    std::unique_ptr<File> file;

    // ---- guarded by the state mutex
    uint64_t end_offset = segment_header_size;  // after the last durable record
    uint64_t next_sequence = 0;                 // after the last durable record
    uint64_t next_position = 0;
    uint64_t live = 0;            // key entries not covered by snapshots, and metadata not in the database
    std::vector<Mark> marks;      // ascending, about one in marks_distance bytes
    bool marks_complete = false;  // the marks cover the segment from its first record on
    bool scanned = false;         // end_offset and next_* are known (older segments are not read at open)
};

constexpr uint64_t marks_distance = 64 << 10;

// Notes that a record begins here, if the last mark is far enough away.
void add_mark(std::vector<Mark>& marks, const Mark& mark);

std::string segment_path(const std::string& directory, uint64_t number);
// The number in a segment's file name; absent for other names.
std::optional<uint64_t> segment_number(std::string_view file_name);

// All segments, oldest first, with contiguous numbers. REQUIRES: state mutex held, for every call.
class SegmentList {
public:
    void push_back(std::shared_ptr<Segment> segment) { segments_.push_back(std::move(segment)); }
    void push_front(std::shared_ptr<Segment> segment) { segments_.push_front(std::move(segment)); }
    void pop_front() { segments_.pop_front(); }
    bool empty() const { return segments_.empty(); }
    size_t size() const { return segments_.size(); }
    const std::shared_ptr<Segment>& front() const { return segments_.front(); }
    const std::shared_ptr<Segment>& back() const { return segments_.back(); }
    const std::shared_ptr<Segment>& operator[](size_t index) const { return segments_[index]; }
    // Null if it is not (or no longer) kept.
    std::shared_ptr<Segment> find(uint64_t number) const;
    // The segment that holds the position or would hold it next; null if it is below the floor.
    std::shared_ptr<Segment> holding(uint64_t position) const;
    uint64_t bytes() const;

private:
    std::deque<std::shared_ptr<Segment>> segments_;
};

struct RecordAt {
    uint64_t offset = 0;
    RecordHeader header;
    std::string_view payload;  // valid until the next call
};

// Reads records one after another in large pieces.
class SegmentReader {
public:
    enum class Step {
        record,
        stop,      // what follows is not an intact record of this segment with the wanted sequence
        io_error,  // error() says what
    };
    // Reads from `offset` up to `end`. The segment must outlive the reader.
    SegmentReader(const Segment& segment, uint64_t offset, uint64_t end);

    Step next(uint64_t wanted_sequence, RecordAt& out);
    uint64_t offset() const { return offset_; }
    const std::string& error() const { return error_; }

    // Looks for intact records of this segment anywhere at or after the current offset, and gives the greatest
    // synced_sequence among them; absent if there are none. Sets error() on an I/O error.
    std::optional<uint64_t> find_later();

private:
    // Makes [offset, offset + size) available; false at the end or on an error.
    bool load(uint64_t offset, size_t size);
    std::string_view at(uint64_t offset, size_t size) const {
        return std::string_view(buffer_).substr(static_cast<size_t>(offset - buffer_offset_), size);
    }

    const Segment& segment_;
    uint64_t offset_;
    uint64_t end_;
    std::string buffer_;
    uint64_t buffer_offset_ = 0;
    std::string error_;
};

}  // namespace meridian::store_kv
