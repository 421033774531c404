#include "net/http_connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "protocol/cors.h"
#include "protocol/percent.h"

namespace meridian::server {
namespace {

constexpr uint64_t linger_us = 2'000'000;
constexpr size_t input_capacity_kept = 4096;

std::string_view bearer_token(const http::RequestHead& head) {
    const auto header = head.header("authorization");
    if (header && header->substr(0, 7) == "Bearer ") return header->substr(7);
    return {};
}

// What connects to a unix socket is on this machine, but most often to speak for somebody who is not.
bool is_own_peer(int fd) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
    return peer.uid == 0 || peer.uid == ::geteuid();
}

// Somebody on this machine, as far as can be seen: what a proxy passes on is not, so its headers are looked for.
bool is_local(int fd, const http::RequestHead& head) {
    for (const char* name : {"forwarded", "x-real-ip", "cf-connecting-ip", "via"}) {
        if (head.header(name)) return false;
    }
    constexpr std::string_view prefix = "x-forwarded-";
    for (const http::HeaderField& field : head.headers) {
        if (http::equals_ignoring_case(field.name.substr(0, prefix.size()), prefix)) return false;
    }
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return false;
    if (address.ss_family == AF_UNIX) return is_own_peer(fd);
    if (address.ss_family == AF_INET) {
        return (ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr) >> 24) == 127;
    }
    if (address.ss_family != AF_INET6) return false;
    const in6_addr& ip = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(&ip) || (IN6_IS_ADDR_V4MAPPED(&ip) && ip.s6_addr[12] == 127);
}

// Whether the answer may be as large as what is stored.
bool is_answer_of_any_size(Route route) {
    return route == Route::crdt_value || route == Route::crdt_sync || route == Route::metrics;
}

std::string text_header(const http::RequestHead& head, std::string_view name) {
    return std::string(head.header(name).value_or(""));
}

UpgradeHeaders upgrade_headers(const http::RequestHead& head, const std::string& configured_form) {
    UpgradeHeaders upgrade;
    upgrade.connection_upgrade = head.header_has_token("connection", "upgrade");
    upgrade.upgrade_websocket = head.header_has_token("upgrade", "websocket");
    upgrade.version_13 = head.header("sec-websocket-version") == "13";
    upgrade.key = text_header(head, "sec-websocket-key");
    // client-api.md section 11.5: the Python client alone names its library, and it alone needs string keys.
    const bool python = head.header("user-agent").value_or("").find("websockets/") != std::string_view::npos;
    bool strings = configured_form == "auto" ? python : configured_form == "string";
    if (const auto asked = http::query_value(head.query, "keys")) {
        if (*asked == "string") strings = true;
        if (*asked == "integer") strings = false;
    }
    upgrade.key_form = strings ? node::KeyForm::string_keys : node::KeyForm::integer_keys;
    return upgrade;
}

}  // namespace

HttpConnection::HttpConnection(EdgeLoop& edge, ConnectionId id, FileDescriptor socket)
    : edge_(edge),
      id_(id),
      socket_(std::move(socket)),
      interest_(EPOLLIN),
      counted_input_(edge.shared().input_budget),
      phase_since_us_(edge.now_us()) {
    edge_.loop().add(socket_.get(), interest_, id_.token());
}

void HttpConnection::mark_dirty() {
    if (dirty_) return;
    dirty_ = true;
    edge_.mark_dirty(id_);
}

void HttpConnection::on_ready(uint32_t events) {
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) return edge_.close(id_);
    if ((events & EPOLLIN) != 0) read_input();
    mark_dirty();
}

void HttpConnection::read_input() {
    std::string& buffer = edge_.read_buffer();
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) edge_.close(id_);
        return;
    }
    if (got == 0) {
        peer_finished_ = true;
        return;
    }
    if (phase_ == Phase::lingering) phase_since_us_ = edge_.now_us();
    if (phase_ == Phase::lingering || phase_ == Phase::closing) return;
    if (phase_ == Phase::head && input_.empty()) phase_since_us_ = edge_.now_us();
    input_.append(buffer.data(), static_cast<size_t>(got));
    process_input();
}

void HttpConnection::process_input() {
    bool more = true;
    while (more) {
        if (phase_ == Phase::head) {
            more = !draining_ && !is_full() && take_head();
        } else {
            more = phase_ == Phase::body && take_body();
        }
    }
    if (input_.empty() && input_.capacity() > input_capacity_kept) std::string().swap(input_);
    count_input();
}

