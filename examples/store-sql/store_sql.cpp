// A store on an SQL database, here SQLite through Poco Data; the statements are in database.cpp.
//
// One thread owns the database and does what submits ask for. Groups that wait when it comes to them are written in one
// transaction: the sync of that transaction is the cost of them all. What calls on other threads need is in atomics, or
// under a mutex that is never held during a statement.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <Poco/Data/SQLite/SQLiteException.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <memory>

#include "database.h"

namespace store_sql {
namespace {

using namespace meridian::abi;
namespace sqlite = Poco::Data::SQLite;

constexpr size_t tasks_max = 4096;
constexpr uint64_t waiting_bytes_max = 64 << 20;
constexpr uint64_t page_count_max = 10'000;
constexpr uint64_t drop_count_max = 1'000;  // log entries deleted in one transaction

void sync_directory(const std::string& path) {
    const int directory = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = directory >= 0 && ::fsync(directory) == 0;
    const int code = errno;
    if (directory >= 0) ::close(directory);
    if (!synced) throw Failure(MERIDIAN_IO, path + ": " + std::strerror(code));
}

// Held while the store is open, with the holder's process id in it: SQLite would refuse a second process too, but could
// not say who the first is.
class LockFile {
public:
    explicit LockFile(const std::string& path) : file_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
        if (file_ < 0) throw Failure(MERIDIAN_IO, path + ": " + std::strerror(errno));
        char holder[32] = "";
        if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
            const bool read = ::pread(file_, holder, sizeof holder - 1, 0) > 0;
            ::close(file_);
            throw Failure(MERIDIAN_IN_USE, path + ": in use by process " + (read ? holder : "unknown"));
        }
        const int size = std::snprintf(holder, sizeof holder, "%d", static_cast<int>(::getpid()));
        if (::ftruncate(file_, 0) != 0 || ::pwrite(file_, holder, static_cast<size_t>(size), 0) != size) {
            const int code = errno;
            ::close(file_);
            throw Failure(MERIDIAN_IO, path + ": " + std::strerror(code));
        }
    }
    ~LockFile() { ::close(file_); }
    LockFile(const LockFile&) = delete;
    LockFile& operator=(const LockFile&) = delete;

private:
    const int file_;
};

std::string make_directory(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) == 0) {
        sync_directory(std::filesystem::absolute(path).parent_path().string());
    } else if (errno != EEXIST) {
        throw Failure(MERIDIAN_IO, path + ": " + std::strerror(errno));
    }
    return path;
}

// Opens the database in its directory. The names of new files are on the disk when this returns.
std::unique_ptr<Database> open_database(Host host, const std::string& directory) {
    StoreId fresh_id{};
    host.random(fresh_id.data(), fresh_id.size());
    const std::string file = directory + "/store.db";
    try {
        auto database = std::make_unique<Database>(file, fresh_id);
        sync_directory(directory);
        return database;
    } catch (const sqlite::DBLockedException&) {
        throw Failure(MERIDIAN_IN_USE, file + ": another process has it open");
    } catch (const Poco::Exception& error) { throw Failure(MERIDIAN_IO, file + ": " + error.displayText()); }
}

// Of a failed read.
meridian_status status_of(const Poco::Exception& error) {
    return dynamic_cast<const sqlite::CorruptImageException*>(&error) != nullptr ? MERIDIAN_CORRUPT : MERIDIAN_IO;
}

class SqlStore {
public:
    SqlStore(Host host, const Config& config)
        : host_(host),
          log_bytes_max_(static_cast<uint64_t>(config.integer("log_bytes_max"))),
          directory_(make_directory(std::string(config.text("directory")))),
          lock_(directory_ + "/LOCK"),
          database_(open_database(host, directory_)),
          opening_next_position_(database_->next_position()),
          opening_floor_(database_->floor()),
          stale_(database_->stale_keys()) {
        for (const auto& [position, name] : stale_) oldest_.emplace(name, position);
        publish();
        queue_.start(1);
    }

    void stop(uint64_t deadline_us) { queue_.stop(host_, deadline_us); }

