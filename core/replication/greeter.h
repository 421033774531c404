// Says hello: when a transport comes up or has lost something, every min(interval, 10 s) ± 20 %, to whoever asks, and
// `leaving` at the end. One hello per node and period: idle traffic grows with the nodes, not with the data.
//
// Threads: the lane.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "replication/inbox.h"
#include "replication/messenger.h"
#include "replication/peers.h"

namespace meridian::replication {

class Greeter {
public:
    Greeter(Context& context, Peers& peers, Messenger& messenger, const Inbox& inbox,
            std::vector<std::unique_ptr<Endpoint>>& endpoints);

    // Begins the ticks.
    void start();
    // Soon, with others that ask for the same. `ask`: everybody is to answer.
    void greet(Endpoint& endpoint, bool ask);
    void greet_everywhere(bool ask);
    // To one node: in answer to a question of the transport, or on its own.
    void answer(const ReplyPath& path, bool is_reply);
    void leave();

private:
    struct Pending {
        bool scheduled = false;
        bool ask = false;
        uint64_t last_us = 0;
    };

    Hello make(const Endpoint& endpoint, const Peer* echo) const;
    void tick();
    void say(Endpoint& endpoint, bool ask, bool leaving);
    // Its clock is to be read from time to time.
    void ask_one();

    Context& context_;
    Peers& peers_;
    Messenger& messenger_;
    const Inbox& inbox_;
    std::vector<std::unique_ptr<Endpoint>>& endpoints_;
    std::map<size_t, Pending> pending_;
};

}  // namespace meridian::replication
