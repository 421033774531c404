// The LMDB database: snapshots, deadlines, metadata, and what recovery needs to know. docs/STORE-KV.md has the layout.
//
// LMDB writes it, and says which moment a reader sees; what is read is read without LMDB (lmdb_tree.h), and what LMDB
// is about to follow is checked before (write_guard.h), because LMDB ends the process over a damaged page. Damage is an
// error of the rows that it concerns.
//
// Threads: reads from any thread, each with a ReadTransaction of its own, held for moments only; one WriteTransaction
// at a time (LMDB makes a second one wait). Errors: text that names the database, what failed and why.
#pragma once

#include <lmdb.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "log_recovery.h"
#include "snapshot_row.h"
#include "snapshot_tables.h"
#include "write_guard.h"

namespace meridian::store_kv {

// What the database says about the log.
struct DatabaseState {
    StoreId store_id{};
    LogPoint recovery;            // everything before this point is in the database
    uint64_t sequence_known = 0;  // the log was on stable storage up to this record when this was written
    bool closed = false;          // that was its last record: the store has been closed, and not opened since
};

class SnapshotDb;

class ReadTransaction {
public:
    ~ReadTransaction();
    ReadTransaction(ReadTransaction&& other) noexcept
        : db_(other.db_),
          lock_(std::move(other.lock_)),
          transaction_(other.transaction_),
          tables_(std::move(other.tables_)) {
        other.transaction_ = nullptr;
    }
    ReadTransaction& operator=(ReadTransaction&&) = delete;

    // Absent: there is no row. An error is about this row alone.
    Result<std::optional<SnapshotRow>> snapshot(std::string_view name) const;
    // Entries of the log that were set aside for this key (WriteTransaction::put_aside).
    Result<std::vector<AsideEntry>> aside_entries(std::string_view name, uint64_t after) const;
    // Names with a state greater than `after` that begin with `prefix`, in order, at most count_max.
    Result<std::vector<std::string>> names_after(std::string_view after, std::string_view prefix,
                                                 size_t count_max) const;
    // Calls `visit` in order of deadline, up to `until_ms`, until it answers false. Damaged pages are passed over and
    // told to `damaged`.
    void deadlines(uint64_t until_ms, const std::function<bool(uint64_t deadline_ms, std::string_view name)>& visit,
                   const std::function<void(const std::string& what)>& damaged) const;
    Result<std::optional<std::string>> metadata(std::string_view name) const;
    // Names greater than `after` that begin with `prefix`, in order, until `visit` answers false.
    Result<void> metadata_after(std::string_view prefix, std::string_view after,
                                const std::function<bool(std::string_view name, std::string_view value)>& visit) const;
    // Checks rows of all tables, about `bytes_max` bytes of them, from `place` on (empty: from the start), and calls
    // `damaged` with a text for each that fails its checksum or is malformed. Sets `place` to where the next call goes
    // on; empty: the end was reached. Gives how many bytes were read.
    Result<uint64_t> check_rows(std::string& place, uint64_t bytes_max,
                                const std::function<void(const std::string& what)>& damaged) const;

    // Looks at every page that is in use (lmdb_check.h). `pace` is told how many bytes were read; false stops it.
    StructureReport check_structure(const std::function<bool(uint64_t bytes)>& pace) const;
    // The file of a database that holds what is seen here, piece by piece; an error of `write` ends it.
    Result<void> copy(uint64_t piece_size, const std::function<Result<void>(std::string_view piece)>& write) const;

private:
    friend class SnapshotDb;
    ReadTransaction(const SnapshotDb& db, std::shared_lock<std::shared_mutex> lock, MDB_txn* transaction,
                    SnapshotTables tables)
        : db_(&db), lock_(std::move(lock)), transaction_(transaction), tables_(std::move(tables)) {}
    const SnapshotDb* db_;
    std::shared_lock<std::shared_mutex> lock_;  // given back after the transaction
    MDB_txn* transaction_;
    SnapshotTables tables_;
};

struct RowWrite {
    bool written = false;  // in its place or in the second one
    std::string damage;    // not empty: what was found that is damaged
};

// Nothing is written unless commit() succeeds; destroyed without commit, it is rolled back.
class WriteTransaction {
public:
    ~WriteTransaction();
    WriteTransaction(WriteTransaction&& other) noexcept
        : db_(other.db_), transaction_(other.transaction_), guard_(std::move(other.guard_)) {
        other.transaction_ = nullptr;
    }
    WriteTransaction& operator=(WriteTransaction&&) = delete;

