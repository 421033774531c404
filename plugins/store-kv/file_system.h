// The files of the log, as an interface, so that tests can make every call fail. LMDB does its own I/O.
//
// Calls return 0 or a count, or a negative errno. Threads: one File may be read by several threads while one writes;
// a FileSystem may be used by any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace meridian::store_kv {

class File {
public:
    virtual ~File() = default;
    // As pread and pwrite: may do less than asked.
    virtual int64_t read(uint64_t offset, void* out, size_t size) = 0;
    virtual int64_t write(uint64_t offset, const void* data, size_t size) = 0;
    // fdatasync. Never to be repeated after it failed: the system may have dropped what it could not write.
    virtual int sync() = 0;
    // Reserves disk space for the first `size` bytes, which read as zeros, and sets the size.
    virtual int allocate(uint64_t size) = 0;
    virtual int64_t size() = 0;
};

class FileSystem {
public:
    virtual ~FileSystem() = default;
    virtual int open(const std::string& path, std::unique_ptr<File>& out) = 0;
    // The file must not exist. Mode 0600.
    virtual int create(const std::string& path, std::unique_ptr<File>& out) = 0;
    virtual int rename(const std::string& from, const std::string& to) = 0;
    virtual int remove(const std::string& path) = 0;
    // Mode 0700. -EEXIST if it exists.
    virtual int make_directory(const std::string& path) = 0;
    // Makes creations, renames and removals in the directory durable.
    virtual int sync_directory(const std::string& path) = 0;
    // Names without "." and "..", in no order.
    virtual int list(const std::string& path, std::vector<std::string>& out) = 0;
    // Bytes that we may still allocate where `path` is.
    virtual int64_t free_bytes(const std::string& path) = 0;
};

// The real one; lives as long as the process.
FileSystem& real_file_system();

// Everything or a negative errno; end of file while reading is -ENODATA.
int read_fully(File& file, uint64_t offset, void* out, size_t size);
int write_fully(File& file, uint64_t offset, std::string_view bytes);

// "No space left on device (28)" for -28.
std::string error_text(int64_t negative_errno);

// The directory that holds `path`, whether or not that ends with slashes.
std::string parent_of(const std::string& path);

}  // namespace meridian::store_kv
