#include "connection.h"

#include <poll.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

namespace meridian::store_pg {
namespace {

// How often a wait looks whether it should be given up.
constexpr int look_ms = 50;
// The server's own limit comes first; what is this much later is a link or server that does not answer.
constexpr uint64_t grace_us = 2'000'000;
constexpr int reads_between_batches_max = 100;

uint64_t now_us() {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
            .count());
}

std::string trimmed(const char* text) {
    std::string out = text == nullptr ? "" : text;
    while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
    for (char& c : out) {
        if (c == '\n' || c == '\t') c = ' ';
    }
    return out;
}

std::string field(const PGresult* result, int code) {
    return trimmed(PQresultErrorField(result, code));
}

// A warning of the server, such as one of a ROLLBACK without a transaction, is nothing for stderr.
void drop_notice(void*, const PGresult*) {}

}  // namespace

Connection::Connection(const Settings& settings, GiveUp give_up) : settings_(settings), give_up_(std::move(give_up)) {}

Connection::~Connection() = default;

void Connection::close() {
    connection_.reset();
}

uint64_t Connection::patience_us() const {
    return now_us() + settings_.statement_timeout_ms * 1000 + grace_us;
}

void Connection::lose(const std::string& what) {
    close();
    throw ServerError(ServerError::Kind::lost, "", settings_.without_secrets(settings_.server() + ": " + what));
}

void Connection::lose_by_libpq() {
    lose(trimmed(PQerrorMessage(connection_.get())));
}

void Connection::wait(bool for_write, uint64_t deadline_us) {
    for (;;) {
        pollfd look{PQsocket(connection_.get()), static_cast<short>(for_write ? POLLIN | POLLOUT : POLLIN), 0};
        const int ready = ::poll(&look, 1, look_ms);
        if (ready > 0 || (ready < 0 && errno != EINTR)) return;
        if (give_up_()) {
            close();
            throw ServerError(ServerError::Kind::cancelled, "", "the store is being stopped");
        }
        if (now_us() >= deadline_us) lose("no answer in time");
    }
}

void Connection::connect() {
    std::vector<const char*> keywords;
    std::vector<const char*> values;
    for (const auto& [keyword, value] : settings_.connection) {
        keywords.push_back(keyword.c_str());
        values.push_back(value.c_str());
    }
    keywords.push_back(nullptr);
    values.push_back(nullptr);
    const uint64_t deadline_us = now_us() + settings_.connect_timeout_ms * 1000;
    connection_.reset(PQconnectStartParams(keywords.data(), values.data(), 0));
    if (!connection_) lose("out of memory");
    if (PQstatus(connection_.get()) == CONNECTION_BAD) lose_by_libpq();
    PQsetNoticeReceiver(connection_.get(), drop_notice, nullptr);
    for (PostgresPollingStatusType state = PGRES_POLLING_WRITING; state != PGRES_POLLING_OK;) {
        // Only one direction is wanted at a time: a socket that can be written all the time must not spin.
        pollfd look{PQsocket(connection_.get()), static_cast<short>(state == PGRES_POLLING_WRITING ? POLLOUT : POLLIN),
                    0};
        if (::poll(&look, 1, look_ms) == 0) {
            if (give_up_()) {
                close();
                throw ServerError(ServerError::Kind::cancelled, "", "the store is being stopped");
            }
            if (now_us() >= deadline_us) lose("no connection in time");
            continue;
        }
        state = PQconnectPoll(connection_.get());
        if (state == PGRES_POLLING_FAILED) lose_by_libpq();
    }
    if (PQsetnonblocking(connection_.get(), 1) != 0 || PQenterPipelineMode(connection_.get()) != 1) lose_by_libpq();
}

void Connection::open(const std::vector<Statement>& statements) {
    close();
    connect();
    try {
        const auto set = [&](const char* name, const std::string& value) {
            query("SELECT set_config($1, $2, false)", {name, value});
        };
        set("synchronous_commit", "on");
        set("lock_timeout", std::to_string(settings_.lock_timeout_ms));
        set("statement_timeout", std::to_string(settings_.statement_timeout_ms));
        set("idle_in_transaction_session_timeout", std::to_string(settings_.idle_transaction_timeout_ms));
        set("default_transaction_isolation", "read committed");
        set("bytea_output", "hex");
        // Every statement goes through an index. A plan that was made when the tables were small must not turn into a
        // scan of all of a large one, nor wait for statistics.
        for (const char* name : {"enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"}) set(name, "off");
        set("plan_cache_mode", "force_generic_plan");
        for (const Statement statement : statements) {
            const std::string sql = statement_text(statement, settings_.schema);
            if (PQsendPrepare(connection_.get(), statement_name(statement), sql.c_str(), 0, nullptr) != 1)
                lose_by_libpq();
        }
        if (PQpipelineSync(connection_.get()) != 1) lose_by_libpq();
        collect(statements.size());
    } catch (const ServerError& error) {
        close();
        if (error.lost()) throw;
        throw ServerError(ServerError::Kind::lost, error.sqlstate(), error.what());
    }
}

