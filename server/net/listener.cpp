#include "net/listener.h"

#include <Poco/Exception.h>
#include <Poco/Net/SocketAddress.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace meridian::server {
namespace {

constexpr int backlog = 1024;

Error bind_error(const std::string& address, const char* reason) {
    return Error{"cannot listen on " + address + ": " + reason};
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

Result<BoundSocket> bind_unix(const std::string& address) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    const std::string path = address.substr(5);
    if (path.size() >= sizeof name.sun_path) return bind_error(address, "the path is too long");
    std::memcpy(name.sun_path, path.c_str(), path.size());
    remove_dead_socket(name);
    BoundSocket bound{FileDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)), address};
    if (!bound.socket.valid() ||
        ::bind(bound.socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
        return bind_error(address, std::strerror(errno));
    }
    return bound;
}

Result<BoundSocket> bind_ip(const std::string& address) {
    try {
        const Poco::Net::SocketAddress name(address);
        BoundSocket bound{FileDescriptor(::socket(name.af(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)), {}};
        const int on = 1;
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

Result<BoundSocket> bind_address(const std::string& address) {
    return address.rfind("unix:", 0) == 0 ? bind_unix(address) : bind_ip(address);
}

Result<void> start_listening(const BoundSocket& bound) {
    if (::listen(bound.socket.get(), backlog) == 0) return {};
    return bind_error(bound.address, std::strerror(errno));
}

}  // namespace meridian::server
