#include "runner.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

extern "C" {  // glibc 2.36 has forgotten it
#include <sys/pidfd.h>
}

#include "fixture.h"
#include "host.h"
#include "plugin/loader.h"

namespace meridian::plugin_test {
namespace {

class TemporaryDirectory {
public:
    TemporaryDirectory() {
        std::error_code error;
        path_ = std::filesystem::temp_directory_path(error).string() + "/meridian-plugin-test-XXXXXX";
        if (error || ::mkdtemp(path_.data()) == nullptr)
            throw std::runtime_error(path_ + ": a temporary directory cannot be made: " + std::strerror(errno));
    }
    ~TemporaryDirectory() {
        std::error_code error;
        std::filesystem::remove_all(path_, error);
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

// In the check's process; does not return.
[[noreturn]] void run_here(const Check& check, const RunOptions& options, const std::string& directory,
                           Report& report) {
    set_current_report(&report);
    on_host_thread() = true;
    Outcome outcome = Outcome::failed;
    std::string detail;
    try {
        doing("loading the plug-in");
        auto loaded = plugin::load_plugin(options.plugin_path, {}, static_cast<plugin::Kind>(options.kind));
        if (!loaded) throw Failed(loaded.error().message);
        Fixture fixture(*loaded, options.configuration, options.unreachable, directory);
        doing("the check");
        check.run(fixture);
        outcome = Outcome::passed;
    } catch (const Skipped& skipped) {
        outcome = Outcome::skipped;
        detail = skipped.what();
    } catch (const std::exception& failure) { detail = failure.what(); }
    set_text(report.detail, sizeof report.detail, detail);
    report.outcome = outcome;
    ::_exit(0);
}

// False if the process has not ended in time.
bool wait_for_end(pid_t process, uint64_t timeout_ms) {
    const int descriptor = ::pidfd_open(process, 0);
    if (descriptor < 0) throw std::runtime_error(std::string("pidfd_open: ") + std::strerror(errno));
    pollfd wanted{descriptor, POLLIN, 0};
    const uint64_t end_us = monotonic_us() + timeout_ms * 1000;
    int ready = 0;
    do {
        const uint64_t now_us = monotonic_us();
        ready = ::poll(&wanted, 1, now_us >= end_us ? 0 : static_cast<int>((end_us - now_us) / 1000 + 1));
    } while (ready < 0 && errno == EINTR);
    ::close(descriptor);
    return ready == 1;
}

std::string ending(int status) {
    if (!WIFSIGNALED(status)) return "exit status " + std::to_string(WEXITSTATUS(status));
    const char* name = ::sigabbrev_np(WTERMSIG(status));
    return name == nullptr ? "signal " + std::to_string(WTERMSIG(status)) : std::string("SIG") + name;
}

}  // namespace

CheckResult run_check(const Check& check, const RunOptions& options) {
    const TemporaryDirectory directory;
    Report* const report = make_report();
    const pid_t parent = ::getpid();
    const pid_t process = ::fork();
    if (process < 0) throw std::runtime_error(std::string("fork: ") + std::strerror(errno));
    if (process == 0) {
        // With what it starts, it ends when the kit does.
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(1);
        ::setpgid(0, 0);
        const rlimit no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
        // Standard output is for TAP only.
        ::dup2(STDERR_FILENO, STDOUT_FILENO);
        run_here(check, options, directory.path(), *report);
    }
    ::setpgid(process, process);
    const bool ended = wait_for_end(process, options.timeout_ms);
    ::kill(-process, SIGKILL);  // what is left of its group
    int status = 0;
    while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {}

    CheckResult result;
    result.outcome = report->outcome;
    result.detail = report->detail;
    if (result.outcome == Outcome::none) {
        result.outcome = Outcome::failed;
        if (!result.detail.empty()) result.detail += "\n";
        result.detail += ended ? "the process ended with " + ending(status) + " while " + report->doing
                               : "no end within " + std::to_string(options.timeout_ms) + " ms, while " + report->doing;
    }
    ::munmap(report, sizeof *report);
    return result;
}

}  // namespace meridian::plugin_test