void HttpConnection::count_input() {
    counted_input_.set(input_.size() + (request_ ? request_->body.size() : 0) + (chunked_ ? chunked_->bytes() : 0));
    if (phase_ != Phase::head && phase_ != Phase::body) return;
    if (counted_input_.bytes() == 0 || !edge_.is_input_too_much(counted_input_)) return;
    if (phase_ == Phase::head) add_answer();
    HttpResponse response = error_response(503, "overloaded", "too much is arriving at once");
    response.headers = "retry-after: 1\r\n";
    answer_now(std::move(response), true);
    counted_input_.set(0);
}

// Returns whether there may be more to do.
bool HttpConnection::take_head() {
    if (input_.empty()) return false;
    http::HeadResult result =
        http::parse_request_head(input_, {edge_.settings().http_head_bytes, edge_.settings().http_headers});
    if (result.state == http::HeadResult::State::incomplete) return false;
    add_answer();
    if (result.state == http::HeadResult::State::refused) {
        answer_now(error_response(result.status, "malformed_request", result.message), true);
        return false;
    }
    begin_request(result.head);
    if (phase_ == Phase::closing) return false;
    input_.erase(0, result.size);
    if (phase_ == Phase::upgrading) return false;
    phase_since_us_ = edge_.now_us();
    return true;
}

HttpConnection::Answer& HttpConnection::add_answer() {
    return answers_.emplace_back();
}

