// One connection to the server: libpq, non-blocking, in pipeline mode. A batch of statements is sent as one piece and
// takes one round trip.
//
// Threads: one at a time, but for interrupt(). Errors: ServerError; after one that is lost() the connection is closed.
#pragma once

#include <libpq-fe.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "errors.h"
#include "parameters.h"
#include "settings.h"
#include "statements.h"

namespace meridian::store_pg {

// What a statement gave.
class Rows {
public:
    explicit Rows(PGresult* result) : result_(result, PQclear) {}
    int count() const { return PQntuples(result_.get()); }
    bool is_null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
    std::string_view bytes(int row, int column) const {
        return {PQgetvalue(result_.get(), row, column), static_cast<size_t>(PQgetlength(result_.get(), row, column))};
    }
    std::string text(int row, int column) const { return std::string(bytes(row, column)); }
    uint64_t number(int row, int column) const { return number_of(bytes(row, column)); }

private:
    std::shared_ptr<PGresult> result_;
};

struct Command {
    Statement statement;
    Parameters parameters;
};

class Connection {
public:
    // Answers true when waiting has no point any more.
    using GiveUp = std::function<bool()>;

    Connection(const Settings& settings, GiveUp give_up);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Connects, sets the time limits of the session, and prepares `statements`.
    void open(const std::vector<Statement>& statements);
    void close();
    bool is_open() const { return connection_ != nullptr; }
    // Between batches: closes the connection if the server has ended it. What is found so was not sent, and is in no
    // doubt.
    bool is_alive();
    // For poll().
    int socket() const { return PQsocket(connection_.get()); }

    // Sends all, then waits for all. Throws what the first one that failed says; those after it were not carried out,
    // and the transaction that was open has failed.
    std::vector<Rows> run(const std::vector<Command>& batch);
    // SQL of any kind, values given as text. For set-up and maintenance.
    Rows query(const std::string& sql, const std::vector<std::string>& values = {});
    void rollback();

    // Takes one notification that has come; reads what the socket has. Throws if the connection is lost.
    bool take_notification();
    int backend() const { return PQbackendPID(connection_.get()); }

private:
    using Owned = std::unique_ptr<PGconn, void (*)(PGconn*)>;

    void connect();
    void wait(bool for_write, uint64_t deadline_us);
    void flush(uint64_t deadline_us);
    PGresult* next_result(uint64_t deadline_us);
    // Results up to the end of the batch; the first failure is thrown after the last of them.
    std::vector<Rows> collect(size_t count);
    [[noreturn]] void lose(const std::string& what);
    [[noreturn]] void lose_by_libpq();
    uint64_t patience_us() const;

    const Settings& settings_;
    const GiveUp give_up_;
    Owned connection_{nullptr, PQfinish};
};

}  // namespace meridian::store_pg
