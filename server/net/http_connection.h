// One HTTP/1.1 connection: reads requests, sends them to the loops that answer, writes the answers in the order of the
// requests.
//
// Keep-alive and pipelining: up to `limits.http_pipeline` requests are out at once, and no further one is taken while
// the bodies of those and their answers come to `limits.connection_queue_bytes`. An answer whose size nobody knows
// beforehand, such as a key's value, counts as that much until it is there: so memory is bounded by it and one answer.
// Bodies come with a length or in chunks, up to `limits.http_body_bytes`. A request that cannot be understood is
// answered and the connection closed, after what the client is still sending has been read away for a moment (else the
// answer would be lost to a reset). One thread: that of its loop.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "http/chunked_body.h"
#include "http/request_head.h"
#include "net/connection.h"
#include "net/edge_loop.h"
#include "net/output_queue.h"

namespace meridian::server {

class HttpConnection final : public Connection {
public:
    HttpConnection(EdgeLoop& edge, ConnectionId id, FileDescriptor socket);

    void on_ready(uint32_t events) override;
    void on_second(uint64_t now_us) override;
    void begin_drain() override;
    HttpConnection* as_http() override { return this; }

    // The answer to request `number`. Written at the end of the tick.
    void respond(uint64_t number, HttpResponse response);
    // Writes what is ready. May close the connection.
    void settle();

private:
    enum class Phase : uint8_t {
        head,  // waiting for, or reading, a request head
        body,
        upgrading,  // a WebSocket upgrade has been asked for; nothing more is read
        closing,    // nothing more is read; closes when the answers are out
        lingering,  // answers are out, our side is shut; reads away what comes
    };
    struct Answer {
        HttpResponse response;
        std::string cors;       // header lines
        size_t held_bytes = 0;  // its body, or what that and the request may come to before it is there
        bool ready = false;
        bool head_only = false;
        bool http_1_0 = false;
        bool close = false;
    };

    void read_input();
    void process_input();
    void count_input();
    bool take_head();
    bool take_body();
    // Checks the token and decides what the request is. Nothing if it has been answered already.
    void begin_request(const http::RequestHead& head);
    HttpResponse options_response(const http::RequestHead& head, const std::optional<RoutedPath>& path) const;
    void finish_request();
    Answer& add_answer();
    // Answers the newest request at once; `close`: nothing further can be read from this connection.
    void answer_now(HttpResponse response, bool close);
    void hold(Answer& answer, size_t bytes);
    std::string answer_bytes(const Answer& answer);
    // No further request is taken for now: too many wait for their answers, or too much of those for the client to
    // read.
    bool is_full() const;
    void finish_upgrade();
    void update_interest();
    void shut_down_writing();
    void linger(uint64_t now_us);
    void mark_dirty();

    EdgeLoop& edge_;
    ConnectionId id_;
    FileDescriptor socket_;
    Phase phase_ = Phase::head;
    bool peer_finished_ = false;  // no more bytes will come
    bool dirty_ = false;
    bool draining_ = false;
    uint32_t interest_;
    std::string input_;
    CountedInput counted_input_;
    OutputQueue output_;
    size_t held_bytes_ = 0;                 // of all answers_
    std::deque<Answer> answers_;            // of the requests that are not answered yet, in order
    uint64_t first_number_ = 0;             // of answers_.front()
    std::unique_ptr<HttpRequest> request_;  // being read
    std::optional<uint64_t> body_rest_;     // bytes still to come of a body with a length
    std::unique_ptr<http::ChunkedBody> chunked_;
    std::optional<HttpResponse> grant_;  // of the upgrade, until earlier answers are out
    uint64_t phase_since_us_;            // start of the phase; in `head`, of the idle time or of the first byte
    uint64_t lingering_since_us_ = 0;    // when the client last received something while lingering
    size_t undelivered_bytes_ = 0;       // what it had not received then
    uint64_t stalled_since_us_ = 0;      // last progress of output that the socket does not take; 0 if nothing waits
};

}  // namespace meridian::server
