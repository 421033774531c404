// Opens the log directory: finds its segments, checks that they belong together, reads the records that are not known
// to be covered yet, and decides where the log ends.
//
// Where it ends: one batch of records is in flight at a time, so a crash can damage only the last batch. Each record
// says up to which sequence the log was on stable storage when it was written. If what stops the reading is followed by
// an intact record that says that the missing one was on stable storage, the log is damaged and opening fails;
// otherwise it is the unfinished tail, which nobody was told about.
//
// After a clean close the snapshot database says where the log ends, and nothing is searched for.
//
// What was written before a failed sync may sit in the page cache only: the last batch is therefore written and
// synced again before it counts.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "segment.h"

namespace meridian::store_kv {

// A point of the log: before it, everything is in the snapshot database.
struct LogPoint {
    uint64_t segment = 1;
    uint64_t offset = segment_header_size;
    uint64_t sequence = 1;  // of the record there, or of the next one to be written
    uint64_t position = 1;
};

struct LogRecoveryRequest {
    std::string directory;
    StoreId store_id{};
    LogPoint start;               // as the snapshot database says
    uint64_t sequence_known = 0;  // the snapshot database knows of records up to this one
    bool closed = false;          // and nothing was written after it
};

struct RecoveredLog {
    std::vector<std::string> spares;  // paths of preallocated files
    bool seal_last = false;           // remains of an unfinished batch lie behind the end: go on in a new segment
    uint64_t records_read = 0;
    uint64_t bytes_read = 0;
    std::string remark;  // for the log, if there was an unfinished tail
};

// Called for each record read, in order; moves segment.next_position past the record's entries.
using RecordVisitor = std::function<Result<void>(Segment& segment, const RecordAt& record)>;

// Fills `segments` with all segments of the directory, which must be empty before, and reads those from request.start
// on. REQUIRES: nobody else uses `segments` yet.
Result<RecoveredLog> recover_log(FileSystem& file_system, const LogRecoveryRequest& request, SegmentList& segments,
                                 const RecordVisitor& visitor);

// Writes the file for a segment and makes it durable, under a name that is not yet a segment's. `file` is a new or
// spare file of header.capacity bytes.
int write_segment_header(File& file, const SegmentHeader& header);

}  // namespace meridian::store_kv
