#include "snapshot_db.h"

#include <sys/stat.h>
#include <cerrno>
#include <chrono>
#include <thread>

#include "file_system.h"

namespace meridian::store_kv {
namespace {

constexpr int reading_wait_ms = 5000;  // reads wait so long for a database that failed to be opened again
// Databases with more pages in their trees, and large values, are not looked at whole when they are opened: it would
// take longer than recovery should.
constexpr uint64_t pages_checked_max = 16384;
constexpr const char* file_name = "/data.mdb";

}  // namespace

Error SnapshotDb::failure(const std::string& what, int code) const {
    return Error{directory_ + ": " + what + ": " + mdb_strerror(code)};
}

bool SnapshotDb::exists(const std::string& directory) {
    struct stat status {};
    return ::stat((directory + file_name).c_str(), &status) == 0 || errno != ENOENT;
}

Result<void> SnapshotDb::open_environment(const std::string& path, unsigned flags) {
    int code = mdb_env_set_maxdbs(environment_, 8);
    if (code == 0) code = mdb_env_set_mapsize(environment_, map_size_);
    if (code == 0) code = mdb_env_open(environment_, path.c_str(), MDB_NOTLS | MDB_NORDAHEAD | flags, 0600);
    if (code != 0) return failure("opening the snapshot database", code);
    return {};
}

Result<void> SnapshotDb::create(const std::string& directory, uint64_t map_size, const DatabaseState& state) {
    // LMDB's own first writes are not atomic, so the file gets its name when it is complete.
    const std::string path = directory + "/new.mdb";
    FileSystem& files = real_file_system();
    for (const std::string& left : {path, path + "-lock"}) {
        if (const int code = files.remove(left); code != 0 && code != -ENOENT)
            return Error{left + ": " + error_text(code)};
    }
    {
        MDB_env* environment = nullptr;
        if (const int code = mdb_env_create(&environment); code != 0)
            return Error{directory + ": " + mdb_strerror(code)};
        SnapshotDb db(directory, map_size, environment);
        if (auto opened = db.open_environment(path, MDB_NOSUBDIR); !opened) return opened;
        if (auto opened = db.open_tables(); !opened) return opened;
        if (auto opened = db.open_file(path); !opened) return opened;
        auto transaction = db.write();
        if (!transaction) return transaction.error();
        if (auto put = transaction->put_state(state); !put) return put;
        if (auto done = transaction->commit(); !done) return done;
    }
    int code = files.remove(path + "-lock");
    if (code == 0) code = files.rename(path, directory + file_name);
    if (code == 0) code = files.sync_directory(directory);
    if (code != 0) return Error{directory + ": making the snapshot database: " + error_text(code)};
    return {};
}

Result<void> SnapshotDb::open_file(const std::string& path) {
    auto file = PageFile::open(real_file_system(), path);
    if (!file) return file.error();
    file_ = std::move(*file);
    file_->limit(map_size_);
    auto meta = file_->read_newest_meta();
    if (!meta) return meta.error();
    known_ = std::move(*meta);
    return {};
}

Result<void> SnapshotDb::committed() {
    has_aside_ = true;
    const uint64_t transaction = known_->transaction + 1;
    auto meta = file_->read_meta(transaction);
    if (meta && !*meta) meta = Error{directory_ + ": it was written by somebody else"};
    const std::lock_guard lock(known_mutex_);
    if (meta) known_ = std::move(**meta);
    return meta ? Result<void>() : Result<void>(meta.error());
}

std::optional<MetaPage> SnapshotDb::known() const {
    const std::lock_guard lock(known_mutex_);
    return known_;
}

Error SnapshotDb::not_begun(const std::string& what, int code) const {
    // LMDB's answer to a meta page whose last page is damaged.
    if (const auto meta = known(); code == MDB_MAP_RESIZED && meta) {
        if (const auto found = file_->read_meta(meta->transaction); !found) return found.error();
    }
    return failure(what, code);
}

Result<void> SnapshotDb::check_file() {
    const auto meta = file_->read_newest_meta();
    if (!meta) return meta.error();
    const auto size = file_->size();
    if (!size) return size.error();
    // LMDB may leave the highest pages unwritten when they are free again. Whether a short file is sound is seen by
    // looking at all pages in use.
    const uint64_t expected = (meta->last + 1) * file_->page_size();
    const bool is_short = *size < expected;
    const auto refusal = [&](const Error& error) {
        if (!is_short) return error;
        return Error{file_->path() + ": truncated: it has " + std::to_string(*size) + " bytes, expected " +
                     std::to_string(expected) + " (" + error.message + ")"};
    };
    auto tables = SnapshotTables::at(*file_, *meta);
    if (!tables) return refusal(tables.error());
    const std::vector<Table> list = tables->list();
    const bool whole = is_short || pages_to_check(tables->view, list) <= pages_checked_max;
    if (auto checked = WriteGuard(std::move(*tables)).check_begin(); !checked) return refusal(checked.error());
    if (!whole) return {};
    StructureReport report = check_structure(*file_, make_view(*file_, *meta), list, [](uint64_t) { return true; });
    if (!report.fatal.empty()) return refusal(Error{report.fatal.front()});
    if (is_short && !report.damaged.empty()) return refusal(Error{report.damaged.front()});
    damage_at_open_ = std::move(report.damaged);
    return {};
}

Result<std::unique_ptr<SnapshotDb>> SnapshotDb::open(const std::string& directory, uint64_t map_size) {
    MDB_env* environment = nullptr;
    if (const int code = mdb_env_create(&environment); code != 0) return Error{directory + ": " + mdb_strerror(code)};
    std::unique_ptr<SnapshotDb> db(new SnapshotDb(directory, map_size, environment));
    if (auto opened = db->open_file(directory + file_name); !opened) return opened.error();
    if (auto checked = db->check_file(); !checked) return checked.error();
    if (auto opened = db->open_environment(directory, 0); !opened) return opened.error();
    if (auto opened = db->open_tables(); !opened) return opened.error();
    return db;
}

Result<void> SnapshotDb::open_tables() {
    MDB_txn* transaction = nullptr;
    int code = mdb_txn_begin(environment_, nullptr, 0, &transaction);
    if (code != 0) return failure("opening the snapshot database", code);
    const bool fresh = known_ == std::nullopt;
    for (size_t i = 0; i < table_names.size() && code == 0; ++i) {
        code = mdb_dbi_open(transaction, table_names[i], fresh ? MDB_CREATE : 0, &tables_[i]);
        if (i == aside_table) {
            has_aside_ = code == 0;
            if (code == MDB_NOTFOUND) code = 0;
        }
    }
    if (code == 0) {
        code = mdb_txn_commit(transaction);
    } else {
        mdb_txn_abort(transaction);
    }
    if (code != 0) return failure("opening the tables", code);
    return {};
}

SnapshotDb::~SnapshotDb() {
    if (environment_ != nullptr) mdb_env_close(environment_);
}

void SnapshotDb::reopen_after_panic() {
    if (!panicked_) return;
    const std::unique_lock lock(mutex_);
    mdb_env_close(environment_);
    environment_ = nullptr;
    {
        const std::lock_guard known_lock(known_mutex_);
        known_.reset();
    }
    // If this fails, reads fail from now on.
    if (mdb_env_create(&environment_) != 0) environment_ = nullptr;
    if (environment_ != nullptr && !open_environment(directory_, MDB_RDONLY)) {
        mdb_env_close(environment_);
        environment_ = nullptr;
    }
}

Result<ReadTransaction> SnapshotDb::read() const {
    for (int attempt = 0;; ++attempt) {
        std::shared_lock lock(mutex_);
        if (environment_ == nullptr) return Error{directory_ + ": the database failed, and could not be opened again"};
        MDB_txn* transaction = nullptr;
        const int code = mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &transaction);
        if (code != 0 && code != MDB_PANIC) return not_begun("beginning to read", code);
        if (code == 0) {
            // From here on nothing that it sees is written again, but the meta page. Between LMDB's commit and
            // committed() that is not known yet.
            const uint64_t number = mdb_txn_id(transaction);
            Result<std::optional<MetaPage>> meta = known();
            if (!*meta || (*meta)->transaction != number) meta = file_->read_meta(number);
            if (meta && *meta) {
                auto tables = SnapshotTables::at(*file_, **meta);
                if (tables) return ReadTransaction(*this, std::move(lock), transaction, std::move(*tables));
                meta = tables.error();
            }
            mdb_txn_abort(transaction);
            if (!meta) return meta.error();
        }
        if (attempt >= reading_wait_ms) {
            return Error{directory_ + ": beginning to read: " +
                         (code != 0 ? mdb_strerror(code) : "its meta pages are not those of its last transaction")};
        }
        // It has just been written to; or a commit failed, and its thread is about to open the database again.
        lock.unlock();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

Result<WriteTransaction> SnapshotDb::write() {
    MDB_txn* transaction = nullptr;
    const int code = mdb_txn_begin(environment_, nullptr, 0, &transaction);
    if (code != 0) return not_begun("beginning to write", code);
    const auto refuse = [&](const Error& error) {
        mdb_txn_abort(transaction);
        return error;
    };
    const auto meta = file_->read_meta(mdb_txn_id(transaction) - 1, true);
    if (!meta) return refuse(meta.error());
    if (!*meta) return refuse(Error{directory_ + ": it was written by somebody else"});
    const auto written = known();
    if (!written || written->bytes != (*meta)->bytes) {
        return refuse(file_->failure(
            (*meta)->transaction & 1,
            "the meta page of transaction " + std::to_string((*meta)->transaction) + " is not as it was written"));
    }
    auto tables = SnapshotTables::at(*file_, **meta);
    if (!tables) return refuse(tables.error());
    WriteGuard guard(std::move(*tables));
    if (auto checked = guard.check_begin(); !checked) return refuse(checked.error());
    free_list_bytes_ = guard.free_list_bytes();
    if (!has_aside_) {
        // A store of an older version.
        const int made = mdb_dbi_open(transaction, table_names[aside_table], MDB_CREATE, &tables_[aside_table]);
        if (made != 0) return refuse(failure("making a table", made));
    }
    return WriteTransaction(*this, transaction, std::move(guard));
}

}  // namespace meridian::store_kv
