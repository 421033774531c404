// One connection to Redis, made again for ever: look-up, connect, TLS, greeting (AUTH, SELECT, ROLE, and what its owner
// needs), PINGs, and a wait between attempts. With sentinels every attempt first asks one of them where the master is.
//
// Threads: all on the owner's I/O thread, but link(). The owner's functions are called inside advance() and fail().
// Times are microseconds of the host's monotonic clock.
#pragma once

#include <poll.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "backoff.h"
#include "lookup.h"
#include "options.h"
#include "output.h"
#include "resp.h"
#include "stream.h"

namespace meridian::transport_redis {

class ConnectionOwner {
public:
    virtual ~ConnectionOwner() = default;
    // The greeting is complete.
    virtual void connection_ready(uint64_t now_us) = 0;
    // Not for PING. False: such a reply is not possible here, and the connection is given up.
    virtual bool connection_reply(const Reply& reply) = 0;
    // An attempt failed, or the connection is gone. What was sent and not answered never will be.
    virtual void connection_lost(const std::string& reason) = 0;
};

// What people see of a connection.
struct LinkStatus {
    uint32_t state = MERIDIAN_LINK_DOWN;
    std::string address;
    std::string error;
};

// What the connections of an instance have in common.
struct ConnectionContext {
    abi::Host host;
    const Options& options;
    Poco::Net::Context::Ptr tls;  // null: nothing uses TLS
    std::shared_ptr<const Wake> wake;
};

// What a subscriber subscribes to; empty for a publisher.
struct Subscriptions {
    std::string pattern;
    std::vector<std::string> channels;
    bool empty() const { return pattern.empty(); }
};

class Connection {
public:
    Connection(const ConnectionContext& context, Subscriptions subscriptions, ConnectionOwner& owner);

    // Does what can be done now. `events`: what poll said of its descriptor.
    void advance(uint64_t now_us, short events);
    // Gives up what there is, and waits for the next attempt.
    void fail(uint64_t now_us, const std::string& reason);
    // Closes it, telling nobody.
    void close();

    // For poll: the descriptor (-1: none) and events; and when advance() is due although nothing happens.
    pollfd wanted() const;
    uint64_t due_us() const;

    bool ready() const { return state_ == State::ready; }
    // True if all that was sent has been written.
    bool written() const { return output_.empty(); }
    // REQUIRES: ready(), written(). Takes the bytes of so many commands; `commands` comes back empty.
    void send(Output& commands, uint64_t count);

    // [any]
    LinkStatus link() const;

private:
    enum class State { waiting, looking_up, opening, greeting, ready };
    enum class Step { auth, select, role, ping, master_address, subscribe };

    bool step();
    bool begin_attempt();
    bool aim_at(const Endpoint& endpoint, bool tls);
    bool look_up();
    bool open_address();
    bool open();
    bool greet();
    bool exchange();
    bool write_output();
    bool read_input();
    bool take_reply(const Reply& reply);
    bool greeted_by(const Reply& reply);
    std::string wrong_in(Step step, const Reply& reply) const;
    bool greeting_complete();
    void check_pings();
    void fail_attempt(const std::string& what);
    void set_link(uint32_t state, const std::string* error = nullptr);
    std::string redacted(std::string_view text) const;
    const Credentials& credentials() const;

    ConnectionContext context_;
    const Options& options_;
    Subscriptions subscriptions_;
    ConnectionOwner& owner_;
    Backoff backoff_;

    State state_ = State::waiting;
    uint64_t now_us_ = 0;
    uint64_t due_us_ = 0;  // end of the wait, or of the patience with what is under way
    uint64_t ready_since_us_ = 0;

    bool asking_sentinel_ = false;
    size_t sentinel_ = 0;        // the one asked first: the last that answered
    size_t sentinels_left_ = 0;  // to be asked in this attempt
    Endpoint endpoint_;
    bool endpoint_tls_ = false;
    std::optional<Lookup> lookup_;
    std::vector<Address> addresses_;
    size_t next_address_ = 0;

    std::optional<Stream> stream_;
    std::optional<ReplyReader> reader_;
    std::vector<char> input_;
    Output output_;
    bool readable_ = false;
    bool writable_ = true;
    std::deque<Step> steps_;

    uint64_t ping_at_us_ = 0;
    int pings_unanswered_ = 0;
    uint64_t commands_sent_ = 0;
    uint64_t replies_seen_ = 0;
    std::deque<uint64_t> pings_;  // their places among the commands

    mutable std::mutex link_mutex_;
    LinkStatus link_;
};

}  // namespace meridian::transport_redis
