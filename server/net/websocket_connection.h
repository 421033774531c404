// One WebSocket connection: frames in, replies and deltas out. It lives on the loop that owns its namespace, its home,
// or as a guest on another one (room_spread.h).
//
// Frames are handled one after another. Replies leave in the order of the frames, each after the deltas that were
// produced before it. Reading pauses while a request waits for its key to be loaded, while a state is being read for
// the client, while too many requests, request bytes or reply bytes are outstanding, and for good once the connection
// is closing. One thread: that of its loop. Memory of an idle connection: this object, no buffers.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "net/connection.h"
#include "net/delivery.h"
#include "net/edge_loop.h"
#include "net/output_queue.h"
#include "protocol/websocket_codec.h"
#include "wire/client_message.h"

namespace meridian::server {

class WebSocketConnection final : public Connection {
public:
    // Writes a reply; called when it is its turn.
    using Emit = std::function<void(WebSocketConnection&)>;
    // The reply to a write that went through.
    struct WriteAck {
        uint64_t changes = 0;
        std::optional<uint64_t> client_seq;
        bool batch = false;
    };
    using Reply = std::variant<std::monostate, WriteAck, Emit>;  // nothing while it is not complete

    // `edge`: the loop that it lives on. `room`: its namespace's there. `greeting`: the answer to the upgrade, sent
    // first. `input`: what the client sent behind its upgrade request.
    WebSocketConnection(EdgeLoop& edge, EdgeLoop& home, Room& room, ConnectionId id, FileDescriptor socket,
                        SessionPtr session, node::KeyForm form, crdt::SequenceForm sequence_form,
                        std::string_view greeting, std::string input);
    ~WebSocketConnection() override;

    void on_ready(uint32_t events) override;
    void on_second(uint64_t now_us) override;
    void begin_drain() override;
    WebSocketConnection* as_websocket() override { return this; }

    EdgeLoop& edge() { return edge_; }
    EdgeLoop& home() { return home_; }
    ConnectionId id() const { return id_; }
    const Session& session() const { return *session_; }
    Room& room() { return room_; }
    // Index among the members of the room, kept by the edge.
    size_t room_index() const { return room_index_; }
    void set_room_index(size_t index) { room_index_ = index; }

    // Takes the next place in the order of replies.
    uint64_t begin_reply();
    void complete_reply(uint64_t number, Reply reply);
    // The same for a reply whose place among the deltas must be exact: it leaves now, after what the room has sealed so
    // far. REQUIRES: every earlier reply is complete, which the node's order of completions gives.
    void complete_reply_in_place(uint64_t number, Emit emit);
    void reply_error(uint64_t number, uint16_t code, std::string message);
    // No further frame is read until reply `number` is complete.
    void hold_until(uint64_t number) { held_by_ = number; }

    // Asks the namespace's shard, wherever it is: `call(shard, completion)` runs there, `then(connection, outcome)`
    // here if the connection is still there. While the request waits for its key, no further frame runs before reply
    // `number` is complete. A state comes exactly behind the deltas that it contains.
    template <class Outcome, class Call, class Then>
    void ask(std::optional<uint64_t> number, Call call, Then then);
    // Awareness, to every member of the room.
    void broadcast(SharedBytes message);

    // Inside an Emit, or where there is no order to keep.
    void send(const wire::ServerMessage& message);
    void send(const WriteAck& ack);
    void send_state(const node::StateFrames& state);
    // Deltas of these keys did not get here, or of too many to be made up for.
    void miss(const std::set<std::string>& keys, bool too_many);
    // The per-connection number that acknowledgements carry: ops of this connection that changed something.
    uint64_t count_changes(uint64_t changes) { return change_count_ += changes; }

    bool caught_up() const { return delivery_.caught_up(room_); }
    bool may_read(const std::string& key) const { return delivery_.may_read(key, edge_.wall_ms()); }
    // Deltas of `key` are withheld until release_key(). One key at a time, since reading is held meanwhile.
    void withhold_key(const std::string& key) { delivery_.withhold(key); }
    void release_key() { delivery_.release(); }
    crdt::SequenceForm sequence_form() const { return sequence_form_; }
    // Whether this very state was the last one that was sent; remembers it. Lets the Sync of a Subscribe-Sync pair be a
    // mere Ack.
    bool is_state_repeated(const std::shared_ptr<const node::StateFrames>& state);
    // Whether one more awareness update is within the limit.
    bool take_awareness_slot();

