// Processes that the runner starts: its child, which is killed, and checks in a forked copy of itself.
//
// Threads: one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace meridian::power_loss {

class ChildProcess {
public:
    ChildProcess() = default;
    ~ChildProcess();
    ChildProcess(const ChildProcess&) = delete;
    ChildProcess& operator=(const ChildProcess&) = delete;

    std::vector<std::string> arguments;    // with the program
    std::vector<std::string> environment;  // NAME=VALUE, before what this process has
    std::string output_path;               // of its standard output and error; written anew

    Result<void> start();
    bool running();
    // SIGKILL, and waits. False: it had ended by itself.
    bool kill();
    // How it ended, for messages.
    std::string ending() const;
    int ending_status() const { return status_; }  // as waitpid gives it

private:
    pid_t process_ = -1;
    int status_ = 0;
    bool ended_ = false;
};

// Runs a check in a forked process.
class ForkedCheck {
public:
    // `check` gives what is wrong, and a number. What it prints goes to `output_path`. The text says so if it crashed.
    std::string run(const std::string& output_path, const std::function<std::string(uint64_t& value)>& check);
    uint64_t value() const { return value_; }

private:
    uint64_t value_ = 0;
};

}  // namespace meridian::power_loss
