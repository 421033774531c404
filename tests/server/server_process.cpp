#include "server_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <stdexcept>

namespace meridian::test {
namespace {

// A child with a clean environment whose standard error (and output) can be read from `log`.
pid_t spawn(const std::vector<std::string>& command, const std::vector<std::string>& environment, int& log) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    std::vector<char*> variables;
    for (const std::string& variable : environment) variables.push_back(const_cast<char*>(variable.c_str()));
    variables.push_back(nullptr);
    const pid_t process = ::fork();
    if (process == 0) {
        ::dup2(ends[1], STDOUT_FILENO);
        ::dup2(ends[1], STDERR_FILENO);
        ::execve(arguments[0], arguments.data(), variables.data());
        ::_exit(127);
    }
    ::close(ends[1]);
    log = ends[0];
    return process;
}

int wait_for(pid_t process) {
    int status = 0;
    ::waitpid(process, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

ServerProcess::ServerProcess(const std::string& data_directory, const std::vector<std::string>& settings,
                             const std::vector<std::string>& environment) {
    std::vector<std::string> command = {MERIDIAND,      "--bind", "127.0.0.1:0",   "--data-dir",
                                        data_directory, "--set",  "server.loops=2"};
    for (const std::string& setting : settings) {
        if (setting.rfind("--", 0) != 0) command.push_back("--set");
        command.push_back(setting);
    }
    process_ = spawn(command, environment, log_);
    const std::string mark = "listening address=";
    for (;;) {
        const size_t at = text_.find(mark);
        const size_t end = at == std::string::npos ? at : text_.find(' ', at + mark.size());
        if (end != std::string::npos) {
            address_ = text_.substr(at + mark.size(), end - at - mark.size());
            return;
        }
        char buffer[4096];
        pollfd ready{log_, POLLIN, 0};
        const ssize_t got = ::poll(&ready, 1, 120'000) == 1 ? ::read(log_, buffer, sizeof buffer) : 0;
        if (got <= 0) {
            ::kill(process_, SIGKILL);
            wait_for(process_);
            ::close(log_);
            throw std::runtime_error("meridiand did not start: " + text_);
        }
        text_.append(buffer, static_cast<size_t>(got));
    }
}

ServerProcess::~ServerProcess() {
    if (process_ > 0) {
        ::kill(process_, SIGKILL);
        wait_for(process_);
    }
    ::close(log_);
}

void ServerProcess::signal(int number) const {
    ::kill(process_, number);
}

int ServerProcess::wait() {
    const int status = wait_for(process_);
    process_ = -1;
    return status;
}

bool ServerProcess::is_running() {
    int status = 0;
    if (process_ > 0 && ::waitpid(process_, &status, WNOHANG) == process_) process_ = -1;
    return process_ > 0;
}

bool ServerProcess::logs(const std::string& text, size_t times) {
    const auto count = [&] {
        size_t found = 0;
        for (size_t at = text_.find(text); at != std::string::npos; at = text_.find(text, at + 1)) ++found;
        return found;
    };
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (count() < times) {
        char buffer[4096];
        pollfd ready{log_, POLLIN, 0};
        const ssize_t got = ::poll(&ready, 1, 1000) == 1 ? ::read(log_, buffer, sizeof buffer) : 0;
        if (got > 0) text_.append(buffer, static_cast<size_t>(got));
        if (std::chrono::steady_clock::now() > end) return false;
    }
    return true;
}

ProgramResult run_program(const std::vector<std::string>& command, const std::vector<std::string>& environment) {
    ProgramResult result;
    int log = -1;
    const pid_t process = spawn(command, environment, log);
    char buffer[4096];
    for (ssize_t got = 0; (got = ::read(log, buffer, sizeof buffer)) > 0;)
        result.output.append(buffer, static_cast<size_t>(got));
    ::close(log);
    result.status = wait_for(process);
    return result;
}

}  // namespace meridian::test
