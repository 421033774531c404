// One non-blocking connection that carries bytes: TCP, a Unix socket, or TLS over TCP. Errors are values; nothing
// throws, nothing blocks. Use and destroy it on a thread that has SIGPIPE blocked or ignored: TLS writes raise it.
#pragma once

#include <Poco/Net/Context.h>
#include <Poco/Net/SecureStreamSocket.h>
#include <sys/socket.h>

#include <cstddef>
#include <optional>
#include <string>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "options.h"

namespace meridian::transport_redis {

// A socket address of any family.
struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;
};
Address unix_address(const std::string& path);

// The TLS settings of an instance. The certificate chain and the name in the certificate are always checked.
Result<Poco::Net::Context::Ptr> make_tls_context(const TlsOptions& options);

class Stream {
public:
    enum class State { ready, blocked, failed };
    struct Moved {
        State state;
        size_t bytes;  // not 0 if ready
    };

    // Begins to connect. With a context TLS follows, and the certificate must carry host_name.
    Stream(const Address& address, Poco::Net::Context::Ptr tls, std::string host_name);

    // Goes on with connecting; call when poll says so. `ready` once bytes can be moved.
    State establish();
    Moved read(char* into, size_t bytes_max);
    Moved write(const char* from, size_t bytes);

    // The other side has accepted; TLS may not be complete.
    bool connected() const { return connected_; }
    int descriptor() const { return descriptor_; }
    // What poll is to wait for; `output`: there are bytes to be written.
    short events(bool output) const;
    // After State::failed, one line.
    const std::string& error() const { return error_; }

private:
    State failed(std::string text);
    State failed_with(int error_number);
    State establish_tls();
    Moved moved_tls(int result, short& wants);

    FileDescriptor socket_;  // empty once secure_ owns it
    int descriptor_;
    Poco::Net::Context::Ptr tls_;
    std::string host_name_;
    std::optional<Poco::Net::SecureStreamSocket> secure_;
    bool connected_ = false;
    bool established_ = false;
    short read_wants_ = 0;  // what TLS waits for before it can go on
    short write_wants_ = 0;
    std::string error_;
};

}  // namespace meridian::transport_redis