    void opening(meridian_store_opening& out) const noexcept {
        out.created = database_->created() ? 1 : 0;
        std::copy(database_->store_id().begin(), database_->store_id().end(), out.store_id);
        out.next_position = opening_next_position_;
        out.floor = opening_floor_;
    }
    void usage(meridian_store_usage& out) const noexcept {
        out.failed = failed_ ? 1 : 0;
        out.log_bytes = log_bytes_;
        out.log_bytes_since_checkpoint = stale_bytes_;
        out.log_bytes_available = failed_ ? 0 : log_bytes_max_ - std::min<uint64_t>(log_bytes_max_, log_bytes_);
    }

    meridian_status commit(const meridian_commit_group& group, StatusSink sink) {
        CommitJob job{Group(group), sink};
        const std::lock_guard lock(mutex_);
        if (waiting_.empty()) {
            const meridian_status status = queue_.submit([this](bool) { write_waiting(); });
            if (status != MERIDIAN_OK) return status;
        } else if (waiting_bytes_ + job.group.bytes > waiting_bytes_max) {
            return MERIDIAN_BUSY;
        }
        waiting_bytes_ += job.group.bytes;
        waiting_.push_back(std::move(job));
        return MERIDIAN_OK;
    }

    meridian_status read_keys(const meridian_key_name* names, uint64_t count, KeyRecordSink sink) {
        return submit(sink, [this, sink, wanted = copy_names(names, count)] {
            for (const Name& name : wanted) {
                try {
                    const KeyRow row = database_->read(name);
                    std::vector<meridian_bytes> tail;
                    for (const std::string& payload : row.tail) tail.push_back(bytes(payload));
                    sink.record(name.borrowed(), row.state, row.position, tail, row.tail_position);
                } catch (const Poco::Exception& error) {
                    sink.failed(name.borrowed(), status_of(error), error.displayText());
                }
            }
            sink.done(MERIDIAN_OK);
        });
    }

    meridian_status checkpoint(const meridian_snapshot_write* snapshots, uint64_t count, StatusSink sink) {
        return submit(sink, [this, sink, copy = copy_snapshots(snapshots, count, durable_position_)] {
            std::string message;
            const meridian_status status = transaction(message, [&] {
                for (const Snapshot& snapshot : copy) database_->write(snapshot);
            });
            if (status == MERIDIAN_OK) {
                for (const Snapshot& snapshot : copy) refresh_stale(snapshot.name);
            }
            sink.done(status, message);
            drop_entries();
        });
    }

    void stale_keys(uint64_t count_max, const std::function<void(std::string_view, std::string_view)>& name) const {
        const std::lock_guard lock(mutex_);
        for (auto at = stale_.begin(); at != stale_.end() && count_max != 0; ++at, --count_max)
            name(at->second.namespace_name, at->second.key);
    }

    void retain_from(uint64_t position) {
        if (raise(retain_from_, position)) queue_.submit([this](bool) { drop_entries(); });
    }

    meridian_status read_log(uint64_t from_position, uint64_t entries_max, uint64_t bytes_max, LogSink sink) {
        return submit(sink, [=, this] {
            if (from_position < database_->floor()) return sink.gone(database_->floor());
            uint64_t next = from_position;
            uint64_t size = 0;
            database_->read_log(from_position, entries_max, [&](const Entry& entry) {
                size += entry.payload.size();
                if (size > bytes_max && next != from_position) return false;
                sink.entry(entry.borrowed());
                next = entry.position + 1;
                return true;
            });
            sink.done(MERIDIAN_OK, {}, next);
        });
    }

    meridian_status scan_keys(std::string_view of, const meridian_key_name* after, uint64_t count_max, NameSink sink) {
        std::optional<Name> start;
        if (after != nullptr) start.emplace(*after);
        return submit(sink, [=, this, in_namespace = std::string(of)] {
            const uint64_t count = std::min(count_max, page_count_max);
            const std::vector<Name> names = database_->names(in_namespace, start, count + 1);
            for (size_t i = 0; i < std::min<size_t>(names.size(), count); ++i)
                sink.name(names[i].namespace_name, names[i].key);
            sink.done(MERIDIAN_OK, {}, names.size() > count);
        });
    }

