#include "snapshot_db.h"

#include <sodium.h>
#include <sys/stat.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <set>
#include <thread>

#include "base/binary.h"
#include "crc32c.h"
#include "file_system.h"

namespace meridian::store_kv {
namespace {

constexpr uint8_t value_format = 1;
constexpr size_t seal_size = 5;  // format byte, CRC32C

// LMDB takes keys of up to 511 bytes. Longer names keep their first bytes, for the order, and end in a digest.
constexpr size_t direct_name_max = 472;
constexpr size_t digest_size = 32;

constexpr int reopening_wait_ms = 5000;  // reads wait so long for a database that failed to be opened again

std::string digest(std::string_view name) {
    std::string out(digest_size, '\0');
    crypto_generichash(reinterpret_cast<unsigned char*>(out.data()), out.size(),
                       reinterpret_cast<const unsigned char*>(name.data()), name.size(), nullptr, 0);
    return out;
}

std::string row_key(std::string_view name) {
    if (name.size() <= direct_name_max) return std::string(name);
    return std::string(name.substr(0, direct_name_max)) + digest(name);
}

// Sorts by number, then has one row a name.
std::string numbered_key(uint64_t number, std::string_view name) {
    std::string key(8, '\0');
    for (size_t i = 0; i < 8; ++i) key[i] = static_cast<char>(number >> (56 - 8 * i));
    return key + digest(name);
}

uint64_t number_of(std::string_view key) {
    uint64_t number = 0;
    for (size_t i = 0; i < 8 && i < key.size(); ++i) number = number << 8 | static_cast<uint8_t>(key[i]);
    return number;
}

MDB_val to_value(std::string_view bytes) {
    MDB_val value;
    value.mv_size = bytes.size();
    value.mv_data = const_cast<char*>(bytes.data());
    return value;
}

std::string_view view(const MDB_val& value) {
    return {static_cast<const char*>(value.mv_data), value.mv_size};
}

// The checksum covers the name too, so that a value under another name does not pass.
uint32_t seal_checksum(std::string_view key, std::string_view body) {
    return crc32c(body, crc32c(key));
}

std::string seal(std::string_view key, std::string_view body) {
    const uint32_t checksum = seal_checksum(key, body);
    std::string out;
    out.reserve(seal_size + body.size());
    out.push_back(static_cast<char>(value_format));
    for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(checksum >> (8 * i)));
    return out.append(body);
}

Result<std::string_view> unseal(std::string_view key, std::string_view value) {
    if (value.size() < seal_size)
        return Error{"the stored value has " + std::to_string(value.size()) + " bytes, expected at least 5"};
    uint32_t checksum = 0;
    for (size_t i = 0; i < 4; ++i) checksum |= static_cast<uint32_t>(static_cast<uint8_t>(value[1 + i])) << (8 * i);
    const std::string_view body = value.substr(seal_size);
    if (checksum != seal_checksum(key, body)) return Error{"the stored value fails its checksum"};
    if (static_cast<uint8_t>(value[0]) != value_format) {
        return Error{"the stored value has format " + std::to_string(static_cast<uint8_t>(value[0])) +
                     ", this version reads " + std::to_string(value_format)};
    }
    return body;
}

Result<SnapshotRow> decode_row(std::string_view key, std::string_view value) {
    const auto body = unseal(key, value);
    if (!body) return body.error();
    BinaryReader reader(*body);
    SnapshotRow row;
    row.position = reader.varint();
    row.deadline_ms = reader.varint();
    const uint8_t deleted = reader.u8();
    row.name = reader.bytes();
    if (!reader.ok() || deleted > 1 || row_key(row.name) != key) return Error{"the stored value is malformed"};
    row.deleted = deleted == 1;
    row.state = body->substr(body->size() - reader.remaining());
    return row;
}

class Cursor {
public:
    Cursor(MDB_txn* transaction, MDB_dbi table) : code_(mdb_cursor_open(transaction, table, &cursor_)) {}
    ~Cursor() {
        if (cursor_ != nullptr) mdb_cursor_close(cursor_);
    }
    Cursor(const Cursor&) = delete;
    Cursor& operator=(const Cursor&) = delete;
    // The first row at or after `key`.
    bool seek(std::string_view key) {
        key_ = to_value(key);
        if (code_ == 0) code_ = mdb_cursor_get(cursor_, &key_, &value_, key.empty() ? MDB_FIRST : MDB_SET_RANGE);
        return code_ == 0;
    }
    bool next() {
        if (code_ == 0) code_ = mdb_cursor_get(cursor_, &key_, &value_, MDB_NEXT);
        return code_ == 0;
    }
    int code() const { return code_; }
    std::string_view key() const { return view(key_); }
    std::string_view value() const { return view(value_); }

private:
    MDB_cursor* cursor_ = nullptr;
    int code_ = 0;
    MDB_val key_{};
    MDB_val value_{};
};

bool starts_with(std::string_view text, std::string_view prefix) {
    return text.substr(0, prefix.size()) == prefix;
}

// For messages: other bytes than letters, digits and punctuation in hexadecimal.
std::string printable(std::string_view key) {
    std::string out;
    for (const char c : key) {
        char buffer[8];
        std::snprintf(buffer, sizeof buffer, c > 0x20 && c < 0x7f ? "%c" : "\\x%02x", static_cast<unsigned char>(c));
        out += buffer;
    }
    return out;
}

constexpr std::string_view state_key = "state";

}  // namespace

