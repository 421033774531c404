#include "log_recovery.h"

#include <algorithm>

namespace meridian::store_kv {
namespace {

Error io_failure(const std::string& what, int64_t code) {
    return Error{what + ": " + error_text(code)};
}

Result<std::shared_ptr<Segment>> open_segment(FileSystem& file_system, const std::string& path, uint64_t number,
                                              const StoreId& store_id) {
    auto segment = std::make_shared<Segment>();
    segment->path = path;
    if (const int code = file_system.open(path, segment->file); code != 0) return io_failure(path, code);
    const int64_t size = segment->file->size();
    if (size < 0) return io_failure(path, size);
    std::string bytes(static_cast<size_t>(std::min<int64_t>(size, segment_header_size)), '\0');
    if (const int code = read_fully(*segment->file, 0, bytes.data(), bytes.size()); code != 0)
        return io_failure(path, code);
    std::string why;
    const auto header = decode_segment_header(bytes, why);
    if (!header) return Error{path + ": damaged log segment: " + why};
    if (header->number != number) {
        return Error{path + ": the header has number " + std::to_string(header->number) + ", the file name " +
                     std::to_string(number)};
    }
    if (header->store_id != store_id) return Error{path + ": this segment belongs to another store"};
    if (header->capacity != static_cast<uint64_t>(size)) {
        return Error{path + ": the file has " + std::to_string(size) + " bytes, its header says " +
                     std::to_string(header->capacity)};
    }
    segment->header = *header;
    segment->next_sequence = header->first_sequence;
    segment->next_position = header->first_position;
    return segment;
}

struct Names {
    std::vector<uint64_t> numbers;
    std::vector<std::string> spares;
};

Result<Names> list_directory(FileSystem& file_system, const std::string& directory) {
    std::vector<std::string> names;
    if (const int code = file_system.list(directory, names); code != 0) return io_failure(directory, code);
    Names out;
    for (const std::string& name : names) {
        if (const auto number = segment_number(name)) {
            out.numbers.push_back(*number);
        } else if (name.rfind("spare-", 0) == 0) {
            out.spares.push_back(directory + "/" + name);
        } else if (name.rfind("new-", 0) == 0) {
            // Left by a crash while it was being made.
            if (const int code = file_system.remove(directory + "/" + name); code != 0)
                return io_failure(directory + "/" + name, code);
        }
    }
    std::sort(out.numbers.begin(), out.numbers.end());
    for (size_t i = 1; i < out.numbers.size(); ++i) {
        if (out.numbers[i] != out.numbers[i - 1] + 1) {
            return Error{directory + ": log segment " + segment_path("", out.numbers[i - 1] + 1).substr(1) +
                         " is missing: the log has segments before and after it"};
        }
    }
    return out;
}

// Reads one segment from `offset` to its end. `last`: the log may end here.
class SegmentScan {
public:
    SegmentScan(Segment& segment, uint64_t offset, uint64_t sequence, uint64_t position)
        : segment_(segment), reader_(segment, offset, segment.header.capacity) {
        segment.end_offset = offset;
        segment.next_sequence = sequence;
        segment.next_position = position;
        segment.marks_complete = offset == segment_header_size;
        segment.scanned = true;
    }

    Result<void> run(uint64_t sequence_end, const RecordVisitor& visitor, RecoveredLog& out) {
        RecordAt record;
        while (segment_.next_sequence != sequence_end) {
            const auto step = reader_.next(segment_.next_sequence, record);
            if (step == SegmentReader::Step::io_error) return Error{reader_.error()};
            if (step == SegmentReader::Step::stop) return {};
            if (segment_.marks_complete) {
                add_mark(segment_.marks, {segment_.next_position, record.header.sequence, record.offset});
            }
            if (record.header.synced_sequence > synced_) {
                synced_ = record.header.synced_sequence;
                batch_offset_ = record.offset;
            } else if (batch_offset_ == 0) {
                batch_offset_ = record.offset;
            }
            if (auto visited = visitor(segment_, record); !visited) return visited.error();
            segment_.end_offset = reader_.offset();
            segment_.next_sequence += 1;
            out.records_read += 1;
            out.bytes_read += record_size(record.header.length);
        }
        return {};
    }

