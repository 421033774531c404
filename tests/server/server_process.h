// Starts the real meridiand on a free loopback port with a data directory of its own, and ends it by its process id.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "support/temporary_directory.h"

namespace meridian::test {

class ServerProcess {
public:
    // Waits until the node listens. `settings` are given as --set, those that begin with -- as they are; `environment`
    // is all that it has. Throws std::runtime_error with the log if it does not start.
    ServerProcess(const std::string& data_directory, const std::vector<std::string>& settings = {},
                  const std::vector<std::string>& environment = {});
    ~ServerProcess();  // kill -9 if it still runs
    ServerProcess(const ServerProcess&) = delete;
    ServerProcess& operator=(const ServerProcess&) = delete;

    const std::string& address() const { return address_; }  // 127.0.0.1:port
    pid_t pid() const { return process_; }
    void signal(int number) const;
    // Waits for the end; the exit status, or 128 + the signal.
    int wait();
    bool is_running();
    // Waits until its log says this, so many times, for 20 s at most.
    bool logs(const std::string& text, size_t times = 1);
    // What has been read of its log.
    const std::string& log() const { return text_; }

private:
    pid_t process_ = -1;
    int log_ = -1;
    std::string address_;
    std::string text_;  // of the log, as far as it has been read
};

struct ProgramResult {
    int status = 0;
    std::string output;  // both streams
};
ProgramResult run_program(const std::vector<std::string>& command, const std::vector<std::string>& environment = {});

}  // namespace meridian::test
