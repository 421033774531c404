#include "stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <Poco/Exception.h>
#include <Poco/Net/StreamSocket.h>
#include <Poco/Net/StreamSocketImpl.h>
#include <poll.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <system_error>

namespace meridian::transport_redis {
namespace {

using Poco::Net::Context;
using Poco::Net::SecureStreamSocket;

constexpr int tls_chain_depth_max = 9;

std::string tls_text(const Poco::Exception& exception) {
    // "SSL Exception: error:0A000086:SSL routines::certificate verify failed" without what only a developer reads.
    std::string text = exception.message().empty() ? std::string(exception.name()) : exception.message();
    const size_t routines = text.find("SSL routines::");
    if (routines != std::string::npos) text.erase(0, routines + std::strlen("SSL routines::"));
    return "TLS: " + text;
}

}  // namespace

Address unix_address(const std::string& path) {
    Address out;
    auto& address = reinterpret_cast<sockaddr_un&>(out.storage);
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
    out.size = sizeof address;
    return out;
}

Result<Context::Ptr> make_tls_context(const TlsOptions& options) {
    try {
        Context::Params parameters;
        parameters.caLocation = options.ca_file;
        parameters.loadDefaultCAs = options.ca_file.empty();
        parameters.certificateFile = options.certificate_file;
        parameters.privateKeyFile = options.private_key_file;
        // Strict, because the relaxed mode lets every certificate pass for "localhost".
        parameters.verificationMode = Context::VERIFY_STRICT;
        parameters.verificationDepth = tls_chain_depth_max;
        parameters.cipherList = "HIGH:!aNULL:!MD5";
        Context::Ptr context(new Context(Context::TLS_CLIENT_USE, parameters));
        context->requireMinimumProtocol(Context::PROTO_TLSV1_2);
        context->enableExtendedCertificateVerification(true);
        // A write that was refused is repeated from a buffer that may have moved.
        SSL_CTX_set_mode(context->sslContext(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        return context;
    } catch (const Poco::Exception& exception) { return Error{exception.displayText()}; }
}

Stream::Stream(const Address& address, Context::Ptr tls, std::string host_name)
    : socket_(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
      descriptor_(socket_.get()),
      tls_(std::move(tls)),
      host_name_(std::move(host_name)) {
    if (!socket_.valid()) {
        failed_with(errno);
        return;
    }
    if (address.storage.ss_family != AF_UNIX) {
        const int on = 1;
        ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    const auto* where = reinterpret_cast<const sockaddr*>(&address.storage);
    if (::connect(socket_.get(), where, address.size) != 0 && errno != EINPROGRESS) failed_with(errno);
}

Stream::State Stream::failed(std::string text) {
    if (error_.empty()) error_ = std::move(text);
    return State::failed;
}

Stream::State Stream::failed_with(int error_number) {
    return failed(std::system_category().message(error_number));
}

Stream::State Stream::establish() {
    if (!error_.empty()) return State::failed;
    if (established_) return State::ready;
    if (!connected_) {
        pollfd ready{descriptor_, POLLOUT, 0};
        if (::poll(&ready, 1, 0) == 0) return State::blocked;
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) return failed_with(error);
        connected_ = true;
    }
    if (tls_) return establish_tls();
    established_ = true;
    return State::ready;
}

Stream::State Stream::establish_tls() {
    try {
        if (!secure_) {
            Poco::Net::StreamSocket plain(new Poco::Net::StreamSocketImpl(descriptor_));
            socket_.release();
            // SecureStreamSocket takes its blocking mode from the inner socket, and from nowhere else.
            plain.setBlocking(false);
            secure_ = SecureStreamSocket::attach(plain, host_name_, tls_);
        }
        const int result = secure_->completeHandshake();
        if (result == SecureStreamSocket::ERR_SSL_WANT_READ || result == SecureStreamSocket::ERR_SSL_WANT_WRITE) {
            read_wants_ = result == SecureStreamSocket::ERR_SSL_WANT_READ ? POLLIN : POLLOUT;
            return State::blocked;
        }
        if (result != 1) return failed("TLS: the server closed the connection during the handshake");
        // A non-blocking socket leaves this check to us.
        secure_->verifyPeerCertificate(host_name_);
        established_ = true;
        read_wants_ = 0;
        return State::ready;
    } catch (const Poco::Exception& exception) { return failed(tls_text(exception)); }
}

Stream::Moved Stream::moved_tls(int result, short& wants) {
    wants = 0;
    if (result > 0) return {State::ready, static_cast<size_t>(result)};
    if (result == 0) return {failed("the server closed the connection"), 0};
    wants = result == SecureStreamSocket::ERR_SSL_WANT_WRITE ? POLLOUT : POLLIN;
    return {State::blocked, 0};
}

Stream::Moved Stream::read(char* into, size_t bytes_max) {
    if (secure_) {
        try {
            return moved_tls(secure_->receiveBytes(into, static_cast<int>(bytes_max)), read_wants_);
        } catch (const Poco::Exception& exception) { return {failed(tls_text(exception)), 0}; }
    }
    const ssize_t got = ::recv(socket_.get(), into, bytes_max, 0);
    if (got > 0) return {State::ready, static_cast<size_t>(got)};
    if (got == 0) return {failed("the server closed the connection"), 0};
    if (errno == EAGAIN || errno == EINTR) return {State::blocked, 0};
    return {failed_with(errno), 0};
}

Stream::Moved Stream::write(const char* from, size_t bytes) {
    if (secure_) {
        const auto size = static_cast<int>(std::min<size_t>(bytes, std::numeric_limits<int>::max()));
        try {
            return moved_tls(secure_->sendBytes(from, size), write_wants_);
        } catch (const Poco::Exception& exception) { return {failed(tls_text(exception)), 0}; }
    }
    const ssize_t sent = ::send(socket_.get(), from, bytes, MSG_NOSIGNAL);
    if (sent >= 0) return {sent == 0 ? State::blocked : State::ready, static_cast<size_t>(sent)};
    if (errno == EAGAIN || errno == EINTR) return {State::blocked, 0};
    return {failed_with(errno), 0};
}

short Stream::events(bool output) const {
    if (!connected_) return POLLOUT;
    if (!established_) return read_wants_;
    short out = POLLIN;
    if (read_wants_ != 0) out |= read_wants_;
    if (output) out |= write_wants_ == 0 ? static_cast<short>(POLLOUT) : write_wants_;
    return out;
}

}  // namespace meridian::transport_redis
