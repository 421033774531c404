// The connection that commits, and what makes this instance the one that may: an advisory lock, and its row in the
// table of writers, by which a commit whose outcome is not known is settled.
//
// Threads: one at a time. Errors: ServerError; Failure where a person must look.
#pragma once

#include <optional>

#include "connection.h"
#include "schema.h"

namespace meridian::store_pg {

struct Head {
    uint64_t next_position = 1;
    uint64_t floor = 1;
    uint64_t log_bytes = 0;
    uint64_t stale_bytes = 0;
};

Head head_of(const Rows& rows);

class Session {
public:
    // `instance`: random, the name of this writer if it has no better one.
    Session(const Settings& settings, std::string instance, Connection::GiveUp give_up);

    // Connects and takes the lock; waits for a transaction of this writer's former connection. Throws
    // Failure(MERIDIAN_IN_USE) with the holder's name if another node has the lock.
    void open();
    void close() { connection_.close(); }
    bool is_open() const { return connection_.is_open(); }
    Connection& connection() { return connection_; }

    // What the server knew when it was opened last: the number of this writer's last group that was committed.
    uint64_t group_number() const { return group_number_; }
    // Groups of this connection have greater numbers; groups with lower ones are refused from now on.
    uint64_t fence() const { return fence_; }
    uint64_t sequence() const { return sequence_; }
    const Head& head() const { return head_; }

    const std::string& writer() const { return writer_; }
    // Removes the row of a writer that nobody will look for.
    void forget_writer();

private:
    void take(const std::string& lock, bool together);

    const Settings& settings_;
    const std::string writer_;
    const bool lasting_;  // the writer's name outlives this instance
    Connection connection_;
    uint64_t group_number_ = 0;
    uint64_t fence_ = 0;
    uint64_t sequence_ = 0;
    Head head_;
};

// Throws Failure(MERIDIAN_INVALID) if there is a pooler between that gives each transaction another connection: locks
// of a session, prepared statements and notifications are lost there.
void refuse_transaction_pooler(const Settings& settings, Connection& connection, const Connection::GiveUp& give_up);

// The channel of notifications of a schema.
std::string channel_of(const std::string& schema);

}  // namespace meridian::store_pg
