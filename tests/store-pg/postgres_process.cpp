#include "postgres_process.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace meridian::test {
namespace {

constexpr auto patience = std::chrono::seconds(120);

const passwd* server_user() {
    if (::geteuid() != 0) return nullptr;
    const passwd* user = ::getpwnam("postgres");
    return user != nullptr ? user : ::getpwnam("nobody");
}

// The newest version that Debian has installed, else what the path has.
std::string find_programs() {
    std::string found;
    int newest = 0;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", ignored)) {
        const int version = std::atoi(entry.path().filename().c_str());
        if (version > newest && std::filesystem::exists(entry.path() / "bin/postgres")) {
            newest = version;
            found = (entry.path() / "bin/").string();
        }
    }
    return found;
}

std::vector<pid_t> children_of(pid_t parent) {
    std::vector<pid_t> out;
    std::ifstream file("/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) + "/children");
    for (pid_t child = 0; file >> child;) out.push_back(child);
    return out;
}

}  // namespace

PostgresProcess::PostgresProcess(std::vector<std::string> settings, bool durable)
    : settings_(std::move(settings)), programs_(find_programs()), durable_(durable) {
    std::string path = (std::filesystem::temp_directory_path() / "meridian-pg-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    directory_ = path;
    if (const passwd* user = server_user(); user != nullptr && ::chown(path.c_str(), user->pw_uid, user->pw_gid) != 0)
        throw std::runtime_error("chown failed");
    run({programs_ + "initdb", "--no-sync", "-A", "trust", "-U", "meridian", "-E", "UTF8", "--locale=C", "-D",
         directory_ + "/data"},
        false);
    start();
}

PostgresProcess::~PostgresProcess() {
    kill();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

std::string PostgresProcess::url(const std::string& role, const std::string& password) const {
    return "host=" + directory_ + " user=" + role + " dbname=postgres" +
           (password.empty() ? "" : " password=" + password);
}

std::string PostgresProcess::log() const {
    std::ostringstream out;
    out << std::ifstream(directory_ + "/log").rdbuf();
    return out.str();
}

pid_t PostgresProcess::run(const std::vector<std::string>& command, bool as_server) const {
    const passwd* const user = server_user();
    const std::string log = directory_ + "/log";
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const pid_t process = ::fork();
    if (process == 0) {
        if (user != nullptr &&
            (::setgroups(0, nullptr) != 0 || ::setgid(user->pw_gid) != 0 || ::setuid(user->pw_uid) != 0))
            ::_exit(126);
        // After the change of user, which clears it. The server ends with the test, however that ends.
        ::prctl(PR_SET_PDEATHSIG, as_server ? SIGQUIT : SIGKILL);
        const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        const int null = ::open("/dev/null", O_RDONLY);
        ::dup2(null, STDIN_FILENO);
        ::dup2(file, STDOUT_FILENO);
        ::dup2(file, STDERR_FILENO);
        if (::chdir("/") != 0) ::_exit(126);
        ::execvp(arguments[0], arguments.data());
        ::_exit(127);
    }
    if (as_server) return process;
    int status = 0;
    ::waitpid(process, &status, 0);
    if (status != 0) throw std::runtime_error(command[0] + " failed: " + this->log());
    return -1;
}

void PostgresProcess::spawn() {
    std::vector<std::string> command{programs_ + "postgres",
                                     "-D",
                                     directory_ + "/data",
                                     "-k",
                                     directory_,
                                     "-h",
                                     "",
                                     "-c",
                                     std::string("fsync=") + (durable_ ? "on" : "off")};
    for (const std::string& setting : settings_) {
        command.emplace_back("-c");
        command.push_back(setting);
    }
    process_ = run(command, true);
}

void PostgresProcess::start() {
    const auto end = std::chrono::steady_clock::now() + patience;
    spawn();
    while (std::chrono::steady_clock::now() < end) {
        int status = 0;
        if (::waitpid(process_, &status, WNOHANG) == process_) {
            // After a kill the last of its children may not be gone yet.
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
            spawn();
        }
        if (PQping(url().c_str()) == PQPING_OK) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    throw std::runtime_error("PostgreSQL does not start: " + log());
}

void PostgresProcess::stop() {
    ::kill(process_, SIGINT);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
}

void PostgresProcess::kill() {
    if (process_ <= 0) return;
    const auto children = children_of(process_);
    ::kill(process_, SIGKILL);
    for (const pid_t child : children) ::kill(child, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
}

void PostgresProcess::hang() {
    ::kill(process_, SIGSTOP);
    for (const pid_t child : children_of(process_)) ::kill(child, SIGSTOP);
}

void PostgresProcess::wake() {
    for (const pid_t child : children_of(process_)) ::kill(child, SIGCONT);
    ::kill(process_, SIGCONT);
}

void PostgresProcess::save() {
    run({"cp", "-a", directory_ + "/data", directory_ + "/saved"}, false);
}

void PostgresProcess::restore_saved() {
    run({"rm", "-rf", directory_ + "/data"}, false);
    run({"mv", directory_ + "/saved", directory_ + "/data"}, false);
}

PostgresClient::PostgresClient(const std::string& url) : connection_(PQconnectdb(url.c_str())) {
    if (PQstatus(connection_) != CONNECTION_OK) {
        const std::string text = PQerrorMessage(connection_);
        PQfinish(connection_);
        throw std::runtime_error(text);
    }
}

PostgresClient::~PostgresClient() {
    PQfinish(connection_);
}

std::vector<std::string> PostgresClient::query(const std::string& sql) {
    const std::unique_ptr<PGresult, void (*)(PGresult*)> result(PQexec(connection_, sql.c_str()), PQclear);
    const auto status = PQresultStatus(result.get());
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        throw std::runtime_error(sql + ": " + PQresultErrorMessage(result.get()));
    std::vector<std::string> out;
    for (int row = 0; row < PQntuples(result.get()); ++row) {
        for (int column = 0; column < PQnfields(result.get()); ++column)
            out.emplace_back(PQgetvalue(result.get(), row, column));
    }
    return out;
}

std::string PostgresClient::value(const std::string& sql) {
    const auto rows = query(sql);
    return rows.empty() ? std::string() : rows.front();
}

}  // namespace meridian::test