    meridian_status scan_due(uint64_t until_ms, uint64_t count_max, NameSink sink) {
        return submit(sink, [=, this] {
            const uint64_t count = std::min(count_max, page_count_max);
            const auto due = database_->due(until_ms, count + 1);
            for (size_t i = 0; i < std::min<size_t>(due.size(), count); ++i)
                sink.name(due[i].second.namespace_name, due[i].second.key, due[i].first);
            sink.done(MERIDIAN_OK, {}, due.size() > count);
        });
    }

    meridian_status read_metadata(const meridian_bytes* names, uint64_t count, MetadataSink sink) {
        return submit(sink, [this, sink, wanted = copy_metadata_names(names, count)] {
            std::vector<std::optional<std::string>> values;
            for (const std::string& name : wanted) values.push_back(database_->value(name));
            for (size_t i = 0; i < wanted.size(); ++i) sink.value(wanted[i], values[i]);
            sink.done(MERIDIAN_OK);
        });
    }

    meridian_status scan_metadata(std::string_view of, std::string_view after, uint64_t count_max, MetadataSink sink) {
        return submit(sink, [=, this, prefix = std::string(of), last = std::string(after)] {
            for (const auto& [name, value] : database_->values(prefix, last, std::min(count_max, page_count_max)))
                sink.value(name, value);
            sink.done(MERIDIAN_OK);
        });
    }

private:
    struct CommitJob {
        Group group;
        StatusSink sink;
        meridian_status status = MERIDIAN_OK;
    };

    // Runs `work` on the queue's thread. It calls the sink's `done`, unless it throws before.
    template <class Sink, class Work>
    meridian_status submit(Sink sink, Work work) {
        return queue_.submit([this, sink, work](bool cancelled) {
            if (cancelled) return sink.done(MERIDIAN_CANCELLED);
            try {
                work();
            } catch (const Poco::Exception& error) {
                sink.done(status_of(error), error.displayText());
            } catch (const std::exception& error) { sink.done(MERIDIAN_INTERNAL, error.what()); }
        });
    }

    // All that `work` writes, durable or not at all.
    template <class Work>
    meridian_status transaction(std::string& message, Work work) {
        if (failed_) {
            message = "an earlier write failed";
            return MERIDIAN_READ_ONLY;
        }
        bool committing = false;
        meridian_status status = MERIDIAN_OK;
        try {
            database_->begin();
            work();
            committing = true;
            database_->commit();
            publish();
            return MERIDIAN_OK;
        } catch (const sqlite::DatabaseFullException& error) {
            // The record that ends a transaction is the last to be written: what did not fit is not committed.
            status = MERIDIAN_NO_SPACE;
            message = error.displayText();
        } catch (const Poco::Exception& error) {
            status = committing ? MERIDIAN_OUTCOME_UNKNOWN : MERIDIAN_READ_ONLY;
            message = error.displayText();
        } catch (const std::exception& error) {
            status = committing ? MERIDIAN_OUTCOME_UNKNOWN : MERIDIAN_READ_ONLY;
            message = error.what();
        }
        database_->rollback();
        if (status != MERIDIAN_NO_SPACE) {
            failed_ = true;
            host_.log(MERIDIAN_LOG_ERROR, message + "; the store takes no more writes until the node is restarted");
        }
        return status;
    }

    void write_waiting() {
        std::vector<CommitJob> jobs;
        {
            const std::lock_guard lock(mutex_);
            jobs.swap(waiting_);
            waiting_bytes_ = 0;
        }
        uint64_t position = database_->next_position();
        uint64_t size = database_->log_bytes();
        size_t count = 0;
        for (CommitJob& job : jobs) {
            const auto& entries = job.group.entries;
            if (!entries.empty() && entries.front().position != position)
                job.status = MERIDIAN_INVALID;
            else if (size + job.group.bytes > log_bytes_max_)
                job.status = MERIDIAN_NO_SPACE;
            if (job.status != MERIDIAN_OK) continue;
            position += entries.size();
            size += job.group.bytes;
            count += 1;
        }
        std::string message;
        meridian_status status = MERIDIAN_OK;
        if (count != 0) {
            status = transaction(message, [&] {
                for (const CommitJob& job : jobs) {
                    if (job.status != MERIDIAN_OK) continue;
                    for (const Entry& entry : job.group.entries) database_->append(entry);
                    for (const MetadataWrite& write : job.group.metadata) database_->write(write);
                }
            });
        }
        for (const CommitJob& job : jobs) {
            if (job.status == MERIDIAN_OK && status == MERIDIAN_OK) add_stale(job.group);
            if (job.status == MERIDIAN_OK) {
                job.sink.done(status, message);
            } else if (job.status == MERIDIAN_INVALID) {
                job.sink.done(MERIDIAN_INVALID, "the group begins at position " +
                                                    std::to_string(job.group.entries.front().position) +
                                                    ", which does not follow the log");
            } else {
                job.sink.done(MERIDIAN_NO_SPACE, "log_bytes_max is " + std::to_string(log_bytes_max_));
            }
        }
    }

