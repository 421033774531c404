// A connection of a peer to this node's listener: reads one request, has it delivered, writes the answer, reads on. It
// reads nothing while a request is being answered. On the loop's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "http/chunked_body.h"
#include "http/request_head.h"
#include "loop.h"

namespace meridian::transport_http {

class Server;

class ServerConnection : public EventHandler {
public:
    ServerConnection(Server& server, uint64_t id, FileDescriptor fd);
    // False: the system had no room for its socket.
    bool is_open() const { return socket_.is_open(); }
    ~ServerConnection() override;

    void on_events(uint32_t events) override;
    uint64_t deadline_us() const { return deadline_us_; }
    void on_deadline();
    // The host was busy; it takes messages again.
    bool is_held() const { return state_ == State::held; }
    void resume();
    void on_reply(std::string bytes);

private:
    enum class State : uint8_t {
        head,  // of a request, which may not have begun
        body,
        held,      // the host was busy
        replying,  // the host works on the answer
        writing,   // the answer
        draining,  // the answer is out, and what the peer still sends is thrown away, so that it can read the answer
        closed,
    };
    enum class Route : uint8_t { none, delta, deltas, control, pull, legacy_log };

    void read();
    void write();
    // Works on what has arrived for as long as there is something to do.
    void process();
    bool process_head();
    bool process_body();
    void begin_request(const http::RequestHead& head);
    // The route of the request, or the status of its refusal.
    void choose_route(const http::RequestHead& head);
    void choose_wait(const http::RequestHead& head);
    void choose_log_route(const http::RequestHead& head);

    void deliver();
    // MERIDIAN_OK, MERIDIAN_BUSY or MERIDIAN_INVALID.
    meridian_status deliver_batch();
    meridian_status deliver_for_reply(uint32_t channel);
    void give_up_busy();
    void answer(int status, std::string_view type, std::string_view body, std::string_view more_headers = {});
    void refuse(int status, std::string_view text);
    void end_request();
    void close();
    void set_deadline(uint64_t deadline_us);
    void set_state(State state, uint64_t timeout_us);

    Server& server_;
    Loop& loop_;
    const uint64_t id_;
    WatchedSocket socket_;
    State state_ = State::head;
    uint64_t deadline_us_ = never_us;
    std::string input_;
    bool ended_ = false;  // the peer sends no more

    // The request at hand.
    Route route_ = Route::none;
    int refusal_ = 0;
    std::string refusal_text_;
    std::string refusal_headers_;
    bool keep_alive_ = true;
    size_t body_rest_ = 0;
    std::string body_;
    std::string namespace_name_;  // of a single delta
    std::unique_ptr<http::ChunkedBody> chunked_;
    size_t reserved_ = 0;
    size_t batch_taken_ = 0;
    size_t batch_at_ = 0;
    uint64_t busy_until_us_ = 0;
    uint64_t reply_id_ = 0;
    uint64_t reply_wait_us_ = 0;

    std::string output_;
    size_t written_ = 0;
};

}  // namespace meridian::transport_http