    // Sends a close frame, then closes.
    void close(uint16_t code, std::string_view reason);
    // Hands out what is due: deltas, replies, output. May close the connection. A large output is not written here: it
    // takes turns with others, by send_bulk().
    void settle();
    // Writes a part of a large output; returns its size. May close the connection.
    size_t send_bulk(size_t bytes_max);

private:
    struct Outstanding {
        Reply reply;
        size_t request_bytes = 0;
    };

    void read_input();
    // Handles complete frames at the front of [data, data + size); returns how many bytes they took.
    size_t take_frames(char* data, size_t size);
    void take_event(const WebSocketEvent& event);
    void take_buffered_frames();
    // To be called when input has been taken or kept.
    void count_input();
    void drop_input();
    bool reading_paused() const;
    bool catch_up();
    // Deals with what flushing the output has come to. False if the connection is closed now.
    bool flushed(OutputQueue::Flush result, bool written);
    void emit_replies();
    void resync_missed();
    void update_interest();
    void wait_for_close(uint64_t now_us);
    void mark_dirty();
    Delivery::Limits delivery_limits() const;

    EdgeLoop& edge_;
    EdgeLoop& home_;
    ConnectionId id_;
    FileDescriptor socket_;
    SessionPtr session_;
    Room& room_;
    size_t room_index_ = 0;
    std::string input_;  // an incomplete frame, or frames that wait while reading is paused
    CountedInput counted_input_;
    WebSocketReader reader_;
    OutputQueue output_;
    Delivery delivery_;
    std::vector<Outstanding> replies_;  // [emitted_, end) are outstanding
    size_t emitted_ = 0;
    size_t message_bytes_ = 0;  // of the message that is being handled
    size_t asked_bytes_ = 0;    // of the requests whose replies are not complete
    uint64_t first_reply_ = 0;  // number of replies_[0]
    std::optional<uint64_t> held_by_;
    std::weak_ptr<const node::StateFrames> last_state_;
    uint64_t change_count_ = 0;
    uint64_t received_us_;           // last time anything came
    uint64_t message_since_us_ = 0;  // when the incomplete message in input_ and reader_ began; 0 if there is none
    uint64_t stalled_since_us_ = 0;  // last progress of output that the socket does not take; 0 if nothing waits
    uint64_t closing_since_us_ = 0;  // last progress of a connection that is closing
    size_t closing_rest_bytes_ = 0;  // what the client had not received then
    uint64_t ping_sent_us_ = 0;      // 0 if nothing is asked for
    uint64_t awareness_window_us_ = 0;
    uint32_t awareness_count_ = 0;
    uint32_t interest_ = 0;
    crdt::SequenceForm sequence_form_;
    bool closing_ = false;      // a close frame is queued
    bool peer_closed_ = false;  // the client's close frame has come
    bool broken_ = false;       // the client broke the protocol: what else it sends is read away
    bool draining_ = false;
    bool dirty_ = false;
    bool bulk_ = false;     // waits for its turn of send_bulk
    bool blocked_ = false;  // the socket takes no more for now
};

template <class Outcome, class Call, class Then>
void WebSocketConnection::ask(std::optional<uint64_t> number, Call call, Then then) {
    if (&home_ == &edge_) {
        const node::Progress progress =
            call(edge_.shard(), [&edge = edge_, id = id_, then = std::move(then)](Outcome outcome) {
                if (WebSocketConnection* connection = edge.find_websocket(id)) then(*connection, std::move(outcome));
            });
        if (number && progress == node::Progress::waiting) hold_until(*number);
        return;
    }
    const ConnectionRef guest{edge_.index(), id_};
    RoomSpread::Request request = [guest, number, call = std::move(call),
                                   then = std::move(then)](EdgeLoop& home) mutable {
        return call(home.shard(), [&home, guest, number, then = std::move(then)](Outcome outcome) {
            RoomSpread::Answer answer = [then, outcome = std::move(outcome)](WebSocketConnection& connection) mutable {
                then(connection, std::move(outcome));
            };
            if constexpr (std::is_same_v<Outcome, node::StateOutcome>) {
                home.spread().answer_in_place(guest, number, std::move(answer));
            } else {
                home.spread().answer(guest, number, std::move(answer));
            }
        });
    };
    edge_.spread().tell(home_.index(), [guest, number, request = std::move(request)](EdgeLoop& home) mutable {
        home.spread().take_request(guest, number, std::move(request));
    });
}

}  // namespace meridian::server
