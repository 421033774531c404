#include "schema.h"

#include <algorithm>
#include <vector>

namespace meridian::store_pg {
namespace {

// What each version adds. Never changed once released: a new version is a new element.
const std::vector<std::vector<const char*>>& migrations() {
    static const std::vector<std::vector<const char*>> all = {{
        "CREATE TABLE {s}store (one boolean PRIMARY KEY DEFAULT true CHECK (one), store_id bytea NOT NULL)",
        // One row, which every group locks last: it numbers the log, for all nodes.
        "CREATE TABLE {s}log_head (one boolean PRIMARY KEY DEFAULT true CHECK (one), next_position bigint NOT NULL,"
        " floor bigint NOT NULL, log_bytes bigint NOT NULL, stale_bytes bigint NOT NULL) WITH (fillfactor = 10)",
        "INSERT INTO {s}log_head (next_position, floor, log_bytes, stale_bytes) VALUES (1, 1, 0, 0)",
        // A row for each node, which its groups lock first.
        "CREATE TABLE {s}writers (writer bytea PRIMARY KEY, group_number bigint NOT NULL DEFAULT 0, fence bigint"
        " NOT NULL DEFAULT 0, sequence bigint NOT NULL DEFAULT 0, used timestamptz NOT NULL DEFAULT now()) WITH "
        "(fillfactor = 10)",
        "CREATE TABLE {s}keys (key_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, namespace bytea NOT NULL,"
        " key_start bytea NOT NULL, key_rest bytea NOT NULL, version bigint NOT NULL, state_position bigint NOT NULL"
        " DEFAULT 0, first_stale_position bigint, last_position bigint NOT NULL DEFAULT 0,"
        " deadline_ms bigint NOT NULL DEFAULT 0, stale_bytes bigint NOT NULL DEFAULT 0, state bytea)"
        " WITH (fillfactor = 80)",
        "CREATE UNIQUE INDEX keys_by_name ON {s}keys (namespace, key_start,"
        " (CASE WHEN key_rest = ''::bytea THEN ''::bytea ELSE sha256(key_rest) END))",
        "CREATE INDEX keys_by_deadline ON {s}keys (deadline_ms) WHERE deadline_ms > 0",
        "CREATE INDEX keys_stale ON {s}keys (first_stale_position) WHERE first_stale_position > 0",
        "CREATE INDEX keys_without_state ON {s}keys (last_position) WHERE state IS NULL",
        "CREATE TABLE {s}log (position bigint PRIMARY KEY, key_id bigint NOT NULL, origin_node_id bigint NOT NULL,"
        " origin_incarnation bigint NOT NULL, origin_sequence bigint NOT NULL, wall_ms bigint NOT NULL,"
        " deadline_ms bigint NOT NULL, payload bytea NOT NULL)",
        "CREATE INDEX log_of_key ON {s}log (key_id, position)",
        "CREATE TABLE {s}metadata (name bytea PRIMARY KEY, value bytea NOT NULL)",
        // Its rows are never updated: without this a table that only grows is vacuumed too seldom for index-only scans.
        "ALTER TABLE {s}log SET (autovacuum_vacuum_insert_scale_factor = 0.05)",
    }};
    return all;
}

std::string with_schema(std::string sql, const std::string& schema) {
    const std::string prefix = qualified(schema);
    for (size_t at = 0; (at = sql.find("{s}", at)) != std::string::npos; at += prefix.size())
        sql.replace(at, 3, prefix);
    return sql;
}

bool exists(Connection& connection, const std::string& sql, const std::string& name) {
    return connection.query(sql, {name}).count() != 0;
}

uint64_t version_of(Connection& connection, const std::string& schema) {
    if (!exists(connection, "SELECT 1 WHERE to_regclass($1) IS NOT NULL", qualified(schema) + "migrations")) return 0;
    return connection.query(with_schema("SELECT COALESCE(max(version), 0)::int8 FROM {s}migrations", schema))
        .number(0, 0);
}

std::string hexadecimal(const StoreId& id) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string out;
    for (const uint8_t byte : id) {
        out.push_back(digits[byte >> 4]);
        out.push_back(digits[byte & 15]);
    }
    return out;
}

bool migrate(Connection& connection, const std::string& schema, const StoreId& fresh_id) {
    bool created = false;
    connection.query("BEGIN");
    // Nodes that start together come one after the other, however long the first one takes.
    connection.query("SET LOCAL lock_timeout = 0");
    connection.query("SET LOCAL statement_timeout = 0");
    connection.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", {"meridian.migrate." + schema});
    if (!exists(connection, "SELECT 1 FROM pg_namespace WHERE nspname = $1", schema))
        connection.query("CREATE SCHEMA \"" + schema + "\"");
    connection.query(
        with_schema("CREATE TABLE IF NOT EXISTS {s}migrations (version bigint PRIMARY KEY, made"
                    " timestamptz NOT NULL DEFAULT now())",
                    schema));
    for (uint64_t version = version_of(connection, schema) + 1; version <= migrations().size(); ++version) {
        for (const char* sql : migrations()[version - 1]) connection.query(with_schema(sql, schema));
        if (version == 1) {
            connection.query(with_schema("INSERT INTO {s}store (store_id) VALUES (decode($1, 'hex'))", schema),
                             {hexadecimal(fresh_id)});
            created = true;
        }
        connection.query(with_schema("INSERT INTO {s}migrations (version) VALUES ($1::text::bigint)", schema),
                         {std::to_string(version)});
    }
    connection.query("COMMIT");
    return created;
}

}  // namespace

SchemaState bring_up_to_date(Connection& connection, const std::string& schema, const StoreId& fresh_id) {
    SchemaState out;
    uint64_t found = version_of(connection, schema);
    if (found < migrations().size()) {
        out.created = migrate(connection, schema, fresh_id);
        found = version_of(connection, schema);
    }
    if (found > migrations().size()) {
        throw abi::Failure(MERIDIAN_NEWER_FORMAT, "schema '" + schema + "' has version " + std::to_string(found) +
                                                      ", expected at most " + std::to_string(migrations().size()));
    }
    const Rows rows = connection.query(with_schema("SELECT store_id FROM {s}store", schema));
    if (rows.count() != 1 || rows.bytes(0, 0).size() != out.store_id.size())
        throw abi::Failure(MERIDIAN_CORRUPT, "schema '" + schema + "': its table 'store' has not one id");
    const std::string_view id = rows.bytes(0, 0);
    std::copy(id.begin(), id.end(), out.store_id.begin());
    return out;
}

}  // namespace meridian::store_pg
