#include "replication/peers.h"

#include <algorithm>
#include <cstdlib>

namespace meridian::replication {

namespace {

constexpr uint64_t clock_offset_alarm_ms = 500;
constexpr double periods_until_dead = 3.6;  // a period is stretched by up to a fifth

}  // namespace

Peers::Peers(Context& context) : context_(context), members_(context.options.known_members) {
    // A node whose entries are held was a member once. Without a word of when it was heard it counts as heard now.
    for (const auto& [origin, sequence] : context.port.vector()) {
        if (origin.node_id != context.self.node_id) members_.try_emplace(origin.node_id, context.wall_ms());
    }
    members_.erase(context.self.node_id);
    members_.erase(0);
}

Peer* Peers::find(uint64_t node_id) {
    const auto found = peers_.find(node_id);
    return found == peers_.end() ? nullptr : &found->second;
}

Peer* Peers::sender(const Origin& from) {
    const auto found = peers_.find(from.node_id);
    if (found != peers_.end()) {
        Peer& peer = found->second;
        if (from == peer.origin) return &peer;
        if (from.incarnation < peer.origin.incarnation && alive(peer)) return nullptr;
        peer = Peer{};
        peer.origin = from;
        return &peer;
    }
    if (peers_.size() >= context_.options.peers_max) {
        const auto expelled = std::find_if(peers_.begin(), peers_.end(), [this](const auto& other) {
            return state(other.second) == PeerState::expelled;
        });
        if (expelled != peers_.end()) {
            members_.erase(expelled->first);
            peers_.erase(expelled);
        }
    }
    if (peers_.size() >= context_.options.peers_max) {
        context_.alarm(AlarmKind::peers_full, "",
                       "more than " + std::to_string(context_.options.peers_max) +
                           " nodes say that they are of this cluster; node " + to_text(from) + " is not listened to");
        return nullptr;
    }
    Peer& peer = peers_[from.node_id];
    peer.origin = from;
    return &peer;
}

bool Peers::hello(Peer& peer, const Header& header, const Hello& hello, size_t endpoint) {
    const bool is_new = !peer.answered || peer.nonce != hello.nonce;
    if (is_new) {
        peer.gone.clear();
        peer.failures = 0;
        peer.not_before_us = 0;
        peer.vector.clear();
    }
    peer.answered = true;
    peer.nonce = hello.nonce;
    node::merge_into(peer.vector, hello.vector);
    // A number that is zero stands for nothing.
    for (auto it = peer.vector.begin(); it != peer.vector.end();) it = it->second == 0 ? peer.vector.erase(it) : ++it;
    peer.waiting = hello.waiting;
    peer.floor = hello.floor;
    peer.interval_ms = std::clamp<uint64_t>(hello.interval_ms, 100, 600'000);
    peer.ready = hello.ready;
    peer.leaving = hello.leaving;
    peer.heard_us = context_.now_us();
    peer.endpoint = endpoint;
    peer.message_bytes_max[endpoint] = hello.message_bytes_max;
    peer.hello_wall_ms = header.wall_ms;
    peer.hello_number = header.number;
    const uint64_t now_ms = context_.wall_ms();
    heard(peer.origin.node_id, now_ms);
    for (const auto& [node_id, silent_ms] : hello.members) heard(node_id, now_ms - std::min(silent_ms, now_ms));
    if (header.to && hello.echo_wall_ms != 0) measure_clock(peer, header, hello);
    return is_new;
}

// Cristian's method: the echoed hello left at echo_wall_ms and its answer has just come, so the peer's clock was read
// within that span. What the span cannot explain is the offset.
void Peers::measure_clock(Peer& peer, const Header& header, const Hello& hello) {
    const int64_t now = static_cast<int64_t>(context_.wall_ms());
    const int64_t sent = static_cast<int64_t>(hello.echo_wall_ms);
    if (now < sent || now - sent > 5'000) return;
    const int64_t offset = static_cast<int64_t>(header.wall_ms) - (sent + (now - sent) / 2);
    peer.clock_offset_ms = offset;
    peer.clock_us = context_.now_us();
    const int64_t certain = std::abs(offset) - (now - sent + 1) / 2;
    const std::string subject = to_text(peer.origin);
    if (certain > static_cast<int64_t>(clock_offset_alarm_ms)) {
        context_.alarm(AlarmKind::clock_offset, subject,
                       "the clock of node " + subject + " is " + std::to_string(offset) +
                           " ms off this node's; at most " + std::to_string(clock_offset_alarm_ms) + " is expected");
    } else {
        context_.clear_alarm(AlarmKind::clock_offset, subject);
    }
}

bool Peers::alive(const Peer& peer) const {
    if (!peer.answered || peer.leaving) return false;
    const double silence_us = static_cast<double>(peer.interval_ms) * 1000 * periods_until_dead;
    return static_cast<double>(context_.now_us() - peer.heard_us) < silence_us;
}

PeerState Peers::state(const Peer& peer) const {
    if (alive(peer)) return PeerState::alive;
    const auto found = members_.find(peer.origin.node_id);
    if (found == members_.end() || !retained(found->second)) return PeerState::expelled;
    return peer.leaving ? PeerState::leaving : PeerState::dead;
}

bool Peers::retained(uint64_t heard_wall_ms) const {
    return heard_wall_ms + context_.options.retention_ms >= context_.wall_ms();
}

bool Peers::all_members_heard() const {
    for (const auto& [node_id, heard_wall_ms] : members_) {
        const auto found = peers_.find(node_id);
        if (retained(heard_wall_ms) && (found == peers_.end() || !found->second.answered)) return false;
    }
    return true;
}

bool Peers::all_members_alive() const {
    for (const auto& [node_id, heard_wall_ms] : members_) {
        const auto found = peers_.find(node_id);
        if (retained(heard_wall_ms) && (found == peers_.end() || !alive(found->second))) return false;
    }
    return true;
}

void Peers::heard(uint64_t node_id, uint64_t heard_wall_ms) {
    if (node_id == 0 || node_id == context_.self.node_id || !retained(heard_wall_ms)) return;
    const auto known = members_.find(node_id);
    if (known != members_.end()) {
        if (!retained(known->second)) ++met_;
        known->second = std::max(known->second, heard_wall_ms);
    } else if (members_.size() < members_max) {
        members_.emplace(node_id, heard_wall_ms);
        ++met_;
    }
}

std::vector<std::pair<uint64_t, uint64_t>> Peers::heard_ms_ago() const {
    std::vector<std::pair<uint64_t, uint64_t>> out;
    const uint64_t now_ms = context_.wall_ms();
    for (const auto& [node_id, heard_wall_ms] : members_) {
        if (out.size() == members_max) break;
        if (retained(heard_wall_ms)) out.emplace_back(node_id, now_ms - std::min(heard_wall_ms, now_ms));
    }
    return out;
}

std::vector<const Peer*> Peers::members() const {
    std::vector<const Peer*> members;
    for (const auto& [node_id, heard_wall_ms] : members_) {
        const auto found = peers_.find(node_id);
        if (retained(heard_wall_ms) && found != peers_.end() && found->second.answered)
            members.push_back(&found->second);
    }
    return members;
}

std::map<uint64_t, uint64_t> Peers::remembered() const {
    std::map<uint64_t, uint64_t> remembered;
    for (const auto& [node_id, heard_wall_ms] : members_) {
        if (retained(heard_wall_ms)) remembered.emplace(node_id, heard_wall_ms);
    }
    // Of those whose entries are held it must be known that they are expelled, or they would count as heard now.
    for (const auto& [origin, sequence] : context_.port.vector()) {
        const auto found = members_.find(origin.node_id);
        if (found != members_.end()) remembered.insert(*found);
    }
    return remembered;
}

}  // namespace meridian::replication