void HttpConnection::begin_request(const http::RequestHead& head) {
    Answer& answer = answers_.back();
    answer.head_only = head.method == "HEAD";
    answer.http_1_0 = head.http_1_0;
    answer.close = !head.keep_alive;
    const std::string& origins = edge_.settings().cors_origins;
    if (!origins.empty()) answer.cors = cors_headers(origins, head.header("origin"));
    const bool has_body = head.chunked || head.content_length.value_or(0) > 0;
    const auto refuse = [&](HttpResponse response) {
        // What is left unread of a body could be taken for the next request.
        answer_now(std::move(response), has_body || !head.keep_alive);
    };

    auto path = route_path(head.path);
    const std::string& metrics = edge_.settings().metrics;
    if (path && path->route == Route::metrics && metrics == "off") path.reset();
    if (head.method == "OPTIONS") return refuse(options_response(head, path));
    if (!path) {
        HttpResponse not_found = error_response(404, "not_found", "no such path");
        return refuse(std::move(not_found));
    }
    auto request = std::make_unique<HttpRequest>();
    const bool asks_for_local = path->route == Route::metrics || path->route == Route::backup;
    request->local = asks_for_local && is_local(socket_.get(), head);
    const bool open = path->route == Route::metrics && metrics == "local" && request->local;
    if (needs_token(path->route) && !open) {
        std::string_view token = bearer_token(head);
        std::string from_query;
        if (token.empty()) {
            const auto raw = http::query_value(head.query, "token");
            from_query = raw ? percent_decode(*raw).value_or(std::string(*raw)) : "";
            token = from_query;
        }
        if (token.empty())
            return refuse(error_response(401, "missing_token", "missing or malformed Authorization header"));
        auto verdict = edge_.tokens().verify(token, edge_.wall_ms());
        if (const auto* refusal = std::get_if<TokenRefusal>(&verdict))
            return refuse(error_response(401, refusal->code, refusal->message));
        request->session = std::get<SessionPtr>(verdict);
    }
    const auto origin = head.header("origin");
    if (path->route == Route::connect && !origins.empty() && origin && !is_origin_allowed(origins, *origin))
        return refuse(error_response(403, "origin_not_allowed", "the Origin is not among server.cors_origins"));
    if (head.content_length.value_or(0) > edge_.settings().http_body_bytes) {
        return refuse(
            error_response(413, "body_too_large", "Failed to buffer the request body: length limit exceeded"));
    }
    request->reply_to = {edge_.index(), id_};
    request->number = first_number_ + answers_.size() - 1;
    request->path = std::move(*path);
    request->method = head.method;
    request->query = head.query;
    if (request->path.route == Route::connect) request->upgrade = upgrade_headers(head, edge_.settings().key_form);
    if (has_body) {
        request->content_type = text_header(head, "content-type");
        if (head.expects_continue && answers_.size() == 1)
            output_.push(OutputQueue::Kind::reply, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    request->idempotency_key = text_header(head, "idempotency-key");
    request->op_signature = text_header(head, "x-meridian-op-signature");
    request_ = std::move(request);
    if (head.chunked) {
        chunked_ = std::make_unique<http::ChunkedBody>(edge_.settings().http_body_bytes);
    } else {
        body_rest_ = head.content_length.value_or(0);
    }
    phase_ = Phase::body;
}

// Needs no token: it tells nothing of what is stored, and a browser's preflight has none.
HttpResponse HttpConnection::options_response(const http::RequestHead& head,
                                              const std::optional<RoutedPath>& path) const {
    if (!path && head.path != "*") return error_response(404, "not_found", "no such path");
    const std::string methods = path ? allowed_methods(path->route) : "GET, HEAD, POST, DELETE, OPTIONS";
    HttpResponse response;
    response.status = 204;
    response.headers = "allow: " + methods + "\r\n" + preflight_headers(edge_.settings().cors_origins, head, methods);
    return response;
}

bool HttpConnection::take_body() {
    if (chunked_) {
        std::string_view rest = input_;
        const http::ChunkedBody::State state = chunked_->feed(rest);
        input_.erase(0, input_.size() - rest.size());
        if (state == http::ChunkedBody::State::more) return false;
        if (state == http::ChunkedBody::State::too_large) {
            answer_now(
                error_response(413, "body_too_large", "Failed to buffer the request body: length limit exceeded"),
                true);
            return false;
        }
        if (state == http::ChunkedBody::State::malformed) {
            answer_now(error_response(400, "malformed_request", "malformed chunked body"), true);
            return false;
        }
        request_->body = chunked_->take();
        chunked_.reset();
    } else {
        const size_t taken = static_cast<size_t>(std::min<uint64_t>(*body_rest_, input_.size()));
        request_->body.append(input_, 0, taken);
        input_.erase(0, taken);
        *body_rest_ -= taken;
        if (*body_rest_ > 0) return false;
    }
    finish_request();
    return phase_ == Phase::head;
}

void HttpConnection::finish_request() {
    body_rest_.reset();
    const bool upgrade = request_->path.route == Route::connect && request_->upgrade.connection_upgrade;
    phase_ = upgrade ? Phase::upgrading : answers_.back().close ? Phase::closing : Phase::head;
    phase_since_us_ = edge_.now_us();
    hold(answers_.back(),
         is_answer_of_any_size(request_->path.route) ? edge_.settings().connection_queue_bytes : request_->body.size());
    edge_.dispatch(std::move(*request_));
    request_.reset();
}

void HttpConnection::hold(Answer& answer, size_t bytes) {
    held_bytes_ += bytes - answer.held_bytes;
    answer.held_bytes = bytes;
}

void HttpConnection::answer_now(HttpResponse response, bool close) {
    Answer& answer = answers_.back();
    hold(answer, response.body.size());
    answer.response = std::move(response);
    answer.ready = true;
    if (close) {
        answer.close = true;
        phase_ = Phase::closing;
        request_.reset();
        chunked_.reset();
        std::string().swap(input_);
    }
    mark_dirty();
}

void HttpConnection::respond(uint64_t number, HttpResponse response) {
    if (number < first_number_ || number - first_number_ >= answers_.size()) return;
    Answer& answer = answers_[number - first_number_];
    hold(answer, response.body.size());
    answer.response = std::move(response);
    answer.ready = true;
    mark_dirty();
}

std::string HttpConnection::answer_bytes(const Answer& answer) {
    const HttpResponse& response = answer.response;
    std::string out = "HTTP/1.1 " + std::to_string(response.status) + ' ' + reason_phrase(response.status) + "\r\n";
    if (response.content_type != nullptr) out.append("content-type: ").append(response.content_type).append("\r\n");
    if (response.status != 204 && response.status != 101) {
        out.append("content-length: ").append(std::to_string(response.body.size())).append("\r\n");
    }
    out.append(edge_.date_header()).append(response.headers).append(answer.cors);
    if (answer.close) {
        out.append("connection: close\r\n");
    } else if (answer.http_1_0) {
        out.append("connection: keep-alive\r\n");
    }
    out.append("\r\n");
    if (!answer.head_only && response.status != 204 && response.status != 101) out.append(response.body);
    return out;
}

void HttpConnection::settle() {
    dirty_ = false;
    const bool owed_answers = !answers_.empty() || !output_.empty();
    while (!answers_.empty() && answers_.front().ready && !grant_) {
        Answer answer = std::move(answers_.front());
        answers_.pop_front();
        held_bytes_ -= answer.held_bytes;
        ++first_number_;
        edge_.statistics().http_responses[answer.response.status / 100].add(1);
        if (draining_ && answers_.empty() && !answer.response.websocket_session) answer.close = true;
        std::string bytes = answer_bytes(answer);
        if (answer.response.websocket_session) {
            grant_ = std::move(answer.response);
            grant_->body = std::move(bytes);
            break;
        }
        output_.push(OutputQueue::Kind::reply, bytes);
        if (phase_ == Phase::upgrading && answers_.empty()) {
            // The upgrade was refused; the connection goes on with HTTP.
            phase_ = answer.close ? Phase::closing : Phase::head;
            phase_since_us_ = edge_.now_us();
        } else if (answer.close && phase_ == Phase::head) {
            phase_ = Phase::closing;
        }
    }
    bool written = false;
    const OutputQueue::Flush flushed = output_.flush(socket_.get(), written);
    if (flushed == OutputQueue::Flush::failed) return edge_.close(id_);
    if (output_.empty()) {
        stalled_since_us_ = 0;
    } else if (written || stalled_since_us_ == 0) {
        stalled_since_us_ = edge_.now_us();
    }
    if (flushed == OutputQueue::Flush::done && answers_.empty()) {
        if (grant_) return finish_upgrade();
        // From here on it is the client's turn.
        if (phase_ == Phase::head && owed_answers) phase_since_us_ = edge_.now_us();
        if (phase_ == Phase::closing && !peer_finished_) shut_down_writing();
        if (draining_ && phase_ == Phase::head && !peer_finished_ && undelivered_bytes(socket_.get()) > 0)
            shut_down_writing();
        if (peer_finished_ || (draining_ && phase_ == Phase::head)) return edge_.close(id_);
    }
    // Answers have made room in the pipeline, or the client has read some.
    if (phase_ == Phase::head && !input_.empty() && !is_full()) process_input();
    update_interest();
}

void HttpConnection::finish_upgrade() {
    edge_.loop().remove(socket_.get());
    edge_.hand_over(id_, std::move(socket_), std::move(*grant_), std::move(input_));
}

void HttpConnection::shut_down_writing() {
    ::shutdown(socket_.get(), SHUT_WR);
    phase_ = Phase::lingering;
    phase_since_us_ = edge_.now_us();
    lingering_since_us_ = phase_since_us_;
    undelivered_bytes_ = 0;
}

// Closing resets the connection if the client still sends, and a reset takes away what it has not received of its
// answer. So its time to go begins when it has the whole answer and sends no more; but it cannot send for ever.
void HttpConnection::linger(uint64_t now_us) {
    const config::Settings& settings = edge_.settings();
    const size_t rest = undelivered_bytes(socket_.get());
    if (rest != undelivered_bytes_) {
        undelivered_bytes_ = rest;
        phase_since_us_ = now_us;
        lingering_since_us_ = now_us;
    }
    const uint64_t limit_us = rest == 0 ? linger_us : settings.write_timeout_ms * 1000;
    const bool sends_on = rest == 0 && now_us > lingering_since_us_ + settings.body_timeout_ms * 1000;
    if (sends_on || now_us > phase_since_us_ + limit_us) edge_.close(id_);
}

bool HttpConnection::is_full() const {
    return answers_.size() >= edge_.settings().http_pipeline ||
           output_.bytes() + held_bytes_ >= edge_.settings().connection_queue_bytes;
}

void HttpConnection::update_interest() {
    // A client that waits for its answers before it asks again is watched all the time.
    const bool full = (phase_ == Phase::head && !input_.empty() && is_full()) || phase_ == Phase::upgrading ||
                      phase_ == Phase::closing;
    uint32_t wanted = 0;
    if (!full && !peer_finished_) wanted |= EPOLLIN;
    if (!output_.empty()) wanted |= EPOLLOUT;
    if (wanted == interest_) return;
    interest_ = wanted;
    edge_.loop().modify(socket_.get(), wanted, id_.token());
}

void HttpConnection::on_second(uint64_t now_us) {
    const auto older_than = [now_us](uint64_t since_us, uint64_t limit_ms) {
        return now_us > since_us + limit_ms * 1000;
    };
    const config::Settings& settings = edge_.settings();
    if (stalled_since_us_ != 0 && older_than(stalled_since_us_, settings.write_timeout_ms)) return edge_.close(id_);
    if (phase_ == Phase::lingering) return linger(now_us);
    if (!answers_.empty() && phase_ != Phase::body) {
        phase_since_us_ = now_us;  // the client waits for us
        return;
    }
    if (phase_ == Phase::head) {
        // A client that is still reading is not idle, and until it has read we may not be reading its next head.
        if (!output_.empty()) {
            phase_since_us_ = now_us;
        } else if (input_.empty()) {
            if (older_than(phase_since_us_, settings.idle_timeout_ms)) edge_.close(id_);
        } else if (older_than(phase_since_us_, settings.head_timeout_ms)) {
            add_answer();
            answer_now(error_response(408, "request_timeout", "the request head did not arrive in time"), true);
        }
    } else if (phase_ == Phase::body && older_than(phase_since_us_, settings.body_timeout_ms)) {
        answer_now(error_response(408, "request_timeout", "the request body did not arrive in time"), true);
    }
}

void HttpConnection::begin_drain() {
    draining_ = true;
    mark_dirty();
}

}  // namespace meridian::server
