#include "child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

extern char** environ;

namespace meridian::power_loss {
namespace {

constexpr int output_flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;

std::string describe(int status) {
    if (WIFSIGNALED(status)) return std::string("by signal ") + ::strsignal(WTERMSIG(status));
    return "with status " + std::to_string(WEXITSTATUS(status));
}

int wait_for_end(pid_t process) {
    int status = 0;
    while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {}
    return status;
}

}  // namespace

ChildProcess::~ChildProcess() {
    kill();
}

Result<void> ChildProcess::start() {
    std::vector<char*> argument_pointers;
    for (std::string& argument : arguments) argument_pointers.push_back(argument.data());
    argument_pointers.push_back(nullptr);
    // The address sanitizer's runtime wants to be the first library, which a preloaded one is.
    environment.push_back("ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0");
    std::vector<char*> environment_pointers;
    for (std::string& item : environment) environment_pointers.push_back(item.data());
    for (char** item = environ; *item != nullptr; ++item) {
        const std::string_view name = std::string_view(*item).substr(0, std::string_view(*item).find('=') + 1);
        bool replaced = false;
        for (const std::string& own : environment) replaced = replaced || own.rfind(name, 0) == 0;
        if (!replaced) environment_pointers.push_back(*item);
    }
    environment_pointers.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output_path.c_str(), output_flags, 0600);
    ::posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    const int code = ::posix_spawn(&process_, arguments[0].c_str(), &actions, nullptr, argument_pointers.data(),
                                   environment_pointers.data());
    ::posix_spawn_file_actions_destroy(&actions);
    if (code != 0) {
        process_ = -1;
        return Error{arguments[0] + ": " + std::strerror(code)};
    }
    return {};
}

bool ChildProcess::running() {
    if (process_ < 0 || ended_) return false;
    ended_ = ::waitpid(process_, &status_, WNOHANG) == process_;
    return !ended_;
}

bool ChildProcess::kill() {
    if (process_ < 0) return false;
    if (!ended_) {
        ::kill(process_, SIGKILL);
        status_ = wait_for_end(process_);
        ended_ = true;
    }
    return WIFSIGNALED(status_) && WTERMSIG(status_) == SIGKILL;
}

std::string ChildProcess::ending() const {
    return describe(status_);
}

std::string ForkedCheck::run(const std::string& output_path, const std::function<std::string(uint64_t& value)>& check) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return std::string("pipe: ") + std::strerror(errno);
    const pid_t process = ::fork();
    if (process < 0) return std::string("fork: ") + std::strerror(errno);
    if (process == 0) {
        const int output = ::open(output_path.c_str(), output_flags, 0600);
        ::dup2(output, STDOUT_FILENO);
        ::dup2(output, STDERR_FILENO);
        uint64_t value = 0;
        const std::string wrong = check(value);
        const bool told = ::write(ends[1], &value, sizeof value) == sizeof value &&
                          ::write(ends[1], wrong.data(), wrong.size()) == static_cast<ssize_t>(wrong.size());
        ::_exit(told ? 0 : 3);
    }
    ::close(ends[1]);
    std::string answer;
    char buffer[4096];
    for (;;) {
        const ssize_t count = ::read(ends[0], buffer, sizeof buffer);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        answer.append(buffer, static_cast<size_t>(count));
    }
    ::close(ends[0]);
    const int status = wait_for_end(process);
    if (status != 0 || answer.size() < sizeof value_) {
        return "the process that checks the store ended " + describe(status) + "; see " + output_path;
    }
    std::memcpy(&value_, answer.data(), sizeof value_);
    return answer.substr(sizeof value_);
}

}  // namespace meridian::power_loss
