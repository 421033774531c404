// A connection to a peer: one request at a time, and its answer. On the loop's thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "http/chunked_body.h"
#include "http/response_head.h"
#include "loop.h"

namespace meridian::transport_http {

struct Answer {
    int status = 0;
    std::string body;
};

enum class Loss : uint8_t {
    stale,    // it was used before, and ended before anything of the answer came: the peer may never have seen the
              // request
    closed,   // it ended while nothing was asked
    timeout,  // the peer took too long
    failed,
};

class ClientConnection : public EventHandler {
public:
    // Called last in whatever is going on; may bury the connection.
    class Owner {
    public:
        virtual void on_connected(ClientConnection& connection) = 0;
        // is_open() says whether it can be used again.
        virtual void on_answer(ClientConnection& connection, Answer answer) = 0;
        // It is closed.
        virtual void on_lost(ClientConnection& connection, Loss loss, const std::string& why) = 0;

    protected:
        ~Owner() = default;
    };

    ClientConnection(Loop& loop, Owner& owner, std::vector<SocketAddress> addresses);
    // Tries the addresses one after the other. May call on_lost before it returns.
    void connect();
    // REQUIRES: is_ready(). `head` with its empty line. May call on_lost before it returns.
    void send(std::string head, std::shared_ptr<const std::string> body, uint64_t deadline_us);
    bool is_ready() const { return state_ == State::idle; }
    bool is_open() const { return socket_.is_open(); }
    void close();

    void on_events(uint32_t events) override;
    // When to be asked again.
    uint64_t on_time(uint64_t now_us);

private:
    enum class State : uint8_t { connecting, idle, asking, closed };

    void try_next_address(const std::string& why);
    void lose(Loss loss, const std::string& why);
    void flush();
    void receive();
    // False: more bytes are needed, or it is lost.
    bool take_answer(bool ended);
    bool take_body(bool ended);
    void finish();

    Loop& loop_;
    Owner& owner_;
    std::vector<SocketAddress> addresses_;
    size_t next_address_ = 0;
    uint64_t connect_by_us_;
    WatchedSocket socket_;
    State state_ = State::connecting;
    uint64_t deadline_us_ = never_us;
    bool used_ = false;

    std::string output_head_;
    std::shared_ptr<const std::string> output_body_;
    size_t sent_ = 0;

    std::string input_;
    bool has_head_ = false;
    int status_ = 0;
    bool keep_alive_ = true;
    bool until_close_ = false;
    size_t body_rest_ = 0;
    std::string body_;
    std::unique_ptr<http::ChunkedBody> chunked_;
};

}  // namespace meridian::transport_http
