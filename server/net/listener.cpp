#include "net/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <Poco/Exception.h>
#include <Poco/Net/SocketAddress.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace meridian::server {
namespace {

constexpr int backlog = 1024;

bool is_unix(const std::string& address) {
    return address.rfind("unix:", 0) == 0;
}

Error bind_error(const std::string& address, const char* reason) {
    return Error{"cannot listen on " + address + ": " + reason};
}

// Whoever has it may bind the path beside it. Nothing else tells a node that is not listening yet from one that was
// killed: connecting is refused by both.
Result<FileDescriptor> lock_path(const std::string& address, const std::string& lock_path) {
    for (;;) {
        FileDescriptor lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!lock.valid()) return bind_error(address, (lock_path + ": " + std::strerror(errno)).c_str());
        if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
            if (errno != EWOULDBLOCK) return bind_error(address, (lock_path + ": " + std::strerror(errno)).c_str());
            return bind_error(address, "another node, or another address of this one, has it");
        }
        // Whoever had it may have removed it between our two calls.
        struct stat held {};
        struct stat there {};
        if (::fstat(lock.get(), &held) == 0 && ::lstat(lock_path.c_str(), &there) == 0 && held.st_ino == there.st_ino)
            return lock;
    }
}

// A node that was killed leaves its socket file behind.
void remove_dead_socket(const sockaddr_un& name) {
    struct stat status {};
    if (::lstat(name.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return;
    const FileDescriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 && errno == ECONNREFUSED) {
        ::unlink(name.sun_path);
    }
}

Result<BoundSocket> bind_unix(const std::string& address, mode_t mode) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    const std::string path = address.substr(5);
    if (path.size() >= sizeof name.sun_path) return bind_error(address, "the path is too long");
    std::memcpy(name.sun_path, path.c_str(), path.size());
    Result<FileDescriptor> lock = lock_path(address, path + SocketFile::lock_suffix);
    if (!lock) return lock.error();
    remove_dead_socket(name);
    BoundSocket bound{FileDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)), address, {}};
    if (!bound.socket.valid() ||
        ::bind(bound.socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
        return bind_error(address, std::strerror(errno));
    }
    bound.file = SocketFile(path, std::move(lock).value());
    // Nobody can connect before it listens, so nobody gets in by the mode that it had until here.
    if (::chmod(path.c_str(), mode) != 0) return bind_error(address, std::strerror(errno));
    return bound;
}

// Whether IPv4 connections are left to another address of the list.
bool has_ipv4_twin(const Poco::Net::SocketAddress& name, const std::vector<std::string>& addresses) {
    for (const std::string& other : addresses) {
        if (is_unix(other)) continue;
        const Poco::Net::SocketAddress parsed(other);
        if (parsed.family() == Poco::Net::SocketAddress::IPv4 && parsed.port() == name.port()) return true;
    }
    return false;
}

Result<BoundSocket> bind_ip(const std::string& address, const std::vector<std::string>& all) {
    try {
        const Poco::Net::SocketAddress name(address);
        BoundSocket bound{FileDescriptor(::socket(name.af(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)), {}, {}};
        const int on = 1;
        if (name.family() == Poco::Net::SocketAddress::IPv6) {
            const int only = has_ipv4_twin(name, all) ? 1 : 0;
            ::setsockopt(bound.socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
        }
        // Connections of the last run that are still winding down do not keep the port.
        if (!bound.socket.valid() || ::setsockopt(bound.socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
            ::bind(bound.socket.get(), name.addr(), name.length()) != 0) {
            return bind_error(address, std::strerror(errno));
        }
        sockaddr_storage actual{};
        socklen_t size = sizeof actual;
        ::getsockname(bound.socket.get(), reinterpret_cast<sockaddr*>(&actual), &size);
        bound.address = Poco::Net::SocketAddress(reinterpret_cast<const sockaddr*>(&actual), size).toString();
        return bound;
    } catch (const Poco::Exception& error) { return bind_error(address, error.displayText().c_str()); }
}

}  // namespace

SocketFile::SocketFile(std::string path, FileDescriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {
    struct stat status {};
    if (::lstat(path_.c_str(), &status) == 0) inode_ = status.st_ino;
}

SocketFile::~SocketFile() {
    struct stat status {};
    if (path_.empty()) return;
    if (::lstat(path_.c_str(), &status) == 0 && status.st_ino == inode_) ::unlink(path_.c_str());
    ::unlink((path_ + lock_suffix).c_str());
}

Result<std::vector<BoundSocket>> bind_addresses(const std::vector<std::string>& addresses, mode_t unix_mode) {
    std::vector<BoundSocket> all;
    for (const std::string& address : addresses) {
        Result<BoundSocket> bound = is_unix(address) ? bind_unix(address, unix_mode) : bind_ip(address, addresses);
        if (!bound) return bound.error();
        all.push_back(std::move(bound).value());
    }
    return all;
}

Result<void> start_listening(const BoundSocket& bound) {
    if (::listen(bound.socket.get(), backlog) == 0) return {};
    return bind_error(bound.address, std::strerror(errno));
}

}  // namespace meridian::server