// ---- reads

ReadTransaction::~ReadTransaction() {
    if (transaction_ != nullptr) mdb_txn_abort(transaction_);
}

Result<std::optional<SnapshotRow>> ReadTransaction::snapshot(std::string_view name) const {
    const std::string key = row_key(name);
    MDB_val wanted = to_value(key);
    MDB_val value{};
    const int code = mdb_get(transaction_, db_->snapshots_, &wanted, &value);
    if (code == MDB_NOTFOUND) return std::optional<SnapshotRow>();
    if (code != 0) return db_->failure("reading a snapshot", code);
    auto row = decode_row(key, view(value));
    if (!row) return row.error();
    return std::optional<SnapshotRow>(*row);
}

Result<std::vector<std::string>> ReadTransaction::names_after(std::string_view after, std::string_view prefix,
                                                              size_t count_max) const {
    std::vector<std::string> out;
    const std::string_view start = std::max(after, prefix);
    Cursor cursor(transaction_, db_->snapshots_);
    bool more = cursor.seek(start.substr(0, direct_name_max));
    while (more && out.size() < count_max && starts_with(cursor.key(), prefix)) {
        if (cursor.key().size() <= direct_name_max) {
            const auto row = decode_row(cursor.key(), cursor.value());
            // A damaged row is listed: reading it tells what is wrong.
            if (cursor.key() > after && (!row || !row->deleted)) out.emplace_back(cursor.key());
            more = cursor.next();
            continue;
        }
        // Long names with the same beginning lie together in the order of their digests: keep the smallest.
        const std::string beginning(cursor.key().substr(0, direct_name_max));
        std::set<std::string, std::less<>> names;
        while (more && cursor.key().size() > direct_name_max && starts_with(cursor.key(), beginning)) {
            const auto row = decode_row(cursor.key(), cursor.value());
            if (row && !row->deleted && row->name > after) {
                names.emplace(row->name);
                if (names.size() > count_max - out.size()) names.erase(std::prev(names.end()));
            }
            more = cursor.next();
        }
        out.insert(out.end(), names.begin(), names.end());
    }
    if (cursor.code() != 0 && cursor.code() != MDB_NOTFOUND) return db_->failure("listing snapshots", cursor.code());
    return out;
}

Result<void> ReadTransaction::deadlines(uint64_t until_ms,
                                        const std::function<bool(uint64_t, std::string_view)>& visit) const {
    Cursor cursor(transaction_, db_->deadlines_);
    for (bool more = cursor.seek({}); more; more = cursor.next()) {
        const uint64_t deadline = number_of(cursor.key());
        if (deadline > until_ms) return {};
        const auto name = unseal(cursor.key(), cursor.value());
        if (!name) continue;  // its key is found again when it is read or written
        const auto row = snapshot(*name);
        const bool current = row && *row && (*row)->deadline_ms == deadline;
        if (current && !visit(deadline, *name)) return {};
    }
    if (cursor.code() != MDB_NOTFOUND) return db_->failure("listing deadlines", cursor.code());
    return {};
}

