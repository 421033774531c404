// The side of state transfer that lacks something: no log reaches back to what is missing, so the states of the keys
// that differ are taken from a peer. This node scans its own digests into a hash tree, compares it with the peer's from
// the root down, asks for the keys under the nodes that differ, then for the states of the keys that it lacks or holds
// otherwise, and joins them. At the end its vector is raised to the one that the peer had before its scan: it now holds
// all that this counts, though its log does not. docs/CLUSTER-PROTOCOL.md.
//
// What this node holds and the peer does not stays, and goes to the others by their pulls.
//
// Threads: the lane. Limits: one transfer at a time, one question at a time, each bounded by the size of a message;
// nodes that differ are followed depth first. A question that is refused or lost is repeated a few times, then the
// transfer fails; what was joined stays, so the next one has less to do.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "replication/hash_tree.h"
#include "replication/inbox.h"
#include "replication/messenger.h"

namespace meridian::replication {

class StateTransfer {
public:
    StateTransfer(Context& context, Peers& peers, Messenger& messenger, Inbox& inbox, const node::DigestKey& key,
                  std::function<void()> finished);

    // Nothing happens if one is running.
    void start(const Peer& peer);
    bool running() const { return run_ != nullptr; }

private:
    struct Run {
        Origin peer;
        HashTree own;
        uint64_t scan = 0;
        VersionVector vector;
        std::vector<std::string> descend;
        std::vector<std::string> with_keys;
        std::vector<node::KeyName> names;
        size_t batch_max = 0;  // of paths in a question; halved when an answer is too large
        uint32_t failures = 0;
        bool incomplete = false;  // some keys were not told: the vector must not be raised
    };

    void step();
    // Asks; whatever is not the expected answer is repeated by step() or ends the transfer.
    template <class Expected>
    void ask(Body question, std::function<void(Expected)> take);
    void ask_tree();
    void ask_keys();
    void ask_states();
    void take_states(StatesReply reply);
    void raise();
    void again(const std::string& why, uint64_t at_least_us);
    void end(bool success);

    Context& context_;
    Peers& peers_;
    Messenger& messenger_;
    Inbox& inbox_;
    const node::DigestKey key_;
    std::function<void()> finished_;
    std::shared_ptr<Run> run_;
};

}  // namespace meridian::replication
