// A cluster of real nodes (node::Node with replication::Replicator) in one simulated world: started, crashed, stopped,
// restored, their clocks set. Single-threaded; everything follows from the seed of the world.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/node.h"
#include "node/replication_port.h"
#include "replication/replicator.h"
#include "simulation/network.h"
#include "simulation/world.h"
#include "simulation/wrong_rules.h"

namespace meridian::simulation {

// Told of what nodes make visible.
class FleetListener {
public:
    virtual ~FleetListener() = default;
    // A process of the node has begun, or has ended without having completed what it was asked.
    virtual void on_process(uint64_t node_id) = 0;
    virtual void on_delta(uint64_t node_id, const std::string& namespace_name, const node::DeltaFrame& frame) = 0;
    virtual void on_group_end(uint64_t node_id, size_t shard) = 0;
};

class Fleet {
public:
    static constexpr size_t shard_count = 2;

    struct Backup {
        Disk disk;
        node::VersionVector vector;
    };
    class Process;
    struct Member {
        uint64_t node_id = 0;
        int64_t clock_ahead_ms = 0;
        Disk disk;
        node::VersionVector vector;               // what its disk holds, when it is down
        std::map<uint64_t, uint64_t> remembered;  // of the last process that stopped as it should
        std::vector<Backup> backups;
        std::unique_ptr<Process> process;
        bool left = false;
    };

    Fleet(uint64_t seed, const std::vector<Shape>& shapes, WrongRule wrong_rule, FleetListener& listener);
    ~Fleet();

    void add(uint64_t node_id);
    void start(Member& member);
    // The process ends without a word, what was not durable is lost.
    void crash(Member& member);
    // It leaves as it should; it has ended when the call returns.
    void stop(Member& member);
    // The end of a process that is down anyway: its disk becomes that of a backup, or empty. `as_told`: by the restore
    // command, which makes a new incarnation; else the files are merely copied back.
    void restore(Member& member, const Backup& backup, bool as_told);
    void back_up(Member& member);

    bool running(const Member& member) const { return member.process != nullptr; }
    // Takes writes.
    bool ready(const Member& member) const;
    node::Node& node(const Member& member) const;
    // Behind all wrong rules.
    node::ReplicationPort& port(const Member& member) const;
    // Has come as far as to have a status.
    bool has_replication(const Member& member) const;
    replication::ClusterStatus status(const Member& member) const;
    SimulatedStore& store(const Member& member) const;
    void on_shard(const Member& member, const std::string& namespace_name, std::function<void(node::Shard&)> call);
    // What is durable there.
    node::VersionVector vector(const Member& member) const;

    // What broke a rule of a store or a transport, or could not be opened; empty if nothing did.
    std::string violation() const;

    World world;
    std::vector<std::unique_ptr<Network>> networks;
    std::map<uint64_t, Member> members;
    node::NodeLimits limits;
    replication::ReplicationOptions options;

private:
    const WrongRule wrong_rule_;
    FleetListener& listener_;
    replication::Seal seal_;
    std::string violation_;
};

}  // namespace meridian::simulation
