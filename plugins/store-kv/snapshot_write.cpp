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

Error WriteTransaction::conflict_error() const {
    return Error{guard_.tables().view.main.path() + ": a page that is in use is in the list of free pages too"};
}

Result<RowWrite> WriteTransaction::left(RowWrite write, const Error& error) const {
    if (guard_.conflict()) return error;
    write.damage = write.damage.empty() ? error.message : write.damage + "; its second place: " + error.message;
    return write;
}

Result<bool> WriteTransaction::try_put(TableIndex table, const std::string& key, std::string_view body,
                                       std::string& damage) {
    if (auto checked = guard_.check_put(table, key); !checked) {
        if (guard_.conflict()) return checked.error();
        damage = checked.error().message;
        return false;
    }
    if (auto done = put(table, key, seal(key, body)); !done) return done.error();
    return true;
}

Result<bool> WriteTransaction::try_remove(TableIndex table, const std::string& key, std::string& damage) {
    if (auto checked = guard_.check_remove(table, key); !checked) {
        if (guard_.conflict()) return checked.error();
        damage = checked.error().message;
        return false;
    }
    if (auto done = remove(table, key); !done) return done.error();
    return true;
}

Result<RowWrite> WriteTransaction::put_snapshot(std::string_view name, uint64_t position, uint64_t deadline_ms,
                                                std::optional<std::string_view> state) {
    const SnapshotTables& tables = guard_.tables();
    const std::string key = row_key(name);
    if (!state) deadline_ms = 0;
    RowWrite out;
    std::optional<SnapshotRow> before;
    bool aside = false;
    if (tables.has_aside()) {
        auto second = tables.aside_snapshot(name);
        if (!second) return left(std::move(out), second.error());
        aside = second->has_value();
        before = std::move(*second);
    }
    if (!aside) {
        if (auto checked = guard_.check_put(snapshots_table, key); !checked) {
            if (guard_.conflict()) return checked.error();
            out.damage = checked.error().message;
            aside = true;
        } else if (auto first = tables.first_snapshot(name)) {
            before = std::move(*first);
        }
        // A value that is damaged is replaced; what it left among the deadlines no longer matches and is passed over.
    }
    if (before && before->position > position) {
        out.written = true;
        return out;
    }
    const std::string_view* content = state ? &*state : nullptr;
    const std::string row = SnapshotRow::encode(key, name, position, deadline_ms, content);
    if (aside) {
        std::string damage;
        const auto put = try_put(aside_table, aside_key(name, 0), row, damage);
        if (!put) return put.error();
        if (!*put) return left(std::move(out), Error{damage});
    } else if (auto done = put(snapshots_table, key, row); !done) {
        return done.error();
    }
    out.written = true;
    // The rest is of less weight: a row that cannot be noted among the deadlines is right, it only is not found then.
    const auto numbered = [&](uint64_t number) { return number != 0 ? numbered_key(number, name) : std::string(); };
    struct Change {
        TableIndex table;
        std::string before;
        std::string after;
    };
    const Change changes[] = {
        {deadlines_table, numbered(before ? before->deadline_ms : 0), numbered(deadline_ms)},
        {deletions_table, numbered(before && before->deleted ? before->position : 0), numbered(state ? 0 : position)}};
    for (const Change& change : changes) {
        if (!change.before.empty() && change.before != change.after) {
            if (auto done = try_remove(change.table, change.before, out.damage); !done) return done.error();
        }
        if (!change.after.empty()) {
            if (auto done = try_put(change.table, change.after, name, out.damage); !done) return done.error();
        }
    }
    if (!tables.has_aside()) return out;
    const auto entries = tables.aside_entries(name);
    if (!entries) return left(std::move(out), entries.error());
    for (const AsideEntry& entry : *entries) {
        if (entry.position > position) break;
        if (auto done = try_remove(aside_table, aside_key(name, entry.position), out.damage); !done)
            return done.error();
    }
    return out;
}

Result<RowWrite> WriteTransaction::put_metadata(std::string_view name, std::optional<std::string_view> value) {
    const SnapshotTables& tables = guard_.tables();
    const std::string key(name);
    RowWrite out;
    bool aside = false;
    if (tables.has_aside()) {
        const auto second = tables.aside_metadata(name);
        if (!second) return left(std::move(out), second.error());
        aside = second->has_value();
    }
    if (!aside) {
        const auto done =
            value ? try_put(metadata_table, key, *value, out.damage) : try_remove(metadata_table, key, out.damage);
        if (!done) return done.error();
        out.written = *done;
        if (*done) return out;
    }
    BinaryWriter body;
    body.u8(value ? 1 : 0);
    body.bytes(name);
    if (value) body.fixed(value->data(), value->size());
    std::string damage;
    const auto done = try_put(aside_table, aside_key(metadata_name(name), 0), body.data(), damage);
    if (!done) return done.error();
    out.written = *done;
    return *done ? Result<RowWrite>(std::move(out)) : left(std::move(out), Error{damage});
}

Result<RowWrite> WriteTransaction::put_aside(std::string_view name, const AsideEntry& entry) {
    BinaryWriter body;
    body.u8(entry.lost.empty() ? 0 : 1);
    body.bytes(name);
    const std::string& content = entry.lost.empty() ? entry.payload : entry.lost;
    body.fixed(content.data(), content.size());
    RowWrite out;
    const auto done = try_put(aside_table, aside_key(name, entry.position), body.data(), out.damage);
    if (!done) return done.error();
    out.written = *done;
    return out;
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
            // One in the second place stays: what is damaged in the first is not to be seen.
            const auto row = guard_.tables().first_snapshot(*name);
            if (!row) return !guard_.conflict();
            if (*row && (*row)->deleted && (*row)->position < before_position) key = row_key(*name);
        }
        if (!guard_.check_remove(deletions_table, deletion)) return !guard_.conflict();
        if (!key.empty() && !guard_.check_remove(snapshots_table, key)) return !guard_.conflict();
        failed = remove(deletions_table, deletion);
        if (failed && !key.empty()) failed = remove(snapshots_table, key);
        removed += 1;
        return failed.ok();
    };
    const auto walked = table.walk({}, visitor);
    if (!walked) return walked.error();
    if (!failed) return failed.error();
    if (guard_.conflict()) return conflict_error();
    return removed;
}

Result<void> WriteTransaction::commit() {
    if (guard_.conflict()) return conflict_error();
    MDB_txn* transaction = transaction_;
    transaction_ = nullptr;
    errno = 0;
    int code = mdb_txn_commit(transaction);
    if (code == 0) return db_->committed();
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