Result<std::optional<std::string>> ReadTransaction::metadata(std::string_view name) const {
    MDB_val key = to_value(name);
    MDB_val value{};
    const int code = mdb_get(transaction_, db_->metadata_, &key, &value);
    if (code == MDB_NOTFOUND) return std::optional<std::string>();
    if (code != 0) return db_->failure("reading metadata", code);
    const auto body = unseal(name, view(value));
    if (!body) return Error{"metadata '" + std::string(name) + "': " + body.error().message};
    return std::optional<std::string>(std::string(*body));
}

Result<void> ReadTransaction::metadata_after(
    std::string_view prefix, std::string_view after,
    const std::function<bool(std::string_view, std::string_view)>& visit) const {
    Cursor cursor(transaction_, db_->metadata_);
    for (bool more = cursor.seek(std::max(prefix, after)); more; more = cursor.next()) {
        if (!starts_with(cursor.key(), prefix)) return {};
        if (cursor.key() <= after) continue;
        const auto body = unseal(cursor.key(), cursor.value());
        if (!body) return Error{"metadata '" + std::string(cursor.key()) + "': " + body.error().message};
        if (!visit(cursor.key(), *body)) return {};
    }
    if (cursor.code() != MDB_NOTFOUND) return db_->failure("listing metadata", cursor.code());
    return {};
}

Result<uint64_t> ReadTransaction::check_rows(std::string& place, uint64_t bytes_max,
                                             const std::function<void(const std::string& what)>& damaged) const {
    const MDB_dbi tables[] = {db_->snapshots_, db_->metadata_, db_->deadlines_, db_->deletions_, db_->system_};
    const char* const names[] = {"snapshot of key", "metadata", "deadline", "deletion", "state"};
    // The place is the number of a table and a key of it.
    size_t table = place.empty() ? 0 : static_cast<size_t>(place[0]);
    std::string start = place.empty() ? std::string() : place.substr(1);
    uint64_t bytes = 0;
    for (; table < std::size(tables); ++table, start.clear()) {
        Cursor cursor(transaction_, tables[table]);
        for (bool more = cursor.seek(start); more; more = cursor.next()) {
            if (bytes >= bytes_max) {
                place = static_cast<char>(table) + std::string(cursor.key());
                return bytes;
            }
            bytes += cursor.key().size() + cursor.value().size();
            std::string wrong;
            if (table == 0) {
                if (const auto row = decode_row(cursor.key(), cursor.value()); !row) wrong = row.error().message;
            } else if (const auto body = unseal(cursor.key(), cursor.value()); !body) {
                wrong = body.error().message;
            }
            if (!wrong.empty())
                damaged(db_->directory_ + ": " + names[table] + " '" + printable(cursor.key()) + "': " + wrong);
        }
        if (cursor.code() != MDB_NOTFOUND) return db_->failure("checking rows", cursor.code());
    }
    place.clear();
    return bytes;
}

// ---- writes

WriteTransaction::~WriteTransaction() {
    if (transaction_ != nullptr) mdb_txn_abort(transaction_);
}

Result<void> WriteTransaction::put(MDB_dbi table, std::string_view key, std::string_view value) {
    MDB_val stored_key = to_value(key);
    MDB_val stored_value = to_value(value);
    const int code = mdb_put(transaction_, table, &stored_key, &stored_value, 0);
    if (code != 0) return db_->failure("writing " + std::to_string(value.size()) + " bytes", code);
    return {};
}

Result<void> WriteTransaction::remove(MDB_dbi table, std::string_view key) {
    MDB_val stored_key = to_value(key);
    const int code = mdb_del(transaction_, table, &stored_key, nullptr);
    if (code != 0 && code != MDB_NOTFOUND) return db_->failure("removing a row", code);
    return {};
}

