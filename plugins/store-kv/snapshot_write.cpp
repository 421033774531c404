// Writing the snapshot database. Before LMDB changes a row, the pages that it will follow are looked at.
#include <cerrno>

#include "base/binary.h"
#include "snapshot_db.h"

namespace meridian::store_kv {
namespace {

constexpr std::string_view state_key = "state";

MDB_val to_value(std::string_view bytes) {
    MDB_val value;
    value.mv_size = bytes.size();
    value.mv_data = const_cast<char*>(bytes.data());
    return value;
}

}  // namespace

WriteTransaction::~WriteTransaction() {
    if (transaction_ != nullptr) mdb_txn_abort(transaction_);
}

Result<void> WriteTransaction::changed(TableIndex table, const std::string& what, int code) {
    if (code != 0) return db_->failure(what, code);
    MDB_stat now{};
    if (const int failed = mdb_stat(transaction_, db_->tables_[table], &now); failed != 0)
        return db_->failure(what, failed);
    guard_.changed(table, now);
    return {};
}

Result<void> WriteTransaction::put(TableIndex table, std::string_view key, std::string_view value) {
    MDB_val stored_key = to_value(key);
    MDB_val stored_value = to_value(value);
    const int code = mdb_put(transaction_, db_->tables_[table], &stored_key, &stored_value, 0);
    return changed(table, "writing " + std::to_string(value.size()) + " bytes", code);
}

Result<void> WriteTransaction::remove(TableIndex table, std::string_view key) {
    MDB_val stored_key = to_value(key);
    const int code = mdb_del(transaction_, db_->tables_[table], &stored_key, nullptr);
    return changed(table, "removing a row", code == MDB_NOTFOUND ? 0 : code);
}

Result<std::optional<SnapshotRow>> WriteTransaction::snapshot(std::string_view name, const std::string& key) const {
    if (written_.count(key) == 0) return guard_.tables().snapshot(name);
    // A row of this transaction is in memory still.
    MDB_val wanted = to_value(key);
    MDB_val value{};
    const int code = mdb_get(transaction_, db_->tables_[snapshots_table], &wanted, &value);
    if (code == MDB_NOTFOUND) return std::optional<SnapshotRow>();
    if (code != 0) return db_->failure("reading a snapshot", code);
    auto row = SnapshotRow::decode(key, std::string(static_cast<const char*>(value.mv_data), value.mv_size));
    if (!row) return row.error();
    return std::optional<SnapshotRow>(std::move(*row));
}

WriteTransaction::RowResult WriteTransaction::put_snapshot(std::string_view name, uint64_t position,
                                                           uint64_t deadline_ms,
                                                           std::optional<std::string_view> state) {
    const std::string key = row_key(name);
    if (!state) deadline_ms = 0;
    // All that could be damaged first, so that the row is written whole or not at all.
    if (auto checked = guard_.check_put(snapshots_table, key); !checked) return checked.error().message;
    const auto before = snapshot(name, key);
    std::string old_deadline;
    std::string old_deletion;
    // A damaged row is replaced; what it left among the deadlines no longer matches and is passed over.
    if (before && *before) {
        if ((*before)->position > position) return std::string();
        if ((*before)->deadline_ms != 0) old_deadline = numbered_key((*before)->deadline_ms, name);
        if ((*before)->deleted) old_deletion = numbered_key((*before)->position, name);
    }
    const std::string deadline = deadline_ms != 0 ? numbered_key(deadline_ms, name) : std::string();
    const std::string deletion = !state ? numbered_key(position, name) : std::string();
    struct Change {
        TableIndex table;
        const std::string& key;
        bool removes;
    };
    const Change changes[] = {{deadlines_table, old_deadline, true},
                              {deletions_table, old_deletion, true},
                              {deadlines_table, deadline, false},
                              {deletions_table, deletion, false}};
    for (const Change& change : changes) {
        if (change.key.empty()) continue;
        const auto checked =
            change.removes ? guard_.check_remove(change.table, change.key) : guard_.check_put(change.table, change.key);
        if (!checked) return checked.error().message;
    }
    const std::string_view* content = state ? &*state : nullptr;
    const std::string row = SnapshotRow::encode(key, name, position, deadline_ms, content);
    if (auto done = put(snapshots_table, key, row); !done) return done.error();
    written_.insert(key);
    for (const Change& change : changes) {
        if (change.key.empty()) continue;
        const auto done =
            change.removes ? remove(change.table, change.key) : put(change.table, change.key, seal(change.key, name));
        if (!done) return done.error();
    }
    return std::string();
}

WriteTransaction::RowResult WriteTransaction::put_metadata(std::string_view name,
                                                           std::optional<std::string_view> value) {
    const auto checked = value ? guard_.check_put(metadata_table, name) : guard_.check_remove(metadata_table, name);
    if (!checked) return checked.error().message;
    const auto done = value ? put(metadata_table, name, seal(name, *value)) : remove(metadata_table, name);
    if (!done) return done.error();
    return std::string();
}

Result<void> WriteTransaction::put_state(const DatabaseState& state) {
    BinaryWriter body;
    body.fixed(state.store_id.data(), state.store_id.size());
    body.varint(state.recovery.segment);
    body.varint(state.recovery.offset);
    body.varint(state.recovery.sequence);
    body.varint(state.recovery.position);
    body.varint(state.sequence_known);
    body.u8(state.closed ? 1 : 0);
    body.varint(mdb_txn_id(transaction_));
    // The guard has checked the whole table at the beginning.
    return put(system_table, state_key, seal(state_key, body.data()));
}

Result<size_t> WriteTransaction::forget_deletions(uint64_t before_position, size_t count_max) {
    const TreeReader& table = guard_.tables()[deletions_table];
    size_t removed = 0;
    Result<void> failed;
    TreeVisitor visitor;
    visitor.damaged = [](const Error&) { return true; };  // its rows stay
    visitor.row = [&](std::string_view view, const PageNode& node) {
        if (removed == count_max || number_of(view) >= before_position) return false;
        const std::string deletion(view);
        const auto value = table.value(node);
        const auto name = value ? unseal(deletion, *value) : Result<std::string_view>(value.error());
        std::string key;
        if (name) {
            const auto row = guard_.tables().snapshot(*name);
            if (!row) return true;
            if (*row && (*row)->deleted && (*row)->position < before_position) key = row_key(*name);
        }
        if (!guard_.check_remove(deletions_table, deletion)) return true;
        if (!key.empty() && !guard_.check_remove(snapshots_table, key)) return true;
        failed = remove(deletions_table, deletion);
        if (failed && !key.empty()) failed = remove(snapshots_table, key);
        removed += 1;
        return failed.ok();
    };
    const auto walked = table.walk({}, visitor);
    if (!walked) return walked.error();
    if (!failed) return failed.error();
    return removed;
}

Result<void> WriteTransaction::commit() {
    MDB_txn* transaction = transaction_;
    transaction_ = nullptr;
    errno = 0;
    int code = mdb_txn_commit(transaction);
    if (code == 0) return {};
    // LMDB's word for a write that took less than all, which is what a disk that becomes full does.
    if (code == EIO && errno != EIO) code = ENOSPC;
    const Error error = db_->failure("committing", code);
    // Positive codes are errno values of a write or sync. Without space LMDB has given up before it changed its root,
    // or, if not even that could be written, refuses all further transactions.
    const bool no_space = code == ENOSPC || code == EDQUOT || code == ENOMEM;
    MDB_txn* next = nullptr;
    const int usable = mdb_txn_begin(db_->environment_, nullptr, 0, &next);
    if (usable == 0) mdb_txn_abort(next);
    if (usable == MDB_PANIC) db_->panicked_ = true;
    io_failed_ = usable == MDB_PANIC || (code > 0 && !no_space);
    return error;
}

// ---- the state, which is here because it is written here

Result<DatabaseState> SnapshotDb::state() const {
    auto transaction = read();
    if (!transaction) return transaction.error();
    const auto body = transaction->tables_.sealed(system_table, state_key);
    if (!body) return Error{directory_ + ": its state: " + body.error().message};
    if (!*body) return Error{directory_ + ": its state is missing"};
    BinaryReader reader(**body);
    DatabaseState state;
    reader.fixed(state.store_id.data(), state.store_id.size());
    state.recovery.segment = reader.varint();
    state.recovery.offset = reader.varint();
    state.recovery.sequence = reader.varint();
    state.recovery.position = reader.varint();
    state.sequence_known = reader.varint();
    // The first stores end here, or after the next one.
    const uint8_t closed = reader.at_end() ? 0 : reader.u8();
    const uint64_t written_by = reader.at_end() ? 0 : reader.varint();
    state.closed = closed == 1;
    if (!reader.ok() || !reader.at_end() || closed > 1) return Error{directory_ + ": its state is malformed"};
    // Every commit writes the state, so one of another commit is one that a wrong root led to.
    const uint64_t transaction_id = transaction->tables_.view.meta.transaction;
    if (written_by != 0 && written_by != transaction_id) {
        return Error{directory_ + ": its state is of transaction " + std::to_string(written_by) +
                     ", its root of transaction " + std::to_string(transaction_id)};
    }
    return state;
}

}  // namespace meridian::store_kv