    // The last segment: is what follows the end damage or an unfinished tail?
    Result<void> judge_tail(uint64_t sequence_known, RecoveredLog& out) {
        const auto later = reader_.find_later();
        if (!reader_.error().empty()) return Error{reader_.error()};
        const uint64_t missing = segment_.next_sequence;
        const std::string place = segment_.path + ": log record " + std::to_string(missing) + " at offset " +
                                  std::to_string(segment_.end_offset) + " is damaged: ";
        if (later && *later >= missing) {
            return Error{place + "a later record says that everything up to record " + std::to_string(*later) +
                         " was on stable storage"};
        }
        if (sequence_known >= missing) {
            return Error{place + "the snapshots were written when the log was on stable storage up to record " +
                         std::to_string(sequence_known)};
        }
        if (later) {
            out.seal_last = true;
            out.remark = segment_.path + ": dropped an unfinished batch after log record " +
                         std::to_string(missing - 1) + "; it was never acknowledged";
        }
        return {};
    }

    // Writes the last batch again and syncs it.
    Result<void> settle_tail() {
        if (batch_offset_ == 0 || batch_offset_ >= segment_.end_offset) return {};
        std::string bytes(static_cast<size_t>(segment_.end_offset - batch_offset_), '\0');
        int code = read_fully(*segment_.file, batch_offset_, bytes.data(), bytes.size());
        if (code == 0) code = write_fully(*segment_.file, batch_offset_, bytes);
        if (code == 0) code = segment_.file->sync();
        if (code != 0) return io_failure(segment_.path + ": making the last batch durable again", code);
        return {};
    }

private:
    Segment& segment_;
    SegmentReader reader_;
    uint64_t synced_ = 0;
    uint64_t batch_offset_ = 0;  // of the first record of the newest batch seen; 0 = none
};

}  // namespace

Result<RecoveredLog> recover_log(FileSystem& file_system, const LogRecoveryRequest& request, SegmentList& segments,
                                 const RecordVisitor& visitor) {
    auto names = list_directory(file_system, request.directory);
    if (!names) return names.error();
    RecoveredLog out;
    out.spares = std::move(names->spares);
    for (const uint64_t number : names->numbers) {
        auto segment = open_segment(file_system, segment_path(request.directory, number), number, request.store_id);
        if (!segment) return segment.error();
        segments.push_back(std::move(*segment));
    }
    const auto missing = [&](uint64_t number) {
        return Error{segment_path(request.directory, number) + ": this log segment is missing; the snapshots need it"};
    };
    if (segments.empty() || request.start.segment < segments.front()->header.number ||
        request.start.segment > segments.back()->header.number) {
        return missing(request.start.segment);
    }
    LogPoint point = request.start;
    for (size_t i = 0; i < segments.size(); ++i) {
        Segment& segment = *segments[i];
        const bool last = i + 1 == segments.size();
        if (segment.header.number < request.start.segment) continue;
        if (segment.header.number == request.start.segment) {
            if (point.offset > segment.header.capacity || point.sequence < segment.header.first_sequence ||
                point.position < segment.header.first_position) {
                return Error{segment.path + ": the snapshots were written with another log: they expect record " +
                             std::to_string(point.sequence) + ", the segment begins with record " +
                             std::to_string(segment.header.first_sequence)};
            }
        } else {
            if (segment.header.first_sequence != point.sequence || segment.header.first_position != point.position) {
                return Error{segments[i - 1]->path + ": log record " + std::to_string(point.sequence) + " at offset " +
                             std::to_string(segments[i - 1]->end_offset) + " is damaged: the log goes on in " +
                             segment.path + " with record " + std::to_string(segment.header.first_sequence)};
            }
            point.offset = segment_header_size;
        }
        const uint64_t sequence_end = last ? 0 : segments[i + 1]->header.first_sequence;
        SegmentScan scan(segment, point.offset, point.sequence, point.position);
        if (auto done = scan.run(sequence_end, visitor, out); !done) return done.error();
        if (last) {
            const bool as_closed = request.closed && segment.next_sequence == request.sequence_known + 1;
            if (!as_closed) {
                if (auto judged = scan.judge_tail(request.sequence_known, out); !judged) return judged.error();
                if (auto settled = scan.settle_tail(); !settled) return settled.error();
            }
        }
        point = {segment.header.number + 1, segment_header_size, segment.next_sequence, segment.next_position};
    }
    return out;
}

int write_segment_header(File& file, const SegmentHeader& header) {
    const int code = write_fully(file, 0, encode_segment_header(header));
    return code != 0 ? code : file.sync();
}

}  // namespace meridian::store_kv