Result<void> WriteTransaction::put_snapshot(std::string_view name, uint64_t position, uint64_t deadline_ms,
                                            std::optional<std::string_view> state) {
    const std::string key = row_key(name);
    MDB_val wanted = to_value(key);
    MDB_val value{};
    const int code = mdb_get(transaction_, db_->snapshots_, &wanted, &value);
    if (code != 0 && code != MDB_NOTFOUND) return db_->failure("reading a snapshot", code);
    if (code == 0) {
        // A damaged row is replaced; what it left among the deadlines no longer matches and is passed over.
        if (const auto before = decode_row(key, view(value))) {
            if (before->position > position) return {};
            const std::string old_deadline = numbered_key(before->deadline_ms, name);
            const std::string old_deletion = numbered_key(before->position, name);
            if (before->deadline_ms != 0) {
                if (auto done = remove(db_->deadlines_, old_deadline); !done) return done;
            }
            if (before->deleted) {
                if (auto done = remove(db_->deletions_, old_deletion); !done) return done;
            }
        }
    }
    if (!state) deadline_ms = 0;
    BinaryWriter body;
    body.varint(position);
    body.varint(deadline_ms);
    body.u8(state ? 0 : 1);
    body.bytes(name);
    if (state) body.fixed(state->data(), state->size());
    if (auto done = put(db_->snapshots_, key, seal(key, body.data())); !done) return done;
    if (deadline_ms != 0) {
        const std::string deadline = numbered_key(deadline_ms, name);
        if (auto done = put(db_->deadlines_, deadline, seal(deadline, name)); !done) return done;
    }
    if (!state) {
        const std::string deletion = numbered_key(position, name);
        if (auto done = put(db_->deletions_, deletion, seal(deletion, name)); !done) return done;
    }
    return {};
}

Result<void> WriteTransaction::put_metadata(std::string_view name, std::optional<std::string_view> value) {
    if (!value) return remove(db_->metadata_, name);
    return put(db_->metadata_, name, seal(name, *value));
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
    return put(db_->system_, state_key, seal(state_key, body.data()));
}

Result<size_t> WriteTransaction::forget_deletions(uint64_t before_position, size_t count_max) {
    std::vector<std::pair<std::string, std::string>> found;
    {
        Cursor cursor(transaction_, db_->deletions_);
        for (bool more = cursor.seek({}); more && found.size() < count_max; more = cursor.next()) {
            if (number_of(cursor.key()) >= before_position) break;
            const auto name = unseal(cursor.key(), cursor.value());
            found.emplace_back(std::string(cursor.key()), name ? std::string(*name) : std::string());
        }
        if (cursor.code() != 0 && cursor.code() != MDB_NOTFOUND)
            return db_->failure("listing deletions", cursor.code());
    }
    for (const auto& [deletion, name] : found) {
        if (auto done = remove(db_->deletions_, deletion); !done) return done.error();
        if (name.empty()) continue;
        const std::string key = row_key(name);
        MDB_val wanted = to_value(key);
        MDB_val value{};
        if (mdb_get(transaction_, db_->snapshots_, &wanted, &value) != 0) continue;
        const auto row = decode_row(key, view(value));
        if (!row || !row->deleted || row->position >= before_position) continue;
        if (auto done = remove(db_->snapshots_, key); !done) return done.error();
    }
    return found.size();
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
    const bool panicked = db_->reopened_after_panic();
    io_failed_ = panicked || (code > 0 && !no_space);
    return error;
}

// ---- the database

Error SnapshotDb::failure(const std::string& what, int code) const {
    return Error{directory_ + ": " + what + ": " + mdb_strerror(code)};
}

bool SnapshotDb::exists(const std::string& directory) {
    struct stat status {};
    return ::stat((directory + "/data.mdb").c_str(), &status) == 0 || errno != ENOENT;
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
        if (auto opened = db.open_tables(0); !opened) return opened;
        auto transaction = db.write();
        if (!transaction) return transaction.error();
        if (auto put = transaction->put_state(state); !put) return put;
        if (auto done = transaction->commit(); !done) return done;
    }
    int code = files.remove(path + "-lock");
    if (code == 0) code = files.rename(path, directory + "/data.mdb");
    if (code == 0) code = files.sync_directory(directory);
    if (code != 0) return Error{directory + ": making the snapshot database: " + error_text(code)};
    return {};
}

Result<std::unique_ptr<SnapshotDb>> SnapshotDb::open(const std::string& directory, uint64_t map_size) {
    MDB_env* environment = nullptr;
    int code = mdb_env_create(&environment);
    if (code != 0) return Error{directory + ": " + mdb_strerror(code)};
    std::unique_ptr<SnapshotDb> db(new SnapshotDb(directory, map_size, environment));
    if (auto opened = db->open_environment(directory, 0); !opened) return opened.error();
    // Touching a page behind the end of the file would kill the process.
    MDB_envinfo info{};
    MDB_stat statistics{};
    struct stat status {};
    const std::string file = directory + "/data.mdb";
    if ((code = mdb_env_info(environment, &info)) != 0 || (code = mdb_env_stat(environment, &statistics)) != 0) {
        return db->failure("opening the snapshot database", code);
    }
    if (::stat(file.c_str(), &status) != 0) return Error{file + ": " + std::strerror(errno)};
    const uint64_t expected = (static_cast<uint64_t>(info.me_last_pgno) + 1) * statistics.ms_psize;
    if (static_cast<uint64_t>(status.st_size) < expected) {
        return Error{file + ": truncated: it has " + std::to_string(status.st_size) + " bytes, expected " +
                     std::to_string(expected)};
    }
    if (auto opened = db->open_tables(0); !opened) return opened.error();
    return db;
}

