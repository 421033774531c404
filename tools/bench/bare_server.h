// The least that a server of durable ops must do, as a measure for one that does more: WebSockets on one event loop,
// and group commit on one thread that writes what has accumulated into a preallocated file and syncs it. Each frame is
// answered with given bytes when it is durable. It knows no keys, checks nothing and tells nobody else.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace meridian::load {

// A process of its own; ends with this value. REQUIRES: this program has one thread.
class BareServer {
public:
    // `directory`: where its file of 64 MiB is made. `answer`: WebSocket frames.
    static Result<std::unique_ptr<BareServer>> start(const std::string& directory, const std::string& answer);
    ~BareServer();
    BareServer(const BareServer&) = delete;
    BareServer& operator=(const BareServer&) = delete;

    const std::string& address() const { return address_; }
    pid_t process() const { return process_; }

private:
    BareServer(std::string address, pid_t process) : address_(std::move(address)), process_(process) {}
    std::string address_;
    pid_t process_;
};

}  // namespace meridian::load
