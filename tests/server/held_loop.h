// Stops one event loop of a node and lets it go on: what a node does when a part of it is slow, without depending on
// how fast the machine is. It uses ptrace, as a debugger does, on a child of this process.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "server_process.h"

namespace meridian::test {

class HeldLoop {
public:
    // Returns when the loop stands still. Throws std::runtime_error if it cannot be stopped.
    HeldLoop(const ServerProcess& server, size_t loop);
    ~HeldLoop() { release(); }  // REQUIRES: the node has not been waited for
    HeldLoop(const HeldLoop&) = delete;
    HeldLoop& operator=(const HeldLoop&) = delete;
    void release();

private:
    pid_t thread_ = -1;
};

// The loop that owns a namespace in a node with two of them.
size_t home_loop(const std::string& namespace_name);

}  // namespace meridian::test
