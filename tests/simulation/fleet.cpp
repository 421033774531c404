#include "simulation/fleet.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "node/committer.h"

namespace meridian::simulation {

namespace {

constexpr uint64_t leaving_us = 2'000'000;
constexpr uint64_t stopping_us = 5'000'000;
constexpr size_t backups_max = 4;

}  // namespace

class Fleet::Process {
public:
    Process(Fleet& fleet, Member& member)
        : fleet_(fleet), member_(member), clock_(fleet.world, member.clock_ahead_ms), store_(fleet.world, member.disk) {
        lanes_.push_back(&store_.lane());
        std::vector<Lane*> shard_lanes;
        for (size_t i = 0; i < shard_count; ++i) {
            rooms_.push_back(std::make_unique<Room>(*this, i));
            shard_lanes.push_back(&lane());
        }
        replication_lane_ = &lane();
        node_ = node::Node::open({member.node_id, fleet.limits, replication_lane_}, store_, clock_, fleet.world,
                                 shard_lanes, lane(), [this](const Result<void>& opened) { on_open(opened); });
    }

    ~Process() {
        fleet_.world.retire(lanes_);
        if (replicator_) replicator_->close(0);
        replicator_.reset();
        transports_.clear();
        port_.reset();
        node_.reset();
    }

    bool ready() const { return ready_ && !stopping_; }
    bool opened() const { return opened_; }
    node::Node& node() { return *node_; }
    SimulatedStore& store() { return store_; }
    replication::Replicator* replicator() { return replicator_.get(); }
    SimulatedLane& shard_lane(size_t index) { return *lanes_[1 + index]; }

    void stop() {
        stopping_ = true;
        bool stopped = false;
        if (replicator_) {
            replicator_->stop(fleet_.world.monotonic_us() + leaving_us, [&stopped] { stopped = true; });
            fleet_.world.run_until([&stopped] { return stopped; }, 2 * leaving_us);
            member_.remembered = replicator_->members();
        }
        stopped = false;
        if (!opened_) return;
        node_->stop(fleet_.world.monotonic_us() + stopping_us, [&stopped] { stopped = true; });
        fleet_.world.run_until([&stopped] { return stopped; }, 2 * stopping_us);
    }

private:
    struct Room final : node::RoomListener {
        Room(Process& owner, size_t shard_index) : process(owner), shard(shard_index) {}
        void on_delta(const std::string& namespace_name, const node::DeltaFramePtr& frame) override {
            process.fleet_.listener_.on_delta(process.member_.node_id, namespace_name, *frame);
        }
        void on_group_end() override { process.fleet_.listener_.on_group_end(process.member_.node_id, shard); }
        Process& process;
        const size_t shard;
    };

    SimulatedLane& lane() {
        lanes_.push_back(&fleet_.world.make_lane());
        return *lanes_.back();
    }

    void on_open(const Result<void>& opened) {
        if (!opened) {
            fleet_.violation_ = "a node did not open: " + opened.error().message;
            return;
        }
        opened_ = true;
        for (size_t i = 0; i < shard_count; ++i)
            shard_lane(i).post([this, i] { node_->shard(i).set_listener(rooms_[i].get()); });
        node::ReplicationPort* port = node_->replication();
        if (fleet_.wrong_rule_ != WrongRule::none) {
            port_ = wrong_port(fleet_.wrong_rule_, *port, fleet_.world, *replication_lane_,
                               [this](const node::KeyName& name, const crdt::Op& op) { write_again(name, op); });
            port = port_.get();
        }
        std::vector<replication::Transport*> transports;
        for (const auto& network : fleet_.networks) {
            transports_.push_back(std::make_unique<SimulatedTransport>(*network, member_.node_id));
            lanes_.push_back(&transports_.back()->lane());
            transports.push_back(transports_.back().get());
        }
        replication::ReplicationOptions options = fleet_.options;
        options.known_members = member_.remembered;
        replication::ReplicationEvents events;
        events.ready = [this] { ready_ = true; };
        events.met = [this] { replication_lane_->post([this] { member_.remembered = replicator_->members(); }); };
        replicator_ = std::make_unique<replication::Replicator>(*replication_lane_, clock_, fleet_.world, *port,
                                                                fleet_.seal_, options, transports, events);
        if (!replicator_->start()) fleet_.violation_ = "replication did not start";
    }

    void write_again(const node::KeyName& name, const crdt::Op& op) {
        const size_t shard = node_->shard_index(name.namespace_name);
        shard_lane(shard).post([this, shard, name, op] {
            node::WriteRequest request;
            request.namespace_name = name.namespace_name;
            request.items.push_back({name.key, op, {}, std::nullopt});
            node_->shard(shard).write(std::move(request), [](const node::WriteOutcome&) {});
        });
    }

