// This node's part in a cluster: its transports, the replicator, and what of both the edge needs. A node without
// transports has none: then nothing of this runs.
//
// Threads: construct, start, wait and stop on the main thread; functions marked [any] on any. Ownership: everything
// given is borrowed and outlives it. Limits: those of replication/options.h. Errors: make() and start() name the
// transport; what fails later is logged, and seen in status().
#pragma once

#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/environment.h"
#include "base/result.h"
#include "config/settings.h"
#include "loop/thread_lane.h"
#include "node/node.h"
#include "node/replication_port.h"
#include "plugin/host_services.h"
#include "plugin/transport_adapter.h"
#include "replication/replicator.h"
#include "transport_setup.h"

namespace meridian::server {

class PluginMetrics;

// What clients of other nodes cause here. Called on the replication lane; must only post.
struct ClusterEvents {
    std::function<void(const replication::Awareness&)> awareness;
    std::function<void(const replication::RevokeSessions&)> revoke_sessions;
};

class Cluster {
public:
    struct Environment {
        Clock& clock;
        Random& random;
        PluginMetrics& metrics;
    };
    // Makes the transports, which do nothing before start().
    static Result<std::unique_ptr<Cluster>> make(const config::Settings& settings,
                                                 const std::vector<TransportPlugin>& plugins, uint64_t node_id,
                                                 const Environment& environment);
    ~Cluster();

    // On which the node talks to replication (NodeOptions::replication_lane).
    Lane& lane() { return lane_; }

    // Before the node's first write.
    Result<void> start(node::Node& node, ClusterEvents events);
    // Of start(): ready when this node is level with its peers, or has waited for that long enough.
    std::future<void>& ready() { return ready_future_; }
    // Gives the transport at this place the new values of its reloadable keys. On an error the old ones stay.
    Result<void> reconfigure(size_t transport, const plugin::Configuration& reloadable) {
        return transports_.at(transport)->reconfigure(reloadable);
    }
    // Tells the others that this node leaves, and lets go what has yet to be sent, until the deadline. Blocks.
    void stop(uint64_t deadline_us);
    // After the node has gone: no transport calls any more.
    void close(uint64_t deadline_us);

    // [any]
    void publish_awareness(replication::Awareness awareness) { replicator_->publish_awareness(std::move(awareness)); }
    void revoke_sessions(replication::RevokeSessions order) { replicator_->revoke_sessions(std::move(order)); }
    // `done` on the replication lane: whoever asks does not wait for what runs there.
    void status(std::function<void(replication::ClusterStatus)> done);
    // A page of digests by which two nodes can be compared; `done` on the replication lane.
    void digests(std::optional<node::KeyName> after, size_t count_max, std::function<void(node::DigestPage)> done);

private:
    Cluster(const config::Settings& settings, const Environment& environment);
    void remember_later();
    void remember(bool always);

    const config::Settings& settings_;
    Clock& clock_;
    Random& random_;
    ThreadLane lane_;
    std::vector<std::unique_ptr<plugin::LoadedTransport>> transports_;
    node::ReplicationPort* port_ = nullptr;
    std::unique_ptr<replication::Replicator> replicator_;
    std::mutex remembered_mutex_;
    std::map<uint64_t, uint64_t> remembered_;  // as it stands in the file
    uint64_t remembered_us_ = 0;
    std::promise<void> ready_;
    std::future<void> ready_future_ = ready_.get_future();
};

}  // namespace meridian::server
