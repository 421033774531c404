// Who else is there: what each peer said last, where it can be reached, whether it is alive, how far its clock is off,
// and who the members of the cluster are.
//
// A member is a node that was heard within retention, by this process, an earlier one (known_members), or another
// member, which says so in its hello: who was here for a moment is not forgotten by those that did not meet it. A peer
// is dead after three of its periods without a word; it stays a member. A member that was silent for longer than
// retention is expelled.
//
// Threads: the lane. Limits: peers_max; further nodes are not listened to, with an alarm.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "replication/context.h"

namespace meridian::replication {

struct Peer {
    Origin origin;  // with its present incarnation
    std::string nonce;
    VersionVector vector;   // of its last hello, raised by what it announced since
    VersionVector waiting;  // of its last hello: what it has beyond gaps
    uint64_t floor = 0;
    uint64_t interval_ms = 0;
    bool ready = false;
    bool leaving = false;
    bool answered = false;                         // said hello to this process
    uint64_t heard_us = 0;                         // its last hello
    size_t endpoint = 0;                           // through which that came
    std::map<size_t, std::string> addresses;       // by endpoint
    std::map<size_t, uint64_t> message_bytes_max;  // likewise

    // Its last hello, to be echoed.
    uint64_t hello_wall_ms = 0;
    uint64_t hello_number = 0;
    std::optional<int64_t> clock_offset_ms;
    uint64_t clock_us = 0;  // when that was measured

    uint64_t compared_us = 0;  // when its states were compared with ours because of numbers used twice

    // Pulls from it.
    bool pulling = false;
    uint32_t failures = 0;
    uint64_t not_before_us = 0;
    std::map<Origin, uint64_t> gone;  // origins of which its log begins at this number

    // The highest number of this origin that it has shown to have, in order or not.
    uint64_t highest(const Origin& of) const { return std::max(node::held(vector, of), node::held(waiting, of)); }
};

class Peers {
public:
    explicit Peers(Context& context);

    // Null: unknown.
    Peer* find(uint64_t node_id);
    std::map<uint64_t, Peer>& all() { return peers_; }
    const std::map<uint64_t, Peer>& all() const { return peers_; }
    // The sender of a message whose seal is right. Null: it is not to be listened to (peers_max, or a former
    // incarnation of a peer that has begun another one).
    Peer* sender(const Origin& from);
    // Notes what a hello says. True: it is the first of this process of that node, or of a new process of it.
    bool hello(Peer& peer, const Header& header, const Hello& hello, size_t endpoint);

    bool alive(const Peer& peer) const;
    PeerState state(const Peer& peer) const;
    // Members that this process has not heard yet, or that are dead and not yet expelled.
    bool all_members_heard() const;
    bool all_members_alive() const;
    // Peers that were heard within retention.
    std::vector<const Peer*> members() const;
    // Of all members but this node: how many milliseconds ago each was heard; at most members_max.
    std::vector<std::pair<uint64_t, uint64_t>> heard_ms_ago() const;
    // It is a member as of then, if that is within retention.
    void heard(uint64_t node_id, uint64_t heard_wall_ms);
    // How many new members there have been since the start.
    uint64_t met() const { return met_; }
    // Node id and the wall time at which it was last heard: what the next process is to be given as known_members.
    std::map<uint64_t, uint64_t> remembered() const;

private:
    bool retained(uint64_t heard_wall_ms) const;
    void measure_clock(Peer& peer, const Header& header, const Hello& hello);

    Context& context_;
    std::map<uint64_t, Peer> peers_;
    std::map<uint64_t, uint64_t> members_;  // wall time when last heard
    uint64_t met_ = 0;
};

}  // namespace meridian::replication
