// What makes the nodes of a cluster converge: tells peers of this node's writes, takes theirs, notices what is missing
// and gets it. It knows the node by its ReplicationPort and the network by Transports, starts no threads, and takes
// time and randomness from interfaces.
//
//   own writes    ReplicationPort -> Publisher -> every transport
//   others'       transports -> Endpoint -> Inbox -> ReplicationPort
//   repair        Greeter (hello) -> Peers -> Puller -> Inbox, or StateTransfer when no log reaches back far enough
//   for others    PullServer, StateServer
//
// Nothing that a peer does or fails to do slows a write of this node. Everything that comes in is checked: size, seal,
// cluster, replay; what fails is counted by its reason and dropped. Nothing that came from a peer is sent on.
//
// Threads: construct, start(), close() and destroy on one thread; functions marked [any] on any; ReplicationEvents come
// on the lane, hold the engine's lock, and must neither block nor call status(). Ownership: everything given to the
// constructor is borrowed and outlives the Replicator; so does the lane's use of it: destroy it when the lane has
// stopped, or on the lane.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/environment.h"
#include "base/result.h"
#include "node/replication_port.h"
#include "replication/cluster_status.h"
#include "replication/message.h"
#include "replication/options.h"
#include "replication/seal.h"
#include "replication/transport.h"

namespace meridian::replication {

struct ReplicationEvents {
    // This node is level with the peers that answered, or startup_catchup_ms are over. Once; no write may be taken
    // before.
    std::function<void()> ready;
    // From clients of other nodes.
    std::function<void(const Awareness&)> awareness;
    std::function<void(const RevokeSessions&)> revoke_sessions;
    // members() has a new one: to be remembered at once. On the lane; members() may not be called inside.
    std::function<void()> met;
    // One has begun to hold; for the log.
    std::function<void(const Alarm&)> alarm;
    // An envelope of a node of the older implementation, which numbers nothing.
    std::function<void(std::string namespace_name, std::string key, std::string delta_bytes)> legacy_delta;
};

class Replicator {
public:
    Replicator(Lane& lane, Clock& clock, Random& random, node::ReplicationPort& port, Seal seal,
               ReplicationOptions options, std::vector<Transport*> transports, ReplicationEvents events);
    ~Replicator();
    Replicator(const Replicator&) = delete;
    Replicator& operator=(const Replicator&) = delete;

    // Starts the transports; on an error those that were started are stopped again. Before the first write of the node.
    Result<void> start();
    // [any] Tells peers that this node leaves and gives own entries that wait until the deadline (monotonic) to go out.
    // `done` on the lane. Once.
    void stop(uint64_t deadline_us, std::function<void()> done);
    // Stops the transports; blocks. After stop(), or instead of it.
    void close(uint64_t deadline_us);

    // [any] To the other nodes, best effort, once.
    void publish_awareness(Awareness awareness);
    void revoke_sessions(RevokeSessions order);

    // [any]
    ClusterStatus status() const;
    // [any] To be given to the next process as known_members.
    std::map<uint64_t, uint64_t> members() const;

private:
    class Engine;
    std::unique_ptr<Engine> engine_;
};

}  // namespace meridian::replication
