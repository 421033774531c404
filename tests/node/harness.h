// A node in a simulated world, and short ways to talk to it.
#pragma once

#include <cppunit/extensions/HelperMacros.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crdt/key.h"
#include "node/node.h"
#include "simulation/world.h"

namespace meridian::node {

// Everything that a client could see of a namespace, in order.
struct Seen {
    std::string namespace_name;
    DeltaFramePtr frame;
    uint64_t durable_position;  // of the disk at that moment
};

class Harness : private RoomListener {
public:
    // `replicated`: the node takes part in a cluster; its replication lane is one of the world's.
    explicit Harness(uint64_t seed, NodeLimits node_limits = {}, size_t shards = 2, uint64_t node_id = 7,
                     bool replicated = false);
    ~Harness() override;

    // A new node on the same disk. `clean`: stop() first; otherwise power is lost.
    void restart(bool clean);
    void stop();

    // Submits without waiting. The result appears once the completion has run.
    std::shared_ptr<std::optional<WriteOutcome>> submit(WriteRequest request);
    WriteOutcome write(WriteRequest request);
    std::shared_ptr<std::optional<UndoOutcome>> submit_undo(const UndoRequest& request);
    UndoOutcome undo(const UndoRequest& request);
    std::shared_ptr<std::optional<ValueOutcome>> submit_read(const std::string& ns, const std::string& key);
    ValueOutcome read(const std::string& ns, const std::string& key);
    StateOutcome state(const std::string& ns, const std::string& key,
                       crdt::SequenceForm form = crdt::SequenceForm::ascending_siblings);
    // The value's JSON, or the status in angle brackets.
    std::string value(const std::string& ns, const std::string& key);

    // The state that the disk alone gives, decoded independently of the node.
    crdt::Key key_on_disk(const KeyName& name) const;

    simulation::World world;
    simulation::Disk disk;
    NodeLimits limits;
    std::unique_ptr<simulation::SimulatedStore> store;
    std::unique_ptr<Node> node;
    std::vector<Seen> seen;
    std::vector<std::string> damage;  // what the node said of it
    // seen.size() at the completion of each write, in order of completion.
    std::vector<size_t> seen_at_completion;

private:
    void open();
    void on_delta(const std::string& namespace_name, const DeltaFramePtr& frame) override;
    void on_group_end() override {}
    // Runs `call` on the lane of the namespace.
    void on_lane(const std::string& ns, std::function<void(Shard&)> call);

    const size_t shard_count_;
    const uint64_t node_id_;
    const bool replicated_;
    std::vector<simulation::SimulatedLane*> lanes_;
};

WriteItem increment(const std::string& key, uint64_t client_id, uint64_t amount, std::optional<uint64_t> ttl_ms = {});
WriteItem assign(const std::string& key, const std::string& text, uint64_t wall_ms, uint64_t author,
                 std::optional<uint64_t> ttl_ms = {});
WriteItem item(const std::string& key, crdt::Op op, std::optional<uint64_t> ttl_ms = {});
WriteRequest request(const std::string& ns, std::vector<WriteItem> items, const std::string& idempotency_key = {});

// The seed of this run: MERIDIAN_TEST_SEED or a fixed default. Failures print it.
uint64_t base_seed();

}  // namespace meridian::node
