// From start() to ready: says hello, hears the answers, decides whether this node may go on numbering in its
// incarnation, and waits until it holds all that those who answered hold.
//
// The incarnation stays only if every known member answered in time and none holds more of this node's entries than the
// node itself: otherwise its log may have lost its end (a restored backup, a disk that lied), and numbers that others
// have seen must not be given out again.
//
// Threads: the lane.
#pragma once

#include <functional>

#include "replication/inbox.h"
#include "replication/peers.h"

namespace meridian::replication {

class Startup {
public:
    struct Events {
        std::function<void()> incarnation;  // a new one has begun
        std::function<void()> ready;
    };

    Startup(Context& context, Peers& peers, Inbox& inbox, Events events);

    void start();
    // A peer said hello, or more is durable.
    void look();
    // A peer holds more of this node's entries than it does: a new incarnation at once.
    void amnesia();
    bool deciding() const { return state_ == State::answers || state_ == State::incarnation; }

private:
    enum class State : uint8_t { answers, incarnation, level, ready };

    void decide();
    void begin_incarnation(uint32_t failures);
    void catch_up();
    bool somebody_is_ahead() const;

    Context& context_;
    Peers& peers_;
    Inbox& inbox_;
    Events events_;
    State state_ = State::answers;
    bool answers_due_ = false;
    bool catchup_over_ = false;  // startup_catchup_ms are over, whatever the state was then
    bool new_incarnation_ = false;
    VersionVector target_;
};

}  // namespace meridian::replication
