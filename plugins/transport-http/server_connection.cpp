#include "server_connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "server.h"
#include "wire.h"

namespace meridian::transport_http {
namespace {

constexpr uint64_t drain_us = 2'000'000;
constexpr size_t read_bytes = 64 << 10;

const char* reason(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 204:
            return "No Content";
        case 400:
            return "Bad Request";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 413:
            return "Content Too Large";
        case 417:
            return "Expectation Failed";
        case 431:
            return "Request Header Fields Too Large";
        case 500:
            return "Internal Server Error";
        case 501:
            return "Not Implemented";
        case 503:
            return "Service Unavailable";
        case 505:
            return "HTTP Version Not Supported";
        default:
            return "Error";
    }
}

}  // namespace

ServerConnection::ServerConnection(Server& server, uint64_t id, FileDescriptor fd)
    : server_(server), loop_(server.loop()), id_(id) {
    if (!socket_.open(loop_.poller, std::move(fd), EPOLLIN, *this)) return;
    set_state(State::head, loop_.settings.idle_timeout_us);
}

ServerConnection::~ServerConnection() {
    if (reserved_ != 0) server_.release(reserved_);
}

void ServerConnection::set_deadline(uint64_t deadline_us) {
    deadline_us_ = deadline_us;
    loop_.arm(deadline_us);
}

void ServerConnection::set_state(State state, uint64_t timeout_us) {
    state_ = state;
    set_deadline(loop_.now_us() + timeout_us);
}

void ServerConnection::close() {
    if (state_ == State::closed) return;
    state_ = State::closed;
    deadline_us_ = never_us;
    if (reply_id_ != 0) server_.forget_reply(reply_id_);
    server_.release(reserved_);
    reserved_ = 0;
    socket_.close();
    server_.on_connection_end(id_);
}

void ServerConnection::on_events(uint32_t events) {
    if ((events & EPOLLERR) != 0 || ((events & EPOLLHUP) != 0 && (events & EPOLLIN) == 0)) {
        close();
        return;
    }
    if ((events & EPOLLOUT) != 0) {
        write();
        process();  // what has arrived with the last request
    }
    if ((events & EPOLLIN) != 0 && state_ != State::closed) read();
}

void ServerConnection::read() {
    std::array<char, read_bytes> buffer;
    const ssize_t got = recv(socket_.fd(), buffer.data(), buffer.size(), 0);
    if (got < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) close();
        return;
    }
    if (state_ == State::draining) {
        if (got == 0) close();
        return;
    }
    if (got == 0) {
        // Half a request will not become a whole one.
        if (state_ == State::head || state_ == State::body) return close();
        ended_ = true;
        socket_.watch(state_ == State::writing ? uint32_t{EPOLLOUT} : 0U);
        return;
    }
    // The first bytes of a request begin its time.
    if (state_ == State::head && input_.empty()) set_deadline(loop_.now_us() + loop_.settings.receive_timeout_us);
    input_.append(buffer.data(), static_cast<size_t>(got));
    process();
}

void ServerConnection::process() {
    for (;;) {
        const bool progress = state_ == State::head ? process_head() : state_ == State::body ? process_body() : false;
        if (!progress) break;
    }
    if (state_ == State::head || state_ == State::body) {
        socket_.watch(EPOLLIN);
    } else if (state_ == State::held || state_ == State::replying) {
        socket_.watch(0);
    }
}

bool ServerConnection::process_head() {
    if (input_.empty()) return false;
    http::HeadResult result = http::parse_request_head(input_, {head_bytes_max, 100});
    if (result.state == http::HeadState::incomplete) return false;
    keep_alive_ = false;
    if (result.state == http::HeadState::refused) {
        refuse(result.status, result.message);
        return false;
    }
    begin_request(result.head);
    input_.erase(0, result.size);
    return state_ == State::body;
}

