// Backup while the store is in use: the database of one moment, and the log from that moment's recovery point on.
//
// The segments are pinned before the database is copied, so the log that is copied begins where that database, or an
// older one, needs it, and ends at or after what the database knows to be durable.
#include <cerrno>

#include <chrono>
#include <filesystem>
#include <thread>

#include "store.h"

namespace meridian::store_kv {
namespace {

constexpr uint64_t piece_size = 128 << 10;
// Between two pieces the disk belongs to the commits.
constexpr auto pause = std::chrono::milliseconds(4);

// Writes a file in pieces, each synced.
class PacedFile {
public:
    PacedFile(std::string path, const std::atomic<bool>& stopping) : path_(std::move(path)), stopping_(stopping) {}

    // With a capacity, the rest of the file reads as zeros.
    Result<void> create(uint64_t capacity) {
        int code = real_file_system().create(path_, file_);
        if (code == 0 && capacity != 0) code = file_->allocate(capacity);
        return result(code);
    }
    Result<void> append(std::string_view piece) {
        if (stopping_) return result(-ECANCELED);
        int code = write_fully(*file_, offset_, piece);
        if (code == 0) code = file_->sync();
        offset_ += piece.size();
        if (code == 0) std::this_thread::sleep_for(pause);
        return result(code);
    }

private:
    Result<void> result(int code) const {
        return code == 0 ? Result<void>() : Result<void>(Error{path_ + ": " + error_text(code)});
    }

    const std::string path_;
    const std::atomic<bool>& stopping_;
    std::unique_ptr<File> file_;
    uint64_t offset_ = 0;
};

Result<void> copy_database(const SnapshotDb& database, const std::string& path, const std::atomic<bool>& stopping) {
    const auto transaction = database.read();
    if (!transaction) return transaction.error();
    PacedFile file(path, stopping);
    if (auto created = file.create(0); !created) return created;
    return transaction->copy(piece_size, [&](std::string_view piece) { return file.append(piece); });
}

struct Piece {
    std::shared_ptr<Segment> segment;
    uint64_t end_offset = 0;
};

Result<void> copy_segment(const Piece& piece, const std::string& path, const std::atomic<bool>& stopping) {
    PacedFile file(path, stopping);
    // What a recycled segment held before is left behind.
    if (auto created = file.create(piece.segment->header.capacity); !created) return created;
    std::string buffer;
    for (uint64_t offset = 0; offset < piece.end_offset; offset += piece_size) {
        buffer.resize(static_cast<size_t>(std::min(piece_size, piece.end_offset - offset)));
        if (const int code = read_fully(*piece.segment->file, offset, buffer.data(), buffer.size()); code != 0)
            return Error{piece.segment->path + ": " + error_text(code)};
        if (auto appended = file.append(buffer); !appended) return appended;
    }
    return {};
}

}  // namespace

meridian_status KvStore::backup(std::string_view target, abi::StatusSink sink) {
    if (target.empty()) return MERIDIAN_INVALID;
    return backups_.submit([this, sink, target = std::string(target)](bool cancelled) {
        if (cancelled) return sink.done(MERIDIAN_CANCELLED);
        Result<void> copied = Error{"out of memory during the backup"};
        abi::guarded(nullptr, [&]() -> meridian_status {
            copied = copy_to(target);
            return MERIDIAN_OK;
        });
        {
            const std::lock_guard lock(state_mutex_);
            backup_pin_ = 0;
        }
        wake_upkeep();
        sink.done(copied ? MERIDIAN_OK : MERIDIAN_IO, copied ? "" : copied.error().message);
    });
}

Result<void> KvStore::copy_to(const std::string& target) {
    if (const int code = real_file_system().make_directory(target); code != 0)
        return Error{target + ": " + error_text(code)};
    Result<void> copied = fill_copy(target);
    if (copied) return copied;
    // Half a backup is of no use, and its disk may be the one that the log needs.
    std::error_code ignored;
    std::filesystem::remove_all(target, ignored);
    return copied;
}

Result<void> KvStore::fill_copy(const std::string& target) {
    {
        // Everything that is kept now stays until the copy is made.
        const std::lock_guard lock(state_mutex_);
        backup_pin_ = segments_.front()->header.number;
    }
    FileSystem& files = real_file_system();
    for (const std::string& directory : {target + "/snapshots", target + "/log"}) {
        if (const int code = files.make_directory(directory); code != 0)
            return Error{directory + ": " + error_text(code)};
    }
    if (auto copied = copy_database(*database_, target + "/snapshots/data.mdb", stopping_); !copied) return copied;

    std::vector<Piece> pieces;
    {
        const std::lock_guard lock(state_mutex_);
        for (size_t i = 0; i < segments_.size(); ++i) {
            const bool last = i + 1 == segments_.size();
            // Of an older segment all is copied: where its records end is not always known.
            pieces.push_back({segments_[i], last ? segments_[i]->end_offset : segments_[i]->header.capacity});
        }
    }
    for (const Piece& piece : pieces) {
        const std::string path = segment_path(target + "/log", piece.segment->header.number);
        if (auto copied = copy_segment(piece, path, stopping_); !copied) return copied;
    }
    for (const std::string& directory : {target + "/log", target + "/snapshots", target}) {
        if (const int code = files.sync_directory(directory); code != 0)
            return Error{directory + ": " + error_text(code)};
    }
    // Last: without it the copy is not a store.
    if (auto written = DataDirectory::write_format(target, directory_->store_id()); !written) return written;
    const std::string parent = parent_of(target);
    if (const int code = files.sync_directory(parent); code != 0) return Error{parent + ": " + error_text(code)};
    return {};
}

}  // namespace meridian::store_kv
