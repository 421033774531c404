// Asks peers for entries that this node lacks: after a gap in what arrives, and whenever a hello shows more than is
// here. From the origin itself if it is alive and its log reaches back far enough, else from the live peer that holds
// most of it; page after page until level. What no peer's log has any more is a matter of state transfer.
//
// One pull is outstanding per peer and per origin. A peer that fails or is busy is left alone for 0.5 s, then twice as
// long each time, up to a third of the interval.
//
// Threads: the lane. Limits: pull_origins_max, pull_entries_max, pull_bytes_max a request; no request while the inbox
// has no room.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "replication/inbox.h"
#include "replication/messenger.h"
#include "replication/peers.h"

namespace meridian::replication {

class Puller {
public:
    struct Events {
        // No log reaches back to what is missing; the peer holds it.
        std::function<void(Peer&)> transfer;
        // Entries of the origin wait for others that nobody has had for as long as retention lasts.
        std::function<void(const Origin&)> unfillable;
    };

    Puller(Context& context, Peers& peers, Messenger& messenger, Inbox& inbox, Events events);

    // Entries of the origin are missing. What is on its way has 200 ms ± 50 % to arrive.
    void gap(const Origin& origin);
    // What a peer holds has become known.
    void heard(const Peer& peer, bool at_once);
    void heard(const Origin& origin, bool at_once);
    // Room in the inbox, an end of a backoff, a new peer: see what can be asked for.
    void pump();
    uint64_t highest_known(const Origin& origin) const;
    bool pulling(const Origin& origin) const;
    size_t outstanding() const;
    // Origins of which something is known to be missing.
    size_t wanted() const { return wants_.size(); }
    // What peers hold of the origin after this number is asked for again, though it is held: other contents may have
    // the same numbers.
    void check_again(const Origin& origin, uint64_t after);

private:
    struct Want {
        uint64_t due_us = 0;
        uint32_t failures = 0;
        bool in_flight = false;
        uint64_t gone_since_us = 0;    // only logs that begin later are known; 0: not so
        uint64_t nobody_since_us = 0;  // no peer has it since then; 0: some has
    };
    struct Choice {
        Peer* peer = nullptr;
        Peer* gone = nullptr;        // holds it, but not in its log
        uint64_t not_before_us = 0;  // a peer that could serve it is not to be asked before
        bool busy = false;           // a peer that could serve it has a pull outstanding
    };

    void want(const Origin& origin, uint64_t delay_us);
    uint64_t received(const Origin& origin) const;
    Choice choose(const Origin& origin, uint64_t after);
    void ask(Peer& peer, const std::vector<Origin>& origins);
    void answered(uint64_t node_id, const std::vector<node::EntryRange>& asked, Result<Message> answer);
    void take_page(Peer& peer, const std::vector<node::EntryRange>& asked, Entries page);
    void leave_alone(Peer& peer, uint64_t at_least_us);
    void wake_at(uint64_t time_us);

    Context& context_;
    Peers& peers_;
    Messenger& messenger_;
    Inbox& inbox_;
    Events events_;
    std::map<Origin, Want> wants_;
    std::map<Origin, uint64_t> checked_;  // by check_again(): up to here they have come
    uint64_t wake_at_us_ = UINT64_MAX;
    bool pumping_ = false;
};

}  // namespace meridian::replication
