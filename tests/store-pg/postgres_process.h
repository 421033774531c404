// Real PostgreSQL servers for tests: each in a directory of its own, on a unix socket there, ended by its process id;
// and a plain client, so that what the plug-in wrote is seen by something that is not of us. Started by root, the
// server runs as the user `postgres` or `nobody`, because it refuses root.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "libpq-fe.h"

namespace meridian::test {

class PostgresProcess {
public:
    // Waits until it takes connections. `settings`: "name=value" of its configuration. `durable`: with fsync, for tests
    // that kill it. Throws std::runtime_error with its log if it does not start.
    explicit PostgresProcess(std::vector<std::string> settings = {}, bool durable = false);
    ~PostgresProcess();  // SIGKILL if it still runs
    PostgresProcess(const PostgresProcess&) = delete;
    PostgresProcess& operator=(const PostgresProcess&) = delete;

    std::string url(const std::string& role = "meridian", const std::string& password = "") const;
    std::string socket_directory() const { return directory_; }
    void start();
    void stop();  // as `pg_ctl stop -m fast`
    void kill();  // SIGKILL of all of its processes
    void hang();  // it takes connections, and answers nothing
    void wake();
    // A copy of the data directory, made while it is stopped, and back.
    void save();
    void restore_saved();
    std::string log() const;
    // Another program as the user of the server; it ends with the test.
    pid_t run_beside(const std::vector<std::string>& command) const { return run(command, true); }

private:
    pid_t run(const std::vector<std::string>& command, bool as_server) const;
    void spawn();

    std::vector<std::string> settings_;
    std::string directory_;
    std::string programs_;
    bool durable_;
    pid_t process_ = -1;
};

// Synchronous; throws std::runtime_error.
class PostgresClient {
public:
    explicit PostgresClient(const std::string& url);
    ~PostgresClient();
    PostgresClient(const PostgresClient&) = delete;
    PostgresClient& operator=(const PostgresClient&) = delete;

    // Columns of all rows as text, one after the other.
    std::vector<std::string> query(const std::string& sql);
    std::string value(const std::string& sql);

private:
    PGconn* connection_;
};

}  // namespace meridian::test
