#include "net/websocket_connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

#include "api/websocket_messages.h"

namespace meridian::server {
namespace {
constexpr uint64_t close_timeout_us = 2'000'000;
// Output from this size on is sent in turns.
constexpr size_t bulk_bytes = 64 << 10;
constexpr uint64_t fan_out_delay_us = 1'000'000;
constexpr uint64_t awareness_window_us = 1'000'000;
constexpr std::string_view too_slow = "too slow: missed too many keys";
}  // namespace

WebSocketConnection::WebSocketConnection(EdgeLoop& edge, EdgeLoop& home, Room& room, ConnectionId id,
                                         FileDescriptor socket, SessionPtr session, node::KeyForm form,
                                         crdt::SequenceForm sequence_form, std::string_view greeting, std::string input)
    : edge_(edge),
      home_(home),
      id_(id),
      socket_(std::move(socket)),
      session_(std::move(session)),
      room_(room),
      room_index_(room_.join(id)),
      // The memory of the upgrade request goes with the request: most clients have sent nothing behind it.
      input_(input.empty() ? std::string() : std::move(input)),
      counted_input_(edge.shared().input_budget),
      reader_(WebSocketReader::Role::server, edge.settings().websocket_message_bytes),
      delivery_(room_, session_, form, form == node::KeyForm::string_keys),
      received_us_(edge.now_us()),
      interest_(EPOLLIN),
      sequence_form_(sequence_form) {
    output_.push(OutputQueue::Kind::reply, greeting);
    edge_.loop().add(socket_.get(), interest_, id_.token());
    if (form == node::KeyForm::integer_keys) {
        edge_.loop().post_after(fan_out_delay_us, [&loop = edge_, id] {
            if (WebSocketConnection* connection = loop.find_websocket(id)) connection->delivery_.start();
        });
    }
    mark_dirty();
}

WebSocketConnection::~WebSocketConnection() = default;

void WebSocketConnection::mark_dirty() {
    if (dirty_) return;
    dirty_ = true;
    edge_.mark_dirty(id_);
}

Delivery::Limits WebSocketConnection::delivery_limits() const {
    return {edge_.settings().connection_queue_bytes, edge_.settings().missed_keys};
}

void WebSocketConnection::on_ready(uint32_t events) {
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) return edge_.close(id_);
    if ((events & EPOLLOUT) != 0) blocked_ = false;
    if ((events & EPOLLIN) != 0) read_input();
    mark_dirty();
}

void WebSocketConnection::read_input() {
    std::string& buffer = edge_.read_buffer();
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got == 0) return edge_.close(id_);
    if (got < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) edge_.close(id_);
        return;
    }
    received_us_ = edge_.now_us();
    ping_sent_us_ = 0;
    if (peer_closed_ || broken_) return;
    const auto size = static_cast<size_t>(got);
    if (!input_.empty()) {
        input_.append(buffer.data(), size);
        return take_buffered_frames();
    }
    const size_t taken = take_frames(buffer.data(), size);
    if (taken < size) input_.assign(buffer.data() + taken, size - taken);
    count_input();
}

void WebSocketConnection::count_input() {
    counted_input_.set(input_.size() + reader_.fragment_bytes());
    if (counted_input_.bytes() == 0) {
        message_since_us_ = 0;
        return;
    }
    if (message_since_us_ == 0) message_since_us_ = edge_.now_us();
    if (!edge_.is_input_too_much(counted_input_)) return;
    close(close_code::try_again_later, "too much is arriving at once");
    drop_input();
}

// Nothing that the client still sends is looked at.
void WebSocketConnection::drop_input() {
    broken_ = true;
    std::string().swap(input_);
    reader_ = WebSocketReader(WebSocketReader::Role::server, edge_.settings().websocket_message_bytes);
    count_input();
    mark_dirty();
}

void WebSocketConnection::take_buffered_frames() {
    const size_t taken = take_frames(input_.data(), input_.size());
    input_.erase(0, taken);
    if (input_.empty()) std::string().swap(input_);
    count_input();
}

