#include "database.h"

#include <Poco/Data/LOB.h>
#include <Poco/Data/SQLite/Connector.h>
#include <Poco/Data/Statement.h>

namespace store_sql {
namespace {

using namespace Poco::Data::Keywords;
using meridian::abi::Failure;
using Poco::Int64;
using Poco::Data::BLOB;
using Poco::Data::Session;
using Poco::Data::Statement;

constexpr int format = 1;
constexpr unsigned lock_wait_seconds = 1;

BLOB blob(std::string_view text) {
    return BLOB(reinterpret_cast<const unsigned char*>(text.data()), text.size());
}
std::string text(const BLOB& value) {
    return std::string(reinterpret_cast<const char*>(value.rawContent()), value.size());
}
// SQL has no unsigned numbers: ids and sequences keep their bits. Positions and times stay below 2^63.
Int64 number(uint64_t value) {
    return static_cast<Int64>(value);
}
Int64 bounded(uint64_t value) {
    return static_cast<Int64>(std::min<uint64_t>(value, INT64_MAX));
}

// Runs a query, and `row` after each row has been put into the variables that it was given.
void each_row(Statement& query, const std::function<bool()>& row) {
    while (!query.done()) {
        if (query.execute() == 0 || !row()) return;
    }
}

// One number from a query that gives one; 0 if it is NULL.
template <class... Parts>
uint64_t one_number(Session& session, const char* sql, Parts... parts) {
    Int64 out = 0;
    Statement query(session);
    query << sql, into(out);
    ((query, parts), ...);
    query.execute();
    return static_cast<uint64_t>(out);
}

}  // namespace

Database::Database(const std::string& file, const StoreId& fresh_id)
    : session_((Poco::Data::SQLite::Connector::registerConnector(), "SQLite"), file, lock_wait_seconds) {
    std::string ignored;
    // Exclusive: another process that opens the file is told that it is locked. Full: COMMIT returns after the sync.
    session_ << "PRAGMA locking_mode=EXCLUSIVE", into(ignored), now;
    session_ << "PRAGMA journal_mode=WAL", into(ignored), now;
    session_ << "PRAGMA synchronous=FULL", now;
    begin();
    make_tables(fresh_id);
    commit();
    int found_format = 0;
    BLOB id;
    Int64 floor = 1;
    session_ << "SELECT format, store_id, floor FROM store", into(found_format), into(id), into(floor), now;
    if (found_format > format) {
        throw Failure(MERIDIAN_NEWER_FORMAT, file + ": it has format " + std::to_string(found_format) +
                                                 ", expected at most " + std::to_string(format));
    }
    if (id.size() != store_id_.size()) throw Failure(MERIDIAN_CORRUPT, file + ": its store_id is damaged");
    std::copy(id.begin(), id.end(), store_id_.begin());
    now_.floor = static_cast<uint64_t>(floor);
    now_.next_position = std::max(now_.floor, one_number(session_, "SELECT max(position) + 1 FROM log"));
    now_.log_bytes = one_number(session_, "SELECT sum(length(payload)) FROM log");
    now_.stale_bytes = one_number(session_,
                                  "SELECT sum(length(l.payload)) FROM log l JOIN rows r"
                                  " ON r.key_id = l.key_id WHERE l.position > r.position");
}

void Database::make_tables(const StoreId& fresh_id) {
    session_ << "CREATE TABLE IF NOT EXISTS store (format INTEGER NOT NULL, store_id BLOB NOT NULL,"
                " floor BIGINT NOT NULL)",
        now;
    session_ << "CREATE TABLE IF NOT EXISTS log (position BIGINT PRIMARY KEY, key_id BIGINT NOT NULL,"
                " origin_node_id BIGINT NOT NULL, origin_incarnation BIGINT NOT NULL, origin_sequence BIGINT NOT NULL,"
                " wall_ms BIGINT NOT NULL, deadline_ms BIGINT NOT NULL, payload BLOB)",
        now;
    session_ << "CREATE INDEX IF NOT EXISTS log_of_key ON log (key_id, position)", now;
    // present = 0: it has no state. position: entries up to here are in the state, or were deleted with the key.
    session_ << "CREATE TABLE IF NOT EXISTS rows (key_id INTEGER PRIMARY KEY, namespace BLOB NOT NULL,"
                " name BLOB NOT NULL, present INTEGER NOT NULL, state BLOB, position BIGINT NOT NULL,"
                " last_position BIGINT NOT NULL, deadline_ms BIGINT NOT NULL, UNIQUE (namespace, name))",
        now;
    session_ << "CREATE INDEX IF NOT EXISTS rows_by_deadline ON rows (deadline_ms)", now;
    session_ << "CREATE INDEX IF NOT EXISTS rows_without_state ON rows (present, last_position)", now;
    session_ << "CREATE TABLE IF NOT EXISTS metadata (name BLOB PRIMARY KEY, value BLOB)", now;
    if (one_number(session_, "SELECT count(*) FROM store") != 0) return;
    created_ = true;
    BLOB id(fresh_id.data(), fresh_id.size());
    int of_format = format;
    session_ << "INSERT INTO store (format, store_id, floor) VALUES (?, ?, 1)", use(of_format), use(id), now;
}

std::map<uint64_t, Name> Database::stale_keys() {
    std::map<uint64_t, Name> out;
    Int64 position = 0;
    BLOB of_namespace;
    BLOB name;
    Statement query(session_);
    query << "SELECT r.namespace, r.name, (SELECT min(l.position) FROM log l WHERE l.key_id = r.key_id AND"
             " l.position > r.position) FROM rows r WHERE r.last_position > r.position",
        into(of_namespace), into(name), into(position), limit(1);
    each_row(query, [&] {
        out.emplace(static_cast<uint64_t>(position), Name(text(of_namespace), text(name)));
        return true;
    });
    return out;
}

void Database::begin() {
    before_ = now_;
    session_ << "BEGIN IMMEDIATE", now;
}

void Database::commit() {
    session_ << "COMMIT", now;
}

void Database::rollback() noexcept {
    now_ = before_;
    try {
        session_ << "ROLLBACK", now;
    } catch (const Poco::Exception&) {}  // some failures have rolled back already
}

void Database::append(const Entry& entry) {
    BLOB of_namespace = blob(entry.name.namespace_name);
    BLOB name = blob(entry.name.key);
    BLOB payload = blob(entry.payload);
    Int64 position = number(entry.position);
    Int64 node = number(entry.origin_node_id);
    Int64 incarnation = number(entry.origin_incarnation);
    Int64 sequence = number(entry.origin_sequence);
    Int64 wall_ms = number(entry.wall_ms);
    Int64 deadline_ms = bounded(entry.deadline_ms);
    session_ << "INSERT INTO rows (namespace, name, present, position, last_position, deadline_ms)"
                " VALUES (?, ?, 0, 0, ?, ?) ON CONFLICT (namespace, name)"
                " DO UPDATE SET last_position = excluded.last_position, deadline_ms = excluded.deadline_ms",
        use(of_namespace), use(name), use(position), use(deadline_ms), now;
    session_ << "INSERT INTO log SELECT ?, key_id, ?, ?, ?, ?, ?, ? FROM rows WHERE namespace = ? AND name = ?",
        use(position), use(node), use(incarnation), use(sequence), use(wall_ms), use(deadline_ms), use(payload),
        use(of_namespace), use(name), now;
    now_.next_position = entry.position + 1;
    now_.log_bytes += entry.payload.size();
    now_.stale_bytes += entry.payload.size();
}

void Database::write(const MetadataWrite& write) {
    BLOB name = blob(write.name);
    if (!write.value) {
        session_ << "DELETE FROM metadata WHERE name = ?", use(name), now;
        return;
    }
    BLOB value = blob(*write.value);
    session_ << "INSERT INTO metadata VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", use(name),
        use(value), now;
}

bool Database::write(const Snapshot& snapshot) {
    BLOB of_namespace = blob(snapshot.name.namespace_name);
    BLOB name = blob(snapshot.name.key);
    BLOB state = blob(snapshot.state.value_or(""));
    int present = snapshot.state ? 1 : 0;
    Int64 position = number(snapshot.position);
    Int64 deadline_ms = snapshot.state ? bounded(snapshot.deadline_ms) : 0;
    Int64 floor = number(now_.floor);
    const uint64_t covered = one_number(session_,
                                        "SELECT sum(length(l.payload)) FROM log l JOIN rows r ON r.key_id = l.key_id"
                                        " WHERE r.namespace = ? AND r.name = ? AND l.position > r.position"
                                        " AND l.position <= ?",
                                        use(of_namespace), use(name), use(position));
    // The newest entry's deadline counts, unless the state reflects it.
    Statement upsert(session_);
    upsert << "INSERT INTO rows (namespace, name, present, state, position, last_position, deadline_ms)"
              " VALUES (?, ?, ?, ?, ?, 0, ?) ON CONFLICT (namespace, name) DO UPDATE SET present = excluded.present,"
              " state = excluded.state, position = excluded.position, deadline_ms ="
              " CASE WHEN rows.last_position > excluded.position THEN rows.deadline_ms ELSE excluded.deadline_ms END"
              " WHERE rows.position <= excluded.position",
        use(of_namespace), use(name), use(present), use(state), use(position), use(deadline_ms);
    if (upsert.execute() == 0) return false;
    now_.stale_bytes -= covered;
    // A deleted key keeps its row while the log has entries of it, so that an older state does not bring it back.
    session_ << "DELETE FROM rows WHERE namespace = ? AND name = ? AND present = 0 AND last_position < ?",
        use(of_namespace), use(name), use(floor), now;
    return true;
}

void Database::drop_below(uint64_t position, uint64_t count_max) {
    now_.floor = std::min({position, now_.floor + count_max, now_.next_position});
    Int64 floor = number(now_.floor);
    now_.log_bytes -= one_number(session_, "SELECT sum(length(payload)) FROM log WHERE position < ?", use(floor));
    session_ << "DELETE FROM log WHERE position < ?", use(floor), now;
    session_ << "DELETE FROM rows WHERE present = 0 AND last_position < ?", use(floor), now;
    session_ << "UPDATE store SET floor = ?", use(floor), now;
}

uint64_t Database::oldest_stale(const Name& key) {
    BLOB of_namespace = blob(key.namespace_name);
    BLOB name = blob(key.key);
    return one_number(session_,
                      "SELECT min(l.position) FROM log l JOIN rows r ON r.key_id = l.key_id"
                      " WHERE r.namespace = ? AND r.name = ? AND l.position > r.position",
                      use(of_namespace), use(name));
}

KeyRow Database::read(const Name& key) {
    BLOB of_namespace = blob(key.namespace_name);
    BLOB name = blob(key.key);
    KeyRow out;
    Int64 key_id = 0;
    int present = 0;
    BLOB state;
    Int64 position = 0;
    Int64 last_position = 0;
    Statement query(session_);
    query << "SELECT key_id, present, state, position, last_position FROM rows WHERE namespace = ? AND name = ?",
        into(key_id), into(present), into(state), into(position), into(last_position), use(of_namespace), use(name);
    if (query.execute() == 0) return out;
    if (present != 0) out.state = text(state);
    out.position = static_cast<uint64_t>(position);
    if (last_position <= position) return out;
    out.tail_position = static_cast<uint64_t>(last_position);
    BLOB payload;
    Statement tail(session_);
    tail << "SELECT payload FROM log WHERE key_id = ? AND position > ? ORDER BY position", into(payload), use(key_id),
        use(position), limit(1);
    each_row(tail, [&] {
        out.tail.push_back(text(payload));
        return true;
    });
    return out;
}

void Database::read_log(uint64_t from_position, uint64_t entries_max, const std::function<bool(const Entry&)>& entry) {
    Int64 from = bounded(from_position);
    Int64 count = bounded(entries_max);
    Int64 position = 0, node = 0, incarnation = 0, sequence = 0, wall_ms = 0, deadline_ms = 0;
    BLOB of_namespace;
    BLOB name;
    BLOB payload;
    Statement query(session_);
    query << "SELECT l.position, l.origin_node_id, l.origin_incarnation, l.origin_sequence, l.wall_ms, l.deadline_ms,"
             " l.payload, r.namespace, r.name FROM log l JOIN rows r ON r.key_id = l.key_id"
             " WHERE l.position >= ? ORDER BY l.position LIMIT ?",
        into(position), into(node), into(incarnation), into(sequence), into(wall_ms), into(deadline_ms), into(payload),
        into(of_namespace), into(name), use(from), use(count), limit(1);
    each_row(query, [&] {
        return entry({static_cast<uint64_t>(position), static_cast<uint64_t>(node), static_cast<uint64_t>(incarnation),
                      static_cast<uint64_t>(sequence), static_cast<uint64_t>(wall_ms),
                      static_cast<uint64_t>(deadline_ms), Name(text(of_namespace), text(name)), text(payload)});
    });
}

std::vector<Name> Database::names(const std::string& in_namespace, const std::optional<Name>& after,
                                  uint64_t count_max) {
    BLOB wanted = blob(in_namespace);
    int any = in_namespace.empty() ? 1 : 0;
    // A name is never empty, so that a byte 0 comes before all.
    BLOB after_namespace = blob(after ? after->namespace_name : std::string(1, '\0'));
    BLOB after_name = blob(after ? after->key : std::string(1, '\0'));
    Int64 count = bounded(count_max);
    BLOB of_namespace;
    BLOB name;
    Statement query(session_);
    query << "SELECT namespace, name FROM rows WHERE (? = 1 OR namespace = ?) AND (namespace, name) > (?, ?)"
             " AND (present = 1 OR last_position > position) ORDER BY namespace, name LIMIT ?",
        into(of_namespace), into(name), use(any), use(wanted), use(after_namespace), use(after_name), use(count),
        limit(1);
    std::vector<Name> out;
    each_row(query, [&] {
        out.emplace_back(text(of_namespace), text(name));
        return true;
    });
    return out;
}

std::vector<std::pair<uint64_t, Name>> Database::due(uint64_t until_ms, uint64_t count_max) {
    Int64 until = bounded(until_ms);
    Int64 count = bounded(count_max);
    Int64 deadline_ms = 0;
    BLOB of_namespace;
    BLOB name;
    Statement query(session_);
    query << "SELECT namespace, name, deadline_ms FROM rows WHERE deadline_ms > 0 AND deadline_ms <= ?"
             " ORDER BY deadline_ms, namespace, name LIMIT ?",
        into(of_namespace), into(name), into(deadline_ms), use(until), use(count), limit(1);
    std::vector<std::pair<uint64_t, Name>> out;
    each_row(query, [&] {
        out.emplace_back(static_cast<uint64_t>(deadline_ms), Name(text(of_namespace), text(name)));
        return true;
    });
    return out;
}

std::optional<std::string> Database::value(const std::string& name) {
    BLOB wanted = blob(name);
    BLOB value;
    Statement query(session_);
    query << "SELECT value FROM metadata WHERE name = ?", into(value), use(wanted);
    if (query.execute() == 0) return std::nullopt;
    return text(value);
}

std::vector<std::pair<std::string, std::string>> Database::values(const std::string& prefix, const std::string& after,
                                                                  uint64_t count_max) {
    const std::string start = std::max(prefix, after);
    // Bound as NULL, an empty start would be greater than nothing.
    BLOB from = blob(start.empty() ? std::string(1, '\0') : start);
    BLOB name;
    BLOB value;
    Statement query(session_);
    query << "SELECT name, value FROM metadata WHERE name >= ? ORDER BY name", into(name), into(value), use(from),
        limit(1);
    std::vector<std::pair<std::string, std::string>> out;
    each_row(query, [&] {
        std::string found = text(name);
        if (found.compare(0, prefix.size(), prefix) != 0) return false;
        if (found > after) out.emplace_back(std::move(found), text(value));
        return out.size() < count_max;
    });
    return out;
}

}  // namespace store_sql
