// The data directory: who may use it, and what it holds.
//
//   LOCK        locked while a process uses the directory; holds the process id, for the refusal
//   FORMAT      three lines: what this is, the format version, the store id
//   log/        docs/LOG-FORMAT.md
//   snapshots/  LMDB, docs/STORE-KV.md
//
// Threads: one.
#pragma once

#include <string>

#include "base/result.h"
#include "record.h"

namespace meridian::store_kv {

constexpr unsigned directory_format = 1;

class DataDirectory {
public:
    // Makes the directory if it does not exist (its parent must), closes it to other users, locks it, reads or writes
    // FORMAT. `fresh_id` is used for a new store. Throws abi::Failure if another process uses the directory
    // (MERIDIAN_IN_USE) or a newer version has written it (MERIDIAN_NEWER_FORMAT); what else fails is MERIDIAN_IO.
    static Result<DataDirectory> open(const std::string& path, const StoreId& fresh_id);
    // Writes FORMAT alone into a directory, for backups.
    static Result<void> write_format(const std::string& path, const StoreId& store_id);

    DataDirectory(DataDirectory&& other) noexcept;
    DataDirectory& operator=(DataDirectory&&) = delete;
    ~DataDirectory();

    const std::string& path() const { return path_; }
    std::string log_path() const { return path_ + "/log"; }
    std::string snapshots_path() const { return path_ + "/snapshots"; }
    const StoreId& store_id() const { return store_id_; }
    bool was_open_to_others() const { return was_open_to_others_; }

private:
    DataDirectory() = default;
    Result<void> lock();

    std::string path_;
    StoreId store_id_{};
    int lock_ = -1;
    bool was_open_to_others_ = false;
};

std::string hexadecimal(const StoreId& id);

}  // namespace meridian::store_kv