void Connection::flush(uint64_t deadline_us) {
    for (;;) {
        const int left = PQflush(connection_.get());
        if (left == 0) return;
        if (left < 0) lose_by_libpq();
        wait(true, deadline_us);
        if (PQconsumeInput(connection_.get()) != 1) lose_by_libpq();
    }
}

PGresult* Connection::next_result(uint64_t deadline_us) {
    while (PQisBusy(connection_.get()) != 0) {
        flush(deadline_us);
        if (PQisBusy(connection_.get()) == 0) break;
        wait(false, deadline_us);
        if (PQconsumeInput(connection_.get()) != 1) lose_by_libpq();
    }
    return PQgetResult(connection_.get());
}

std::vector<Rows> Connection::collect(size_t count) {
    const uint64_t deadline_us = patience_us();
    flush(deadline_us);
    std::vector<Rows> out;
    std::string sqlstate;
    std::string failure;
    bool failed = false;
    for (;;) {
        PGresult* const result = next_result(deadline_us);
        if (result == nullptr) {
            // Between two statements; or the end of a connection that has nothing more to say.
            if (PQstatus(connection_.get()) == CONNECTION_BAD) lose_by_libpq();
            continue;
        }
        Rows rows(result);
        const ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_PIPELINE_SYNC) break;
        if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
            out.push_back(std::move(rows));
        } else if (status != PGRES_PIPELINE_ABORTED && !failed) {
            failed = true;
            sqlstate = field(result, PG_DIAG_SQLSTATE);
            failure = field(result, PG_DIAG_MESSAGE_PRIMARY);
            if (failure.empty()) failure = trimmed(PQresultErrorMessage(result));
            // Without a state it is libpq that speaks, of a lost connection. FATAL ends the connection at any moment,
            // also after a COMMIT; an ERROR has ended the transaction.
            if (sqlstate.empty() || field(result, PG_DIAG_SEVERITY_NONLOCALIZED) != "ERROR") {
                close();
                throw ServerError(ServerError::Kind::lost, sqlstate,
                                  settings_.without_secrets(settings_.server() + ": " + failure));
            }
        }
    }
    if (failed && ends_connection(sqlstate)) close();
    if (failed) {
        throw ServerError(
            ServerError::Kind::refused, sqlstate,
            settings_.without_secrets(settings_.server() + ": " + failure + " (SQLSTATE " + sqlstate + ")"));
    }
    if (out.size() != count) lose("found " + std::to_string(out.size()) + " results of " + std::to_string(count));
    return out;
}

std::vector<Rows> Connection::run(const std::vector<Command>& batch) {
    if (!is_open()) throw ServerError(ServerError::Kind::lost, "", settings_.server() + ": there is no connection");
    const uint64_t deadline_us = patience_us();
    for (const Command& command : batch) {
        const auto pointers = command.parameters.pointers();
        const auto lengths = command.parameters.lengths();
        const auto formats = command.parameters.formats();
        if (PQsendQueryPrepared(connection_.get(), statement_name(command.statement), command.parameters.count(),
                                pointers.data(), lengths.data(), formats.data(), 1) != 1) {
            lose_by_libpq();
        }
        // libpq buffers what the socket does not take: not more than one statement of it.
        flush(deadline_us);
    }
    if (PQpipelineSync(connection_.get()) != 1) lose_by_libpq();
    return collect(batch.size());
}

Rows Connection::query(const std::string& sql, const std::vector<std::string>& values) {
    if (!is_open()) throw ServerError(ServerError::Kind::lost, "", settings_.server() + ": there is no connection");
    std::vector<const char*> pointers;
    for (const std::string& value : values) pointers.push_back(value.c_str());
    if (PQsendQueryParams(connection_.get(), sql.c_str(), static_cast<int>(values.size()), nullptr, pointers.data(),
                          nullptr, nullptr, 1) != 1 ||
        PQpipelineSync(connection_.get()) != 1) {
        lose_by_libpq();
    }
    return collect(1).front();
}

bool Connection::is_alive() {
    if (!is_open()) return false;
    // What comes between batches is something harmless, such as a changed setting, or a farewell and then the end of
    // the stream, which is found only when it is read.
    for (int reads = 0; reads < reads_between_batches_max; ++reads) {
        pollfd look{PQsocket(connection_.get()), POLLIN, 0};
        if (::poll(&look, 1, 0) == 0) return true;
        if (PQconsumeInput(connection_.get()) != 1 || PQstatus(connection_.get()) != CONNECTION_OK) break;
        // Without a statement under way libpq has nothing to give, but handles what it has read.
        if (PQisBusy(connection_.get()) == 0) PQclear(PQgetResult(connection_.get()));
    }
    close();
    return false;
}

void Connection::rollback() {
    run({{Statement::rollback, {}}});
}

bool Connection::take_notification() {
    if (PQconsumeInput(connection_.get()) != 1) lose_by_libpq();
    const std::unique_ptr<PGnotify, void (*)(void*)> notification(PQnotifies(connection_.get()), PQfreemem);
    return notification != nullptr;
}

}  // namespace meridian::store_pg
