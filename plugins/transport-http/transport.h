// The transport: one thread that listens, talks to the peers and calls the host; everything else puts tasks into its
// mailbox. Functions are those of meridian_transport_functions; see plugin.h for who may call them when.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "mailbox.h"
#include "meridian/transport.hpp"
#include "peer.h"
#include "server.h"

namespace meridian::transport_http {

class HttpTransport final : private PeerEvents {
public:
    // Throws abi::Failure.
    HttpTransport(abi::Host host, const abi::Config& config);
    ~HttpTransport() { stop(0); }

    void start(const abi::NodeName& node, abi::TransportSink sink);
    void stop(uint64_t deadline_us);
    uint64_t message_bytes_max() const { return settings_.message_bytes; }
    std::string address() const;
    template <class Function>
    void links(Function&& link);

    meridian_status publish(uint32_t channel, std::string_view namespace_name, std::string_view bytes,
                            abi::PublishSink sink);
    meridian_status send(std::string_view target, std::string_view bytes, abi::PublishSink sink);
    meridian_status request(uint64_t request_id, uint32_t channel, std::string_view target, std::string_view bytes,
                            uint64_t deadline_us, abi::ReplySink sink);
    void cancel(uint64_t request_id);
    meridian_status reply(uint64_t reply_id, std::string_view bytes);
    void resume();

private:
    // A message to all peers: completes when the last of them has taken or failed it.
    struct Publication {
        Publication(abi::PublishSink to, size_t of) : sink(to), missing(of) {}
        abi::PublishSink sink;
        size_t missing;
        uint64_t receivers = 0;
        Outcome last_failure;
    };

    void on_peer_up(Peer& peer) override;
    void on_peer_down(Peer& peer, const std::string& why) override;
    void on_peer_answer(Peer& peer, std::string_view bytes) override;
    void look_up(Peer& peer, uint64_t lookup) override;

    void run();
    void run_tasks();
    uint64_t check_deadlines(uint64_t now_us);
    bool is_done(uint64_t now_us);
    void broadcast(uint32_t channel, const std::string& namespace_name, std::shared_ptr<const std::string> bytes,
                   abi::PublishSink sink);
    void ask(uint64_t request_id, uint32_t channel, const PeerUrl& url, std::shared_ptr<const std::string> bytes,
             uint64_t deadline_us, abi::ReplySink sink);
    // The peer of that address, configured or made for the purpose; nullptr: there are too many in use.
    Peer* peer_at(const PeerUrl& url);
    void add_peer(const PeerUrl& url, bool configured);
    bool make_room();
    // When to look again.
    uint64_t forget_idle_peers(uint64_t now_us);
    void forget(const std::string& address);
    size_t reachable_peers() const;

    const abi::Host host_;
    const Settings settings_;
    Loop loop_;
    Mailbox mailbox_;
    std::atomic<uint64_t> stop_deadline_us_{never_us};
    std::string address_;  // set by start
    std::thread thread_;

    // On the loop's thread from start on.
    std::unique_ptr<abi::TransportSink> sink_;
    std::unique_ptr<Server> server_;
    std::unordered_map<std::string, std::unique_ptr<Peer>> peers_;  // by address
    std::vector<Peer*> configured_;                                 // in the order of the configuration
    std::vector<std::unique_ptr<Peer>> buried_peers_;               // gone, but perhaps running now
    std::unordered_map<uint64_t, Peer*> requests_;                  // outstanding ones
    uint64_t epoch_ = 0;

    std::mutex links_mutex_;
    std::vector<std::shared_ptr<PeerStatus>> links_;  // under the mutex
};

template <class Function>
void HttpTransport::links(Function&& link) {
    std::vector<std::shared_ptr<PeerStatus>> peers;
    {
        const std::lock_guard lock(links_mutex_);
        peers = links_;
    }
    for (const auto& peer : peers) {
        std::string error;
        {
            const std::lock_guard lock(peer->mutex);
            error = peer->error;
        }
        link(peer->state, peer->url, error, peer->queued_messages, peer->queued_bytes);
    }
}

}  // namespace meridian::transport_http