void ServerConnection::begin_request(const http::RequestHead& head) {
    keep_alive_ = head.keep_alive;
    refusal_ = 0;
    refusal_text_.clear();
    refusal_headers_.clear();
    body_.clear();
    namespace_name_.clear();
    chunked_.reset();
    batch_taken_ = 0;
    batch_at_ = 0;
    busy_until_us_ = 0;
    choose_route(head);
    const size_t most = loop_.settings.message_bytes;
    const uint64_t length = head.chunked ? most : head.content_length.value_or(0);
    if (length > most) {
        keep_alive_ = false;
        refuse(413, {});
        return;
    }
    if (!server_.reserve(static_cast<size_t>(length))) {
        keep_alive_ = false;
        refuse(503, {});
        return;
    }
    reserved_ = static_cast<size_t>(length);
    if (head.chunked) chunked_ = std::make_unique<http::ChunkedBody>(most);
    body_rest_ = head.chunked ? 0 : static_cast<size_t>(length);
    state_ = State::body;
    if (head.expects_continue && (head.chunked || length != 0)) {
        constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
        // Into an empty send buffer; one that does not take it makes the peer wait until it sends of its own accord.
        [[maybe_unused]] const ssize_t sent = send(socket_.fd(), go_on.data(), go_on.size(), MSG_NOSIGNAL);
    }
}

void ServerConnection::choose_route(const http::RequestHead& head) {
    constexpr std::string_view prefix = "/internal/cluster/";
    const std::string_view name =
        head.path.substr(0, prefix.size()) == prefix ? head.path.substr(prefix.size()) : std::string_view();
    route_ = name == "delta"    ? Route::delta
             : name == "deltas" ? Route::deltas
             : name == "osp1"   ? Route::control
             : name == "wal"    ? Route::pull
                                : Route::none;
    if (route_ == Route::none) {
        refusal_ = 404;
        return;
    }
    const std::string_view method = route_ == Route::pull ? "GET" : "POST";
    if (head.method != method) {
        refusal_ = 405;
        refusal_headers_ = "Allow: " + std::string(method) + "\r\n";
        return;
    }
    if (route_ == Route::pull) choose_log_route(head);
    choose_wait(head);
    const auto of_delta = route_ == Route::delta ? head.header("meridian-namespace") : std::nullopt;
    if (of_delta) {
        const auto bytes = base64url_decode(*of_delta);
        if (!bytes || bytes->size() > 255)
            refusal_ = 400;
        else
            namespace_name_ = *bytes;
    }
}

void ServerConnection::answer(int status, std::string_view type, std::string_view body, std::string_view more_headers) {
    if (status >= 400) loop_.host.metric(MERIDIAN_METRIC_COUNTER, "requests_refused", 1);
    server_.release(reserved_);
    reserved_ = 0;
    reply_id_ = 0;
    output_ = "HTTP/1.1 " + std::to_string(status) + " " + reason(status) + "\r\n";
    output_.append(more_headers);
    if (!body.empty()) output_.append("Content-Type: ").append(type).append("\r\n");
    if (status != 204) output_.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
    if (!keep_alive_) output_.append("Connection: close\r\n");
    output_.append("\r\n").append(body);
    written_ = 0;
    set_state(State::writing, loop_.settings.receive_timeout_us);
    write();
}

void ServerConnection::refuse(int status, std::string_view text) {
    answer(status, "text/plain", text, refusal_headers_);
}

void ServerConnection::write() {
    while (written_ < output_.size()) {
        const ssize_t sent = send(socket_.fd(), output_.data() + written_, output_.size() - written_, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN || errno == EWOULDBLOCK) {
                socket_.watch(EPOLLOUT);
                return;
            }
            close();
            return;
        }
        written_ += static_cast<size_t>(sent);
        set_deadline(loop_.now_us() + loop_.settings.receive_timeout_us);
    }
    if (state_ == State::writing) end_request();
}

void ServerConnection::end_request() {
    output_.clear();
    output_.shrink_to_fit();
    body_.clear();
    body_.shrink_to_fit();
    if (ended_) return close();
    if (!keep_alive_) {
        input_.clear();
        shutdown(socket_.fd(), SHUT_WR);
        set_state(State::draining, drain_us);
        socket_.watch(EPOLLIN);
        return;
    }
    set_state(State::head, input_.empty() ? loop_.settings.idle_timeout_us : loop_.settings.receive_timeout_us);
    socket_.watch(EPOLLIN);
}

void ServerConnection::on_deadline() {
    if (state_ == State::held) {
        give_up_busy();
        process();
    } else if (state_ == State::replying) {
        if (!server_.forget_reply(reply_id_)) {  // it is in the mailbox
            set_deadline(loop_.now_us() + loop_.settings.reply_timeout_us);
            return;
        }
        // A control message needs no answer; who asked for entries asks again.
        if (route_ == Route::control) {
            answer(204, {}, {});
        } else {
            answer(503, {}, {});
        }
        process();
    } else {
        close();
    }
}

}  // namespace meridian::transport_http
