// Files ready to become log segments: preallocated, or recycled from segments that are no longer needed. Writing over
// blocks that have been written before makes a sync cheaper than writing into fresh ones, so new files are filled with
// zeros.
//
// Threads: any; the pool has a lock of its own, which is not held during I/O.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "file_system.h"

namespace meridian::store_kv {

constexpr uint64_t fill_size = 1 << 20;

struct Spare {
    std::string path;
    std::unique_ptr<File> file;
};

class SparePool {
public:
    SparePool(FileSystem& file_system, std::string directory, uint64_t segment_size, size_t count_max)
        : file_system_(file_system),
          directory_(std::move(directory)),
          segment_size_(segment_size),
          count_max_(count_max) {}

    // Takes over files that were found at open; those of another size, or too many, are removed.
    void adopt(const std::vector<std::string>& paths);
    // A spare of segment_size, if there is one.
    bool take(Spare& out);
    // Makes one of any size at once, without filling it. 0 or a negative errno; on an error nothing is left behind.
    int make(uint64_t size, Spare& out);
    // Fills one of segment_size with zeros.
    int fill(Spare& spare) {
        return fill_until(spare, [] { return false; });
    }
    // Makes one, filled, for later. Stops early when `stop` answers true. 0 or a negative errno.
    template <class Stop>
    int refill(const Stop& stop);
    // The file of a segment that is no longer needed: keeps it under a spare's name. False: the caller removes it.
    // True: `code` is of the sync of the directory, before which nobody may write into it: until then it is still the
    // segment.
    bool recycle(const std::string& path, std::unique_ptr<File>& file, int& code);

    size_t count() const;
    size_t count_max() const { return count_max_; }
    uint64_t bytes() const { return count() * segment_size_; }

private:
    template <class Stop>
    int fill_until(Spare& spare, const Stop& stop) {
        for (uint64_t offset = 0; offset < segment_size_ && !stop(); offset += fill_size) {
            if (const int code = fill_part(*spare.file, offset); code != 0) return code;
        }
        return 0;
    }
    int fill_part(File& file, uint64_t offset);
    int keep(Spare spare);
    // A name that no file of the pool has, nor one that was found at open.
    std::string fresh_path(const char* kind);

    FileSystem& file_system_;
    const std::string directory_;
    const uint64_t segment_size_;
    const size_t count_max_;
    mutable std::mutex mutex_;
    std::vector<Spare> spares_;  // guarded by mutex_
    uint64_t names_used_ = 0;    // guarded by mutex_
};

template <class Stop>
int SparePool::refill(const Stop& stop) {
    Spare spare;
    if (const int code = make(segment_size_, spare); code != 0) return code;
    if (const int code = fill_until(spare, stop); code != 0) {
        file_system_.remove(spare.path);
        return code;
    }
    return keep(std::move(spare));
}

}  // namespace meridian::store_kv
