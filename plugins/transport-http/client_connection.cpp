#include "client_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace meridian::transport_http {
namespace {

const http::HeadLimits answer_limits{16 << 10, 100};

std::string system_error(int number) {
    return std::generic_category().message(number);
}

std::string milliseconds(uint64_t us) {
    return std::to_string(us / 1000) + " ms";
}

bool is_connection_end(int number) {
    return number == ECONNRESET || number == EPIPE || number == 0;
}

}  // namespace

ClientConnection::ClientConnection(Loop& loop, Owner& owner, std::vector<SocketAddress> addresses)
    : loop_(loop),
      owner_(owner),
      addresses_(std::move(addresses)),
      connect_by_us_(loop.now_us() + loop.settings.connect_timeout_us) {}

void ClientConnection::connect() {
    try_next_address("it has no address");
}

void ClientConnection::try_next_address(const std::string& why) {
    std::string last = why;
    while (next_address_ < addresses_.size()) {
        const uint64_t rest = addresses_.size() - next_address_;
        const SocketAddress& address = addresses_[next_address_++];
        FileDescriptor fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (!fd.valid()) {
            last = system_error(errno);
            continue;
        }
        const int on = 1;
        setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0 &&
            errno != EINPROGRESS) {
            last = system_error(errno);
            continue;
        }
        if (!socket_.open(loop_.poller, std::move(fd), EPOLLOUT, *this)) {
            last = system_error(errno);
            continue;
        }
        // An address that does not answer leaves the others their share of the time.
        const uint64_t now = loop_.now_us();
        deadline_us_ = now + (connect_by_us_ > now ? (connect_by_us_ - now) / rest : 0);
        loop_.arm(deadline_us_);
        return;
    }
    lose(Loss::failed, last);
}

void ClientConnection::close() {
    socket_.close();
    state_ = State::closed;
    deadline_us_ = never_us;
}

void ClientConnection::lose(Loss loss, const std::string& why) {
    close();
    owner_.on_lost(*this, loss, why);
}

void ClientConnection::send(std::string head, std::shared_ptr<const std::string> body, uint64_t deadline_us) {
    output_head_ = std::move(head);
    output_body_ = std::move(body);
    sent_ = 0;
    has_head_ = false;
    body_.clear();
    chunked_.reset();
    state_ = State::asking;
    deadline_us_ = deadline_us;
    loop_.arm(deadline_us_);
    flush();
}

void ClientConnection::flush() {
    const size_t body_size = output_body_ ? output_body_->size() : 0;
    while (sent_ < output_head_.size() + body_size) {
        std::array<iovec, 2> parts{};
        size_t count = 0;
        if (sent_ < output_head_.size()) parts[count++] = {output_head_.data() + sent_, output_head_.size() - sent_};
        const size_t body_sent = sent_ > output_head_.size() ? sent_ - output_head_.size() : 0;
        if (body_size > body_sent)
            parts[count++] = {const_cast<char*>(output_body_->data()) + body_sent, body_size - body_sent};
        msghdr message{};
        message.msg_iov = parts.data();
        message.msg_iovlen = count;
        const ssize_t sent = sendmsg(socket_.fd(), &message, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN || errno == EWOULDBLOCK) {
                socket_.watch(EPOLLIN | EPOLLOUT);
                return;
            }
            // The peer may have answered before it closed: what it said is still to be read.
            if (is_connection_end(errno)) {
                socket_.watch(EPOLLIN);
                return;
            }
            lose(Loss::failed, system_error(errno));
            return;
        }
        sent_ += static_cast<size_t>(sent);
    }
    socket_.watch(EPOLLIN);
}

void ClientConnection::on_events(uint32_t events) {
    if (state_ == State::connecting) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(socket_.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) {
            socket_.close();
            try_next_address(system_error(error));
            return;
        }
        state_ = State::idle;
        deadline_us_ = never_us;
        socket_.watch(EPOLLIN);
        owner_.on_connected(*this);
        return;
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        receive();
        return;
    }
    if ((events & EPOLLOUT) != 0) flush();
}

