// Binds the server's address: host:port, [IPv6 address]:port or unix:/path.
#pragma once

#include <string>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace meridian::server {

struct BoundSocket {
    FileDescriptor socket;  // non-blocking, bound, not listening yet
    std::string address;    // as bound: the real port where 0 was asked for
};

// Blocks while a host name is looked up. A socket file that nobody listens on any more is replaced.
Result<BoundSocket> bind_address(const std::string& address);
Result<void> start_listening(const BoundSocket& bound);

}  // namespace meridian::server