    // A name may be given once in a transaction. A row whose place is damaged goes to its second place, and stays
    // there. An error ends the transaction; if conflict() holds, writing must end.
    //
    // Leaves a row alone that reflects a later position. An absent state leaves a row that remembers the deletion.
    Result<RowWrite> put_snapshot(std::string_view name, uint64_t position, uint64_t deadline_ms,
                                  std::optional<std::string_view> state);
    Result<RowWrite> put_metadata(std::string_view name, std::optional<std::string_view> value);
    // An entry of the log whose key cannot be read. A later snapshot removes it.
    Result<RowWrite> put_aside(std::string_view name, const AsideEntry& entry);
    // Something that is in use is in the list of free pages too: to go on would destroy rows.
    bool conflict() const { return guard_.conflict(); }
    Result<void> put_state(const DatabaseState& state);
    // Removes up to count_max rows that remember deletions before this position. Gives how many.
    Result<size_t> forget_deletions(uint64_t before_position, size_t count_max);
    // On stable storage when it returns success.
    Result<void> commit();
    // True if commit() failed in a way that leaves LMDB's files in doubt (a failed write or sync). The caller stops
    // writing, then calls SnapshotDb::reopen_after_panic().
    bool io_failed() const { return io_failed_; }

private:
    friend class SnapshotDb;
    WriteTransaction(SnapshotDb& db, MDB_txn* transaction, WriteGuard guard)
        : db_(&db), transaction_(transaction), guard_(std::move(guard)) {}
    Result<void> put(TableIndex table, std::string_view key, std::string_view value);
    Result<void> remove(TableIndex table, std::string_view key);
    Result<void> changed(TableIndex table, const std::string& what, int code);
    // False: the place is damaged, `damage` says how, and nothing was changed.
    Result<bool> try_put(TableIndex table, const std::string& key, std::string_view body, std::string& damage);
    Result<bool> try_remove(TableIndex table, const std::string& key, std::string& damage);
    // What became of a row whose second place is damaged too, or cannot be read.
    Result<RowWrite> left(RowWrite write, const Error& error) const;
    Error conflict_error() const;
    SnapshotDb* db_;
    MDB_txn* transaction_;
    WriteGuard guard_;
    bool io_failed_ = false;
};

class SnapshotDb {
public:
    // True if the directory has a database, whatever its condition.
    static bool exists(const std::string& directory);
    // Makes a database that holds this state only. It is on stable storage when this returns; if it is interrupted
    // there is none. REQUIRES: there is none.
    static Result<void> create(const std::string& directory, uint64_t map_size, const DatabaseState& state);
    // `map_size`: most bytes that it may ever take. REQUIRES: it exists. What would make it dangerous to go on is
    // refused; damage that concerns some rows only is told by damage_at_open(). Of a large database only a part is
    // looked at.
    static Result<std::unique_ptr<SnapshotDb>> open(const std::string& directory, uint64_t map_size);
    ~SnapshotDb();
    SnapshotDb(const SnapshotDb&) = delete;
    SnapshotDb& operator=(const SnapshotDb&) = delete;

    Result<ReadTransaction> read() const;
    Result<WriteTransaction> write();
    Result<DatabaseState> state() const;
    const std::vector<std::string>& damage_at_open() const { return damage_at_open_; }
    // LMDB is unusable after it may not have been able to write its root. It is opened again then, for reading; the
    // root that it has is one of the two. Waits for readers, which end soon.
    void reopen_after_panic();
    // Bytes of the list of free pages, which each transaction reads, when the last one began.
    uint64_t free_list_bytes() const { return free_list_bytes_; }

private:
    friend class ReadTransaction;
    friend class WriteTransaction;
    SnapshotDb(std::string directory, uint64_t map_size, MDB_env* environment)
        : directory_(std::move(directory)), map_size_(map_size), environment_(environment) {}
    // `path`: of the directory, or of the file with MDB_NOSUBDIR.
    Result<void> open_environment(const std::string& path, unsigned flags);
    Result<void> open_file(const std::string& path);
    // Before LMDB sees it.
    Result<void> check_file();
    Result<void> open_tables();
    // What has just been written counts from now on.
    Result<void> committed();
    std::optional<MetaPage> known() const;
    Error not_begun(const std::string& what, int code) const;
    Error failure(const std::string& what, int code) const;

    const std::string directory_;
    const uint64_t map_size_;
    std::vector<std::string> damage_at_open_;
    std::unique_ptr<PageFile> file_;
    std::atomic<bool> panicked_{false};  // long reads end
    mutable std::shared_mutex mutex_;    // shared: environment_ is in use; LMDB's own locks do the rest
    MDB_env* environment_;
    std::array<MDB_dbi, table_names.size()> tables_{};  // by TableIndex
    bool has_aside_ = false;                            // the table is there
    std::atomic<uint64_t> free_list_bytes_{0};
    mutable std::mutex known_mutex_;
    std::optional<MetaPage> known_;  // guarded by known_mutex_; the newest that was read or written
};

}  // namespace meridian::store_kv
