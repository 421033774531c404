// The tables of store-sql, and every SQL statement on them.
//
//   store   one row: format, store_id, floor (oldest kept position)
//   log     entries by position
//   rows    one row a key: its state, the position that the state reflects, the position of its newest entry
//   values  metadata
//
// The statements are what SQLite and PostgreSQL have in common (BYTEA for BLOB there). Names are BLOBs, so that they
// sort by their bytes. A NULL BLOB is an empty one: Poco binds empty ones as NULL.
//
// Threads: one at a time. Errors: Poco::Exception; what a transaction has written is gone unless commit() returned.
#pragma once

#include <Poco/Data/Session.h>

#include <array>
#include <functional>
#include <map>

#include <meridian/store.hpp>

namespace store_sql {

using meridian::abi::Entry;
using meridian::abi::MetadataWrite;
using meridian::abi::Name;
using meridian::abi::Snapshot;

using StoreId = std::array<uint8_t, 16>;

struct KeyRow {
    std::optional<std::string> state;
    uint64_t position = 0;
    std::vector<std::string> tail;  // payloads of later entries
    uint64_t tail_position = 0;     // of the last of them
};

class Database {
public:
    // Opens or makes the file; takes it for this process alone. `fresh_id` becomes the id of a new store.
    Database(const std::string& file, const StoreId& fresh_id);

    bool created() const { return created_; }
    const StoreId& store_id() const { return store_id_; }
    uint64_t next_position() const { return now_.next_position; }
    uint64_t floor() const { return now_.floor; }
    // Position of the oldest entry newer than the key's state, for each key that has one.
    std::map<uint64_t, Name> stale_keys();

    void begin();
    void commit();
    void rollback() noexcept;

    // These belong into a transaction.
    void append(const Entry& entry);
    void write(const MetadataWrite& write);
    // False: the row reflects a later position already, and nothing was done.
    bool write(const Snapshot& snapshot);
    // Drops entries below this position, at most count_max of them.
    void drop_below(uint64_t position, uint64_t count_max);

    // Position of the key's oldest entry that is newer than its state; 0: none.
    uint64_t oldest_stale(const Name& name);
    KeyRow read(const Name& name);
    // The callbacks return false to end the listing.
    void read_log(uint64_t from_position, uint64_t entries_max, const std::function<bool(const Entry&)>& entry);
    std::vector<Name> names(const std::string& of_namespace, const std::optional<Name>& after, uint64_t count_max);
    std::vector<std::pair<uint64_t, Name>> due(uint64_t until_ms, uint64_t count_max);
    std::optional<std::string> value(const std::string& name);
    std::vector<std::pair<std::string, std::string>> values(const std::string& prefix, const std::string& after,
                                                            uint64_t count_max);
    uint64_t log_bytes() const { return now_.log_bytes; }
    // Of entries that are newer than their key's state.
    uint64_t stale_bytes() const { return now_.stale_bytes; }

private:
    void make_tables(const StoreId& fresh_id);

    Poco::Data::Session session_;
    bool created_ = false;
    StoreId store_id_{};
    struct Figures {
        uint64_t next_position = 1;
        uint64_t floor = 1;
        uint64_t log_bytes = 0;
        uint64_t stale_bytes = 0;
    };
    Figures now_;
    Figures before_;  // when the transaction began
};

}  // namespace store_sql