size_t WebSocketConnection::take_frames(char* data, size_t size) {
    size_t taken = 0;
    while (!peer_closed_ && !broken_ && !reading_paused()) {
        const WebSocketEvent event = reader_.next(data + taken, size - taken);
        if (event.kind == WebSocketEvent::Kind::need_more) break;
        taken += event.consumed;
        if (event.kind == WebSocketEvent::Kind::binary || event.kind == WebSocketEvent::Kind::text)
            message_since_us_ = 0;
        take_event(event);
    }
    return peer_closed_ || broken_ ? size : taken;
}

void WebSocketConnection::take_event(const WebSocketEvent& event) {
    delivery_.start();
    switch (event.kind) {
        case WebSocketEvent::Kind::need_more:
        case WebSocketEvent::Kind::continued:
        case WebSocketEvent::Kind::pong:
        case WebSocketEvent::Kind::text:
            return;
        case WebSocketEvent::Kind::binary: {
            if (closing_) return;
            const uint64_t now_ms = edge_.wall_ms();
            if (now_ms >= session_->claims.expires_at_ms) return close(close_code::policy, "token expired");
            message_bytes_ = event.payload.size();
            return handle_message(*this, event.payload, now_ms);
        }
        case WebSocketEvent::Kind::ping:
            if (!closing_) {
                std::string pong;
                append_message(pong, Opcode::pong, event.payload);
                output_.push(OutputQueue::Kind::reply, pong);
            }
            return;
        case WebSocketEvent::Kind::close:
            if (!closing_) close(event.code, {});
            peer_closed_ = true;
            return;
        case WebSocketEvent::Kind::error:
            close(event.code, event.problem);
            broken_ = true;
            return;
    }
}

bool WebSocketConnection::reading_paused() const {
    if (closing_) return false;  // only the client's close frame is looked for
    return draining_ || held_by_ || replies_.size() - emitted_ >= edge_.settings().websocket_frames_in_flight ||
           asked_bytes_ > edge_.settings().connection_queue_bytes ||
           output_.bytes(OutputQueue::Kind::reply) > edge_.settings().connection_queue_bytes;
}

uint64_t WebSocketConnection::begin_reply() {
    replies_.push_back({{}, message_bytes_});
    asked_bytes_ += message_bytes_;
    return first_reply_ + replies_.size() - 1;
}

void WebSocketConnection::complete_reply(uint64_t number, Reply reply) {
    if (number < first_reply_ + emitted_ || number - first_reply_ >= replies_.size()) return;
    Outstanding& outstanding = replies_[number - first_reply_];
    asked_bytes_ -= std::exchange(outstanding.request_bytes, 0);
    outstanding.reply = std::move(reply);
    if (held_by_ == number) held_by_.reset();
    mark_dirty();
}

void WebSocketConnection::complete_reply_in_place(uint64_t number, Emit emit) {
    edge_.seal(room_);
    catch_up();
    complete_reply(number, std::move(emit));
    emit_replies();
}

void WebSocketConnection::reply_error(uint64_t number, uint16_t code, std::string message) {
    complete_reply(number, [code, text = std::move(message)](WebSocketConnection& connection) {
        connection.send(wire::ErrorMessage{code, text});
    });
}

void WebSocketConnection::emit_replies() {
    while (!closing_ && emitted_ < replies_.size() && replies_[emitted_].reply.index() != 0) {
        const Reply reply = std::move(replies_[emitted_++].reply);
        if (const auto* ack = std::get_if<WriteAck>(&reply)) {
            send(*ack);
        } else {
            std::get<Emit>(reply)(*this);
        }
    }
    if (emitted_ == replies_.size()) {
        first_reply_ += emitted_;
        emitted_ = 0;
        replies_.clear();  // on_second() gives the memory back
    } else if (emitted_ >= 64) {
        replies_.erase(replies_.begin(), replies_.begin() + static_cast<std::ptrdiff_t>(emitted_));
        first_reply_ += emitted_;
        emitted_ = 0;
    }
}

void WebSocketConnection::send(const wire::ServerMessage& message) {
    if (closing_) return;
    EdgeLoop::EncodeBuffers& buffers = edge_.encode_buffers();
    buffers.message.clear();
    buffers.frame.clear();
    wire::append_server_message(buffers.message, message);
    append_message(buffers.frame, Opcode::binary, buffers.message);
    output_.push(OutputQueue::Kind::reply, buffers.frame);
}