    Fleet& fleet_;
    Member& member_;
    OffsetClock clock_;
    SimulatedStore store_;
    std::vector<SimulatedLane*> lanes_;  // the store's, the shards', others
    SimulatedLane* replication_lane_ = nullptr;
    std::vector<std::unique_ptr<Room>> rooms_;
    std::unique_ptr<node::Node> node_;
    std::unique_ptr<node::ReplicationPort> port_;  // of a wrong rule
    std::vector<std::unique_ptr<SimulatedTransport>> transports_;
    std::unique_ptr<replication::Replicator> replicator_;
    bool opened_ = false;
    bool ready_ = false;
    bool stopping_ = false;
};

Fleet::Fleet(uint64_t seed, const std::vector<Shape>& shapes, WrongRule wrong_rule, FleetListener& listener)
    : world(seed), wrong_rule_(wrong_rule), listener_(listener), seal_("simulated", "a shared secret", true) {
    for (const Shape& shape : shapes) networks.push_back(std::make_unique<Network>(world, shape));
    options.interval_ms = 3'000;
    options.startup_answers_ms = 1'000;
    options.startup_catchup_ms = 10'000;
    options.request_timeout_ms = 2'000;
    limits.checkpoint_interval_ms = 3'000;
    limits.log_retention_ms = 10'000;
}

Fleet::~Fleet() {
    world.drop_all_tasks();
    for (auto& [node_id, member] : members) member.process.reset();
}

void Fleet::add(uint64_t node_id) {
    members[node_id].node_id = node_id;
}

void Fleet::start(Member& member) {
    listener_.on_process(member.node_id);
    member.process = std::make_unique<Process>(*this, member);
}

void Fleet::crash(Member& member) {
    member.vector = vector(member);
    if (!store(member).violation().empty()) violation_ = store(member).violation();
    member.process.reset();
    listener_.on_process(member.node_id);
    if (wrong_rule_ == WrongRule::crash_loses_acknowledged && !member.backups.empty()) {
        member.disk = member.backups.back().disk;
        member.vector = member.backups.back().vector;
    }
}

void Fleet::stop(Member& member) {
    member.process->stop();
    member.vector = vector(member);
    if (!store(member).violation().empty()) violation_ = store(member).violation();
    member.process.reset();
    listener_.on_process(member.node_id);
}

void Fleet::back_up(Member& member) {
    if (running(member) && !member.process->opened()) return;
    if (member.backups.size() == backups_max) member.backups.erase(member.backups.begin());
    member.backups.push_back({member.disk, vector(member)});
    member.backups.back().disk.unsynced.reset();
}

void Fleet::restore(Member& member, const Backup& backup, bool as_told) {
    const Backup copy = backup;
    // Files that are copied back keep the incarnation, and its numbers are used again if nobody has them. What was
    // backed up later is of a history that has ended: to put that in place of this one is beyond what can be mended.
    const auto later = std::find_if(member.backups.begin(), member.backups.end(),
                                    [&backup](const Backup& each) { return &each == &backup; });
    if (!as_told && later != member.backups.end()) member.backups.erase(std::next(later), member.backups.end());
    member.disk = copy.disk;
    member.vector = copy.vector;
    std::string& head_bytes = member.disk.metadata[std::string(node::head_metadata_name)];
    if (head_bytes.empty()) {
        member.disk.metadata.erase(std::string(node::head_metadata_name));
    } else if (as_told) {
        const uint64_t wall_ms = world.wall_ms() + static_cast<uint64_t>(member.clock_ahead_ms);
        auto writes = *node::new_incarnation_writes(head_bytes, member.node_id, wall_ms << 16);
        for (node::MetadataWrite& write : writes) member.disk.metadata[write.name] = *std::move(write.value);
    }
}

bool Fleet::ready(const Member& member) const {
    return member.process && member.process->ready();
}
node::Node& Fleet::node(const Member& member) const {
    return member.process->node();
}
node::ReplicationPort& Fleet::port(const Member& member) const {
    return *member.process->node().replication();
}
bool Fleet::has_replication(const Member& member) const {
    return member.process && member.process->replicator() != nullptr;
}
replication::ClusterStatus Fleet::status(const Member& member) const {
    return member.process->replicator()->status();
}
SimulatedStore& Fleet::store(const Member& member) const {
    return member.process->store();
}

void Fleet::on_shard(const Member& member, const std::string& namespace_name, std::function<void(node::Shard&)> call) {
    Process* process = member.process.get();
    const size_t shard = process->node().shard_index(namespace_name);
    process->shard_lane(shard).post([process, shard, call = std::move(call)] { call(process->node().shard(shard)); });
}

node::VersionVector Fleet::vector(const Member& member) const {
    if (!member.process || !member.process->opened()) return member.vector;
    return port(member).vector();
}

std::string Fleet::violation() const {
    if (!violation_.empty()) return violation_;
    for (const auto& network : networks) {
        if (!network->violation.empty()) return network->violation;
    }
    for (const auto& [node_id, member] : members) {
        if (member.process && !member.process->store().violation().empty()) return member.process->store().violation();
    }
    return {};
}

}  // namespace meridian::simulation
