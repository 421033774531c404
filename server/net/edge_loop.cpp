#include "net/edge_loop.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <thread>

#include "api/http_handlers.h"
#include "net/http_connection.h"
#include "net/websocket_connection.h"

namespace meridian::server {
namespace {

constexpr uint64_t listen_token = UINT64_MAX - 1;  // of the first listening socket; the others count down from it
constexpr size_t read_buffer_bytes = 64 << 10;
constexpr int accepts_per_tick = 64;
constexpr size_t sends_per_tick = 256;
constexpr size_t sends_per_room = 64;
// Of large outputs, between two looks at everything else: the kernel takes about 200 us for it, and what arrives in
// between waits that long.
constexpr size_t bulk_bytes_per_tick = 64 << 10;
// A room that produces faster than slices hand out is handed out whole.
constexpr size_t batches_waiting_max = 64;
constexpr int unsent_bytes_max = 128 << 10;
constexpr uint64_t accept_pause_us = 100'000;
constexpr uint64_t drain_check_us = 20'000;

// An answer before any question, and the end: what arrives from the client finds a closed socket.
void refuse_connection(int socket) {
    static const std::string answer = [] {
        const HttpResponse response = error_response(503, "overloaded", "too many connections");
        return "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: " +
               std::to_string(response.body.size()) + "\r\nretry-after: 1\r\nconnection: close\r\n\r\n" + response.body;
    }();
    [[maybe_unused]] const ssize_t sent = ::send(socket, answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace

EdgeLoop::EdgeLoop(EdgeShared& shared, EventLoop& loop, uint32_t index)
    : shared_(shared),
      loop_(loop),
      index_(index),
      settings_(shared.first_settings),
      tokens_(shared.signing_key.public_key()),
      read_buffer_(read_buffer_bytes, '\0') {
    loop_.set_handler(this);
}

EdgeLoop::~EdgeLoop() = default;

void EdgeLoop::start() {
    shard().set_listener(this);
    every_second();
}

void EdgeLoop::accept_from(int listen_fd) {
    loop_.add(listen_fd, EPOLLIN, listen_token - listen_fds_.size());
    listen_fds_.push_back(listen_fd);
}

void EdgeLoop::on_acceptable(size_t which) {
    for (int i = 0; i < accepts_per_tick; ++i) {
        FileDescriptor socket(::accept4(listen_fds_[which], nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!socket.valid()) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                // Nothing to accept with: the pending connection would wake us again at once.
                loop_.remove(listen_fds_[which]);
                loop_.post_after(accept_pause_us, [this, which] {
                    if (which < listen_fds_.size()) loop_.add(listen_fds_[which], EPOLLIN, listen_token - which);
                });
                return;
            }
            if (errno == EAGAIN || errno == EWOULDBLOCK) return;
            continue;  // this connection is gone already; others may wait
        }
        if (shared_.connections.load(std::memory_order_relaxed) >= settings().connections) {
            refuse_connection(socket.get());
            continue;
        }
        shared_.connections.fetch_add(1, std::memory_order_relaxed);
        const int on = 1;
        ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on,
                     sizeof on);  // fails on unix sockets, which have no delay
        // What waits for a slow reader waits in its bounded queue here, not in megabytes of the kernel's.
        ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes_max, sizeof unsent_bytes_max);
        EdgeLoop* target = shared_.loops[next_loop_++ % shared_.loops.size()];
        if (target == this) {
            adopt_socket(std::move(socket));
        } else {
            auto moved = std::make_shared<FileDescriptor>(std::move(socket));
            target->loop_.post([target, moved] { target->adopt_socket(std::move(*moved)); });
        }
    }
}

void EdgeLoop::adopt_socket(FileDescriptor socket) {
    if (draining_) {
        shared_.connections.fetch_sub(1, std::memory_order_relaxed);
        return;
    }
    const ConnectionId id = connections_.reserve();
    connections_.put(id, std::make_unique<HttpConnection>(*this, id, std::move(socket)));
}

void EdgeLoop::hand_over(ConnectionId id, FileDescriptor socket, HttpResponse grant, std::string input) {
    closed_.push_back(connections_.take(id));
    EdgeLoop* target = shared_.loops[grant.websocket_loop];
    auto moved = std::make_shared<Upgraded>(Upgraded{std::move(socket), std::move(grant), std::move(input)});
    target->loop_.post([target, moved] { target->adopt_websocket(std::move(*moved)); });
}

void EdgeLoop::adopt_websocket(Upgraded upgraded) {
    const Claims& claims = upgraded.grant.websocket_session->claims;
    const auto form = recent_clients_.note(claims.namespace_name, claims.client_id)
                          ? crdt::SequenceForm::left_neighbour_chain
                          : crdt::SequenceForm::ascending_siblings;
    Room& room = enter_room(claims.namespace_name);
    const uint32_t place = spread_.place(room);
    if (place == index_) return seat(*this, std::move(upgraded), form);
    room.add_guest(place, claims.client_id);
    auto moved = std::make_shared<Upgraded>(std::move(upgraded));
    spread_.tell(place, [home = this, moved, form](EdgeLoop& there) { there.seat(*home, std::move(*moved), form); });
}

void EdgeLoop::seat(EdgeLoop& home, Upgraded upgraded, crdt::SequenceForm form) {
    const ConnectionId id = connections_.reserve();
    Room& room = enter_room(upgraded.grant.websocket_session->claims.namespace_name);
    auto connection = std::make_unique<WebSocketConnection>(
        *this, home, room, id, std::move(upgraded.socket), std::move(upgraded.grant.websocket_session),
        upgraded.grant.key_form, form, upgraded.grant.body, std::move(upgraded.input));
    WebSocketConnection& adopted = *connection;
    connections_.put(id, std::move(connection));
    statistics_.websockets.add(1);
    if (&home != this) statistics_.guests.add(1);
    if (draining_) adopted.begin_drain();
}

void EdgeLoop::close(ConnectionId id) {
    std::unique_ptr<Connection> connection = connections_.take(id);
    if (!connection) return;
    if (WebSocketConnection* websocket = connection->as_websocket()) leave_room(*websocket);
    closed_.push_back(std::move(connection));
    shared_.connections.fetch_sub(1, std::memory_order_relaxed);
}

void EdgeLoop::on_ready(uint64_t token, uint32_t events) {
    if (listen_token - token < listen_fds_.size()) return on_acceptable(listen_token - token);
    if (Connection* connection = connections_.find(ConnectionId::from_token(token))) connection->on_ready(events);
}

bool EdgeLoop::on_tick_end() {
    if (second_ == Second::next_tick) every_second();
    if (second_ == Second::due) second_ = Second::next_tick;
    spread_.run_released();
    seal_open_rooms();
    std::vector<ConnectionId> dirty;
    dirty.swap(dirty_);
    for (const ConnectionId id : dirty) {
        Connection* connection = connections_.find(id);
        if (connection == nullptr) continue;
        if (WebSocketConnection* websocket = connection->as_websocket()) {
            websocket->settle();
        } else if (HttpConnection* http = connection->as_http()) {
            http->settle();
        }
    }
    if (dirty_.empty()) {
        dirty.clear();
        dirty_.swap(dirty);  // keeps its memory for the next tick
    }
    hand_out_batches();
    send_bulk();
    closed_.clear();
    if (!emptied_rooms_.empty()) remove_empty_rooms();
    spread_.flush();
    // What was read while connections settled may have opened rooms again.
    return !dirty_.empty() || !passing_rooms_.empty() || !bulk_.empty() || !open_rooms_.empty() ||
           spread_.has_released() || second_ == Second::next_tick;
}

void EdgeLoop::on_delta(const std::string& namespace_name, const node::DeltaFramePtr& frame) {
    statistics_.deltas.add(1);
    if (Room* room = find_room(namespace_name)) open(*room, {frame, nullptr});
}

void EdgeLoop::on_group_end() {
    seal_open_rooms();
}

void EdgeLoop::open(Room& room, RoomMessage message) {
    if (!room.has_open_batch()) open_rooms_.push_back(&room);
    room.add(std::move(message));
}

void EdgeLoop::broadcast(const std::string& namespace_name, SharedBytes message) {
    if (Room* room = find_room(namespace_name)) open(*room, {nullptr, std::move(message)});
}

void EdgeLoop::seal_and_pass_on(Room& room) {
    if (!room.pass_wanted()) passing_rooms_.push_back(&room);
    spread_.pass_on(room, room.seal());
}

void EdgeLoop::seal(Room& room) {
    if (!room.has_open_batch()) return;
    seal_and_pass_on(room);
    open_rooms_.erase(std::find(open_rooms_.begin(), open_rooms_.end(), &room));
}

void EdgeLoop::seal_open_rooms() {
    for (Room* room : open_rooms_) seal_and_pass_on(*room);
    open_rooms_.clear();
}

void EdgeLoop::receive_batch(const std::string& namespace_name, RoomBatchPtr batch) {
    Room* room = find_room(namespace_name);
    if (room == nullptr) return;  // its last guest here has just gone
    if (!room->pass_wanted()) passing_rooms_.push_back(room);
    room->receive(std::move(batch));
}

void EdgeLoop::receive_loss(const std::string& namespace_name, const std::set<std::string>& keys, bool too_many) {
    Room* room = find_room(namespace_name);
    if (room == nullptr) return;
    statistics_.readers_too_slow.add(room->members().size());
    for (const ConnectionId id : room->members()) {
        if (WebSocketConnection* connection = find_websocket(id)) connection->miss(keys, too_many);
    }
}

// In slices, so that a large room does not hold up everything else on this loop, and room after room.
void EdgeLoop::hand_out_batches() {
    size_t budget = sends_per_tick;
    while (budget > 0 && !passing_rooms_.empty()) {
        Room* room = passing_rooms_.front();
        passing_rooms_.pop_front();
        const bool overrun = room->batches_waiting() > batches_waiting_max;
        size_t slice = overrun ? SIZE_MAX : std::min(budget, sends_per_room);
        const size_t given = slice;
        const bool over = room->pass_slice(slice, [this](ConnectionId id) {
            WebSocketConnection* connection = find_websocket(id);
            if (connection != nullptr && !connection->caught_up()) connection->settle();
        });
        budget -= std::min(budget, given - slice);
        if (!over || room->pass_wanted()) passing_rooms_.push_back(room);
    }
}

void EdgeLoop::send_bulk() {
    size_t budget = bulk_bytes_per_tick;
    for (size_t turns = bulk_.size(); turns > 0 && budget > 0; --turns) {
        const ConnectionId id = bulk_.front();
        bulk_.pop_front();
        if (WebSocketConnection* connection = find_websocket(id))
            budget -= std::min(budget, connection->send_bulk(budget));
    }
    // A write of another room may wait for the committer or the store to get a processor.
    if (!bulk_.empty()) std::this_thread::yield();
}

Room& EdgeLoop::enter_room(const std::string& namespace_name) {
    std::unique_ptr<Room>& room = rooms_[namespace_name];
    if (!room) {
        room = std::make_unique<Room>(namespace_name);
        if (shared_.node->shard_index(namespace_name) == index_) statistics_.rooms.add(1);
    }
    return *room;
}

Room* EdgeLoop::find_room(const std::string& namespace_name) {
    const auto found = rooms_.find(namespace_name);
    return found == rooms_.end() ? nullptr : found->second.get();
}

void EdgeLoop::leave_room(WebSocketConnection& connection) {
    statistics_.websockets.subtract(1);
    Room& room = connection.room();
    if (const auto moved = room.leave(connection.room_index())) {
        if (WebSocketConnection* member = find_websocket(*moved)) member->set_room_index(connection.room_index());
    }
    if (room.empty()) emptied_rooms_.push_back(room.name());
    if (&connection.home() == this) return;
    statistics_.guests.subtract(1);
    spread_.tell(connection.home().index(), [name = room.name(), client_id = connection.session().claims.client_id,
                                             guest = ConnectionRef{index_, connection.id()}](EdgeLoop& home) {
        home.guest_left(name, client_id, guest);
    });
}

void EdgeLoop::guest_left(const std::string& namespace_name, uint64_t client_id, const ConnectionRef& guest) {
    spread_.forget(guest);
    Room* room = find_room(namespace_name);
    if (room == nullptr) return;
    room->remove_guest(guest.loop, client_id);
    if (room->empty()) emptied_rooms_.push_back(namespace_name);
}

bool EdgeLoop::end_sessions_here(const std::string& namespace_name, uint64_t client_id) {
    Room* room = find_room(namespace_name);
    if (room == nullptr) return false;
    bool found = false;
    for (const ConnectionId id : room->members()) {
        WebSocketConnection* connection = find_websocket(id);
        if (connection == nullptr || connection->session().claims.client_id != client_id) continue;
        found = true;
        connection->send(wire::ErrorMessage{4401, "session revoked"});
        connection->close(close_code::policy, "session revoked");
    }
    return found;
}

bool EdgeLoop::end_sessions(const std::string& namespace_name, uint64_t client_id) {
    const Room* room = find_room(namespace_name);
    if (room == nullptr) return false;
    const bool has_guest = room->has_guest_of(client_id);
    if (has_guest) {
        room->for_each_guest_loop([&](uint32_t loop) {
            spread_.tell(loop, [namespace_name, client_id](EdgeLoop& there) {
                there.end_sessions_here(namespace_name, client_id);
            });
        });
    }
    return end_sessions_here(namespace_name, client_id) || has_guest;
}

void EdgeLoop::remove_empty_rooms() {
    for (const std::string& name : emptied_rooms_) {
        const auto room = rooms_.find(name);
        if (room == rooms_.end() || !room->second->empty()) continue;
        Room* gone = room->second.get();
        open_rooms_.erase(std::remove(open_rooms_.begin(), open_rooms_.end(), gone), open_rooms_.end());
        passing_rooms_.erase(std::remove(passing_rooms_.begin(), passing_rooms_.end(), gone), passing_rooms_.end());
        if (shared_.node->shard_index(name) == index_) statistics_.rooms.subtract(1);
        rooms_.erase(room);
    }
    emptied_rooms_.clear();
}

WebSocketConnection* EdgeLoop::find_websocket(ConnectionId id) {
    Connection* connection = connections_.find(id);
    return connection == nullptr ? nullptr : connection->as_websocket();
}

HttpConnection* EdgeLoop::find_http(ConnectionId id) {
    Connection* connection = connections_.find(id);
    return connection == nullptr ? nullptr : connection->as_http();
}

void EdgeLoop::dispatch(HttpRequest request) {
    const size_t owner = request.session ? shared_.node->shard_index(request.session->claims.namespace_name) : index_;
    if (owner == index_) return handle_request(*this, std::move(request));
    EdgeLoop* target = shared_.loops[owner];
    target->loop_.post(
        [target, request = std::move(request)]() mutable { handle_request(*target, std::move(request)); });
}

void EdgeLoop::respond(const ConnectionRef& to, uint64_t number, HttpResponse response) {
    if (to.loop == index_) {
        if (HttpConnection* connection = find_http(to.id)) connection->respond(number, std::move(response));
        return;
    }
    EdgeLoop* target = shared_.loops[to.loop];
    target->loop_.post([target, to, number, response = std::move(response)]() mutable {
        target->respond(to, number, std::move(response));
    });
}

const std::string& EdgeLoop::date_header() {
    const uint64_t second = wall_ms() / 1000;
    if (second != date_second_ || date_header_.empty()) {
        date_second_ = second;
        const auto time = static_cast<time_t>(second);
        tm parts{};
        ::gmtime_r(&time, &parts);
        char text[64];
        const size_t size = ::strftime(text, sizeof text, "date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
        date_header_.assign(text, size);
    }
    return date_header_;
}

void EdgeLoop::every_second() {
    second_ = Second::waiting;
    loop_.post_after(1'000'000, [this] { second_ = Second::due; });
    const uint64_t now = now_us();
    connections_.for_each([now](Connection& connection) { connection.on_second(now); });
    rate_limiter_.sweep(now);
    spread_.tell_losses();
}

void EdgeLoop::begin_drain(uint64_t deadline_us, std::function<void()> done) {
    draining_ = true;
    drain_deadline_us_ = deadline_us;
    drained_ = std::move(done);
    for (const int listen_fd : listen_fds_) {
        loop_.remove(listen_fd);
        // From now on connecting fails at once instead of hanging in the backlog.
        ::shutdown(listen_fd, SHUT_RDWR);
    }
    listen_fds_.clear();
    connections_.for_each([](Connection& connection) { connection.begin_drain(); });
    check_drained();
}

void EdgeLoop::check_drained() {
    // All of them, not only those of this loop: some may be on their way here.
    if (shared_.connections.load(std::memory_order_relaxed) == 0 || now_us() >= drain_deadline_us_) return drained_();
    loop_.post_after(drain_check_us, [this] { check_drained(); });
}

}  // namespace meridian::server
