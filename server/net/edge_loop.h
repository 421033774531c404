// Everything of the network edge that lives on one event loop: its connections, the rooms of the namespaces that it
// owns, the rate limits of their clients, and its share of the way between them and the node's shard of the same index.
//
// One thread: the loop's. What others tell it comes by post(). Connections never outlive it.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "auth/rate_limiter.h"
#include "auth/token_cache.h"
#include "config/settings.h"
#include "loop/event_loop.h"
#include "metrics/edge_statistics.h"
#include "net/connection.h"
#include "net/http_message.h"
#include "net/input_budget.h"
#include "net/recent_clients.h"
#include "net/room.h"
#include "net/room_spread.h"
#include "node/node.h"

namespace meridian::server {

class Cluster;
class EdgeLoop;
class PluginMetrics;

using SettingsPtr = std::shared_ptr<const config::Settings>;

// What all loops share. Built before the loops run; only the atomics change afterwards.
struct EdgeShared {
    EdgeShared(SettingsPtr the_settings, Clock& the_clock, Random& the_random, const SigningKey& key)
        : first_settings(std::move(the_settings)), clock(the_clock), random(the_random), signing_key(key) {}

    const SettingsPtr first_settings;  // each loop starts with these
    Clock& clock;
    Random& random;
    const SigningKey& signing_key;
    node::Node* node = nullptr;
    node::Store* store = nullptr;
    Cluster* cluster = nullptr;  // null: a node alone
    const PluginMetrics* plugin_metrics = nullptr;
    std::vector<EdgeLoop*> loops;
    std::atomic<bool> draining{false};
    std::atomic<size_t> connections{0};
    InputBudget input_budget;
};

class EdgeLoop final : public EventLoop::Handler, public node::RoomListener {
public:
    EdgeLoop(EdgeShared& shared, EventLoop& loop, uint32_t index);
    ~EdgeLoop() override;

    // On the loop, once the node is there: attaches to the shard and starts the clockwork.
    void start();
    // Accepts connections on a bound, listening, non-blocking socket and deals them out to all loops; may be called for
    // several. On the loop.
    void accept_from(int listen_fd);
    // Takes a connected socket. On the loop.
    void adopt_socket(FileDescriptor socket);
    // From now on these settings hold here, for the connections that are open too. On the loop.
    void use_settings(SettingsPtr settings) { settings_ = std::move(settings); }
    // Stops accepting and reading, answers what is in flight, closes WebSockets with 1012; `done` runs on the loop when
    // no loop has a connection left or the deadline has passed. On the loop.
    void begin_drain(uint64_t deadline_us, std::function<void()> done);

    // EventLoop::Handler
    void on_ready(uint64_t token, uint32_t events) override;
    bool on_tick_end() override;

    // node::RoomListener
    void on_delta(const std::string& namespace_name, const node::DeltaFramePtr& frame) override;
    void on_group_end() override;

    // For connections and handlers, on this loop.
    EdgeShared& shared() { return shared_; }
    const config::Settings& settings() const { return *settings_; }
    EventLoop& loop() { return loop_; }
    uint32_t index() const { return index_; }
    node::Shard& shard() { return shared_.node->shard(index_); }
    uint64_t wall_ms() const { return shared_.clock.wall_ms(); }
    uint64_t now_us() const { return shared_.clock.monotonic_us(); }
    TokenCache& tokens() { return tokens_; }
    RateLimiter& rate_limiter() { return rate_limiter_; }
    EdgeStatistics& statistics() { return statistics_; }
    const EdgeStatistics& statistics() const { return statistics_; }
    // The node holds too much of what is not complete, and this connection too much of that.
    bool is_input_too_much(const CountedInput& input) const {
        return shared_.input_budget.is_spent_by(input.bytes(), settings().partial_input_bytes,
                                                shared_.connections.load(std::memory_order_relaxed));
    }
    // A buffer that every read of this loop goes through.
    std::string& read_buffer() { return read_buffer_; }
    // Where connections encode what they send, each for the moment of one call.
    struct EncodeBuffers {
        std::string message;
        std::string frame;
    };
    EncodeBuffers& encode_buffers() { return encode_buffers_; }