void WebSocketConnection::send(const WriteAck& ack) {
    const uint64_t sequence = count_changes(ack.changes);
    if (ack.batch) return send(wire::BatchAck{sequence, ack.changes, ack.client_seq});
    send(wire::Ack{sequence, ack.client_seq});
}

void WebSocketConnection::send_state(const node::StateFrames& state) {
    if (closing_) return;
    for (const node::DeltaFramePtr& frame : state.frames) {
        const std::string& message = frame->message(delivery_.form());
        if (message.size() <= 4096 || message.size() > frame_payload_bytes_max) {
            std::string own;
            append_message(own, Opcode::binary, message);
            output_.push(OutputQueue::Kind::reply, own);
            continue;
        }
        std::string header;
        append_frame_header(header, Opcode::binary, message.size());
        output_.push(OutputQueue::Kind::reply, header);
        output_.push(OutputQueue::Kind::reply, SharedBytes(frame, &message));
    }
}

bool WebSocketConnection::is_state_repeated(const std::shared_ptr<const node::StateFrames>& state) {
    const bool repeated = state && last_state_.lock() == state;
    last_state_ = state;
    return repeated;
}

bool WebSocketConnection::take_awareness_slot() {
    const uint64_t now_us = edge_.now_us();
    if (now_us >= awareness_window_us_ + awareness_window_us) {
        awareness_window_us_ = now_us;
        awareness_count_ = 0;
    }
    if (awareness_count_ >= edge_.settings().awareness_per_second) return false;
    ++awareness_count_;
    return true;
}

void WebSocketConnection::close(uint16_t code, std::string_view reason) {
    if (closing_) return;
    std::string frame;
    append_message(frame, Opcode::close, code == close_code::no_status ? std::string() : close_payload(code, reason));
    output_.push(OutputQueue::Kind::reply, frame);
    closing_ = true;
    closing_since_us_ = edge_.now_us();
    mark_dirty();
}

bool WebSocketConnection::catch_up() {
    if (closing_) return true;
    if (delivery_.catch_up(room_, output_, delivery_limits(), edge_.shared().clock, edge_.statistics())) return true;
    close(close_code::try_again_later, too_slow);
    return false;
}

void WebSocketConnection::miss(const std::set<std::string>& keys, bool too_many) {
    if (too_many) return close(close_code::try_again_later, too_slow);
    for (const std::string& key : keys) delivery_.miss(key, edge_.wall_ms());
    mark_dirty();
}

// Reads the state of one missed key at a time; the completion asks for the next by way of settle().
void WebSocketConnection::resync_missed() {
    const std::string* missed = closing_ ? nullptr : delivery_.next_missed(output_, delivery_limits());
    if (missed == nullptr) return;
    delivery_.resync_begun();
    const std::string key = *missed;
    ask<node::StateOutcome>(
        std::nullopt,
        [name = room_.name(), key](node::Shard& shard, std::function<void(node::StateOutcome)> completion) {
            return shard.read_state(name, key, crdt::SequenceForm::left_neighbour_chain, std::move(completion));
        },
        [key](WebSocketConnection& connection, const node::StateOutcome& outcome) {
            connection.edge_.seal(connection.room_);
            connection.catch_up();
            const bool known = outcome.status == node::Status::ok || outcome.status == node::Status::not_found;
            const bool fits = connection.output_.bytes() <= connection.edge_.settings().connection_queue_bytes;
            if (known && fits && outcome.state && connection.may_read(key)) connection.send_state(*outcome.state);
            connection.delivery_.resynced(key, known && fits);
            // When it did not work the clock asks again, a little later.
            if (known && fits) connection.mark_dirty();
        });
}

void WebSocketConnection::broadcast(SharedBytes message) {
    if (&home_ == &edge_) return edge_.broadcast(room_.name(), std::move(message));
    if (!edge_.spread().has_room(home_.index())) return;  // awareness is only about now
    const size_t bytes = message->size();
    edge_.spread().tell(
        home_.index(),
        [name = room_.name(), message = std::move(message)](EdgeLoop& home) { home.broadcast(name, message); }, bytes);
}