Result<void> SnapshotDb::open_tables(unsigned transaction_flags) {
    MDB_txn* transaction = nullptr;
    int code = mdb_txn_begin(environment_, nullptr, transaction_flags, &transaction);
    if (code != 0) return failure("opening the snapshot database", code);
    const unsigned table_flags = transaction_flags == MDB_RDONLY ? 0 : MDB_CREATE;
    const auto table = [&](const char* name, MDB_dbi& out) {
        if (code == 0) code = mdb_dbi_open(transaction, name, table_flags, &out);
    };
    table("snapshots", snapshots_);
    table("deadlines", deadlines_);
    table("deletions", deletions_);
    table("metadata", metadata_);
    table("system", system_);
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

bool SnapshotDb::reopened_after_panic() {
    MDB_txn* transaction = nullptr;
    const int code = mdb_txn_begin(environment_, nullptr, 0, &transaction);
    if (code == 0) mdb_txn_abort(transaction);
    if (code != MDB_PANIC) return false;
    const std::unique_lock lock(mutex_);
    mdb_env_close(environment_);
    environment_ = nullptr;
    // If this fails, reads fail from now on.
    if (mdb_env_create(&environment_) != 0) environment_ = nullptr;
    if (environment_ != nullptr) {
        auto opened = open_environment(directory_, MDB_RDONLY);
        if (opened) opened = open_tables(MDB_RDONLY);
        if (!opened) {
            mdb_env_close(environment_);
            environment_ = nullptr;
        }
    }
    return true;
}

Result<ReadTransaction> SnapshotDb::read() const {
    for (int attempt = 0;; ++attempt) {
        std::shared_lock lock(mutex_);
        if (environment_ == nullptr) return Error{directory_ + ": the database failed, and could not be opened again"};
        MDB_txn* transaction = nullptr;
        const int code = mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &transaction);
        if (code == 0) return ReadTransaction(*this, std::move(lock), transaction);
        if (code != MDB_PANIC || attempt == reopening_wait_ms) return failure("beginning to read", code);
        // The thread whose commit failed is about to open the database again.
        lock.unlock();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

Result<WriteTransaction> SnapshotDb::write() {
    MDB_txn* transaction = nullptr;
    const int code = mdb_txn_begin(environment_, nullptr, 0, &transaction);
    if (code != 0) return failure("beginning to write", code);
    return WriteTransaction(*this, transaction);
}

Result<DatabaseState> SnapshotDb::state() const {
    auto transaction = read();
    if (!transaction) return transaction.error();
    MDB_val key = to_value(state_key);
    MDB_val value{};
    const int code = mdb_get(transaction->transaction_, system_, &key, &value);
    if (code != 0) return failure("reading its state", code);
    const auto body = unseal(state_key, view(value));
    if (!body) return Error{directory_ + ": its state: " + body.error().message};
    BinaryReader reader(*body);
    DatabaseState state;
    reader.fixed(state.store_id.data(), state.store_id.size());
    state.recovery.segment = reader.varint();
    state.recovery.offset = reader.varint();
    state.recovery.sequence = reader.varint();
    state.recovery.position = reader.varint();
    state.sequence_known = reader.varint();
    const uint8_t closed = reader.at_end() ? 0 : reader.u8();  // not there in the first stores
    state.closed = closed == 1;
    if (!reader.ok() || !reader.at_end() || closed > 1) return Error{directory_ + ": its state is malformed"};
    return state;
}

Result<void> SnapshotDb::copy_to(int descriptor) const {
    const std::shared_lock lock(mutex_);
    if (environment_ == nullptr) return Error{directory_ + ": the database failed, and could not be opened again"};
    const int code = mdb_env_copyfd2(environment_, descriptor, MDB_CP_COMPACT);
    if (code != 0) return failure("copying", code);
    return {};
}

}  // namespace meridian::store_kv
