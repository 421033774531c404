#include "held_loop.h"

#include <sys/ptrace.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string_view>

namespace meridian::test {

HeldLoop::HeldLoop(const ServerProcess& server, size_t loop) {
    const std::string name = "loop-" + std::to_string(loop);
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(server.pid()) + "/task")) {
        std::string found;
        std::getline(std::ifstream(entry.path() / "comm"), found);
        if (found == name) thread_ = std::stoi(entry.path().filename());
    }
    if (thread_ < 0) throw std::runtime_error("no thread " + name);
    int status = 0;
    if (::ptrace(PTRACE_SEIZE, thread_, nullptr, nullptr) != 0 ||
        ::ptrace(PTRACE_INTERRUPT, thread_, nullptr, nullptr) != 0 || ::waitpid(thread_, &status, __WALL) != thread_ ||
        !WIFSTOPPED(status)) {
        throw std::runtime_error(name + " cannot be stopped: " + std::strerror(errno));
    }
}

void HeldLoop::release() {
    if (thread_ >= 0) ::ptrace(PTRACE_DETACH, thread_, nullptr, nullptr);
    thread_ = -1;
}

size_t home_loop(const std::string& namespace_name) {
    return std::hash<std::string_view>{}(namespace_name) % 2;
}

}  // namespace meridian::test