bool WebSocketConnection::flushed(OutputQueue::Flush result, bool written) {
    blocked_ = result == OutputQueue::Flush::blocked;
    if (result == OutputQueue::Flush::failed) {
        edge_.close(id_);
        return false;
    }
    if (output_.empty()) {
        stalled_since_us_ = 0;
        if (peer_closed_) {
            edge_.close(id_);
            return false;
        }
        // Closing at once could reset the connection before the client has read our close frame.
        if (broken_) ::shutdown(socket_.get(), SHUT_WR);
    } else if (written || stalled_since_us_ == 0) {
        stalled_since_us_ = edge_.now_us();
    }
    return true;
}

size_t WebSocketConnection::send_bulk(size_t bytes_max) {
    bulk_ = false;
    const size_t before = output_.bytes();
    bool written = false;
    const OutputQueue::Flush result = output_.flush(socket_.get(), written, bytes_max);
    const size_t sent = before - output_.bytes();
    if (!flushed(result, written)) return sent;
    if (result == OutputQueue::Flush::more) {
        bulk_ = true;
        edge_.queue_bulk(id_);
    } else {
        mark_dirty();
    }
    return sent;
}

void WebSocketConnection::settle() {
    dirty_ = false;
    catch_up();
    emit_replies();
    if (!blocked_ && output_.bytes() > bulk_bytes) {
        if (!bulk_) edge_.queue_bulk(id_);
        bulk_ = true;
    } else if (!blocked_) {
        bool written = false;
        const OutputQueue::Flush result = output_.flush(socket_.get(), written);
        if (!flushed(result, written)) return;
    }
    if (!input_.empty() && !broken_ && !reading_paused()) take_buffered_frames();
    if (draining_ && !closing_ && emitted_ == replies_.size())
        close(close_code::service_restart, "the server is stopping");
    resync_missed();
    update_interest();
}

void WebSocketConnection::update_interest() {
    uint32_t wanted = 0;
    if (!reading_paused()) wanted |= EPOLLIN;
    if (!output_.empty() && !bulk_) wanted |= EPOLLOUT;
    if (wanted == interest_) return;
    interest_ = wanted;
    edge_.loop().modify(socket_.get(), wanted, id_.token());
}

void WebSocketConnection::on_second(uint64_t now_us) {
    const config::Settings& settings = edge_.settings();
    const uint64_t ping_interval_us = settings.websocket_ping_interval_ms * 1000;
    if (replies_.empty()) std::vector<Outstanding>().swap(replies_);
    output_.release_memory();
    if (stalled_since_us_ != 0 && now_us > stalled_since_us_ + settings.write_timeout_ms * 1000)
        return edge_.close(id_);
    if (closing_) return wait_for_close(now_us);
    if (edge_.wall_ms() >= session_->claims.expires_at_ms) return close(close_code::policy, "token expired");
    if (delivery_.has_missed()) mark_dirty();
    if (reading_paused()) message_since_us_ = message_since_us_ == 0 ? 0 : now_us;
    if (message_since_us_ != 0 && now_us > message_since_us_ + settings.body_timeout_ms * 1000) {
        close(close_code::policy, "the message did not arrive in time");
        return drop_input();
    }
    count_input();
    if (closing_) return;
    if (now_us < received_us_ + ping_interval_us) return;
    // While we do not read, or a ping would wait behind other output, silence says nothing about the client; one that
    // takes no output is closed above.
    if (reading_paused() || (ping_sent_us_ == 0 && !output_.empty())) {
        received_us_ = now_us;
    } else if (ping_sent_us_ == 0) {
        std::string ping;
        append_message(ping, Opcode::ping, {});
        output_.push(OutputQueue::Kind::reply, ping);
        ping_sent_us_ = now_us;
        mark_dirty();
    } else if (now_us >= ping_sent_us_ + ping_interval_us) {
        edge_.close(id_);
    }
}

// A client that reads slowly is told why it is closed all the same: its time to answer the close frame begins when it
// has that frame.
void WebSocketConnection::wait_for_close(uint64_t now_us) {
    const size_t rest = output_.bytes() + undelivered_bytes(socket_.get());
    if (rest != closing_rest_bytes_) {
        closing_rest_bytes_ = rest;
        closing_since_us_ = now_us;
    }
    const uint64_t limit_us = rest == 0 ? close_timeout_us : edge_.settings().write_timeout_ms * 1000;
    if (now_us > closing_since_us_ + limit_us) edge_.close(id_);
}

void WebSocketConnection::begin_drain() {
    draining_ = true;
    mark_dirty();
}

}  // namespace meridian::server
