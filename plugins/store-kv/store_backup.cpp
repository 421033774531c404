// Backup while the store is in use: the database of one moment, and the log from that moment's recovery point on.
//
// The segments are pinned before the database is copied, so the log that is copied begins where that database, or an
// older one, needs it, and ends at or after what the database knows to be durable.
#include <fcntl.h>
#include <unistd.h>
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

// Receives LMDB's copy from a pipe and writes it in pieces, each synced.
class PacedCopy {
public:
    PacedCopy(const std::string& path, const std::atomic<bool>& stopping) : path_(path), stopping_(stopping) {}
    ~PacedCopy() {
        for (const int descriptor : {ends_[0], ends_[1]}) {
            if (descriptor >= 0) ::close(descriptor);
        }
    }
    PacedCopy(const PacedCopy&) = delete;
    PacedCopy& operator=(const PacedCopy&) = delete;

    Result<void> run(const SnapshotDb& database) {
        if (::pipe2(ends_, O_CLOEXEC) != 0) return Error{path_ + ": " + error_text(-errno)};
        std::unique_ptr<File> file;
        if (const int code = real_file_system().create(path_, file); code != 0) return failure(code);
        std::thread producer([&] {
            copied_ = database.copy_to(ends_[1]);
            ::close(std::exchange(ends_[1], -1));
        });
        int code = consume(*file);
        // Without a reader the producer's write fails instead of waiting for ever; LMDB blocks SIGPIPE for it.
        ::close(std::exchange(ends_[0], -1));
        producer.join();
        if (code != 0) return failure(code);
        return copied_;
    }

private:
    Error failure(int code) const { return Error{path_ + ": " + error_text(code)}; }

    int consume(File& file) {
        std::string buffer(piece_size, '\0');
        uint64_t offset = 0;
        for (bool end = false; !end;) {
            size_t filled = 0;
            while (filled < buffer.size() && !end) {
                const ssize_t count = ::read(ends_[0], buffer.data() + filled, buffer.size() - filled);
                if (count < 0 && errno == EINTR) continue;
                if (count < 0) return -errno;
                end = count == 0;
                filled += static_cast<size_t>(count);
            }
            if (stopping_) return -ECANCELED;
            int code = write_fully(file, offset, std::string_view(buffer).substr(0, filled));
            if (code == 0) code = file.sync();
            if (code != 0) return code;
            offset += filled;
            std::this_thread::sleep_for(pause);
        }
        return 0;
    }

    const std::string path_;
    const std::atomic<bool>& stopping_;
    int ends_[2] = {-1, -1};
    Result<void> copied_;
};

struct Piece {
    std::shared_ptr<Segment> segment;
    uint64_t end_offset = 0;
};

Result<void> copy_segment(const Piece& piece, const std::string& path, const std::atomic<bool>& stopping) {
    const auto failure = [&](int code) { return Error{path + ": " + error_text(code)}; };
    std::unique_ptr<File> file;
    if (const int code = real_file_system().create(path, file); code != 0) return failure(code);
    // The rest of the file reads as zeros: what a recycled one held before is left behind.
    if (const int code = file->allocate(piece.segment->header.capacity); code != 0) return failure(code);
    std::string buffer;
    for (uint64_t offset = 0; offset < piece.end_offset; offset += piece_size) {
        if (stopping) return failure(-ECANCELED);
        buffer.resize(static_cast<size_t>(std::min(piece_size, piece.end_offset - offset)));
        int code = read_fully(*piece.segment->file, offset, buffer.data(), buffer.size());
        if (code == 0) code = write_fully(*file, offset, buffer);
        if (code == 0) code = file->sync();
        if (code != 0) return failure(code);
        std::this_thread::sleep_for(pause);
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
    if (auto copied = PacedCopy(target + "/snapshots/data.mdb", stopping_).run(*database_); !copied) return copied;

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
