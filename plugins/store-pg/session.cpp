#include "session.h"

#include <algorithm>

namespace meridian::store_pg {
namespace {

constexpr uint64_t numbers_per_connection = uint64_t{1} << 32;

const std::vector<Statement>& commit_statements() {
    static const std::vector<Statement> all = {
        Statement::begin,          Statement::commit,       Statement::rollback,     Statement::mark_writer,
        Statement::read_writer,    Statement::fence_writer, Statement::set_sequence, Statement::touch_keys,
        Statement::insert_entries, Statement::advance,      Statement::lock_keys,    Statement::delete_metadata,
        Statement::put_metadata,   Statement::notify,       Statement::add_missing,  Statement::read_keys,
        Statement::write_states,   Statement::lock_head,    Statement::read_head};
    return all;
}

std::string writer_name(const Settings& settings, const std::string& instance) {
    if (!settings.shared) return "exclusive";
    return settings.node_id.empty() ? "instance-" + instance : "node-" + settings.node_id;
}

std::string holder_of(Connection& connection, const std::string& lock) {
    const Rows rows = connection.query(
        "SELECT COALESCE(NULLIF(a.application_name, ''), 'an unknown program'), a.pid::text,"
        " COALESCE(host(a.client_addr), 'this machine')"
        " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted"
        " AND l.objsubid = 1 AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended($1, 0) LIMIT 1",
        {lock});
    if (rows.count() == 0) return "another node, which has just let it go";
    return rows.text(0, 0) + " (server process " + rows.text(0, 1) + ", from " + rows.text(0, 2) + ")";
}

uint64_t server_process(Connection& connection) {
    return connection.query("SELECT pg_backend_pid()").number(0, 0);
}

}  // namespace

Head head_of(const Rows& rows) {
    if (rows.count() != 1) throw abi::Failure(MERIDIAN_CORRUPT, "the table 'log_head' has not one row");
    return {rows.number(0, 0), rows.number(0, 1), rows.number(0, 2), rows.number(0, 3)};
}

std::string channel_of(const std::string& schema) {
    return "meridian." + schema.substr(0, 50);
}

Session::Session(const Settings& settings, std::string instance, Connection::GiveUp give_up)
    : settings_(settings),
      writer_(writer_name(settings, instance)),
      lasting_(!settings.shared || !settings.node_id.empty()),
      connection_(settings, std::move(give_up)) {}

void Session::take(const std::string& lock, bool together) {
    const std::string sql =
        std::string("SELECT pg_try_advisory_lock") + (together ? "_shared" : "") + "(hashtextextended($1, 0))";
    if (connection_.query(sql, {lock}).number(0, 0) != 0) return;
    const std::string holder = holder_of(connection_, lock);
    connection_.close();
    throw abi::Failure(MERIDIAN_IN_USE,
                       settings_.server() + ": schema '" + settings_.schema + "' is in use by " + holder);
}

void Session::open() {
    connection_.open(commit_statements());
    // The server gives both up when the connection ends.
    const std::string lock = "meridian.node." + settings_.schema;
    take(lock, settings_.shared);
    if (settings_.shared && lasting_) take(lock + "." + settings_.node_id, false);
    for (;;) {
        try {
            // Waits for a transaction of the former connection, and shuts out what that one may still hold unread: it
            // would come to the server when nobody waits for it any more.
            const Parameters writer = Parameters().bytes(writer_);
            const auto known = connection_.run({{Statement::begin, {}}, {Statement::read_writer, writer}})[1];
            const bool is_new = known.count() == 0;
            const uint64_t number = is_new ? 0 : known.number(0, 0);
            const uint64_t fence = is_new ? 0 : known.number(0, 2);
            const uint64_t next_fence = (std::max(number, fence) / numbers_per_connection + 1) * numbers_per_connection;
            const auto rows = connection_.run({{Statement::fence_writer, Parameters(writer).number(next_fence)},
                                               {Statement::read_head, {}},
                                               {Statement::commit, {}}});
            group_number_ = number;
            fence_ = next_fence;
            sequence_ = is_new ? 0 : known.number(0, 1);
            head_ = head_of(rows[1]);
            return;
        } catch (const ServerError& error) {
            // The former connection's transaction may last longer than lock_timeout.
            if (!error.worth_repeating()) throw;
            connection_.rollback();
        }
    }
}

void Session::forget_writer() {
    if (lasting_ || !is_open()) return;
    connection_.query("DELETE FROM " + qualified(settings_.schema) + "writers WHERE writer = convert_to($1, 'UTF8')",
                      {writer_});
}

void refuse_transaction_pooler(const Settings& settings, Connection& connection, const Connection::GiveUp& give_up) {
    const uint64_t first = server_process(connection);
    // A pooler makes up the number that a client is given for its connection.
    if (first == static_cast<uint64_t>(connection.backend())) return;
    Connection other(settings, give_up);
    other.open({});
    other.query("BEGIN");
    const uint64_t of_other = server_process(other);
    const uint64_t second = server_process(connection);
    other.query("ROLLBACK");
    if (of_other != first && second == first) return;
    throw abi::Failure(MERIDIAN_INVALID,
                       settings.server() +
                           ": a connection pooler gives each transaction another connection (PgBouncer with pool_mode "
                           "= transaction); expected the server itself, or pool_mode = session");
}

}  // namespace meridian::store_pg
