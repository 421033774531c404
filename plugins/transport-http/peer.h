// Another node: its queues, its connections, whether it is there. On the loop's thread.
//
// Lanes, each with a connection of its own and one HTTP request under way, so that what one carries holds up no other:
// one for deltas, one for control messages, and some for requests, which take one that is idle. The lane of deltas also
// finds out whether the peer is there: it begins with an empty batch of deltas, which any HTTP server answers (an older
// node with 404), and repeats that when it has nothing else to send. Nothing is sent before the first answer; it waits
// in the queues. When the lane of deltas fails, the peer is down: everything that waits for it fails, and so does what
// is submitted until it answers again. Attempts to reach it begin after 250 ms and double up to `reconnect_delay_max`,
// each
// +-20 %.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "lane.h"
#include "peer_url.h"

namespace meridian::transport_http {

class Peer;

class PeerEvents {
public:
    // It answers, for the first time or again: it may have missed messages.
    virtual void on_peer_up(Peer& peer) = 0;
    virtual void on_peer_down(Peer& peer, const std::string& why) = 0;
    // What came back for a control message that was not a request.
    virtual void on_peer_answer(Peer& peer, std::string_view bytes) = 0;
    virtual void look_up(Peer& peer, uint64_t lookup) = 0;

protected:
    ~PeerEvents() = default;
};

class Peer final : private ClientConnection::Owner {
public:
    // `configured`: one of `peers`, not one that the node only answers.
    Peer(Loop& loop, PeerEvents& events, PeerUrl url, bool configured);
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    void open();
    // Takes the message, or completes it at once: the peer is down or its queue is full.
    void submit(Message message);
    // False: it has no such request.
    bool cancel(uint64_t request_id);
    // The answer to PeerEvents::look_up.
    void on_looked_up(uint64_t lookup, LookUpResult result);
    // When to be asked again.
    uint64_t on_time(uint64_t now_us);
    // Everything that waits completes with this; connections close.
    void close(meridian_status status, const std::string& why);

    const PeerUrl& url() const { return url_; }
    bool configured() const { return configured_; }
    bool is_reachable() const { return reachable_; }
    bool is_idle() const;
    uint64_t last_submit_us() const { return last_submit_us_; }
    const std::shared_ptr<PeerStatus>& status() const { return status_; }

private:
    enum class State : uint8_t {
        connecting,  // looked up, connected, asked; unless it was down, what is submitted waits
        up,
        down,
    };
    static constexpr size_t deltas = 0, control = 1, first_request = 2, lane_count = 34;

    void on_connected(ClientConnection& connection) override;
    void on_answer(ClientConnection& connection, Answer answer) override;
    void on_lost(ClientConnection& connection, Loss loss, const std::string& why) override;

    Lane& lane_of(const ClientConnection& connection);
    Lane& lane_for(const Message& message);
    bool is_delta_lane(const Lane& lane) const { return &lane == &lanes_[deltas]; }

    void set_state(State state);
    void begin_connecting();
    void connect(Lane& lane);
    void drop_connection(Lane& lane);
    void probe();
    void on_probe_answer(const Answer& answer);
    void fail(const std::string& why);
    void fail_everything(meridian_status status, const std::string& why);
    void lose_side_lane(Lane& lane, Loss loss, const std::string& why);

    // Sends what waits, if it can.
    void pump(Lane& lane);
    void send_deltas(Lane& lane);
    void send_message(Lane& lane);
    void send(Lane& lane, std::string head, std::shared_ptr<const std::string> body, uint64_t deadline_us);
    void on_delta_answer(Lane& lane, const Answer& answer);
    void on_busy_answer(Lane& lane, const Answer& answer);
    void report_refusal(const std::string& why);
    void on_message_answer(Lane& lane, Answer answer);
    void complete(Message message, Outcome outcome);
    void complete_under_way(Lane& lane, meridian_status status, const std::string& why);
    uint64_t expire_requests(Lane& lane, uint64_t now_us);
    uint64_t backoff_us(unsigned attempts) const;
    std::string failure(const std::string& why) const { return url_.text() + ": " + why; }

    Loop& loop_;
    PeerEvents& events_;
    const PeerUrl url_;
    const bool configured_;
    std::shared_ptr<PeerStatus> status_;
    State state_ = State::connecting;
    bool reachable_ = false;
    bool accepts_ = true;  // false from a failure until it answers again: what is submitted fails at once
    std::array<Lane, lane_count> lanes_;
    std::vector<SocketAddress> addresses_;
    bool looking_up_ = false;
    uint64_t lookup_ = 0;
    uint64_t look_up_by_us_ = never_us;
    uint64_t up_since_us_ = 0;
    uint64_t retry_at_us_ = never_us;
    unsigned failures_ = 0;
    uint64_t last_submit_us_;
    // What the peer knows, found out by its 404.
    bool knows_batches_ = true;
    bool knows_control_ = true;
    bool reported_refusal_ = false;  // since it came up
    size_t batch_bytes_;
};

}  // namespace meridian::transport_http