void ClientConnection::receive() {
    std::array<char, 64 << 10> buffer;
    const ssize_t got = recv(socket_.fd(), buffer.data(), buffer.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    if (got <= 0) {
        const int error = got < 0 ? errno : 0;
        if (state_ == State::idle) return lose(Loss::closed, "it closed the connection");
        if (error == 0 && take_answer(true)) return finish();
        if (state_ == State::closed) return;
        const bool nothing_came = !has_head_ && input_.empty();
        if (used_ && nothing_came && is_connection_end(error)) return lose(Loss::stale, "it closed the connection");
        return lose(Loss::failed,
                    error != 0 ? system_error(error) : "it closed the connection before its answer ended");
    }
    if (state_ == State::idle) return lose(Loss::failed, "it sent what was not asked for");
    input_.append(buffer.data(), static_cast<size_t>(got));
    if (take_answer(false)) finish();
}

bool ClientConnection::take_answer(bool ended) {
    while (!has_head_) {
        const auto result = http::parse_response_head(input_, answer_limits);
        if (result.state == http::HeadState::refused) {
            lose(Loss::failed, "its answer is not HTTP: " + result.message);
            return false;
        }
        if (result.state == http::HeadState::incomplete) return false;
        const http::ResponseHead& head = result.head;
        status_ = head.status;
        keep_alive_ = head.keep_alive && !head.body_until_close();
        until_close_ = head.body_until_close();
        body_rest_ = 0;
        if (head.has_body() && head.chunked) {
            chunked_ = std::make_unique<http::ChunkedBody>(loop_.settings.message_bytes);
        } else if (head.has_body() && head.content_length) {
            if (*head.content_length > loop_.settings.message_bytes) {
                lose(Loss::failed, "its answer has " + std::to_string(*head.content_length) +
                                       " bytes; expected at most " + std::to_string(loop_.settings.message_bytes));
                return false;
            }
            body_rest_ = static_cast<size_t>(*head.content_length);
        }
        input_.erase(0, result.size);
        has_head_ = status_ >= 200;  // the others announce the answer
        if (status_ == 101) {
            lose(Loss::failed, "it wants to speak another protocol");
            return false;
        }
    }
    return take_body(ended);
}

bool ClientConnection::take_body(bool ended) {
    if (chunked_) {
        std::string_view rest = input_;
        const auto state = chunked_->feed(rest);
        input_.erase(0, input_.size() - rest.size());
        if (state == http::ChunkedBody::State::more) return false;
        if (state != http::ChunkedBody::State::complete) {
            lose(Loss::failed,
                 state == http::ChunkedBody::State::too_large
                     ? "its answer is larger than " + std::to_string(loop_.settings.message_bytes) + " bytes"
                     : "its answer is malformed: chunks");
            return false;
        }
        body_ = chunked_->take();
        return true;
    }
    if (until_close_) {
        body_.append(input_);
        input_.clear();
        if (body_.size() > loop_.settings.message_bytes) {
            lose(Loss::failed, "its answer is larger than " + std::to_string(loop_.settings.message_bytes) + " bytes");
            return false;
        }
        return ended;
    }
    const size_t taken = std::min(body_rest_, input_.size());
    body_.append(input_, 0, taken);
    input_.erase(0, taken);
    body_rest_ -= taken;
    return body_rest_ == 0;
}

void ClientConnection::finish() {
    // An answer to half a request, or more than one answer, ends the connection.
    const size_t whole = output_head_.size() + (output_body_ ? output_body_->size() : 0);
    if (keep_alive_ && sent_ == whole && input_.empty()) {
        state_ = State::idle;
        deadline_us_ = never_us;
    } else {
        close();
    }
    used_ = true;
    output_body_.reset();
    input_.clear();
    chunked_.reset();
    owner_.on_answer(*this, {status_, std::move(body_)});
}

uint64_t ClientConnection::on_time(uint64_t now_us) {
    if (now_us >= deadline_us_) {
        if (state_ == State::connecting) {
            socket_.close();
            try_next_address("no connection within " + milliseconds(loop_.settings.connect_timeout_us));
        } else {
            lose(Loss::timeout, "no answer in time");
        }
        return loop_.now_us();
    }
    return deadline_us_;
}

}  // namespace meridian::transport_http