    WebSocketConnection* find_websocket(ConnectionId id);
    HttpConnection* find_http(ConnectionId id);
    // The connection is gone from the table now and destroyed at the end of the tick. Closes the socket.
    void close(ConnectionId id);
    // The same, but the socket goes on living: it moves to the loop that owns a namespace, as a WebSocket.
    void hand_over(ConnectionId id, FileDescriptor socket, HttpResponse grant, std::string input);

    // Settled at the end of the tick: replies emitted, output written.
    void mark_dirty(ConnectionId id) { dirty_.push_back(id); }

    // The connection has a large output: it is sent a slice of it in this tick or a later one, in turn with others.
    void queue_bulk(ConnectionId id) { bulk_.push_back(id); }

    // What goes between this loop and the others that have members of its rooms.
    RoomSpread& spread() { return spread_; }
    // Awareness: to every member of the room, in order with the deltas. At home.
    void broadcast(const std::string& namespace_name, SharedBytes message);
    // Closes the open batch of a room, so that what is queued next has a firm place among the deltas.
    void seal(Room& room);
    void seal_open_rooms();
    // A batch of a room that has guests here.
    void receive_batch(const std::string& namespace_name, RoomBatchPtr batch);
    // Deltas of these keys were not passed to the room's guests here, or of too many to tell.
    void receive_loss(const std::string& namespace_name, const std::set<std::string>& keys, bool too_many);
    // A guest of one of this loop's rooms has gone.
    void guest_left(const std::string& namespace_name, uint64_t client_id, const ConnectionRef& guest);
    // Closes all connections of a client, also those of guests. Whether there was one. At home.
    bool end_sessions(const std::string& namespace_name, uint64_t client_id);

    // Sends a request to the loop that owns its namespace; the answer comes back to HttpConnection::respond.
    void dispatch(HttpRequest request);
    // Answers a request of any loop.
    void respond(const ConnectionRef& to, uint64_t number, HttpResponse response);
    // "Date: ...\r\n"
    const std::string& date_header();

private:
    // A connection that becomes a WebSocket: its socket, the answer to its upgrade, and what came behind the request.
    struct Upgraded {
        FileDescriptor socket;
        HttpResponse grant;
        std::string input;
    };

    void on_acceptable(size_t which);
    void adopt_websocket(Upgraded upgraded);
    void seat(EdgeLoop& home, Upgraded upgraded, crdt::SequenceForm form);
    // The room stays until the end of the tick in which its last member has left.
    Room& enter_room(const std::string& namespace_name);
    Room* find_room(const std::string& namespace_name);
    bool end_sessions_here(const std::string& namespace_name, uint64_t client_id);
    void leave_room(WebSocketConnection& connection);
    void open(Room& room, RoomMessage message);
    void seal_and_pass_on(Room& room);
    void hand_out_batches();
    void send_bulk();
    void remove_empty_rooms();
    void every_second();
    void check_drained();

    EdgeShared& shared_;
    EventLoop& loop_;
    uint32_t index_;
    SettingsPtr settings_;
    ConnectionTable connections_;
    std::vector<std::unique_ptr<Connection>> closed_;
    std::vector<ConnectionId> dirty_;
    std::deque<ConnectionId> bulk_;
    std::unordered_map<std::string, std::unique_ptr<Room>> rooms_;
    std::vector<Room*> open_rooms_;           // rooms with an open batch
    std::deque<Room*> passing_rooms_;         // rooms with batches to hand out
    std::vector<std::string> emptied_rooms_;  // rooms that have lost their last member in this tick
    TokenCache tokens_;
    RateLimiter rate_limiter_;
    RecentClients recent_clients_;
    RoomSpread spread_{*this};
    EdgeStatistics statistics_;
    std::string read_buffer_;
    EncodeBuffers encode_buffers_;
    std::string date_header_;
    uint64_t date_second_ = 0;
    std::vector<int> listen_fds_;
    uint32_t next_loop_ = 0;  // where the next accepted connection goes
    // When a second is over, timeouts are looked at after one more look at the sockets: a loop that was held up does
    // not take its clients for silent.
    enum class Second : uint8_t { waiting, due, next_tick };
    Second second_ = Second::waiting;
    bool draining_ = false;
    uint64_t drain_deadline_us_ = 0;
    std::function<void()> drained_;
};

}  // namespace meridian::server
