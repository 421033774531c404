// Every statement of the commit, read and upkeep paths, prepared once a connection. Names are bound, never written into
// SQL, but for the schema, which the configuration has checked.
#pragma once

#include <string>

namespace meridian::store_pg {

enum class Statement {
    begin,
    commit,
    rollback,
    mark_writer,      // writer, group number; fails for a number at or below the fence
    read_writer,      // writer -> group number, sequence, fence; locks it
    fence_writer,     // writer, number
    set_sequence,     // writer, sequence
    touch_keys,       // of a group: names, first and last position, deadline, bytes
    insert_entries,   // positions, names, origins, times, payloads
    advance,          // expected position, count, bytes
    delete_metadata,  // names
    put_metadata,     // names, values
    notify,           // channel, position
    add_missing,      // names
    lock_keys,        // names
    read_keys,        // names, cached versions -> index, version, part (0 state, 1 entry), position, bytes
    write_states,     // names, positions, deadlines, states, version steps -> log_bytes, stale_bytes
    lock_head,        // -> next_position, floor, log_bytes, stale_bytes
    read_head,        // the same without a lock
    read_log,         // from, count, bytes
    scan_keys,        // after, count
    scan_namespace,   // namespace, after, count
    scan_due,         // until, count
    read_metadata,    // names -> index, value
    scan_metadata,    // from, after, below, count
    oldest_stale,     // after position, count -> position, namespace, start, rest
    stale_of,         // names -> index, oldest position
    drop_entries,     // below -> bytes
    drop_keys,        // below, count
    set_floor,        // floor, bytes -> log_bytes, stale_bytes
};

const char* statement_name(Statement statement);
std::string statement_text(Statement statement, const std::string& schema);

// Prefix of every name in a schema.
std::string qualified(const std::string& schema);

// A key is stored in two columns, because an index takes 2,704 bytes and a key may have 4,096. Both together sort as
// the key does.
constexpr size_t key_start_bytes = 1024;

}  // namespace meridian::store_pg