    void add_stale(const Group& group) {
        const std::lock_guard lock(mutex_);
        for (const Entry& entry : group.entries) {
            if (oldest_.emplace(entry.name, entry.position).second) stale_.emplace(entry.position, entry.name);
        }
    }

    // After a checkpoint of the key.
    void refresh_stale(const Name& name) {
        const uint64_t oldest = database_->oldest_stale(name);
        const std::lock_guard lock(mutex_);
        if (const auto found = oldest_.find(name); found != oldest_.end()) {
            stale_.erase(found->second);
            oldest_.erase(found);
        }
        if (oldest == 0) return;
        oldest_.emplace(name, oldest);
        stale_.emplace(oldest, name);
    }

    // Some of the entries that are covered by states and not retained; then the queue has the next turn.
    void drop_entries() {
        uint64_t end = std::min<uint64_t>(retain_from_, database_->next_position());
        {
            const std::lock_guard lock(mutex_);
            if (!stale_.empty()) end = std::min(end, stale_.begin()->first);
        }
        if (database_->floor() >= end || failed_) return;
        std::string message;
        const meridian_status status = transaction(message, [&] { database_->drop_below(end, drop_count_max); });
        if (status == MERIDIAN_OK && database_->floor() < end) queue_.submit([this](bool) { drop_entries(); });
    }

    // What other threads may see of the database.
    void publish() {
        durable_position_ = database_->next_position() - 1;
        log_bytes_ = database_->log_bytes();
        stale_bytes_ = database_->stale_bytes();
    }

    const Host host_;
    const uint64_t log_bytes_max_;
    const std::string directory_;
    const LockFile lock_;
    const std::unique_ptr<Database> database_;  // of the queue's thread
    const uint64_t opening_next_position_;
    const uint64_t opening_floor_;
    std::atomic<bool> failed_{false};
    std::atomic<uint64_t> durable_position_{0};
    std::atomic<uint64_t> retain_from_{0};
    std::atomic<uint64_t> log_bytes_{0};
    std::atomic<uint64_t> stale_bytes_{0};
    mutable std::mutex mutex_;
    std::vector<CommitJob> waiting_;  // guarded by mutex_, like all that follow
    uint64_t waiting_bytes_ = 0;
    std::map<uint64_t, Name> stale_;  // by the key's oldest entry that is newer than its state
    std::map<Name, uint64_t> oldest_;
    TaskQueue queue_{tasks_max};  // the last member: its thread ends before the rest goes
};

constexpr meridian_config_key keys[] = {
    {sizeof(meridian_config_key), MERIDIAN_TYPE_PATH, 0, 0, "directory", "data", 0, 0, nullptr, nullptr,
     "Where store.db lies; made if it does not exist (its parent must). One process at a time."},
    {sizeof(meridian_config_key), MERIDIAN_TYPE_SIZE, 0, 0, "log_bytes_max", "8GiB", 1 << 10, 1LL << 50, nullptr,
     nullptr, "Most that log entries may take; beyond it, writes are refused until some can be dropped."},
};

}  // namespace
}  // namespace store_sql

MERIDIAN_STORE_PLUGIN(store_sql::SqlStore, "store-sql", "1.0", 0, "Apache-2.0",
                      "Keeps data in an SQL database (SQLite, through Poco Data)", store_sql::keys)
