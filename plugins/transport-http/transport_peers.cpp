// Which peers there are, and what they tell.
#include <algorithm>

#include "transport.h"

namespace meridian::transport_http {
namespace {

// Peers that are not configured: nodes that others told of.
constexpr size_t unlisted_peers_max = 64;
constexpr uint64_t unlisted_idle_us = 60'000'000;

}  // namespace

void HttpTransport::add_peer(const PeerUrl& url, bool configured) {
    PeerEvents& self = *this;
    auto& peer = peers_[url.text()];
    peer = std::make_unique<Peer>(loop_, self, url, configured);
    const std::lock_guard lock(links_mutex_);
    links_.push_back(peer->status());
}

Peer* HttpTransport::peer_at(const PeerUrl& url) {
    const auto found = peers_.find(url.text());
    if (found != peers_.end()) return found->second.get();
    if (peers_.size() - configured_.size() >= unlisted_peers_max && !make_room()) return nullptr;
    add_peer(url, false);
    Peer* peer = peers_.at(url.text()).get();
    peer->open();
    return peer;
}

bool HttpTransport::make_room() {
    const Peer* oldest = nullptr;
    for (const auto& [address, peer] : peers_) {
        if (peer->configured() || !peer->is_idle()) continue;
        if (oldest == nullptr || peer->last_submit_us() < oldest->last_submit_us()) oldest = peer.get();
    }
    if (oldest == nullptr) return false;
    forget(oldest->url().text());
    return true;
}

uint64_t HttpTransport::forget_idle_peers(uint64_t now_us) {
    std::vector<std::string> idle;
    uint64_t next = never_us;
    for (const auto& [address, peer] : peers_) {
        if (peer->configured()) continue;
        const uint64_t due = peer->last_submit_us() + unlisted_idle_us;
        if (now_us < due)
            next = std::min(next, due);
        else if (peer->is_idle())
            idle.push_back(address);
        else
            next = std::min(next, now_us + unlisted_idle_us / 4);
    }
    for (const std::string& address : idle) forget(address);
    return next;
}

void HttpTransport::forget(const std::string& address) {
    const auto found = peers_.find(address);
    found->second->close(MERIDIAN_CANCELLED, "not used");
    const auto status = found->second->status();
    buried_peers_.push_back(std::move(found->second));
    peers_.erase(found);
    const std::lock_guard lock(links_mutex_);
    links_.erase(std::remove(links_.begin(), links_.end(), status), links_.end());
}

void HttpTransport::look_up(Peer& peer, uint64_t lookup) {
    const PeerUrl& url = peer.url();
    loop_.resolver.look_up(url.host, url.port, [this, address = url.text(), lookup](const LookUpResult& result) {
        mailbox_.post([this, address, lookup, result] {
            const auto found = peers_.find(address);
            if (found != peers_.end()) found->second->on_looked_up(lookup, result);
        });
    });
}

size_t HttpTransport::reachable_peers() const {
    return static_cast<size_t>(
        std::count_if(configured_.begin(), configured_.end(), [](const Peer* peer) { return peer->is_reachable(); }));
}

void HttpTransport::on_peer_up(Peer& peer) {
    if (!peer.configured()) return;
    host_.log(MERIDIAN_LOG_INFORMATION, "peer " + peer.url().text() + " answers");
    host_.metric(MERIDIAN_METRIC_GAUGE, "peers_up", static_cast<double>(reachable_peers()));
    sink_->up(++epoch_);
}

void HttpTransport::on_peer_down(Peer& peer, const std::string& why) {
    if (!peer.configured()) return;
    host_.log(MERIDIAN_LOG_WARNING, "peer " + peer.url().text() + " cannot be reached: " + why);
    const size_t reachable = reachable_peers();
    host_.metric(MERIDIAN_METRIC_GAUGE, "peers_up", static_cast<double>(reachable));
    if (reachable == 0) sink_->down(peer.url().text() + ": " + why);
}

void HttpTransport::on_peer_answer(Peer& peer, std::string_view bytes) {
    const meridian_status status = sink_->deliver(MERIDIAN_CHANNEL_CONTROL, {}, bytes, peer.url().text());
    if (status == MERIDIAN_BUSY) sink_->gap(MERIDIAN_CHANNEL_CONTROL);
}

}  // namespace meridian::transport_http
