#include "statements.h"

namespace meridian::store_pg {
namespace {

constexpr const char* text_of(Statement statement) {
    switch (statement) {
        case Statement::begin:
            return "BEGIN";
        case Statement::commit:
            return "COMMIT";
        case Statement::rollback:
            return "ROLLBACK";
        case Statement::mark_writer:
            // NULL is refused by the table: a connection that this node has given up must not write when it wakes.
            return "UPDATE {s}writers SET group_number = CASE WHEN fence < $2::int8 THEN $2 END, used = now()"
                   " WHERE writer = $1::bytea";
        case Statement::read_writer:
            return "SELECT group_number, sequence, fence FROM {s}writers WHERE writer = $1::bytea FOR UPDATE";
        case Statement::fence_writer:
            return "INSERT INTO {s}writers AS w (writer, fence) VALUES ($1::bytea, $2::int8)"
                   " ON CONFLICT (writer) DO UPDATE SET fence = EXCLUDED.fence";
        case Statement::set_sequence:
            return "UPDATE {s}writers SET sequence = $2::int8 WHERE writer = $1::bytea";
        case Statement::touch_keys:
            // A new row's version is greater than any that a deleted row of the same name can have had: each step of a
            // version comes with an entry at least.
            return "INSERT INTO {s}keys AS k (namespace, key_start, key_rest, version, first_stale_position,"
                   " last_position, deadline_ms, stale_bytes)"
                   " SELECT w.n, w.s, w.r, h.next_position, w.first, w.last, w.deadline, w.bytes"
                   " FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::int8[], $5::int8[], $6::int8[],"
                   " $7::int8[]) AS w(n, s, r, first, last, deadline, bytes), {s}log_head h ORDER BY w.n, w.s, w.r"
                   " ON CONFLICT (namespace, key_start, (CASE WHEN key_rest = ''::bytea"
                   " THEN ''::bytea ELSE sha256(key_rest) END)) DO UPDATE SET"
                   " version = k.version + 1,"
                   " first_stale_position = COALESCE(k.first_stale_position, EXCLUDED.first_stale_position),"
                   " last_position = EXCLUDED.last_position, deadline_ms = EXCLUDED.deadline_ms,"
                   " stale_bytes = k.stale_bytes + EXCLUDED.stale_bytes";
        case Statement::insert_entries:
            return "INSERT INTO {s}log (position, key_id, origin_node_id, origin_incarnation, origin_sequence, wall_ms,"
                   " deadline_ms, payload)"
                   " SELECT w.position, k.key_id, w.node, w.incarnation, w.sequence, w.wall, w.deadline, w.payload"
                   " FROM unnest($1::int8[], $2::bytea[], $3::bytea[], $4::bytea[], $5::int8[], $6::int8[], $7::int8[],"
                   " $8::int8[], $9::int8[], $10::bytea[])"
                   " AS w(position, n, s, r, node, incarnation, sequence, wall, deadline, payload)"
                   " JOIN {s}keys k ON k.namespace = w.n AND k.key_start = w.s AND k.key_rest = w.r";
        case Statement::advance:
            // NULL is refused by the table: the group does not follow the log.
            return "UPDATE {s}log_head SET next_position = CASE WHEN next_position = $1::int8 THEN $1 + $2::int8 END,"
                   " log_bytes = log_bytes + $3::int8, stale_bytes = stale_bytes + $3"
                   " RETURNING log_bytes, stale_bytes";
        case Statement::delete_metadata:
            return "DELETE FROM {s}metadata m USING unnest($1::bytea[]) AS w(name) WHERE m.name = w.name";
        case Statement::put_metadata:
            return "INSERT INTO {s}metadata (name, value)"
                   " SELECT w.name, w.value FROM unnest($1::bytea[], $2::bytea[]) AS w(name, value) ORDER BY w.name"
                   " ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value";
        case Statement::notify:
            return "SELECT pg_notify($1::text, ($2::int8)::text)";
        case Statement::add_missing:
            return "INSERT INTO {s}keys (namespace, key_start, key_rest, version)"
                   " SELECT w.n, w.s, w.r, h.next_position"
                   " FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS w(n, s, r), {s}log_head h"
                   " WHERE NOT EXISTS (SELECT 1 FROM {s}keys k WHERE k.namespace = w.n AND k.key_start = w.s"
                   " AND k.key_rest = w.r) ORDER BY w.n, w.s, w.r ON CONFLICT DO NOTHING";
        case Statement::lock_keys:
            return "SELECT k.key_id FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS w(n, s, r)"
                   " JOIN {s}keys k ON k.namespace = w.n AND k.key_start = w.s AND k.key_rest = w.r"
                   " ORDER BY k.namespace, k.key_start, k.key_rest FOR UPDATE OF k";
        case Statement::read_keys:
            // One statement, so one moment: a checkpoint cannot come between the state and the entries.
            return "WITH w AS MATERIALIZED (SELECT k.key_id, k.version, k.state_position, t.index"
                   " FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::int8[]) WITH ORDINALITY"
                   " AS t(n, s, r, cached, index)"
                   " JOIN {s}keys k ON k.namespace = t.n AND k.key_start = t.s AND k.key_rest = t.r"
                   " WHERE k.version IS DISTINCT FROM t.cached)"
                   " SELECT w.index, w.version, 0::int8 AS part, k.state_position AS position, k.state AS bytes"
                   " FROM w JOIN {s}keys k ON k.key_id = w.key_id"
                   " UNION ALL SELECT w.index, w.version, 1::int8, l.position, l.payload"
                   " FROM w JOIN {s}log l ON l.key_id = w.key_id AND l.position > w.state_position"
                   " ORDER BY 1, 3, 4";
        case Statement::write_states:
            // REQUIRES: the rows are locked by an earlier statement of the transaction, so that `old` is as they are.
            return "WITH written AS (UPDATE {s}keys k SET state = w.state, state_position = w.position,"
                   " deadline_ms = CASE WHEN k.last_position > w.position THEN k.deadline_ms ELSE w.deadline END,"
                   " first_stale_position = CASE WHEN k.last_position > w.position THEN (SELECT min(l.position)"
                   " FROM {s}log l WHERE l.key_id = k.key_id AND l.position > w.position) END,"
                   " stale_bytes = CASE WHEN k.last_position > w.position THEN COALESCE((SELECT"
                   " sum(octet_length(l.payload) + 64) FROM {s}log l WHERE l.key_id = k.key_id"
                   " AND l.position > w.position), 0) ELSE 0 END, version = k.version + w.step"
                   " FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::int8[], $5::int8[], $6::bytea[], "
                   "$7::int8[])"
                   " AS w(n, s, r, position, deadline, state, step)"
                   " JOIN {s}keys old ON old.namespace = w.n AND old.key_start = w.s AND old.key_rest = w.r"
                   " WHERE k.key_id = old.key_id AND old.state_position <= w.position"
                   " RETURNING old.stale_bytes - k.stale_bytes AS covered)"
                   " UPDATE {s}log_head SET stale_bytes = stale_bytes - (SELECT COALESCE(sum(covered), 0) FROM written)"
                   " RETURNING log_bytes, stale_bytes";
        case Statement::lock_head:
            return "SELECT next_position, floor, log_bytes, stale_bytes FROM {s}log_head FOR UPDATE";
        case Statement::read_head:
            return "SELECT next_position, floor, log_bytes, stale_bytes FROM {s}log_head";
        case Statement::read_log:
            return "SELECT l.position, l.origin_node_id, l.origin_incarnation, l.origin_sequence, l.wall_ms,"
                   " l.deadline_ms, k.namespace, k.key_start, k.key_rest, l.payload FROM (SELECT e.*,"
                   " sum(octet_length(e.payload)) OVER (ORDER BY e.position) AS size FROM (SELECT * FROM {s}log"
                   " WHERE position >= $1::int8 ORDER BY position LIMIT $2::int8) e) l"
                   " JOIN {s}keys k ON k.key_id = l.key_id WHERE l.size <= $3::int8 OR l.position = $1"
                   " ORDER BY l.position";
        case Statement::scan_keys:
            return "SELECT namespace, key_start, key_rest FROM {s}keys"
                   " WHERE (namespace, key_start, key_rest) > ($1::bytea, $2::bytea, $3::bytea)"
                   " AND (state IS NOT NULL OR last_position > state_position)"
                   " ORDER BY namespace, key_start, key_rest LIMIT $4::int8";
        case Statement::scan_namespace:
            return "SELECT namespace, key_start, key_rest FROM {s}keys WHERE namespace = $1::bytea"
                   " AND (key_start, key_rest) > ($2::bytea, $3::bytea)"
                   " AND (state IS NOT NULL OR last_position > state_position)"
                   " ORDER BY namespace, key_start, key_rest LIMIT $4::int8";
        case Statement::scan_due:
            return "SELECT namespace, key_start, key_rest, deadline_ms FROM {s}keys"
                   " WHERE deadline_ms > 0 AND deadline_ms <= $1::int8"
                   " ORDER BY deadline_ms, namespace, key_start, key_rest LIMIT $2::int8";
        case Statement::read_metadata:
            return "SELECT w.index, m.value FROM unnest($1::bytea[]) WITH ORDINALITY AS w(name, index)"
                   " JOIN {s}metadata m ON m.name = w.name";
        case Statement::scan_metadata:
            return "SELECT name, value FROM {s}metadata WHERE name >= $1::bytea AND name > $2::bytea"
                   " AND name < $3::bytea ORDER BY name LIMIT $4::int8";
        case Statement::oldest_stale:
            return "SELECT first_stale_position, namespace, key_start, key_rest FROM {s}keys"
                   " WHERE first_stale_position > $1::int8 ORDER BY first_stale_position LIMIT $2::int8";
        case Statement::stale_of:
            return "SELECT w.index, k.first_stale_position"
                   " FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) WITH ORDINALITY AS w(n, s, r, index)"
                   " JOIN {s}keys k ON k.namespace = w.n AND k.key_start = w.s AND k.key_rest = w.r"
                   " WHERE k.first_stale_position > 0";
        case Statement::drop_entries:
            return "WITH dropped AS (DELETE FROM {s}log WHERE position < $1::int8 RETURNING octet_length(payload) AS "
                   "size)"
                   " SELECT COALESCE(sum(size + 64), 0)::int8 FROM dropped";
        case Statement::drop_keys:
            // Rows that a group holds at this moment are left for the next time.
            return "DELETE FROM {s}keys WHERE key_id IN (SELECT key_id FROM {s}keys WHERE state IS NULL"
                   " AND last_position < $1::int8 ORDER BY last_position LIMIT $2::int8 FOR UPDATE SKIP LOCKED)"
                   " AND state IS NULL AND last_position < $1::int8 RETURNING key_id";
        case Statement::set_floor:
            return "UPDATE {s}log_head SET floor = GREATEST(floor, $1::int8), log_bytes = log_bytes - $2::int8"
                   " RETURNING log_bytes, stale_bytes";
    }
    return "";
}

}  // namespace

const char* statement_name(Statement statement) {
    static constexpr const char* names[] = {"m0",  "m1",  "m2",  "m3",  "m4",  "m5",  "m6",  "m7",  "m8",  "m9",  "m10",
                                            "m11", "m12", "m13", "m14", "m15", "m16", "m17", "m18", "m19", "m20", "m21",
                                            "m22", "m23", "m24", "m25", "m26", "m27", "m28", "m29", "m30"};
    return names[static_cast<size_t>(statement)];
}

std::string qualified(const std::string& schema) {
    return "\"" + schema + "\".";
}

std::string statement_text(Statement statement, const std::string& schema) {
    std::string out = text_of(statement);
    const std::string prefix = qualified(schema);
    for (size_t at = 0; (at = out.find("{s}", at)) != std::string::npos; at += prefix.size())
        out.replace(at, 3, prefix);
    return out;
}

}  // namespace meridian::store_pg
