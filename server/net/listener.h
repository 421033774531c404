// Binds the server's addresses: host:port, [IPv6 address]:port or unix:/path.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace meridian::server {

// The file of a bound unix socket, and the locked file beside it that keeps other nodes from taking the path. Both are
// removed with the object, the socket only if it is still the one that was bound.
class SocketFile {
public:
    static constexpr const char* lock_suffix = ".lock";

    SocketFile() = default;
    SocketFile(std::string path, FileDescriptor lock);
    SocketFile(SocketFile&& other) noexcept
        : path_(std::exchange(other.path_, {})), inode_(other.inode_), lock_(std::move(other.lock_)) {}
    SocketFile& operator=(SocketFile&& other) noexcept {
        std::swap(path_, other.path_);
        std::swap(inode_, other.inode_);
        std::swap(lock_, other.lock_);
        return *this;
    }
    ~SocketFile();

private:
    std::string path_;
    ino_t inode_ = 0;
    FileDescriptor lock_;
};

struct BoundSocket {
    FileDescriptor socket;  // non-blocking, bound, not listening yet
    std::string address;    // as bound: the real port where 0 was asked for
    SocketFile file;        // of a unix socket
};

// Blocks while host names are looked up. A socket file that nobody listens on any more is replaced, unless a node that
// does not listen yet has bound it; a new one gets `unix_mode`. An IPv6 address takes IPv4 connections too ([::] all of
// them), unless an IPv4 address with the same port is in the list. Errors name the address.
Result<std::vector<BoundSocket>> bind_addresses(const std::vector<std::string>& addresses, mode_t unix_mode);
Result<void> start_listening(const BoundSocket& bound);

}  // namespace meridian::server
