// Real Redis servers for tests: each on a free loopback port, with a directory of its own, ended by its process id; and
// a plain client on hiredis, so that what the plug-in sends is seen by something that is not of us.
#pragma once

#include <hiredis/hiredis.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file_descriptor.h"
#include "support/temporary_directory.h"

namespace meridian::test {

class RedisProcess {
public:
    // Waits until it accepts connections. `settings` are "name value" lines of its configuration file, in which {port}
    // and {dir} stand for its port and directory. `port` 0: a free one. Throws std::runtime_error with its log if it
    // does not start.
    explicit RedisProcess(std::vector<std::string> settings = {}, uint16_t port = 0, bool sentinel = false);
    ~RedisProcess();  // SIGKILL if it still runs
    RedisProcess(const RedisProcess&) = delete;
    RedisProcess& operator=(const RedisProcess&) = delete;

    uint16_t port() const { return port_; }
    std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
    std::string url() const { return "redis://" + address(); }
    const std::string& directory() const { return directory_.path(); }
    void kill();
    // Again, on the same port.
    void restart();
    // A process that accepts and never answers.
    void hang();
    void wake();

private:
    bool start();
    std::string log() const;

    TemporaryDirectory directory_;
    std::vector<std::string> settings_;
    uint16_t port_;
    bool port_is_fixed_;
    bool sentinel_;
    pid_t process_ = -1;
};

// Synchronous; throws std::runtime_error. Waits for a long time, but not for ever.
class RedisClient {
public:
    explicit RedisClient(uint16_t port);

    // An array's elements, or one element; nil is "(nil)", errors throw.
    std::vector<std::string> command(const std::vector<std::string>& words);
    // The next that comes without being asked.
    std::vector<std::string> next();

private:
    struct Free {
        void operator()(redisContext* context) const { redisFree(context); }
    };
    std::unique_ptr<redisContext, Free> context_;
};

// A loopback port that nothing listens on, as long as this lives.
class ClosedPort {
public:
    ClosedPort();
    std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

private:
    FileDescriptor socket_;
    uint16_t port_ = 0;
};

}  // namespace meridian::test
