// Random writes of all eight types, and the ledger of what became of them: from it follows what the values must show
// once all nodes are level.
//
// What is asked for is what was promised: an acknowledged write has its effect, a refused one has none, a batch happens
// whole or not at all. Three kinds of keys are only asked to be equal everywhere: those with a time to live and those
// whose type is contested (older generations and higher types lose, as documented), and those with undo or deletion of
// whole subtrees.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "crdt/op.h"
#include "simulation/fleet.h"

namespace meridian::simulation {

class Workload final : public FleetListener {
public:
    explicit Workload(bool trace) : trace_(trace) {}

    // One write, undo or batch at this member, which must be ready.
    void write(Fleet& fleet, const Fleet::Member& member);
    // Writes that nobody holds any more, if only this is held, may be missing from now on.
    void excuse(const node::VersionVector& held);
    bool waiting() const { return pending_ != 0; }

    std::vector<node::KeyName> names() const;
    // What these values, of one node, should show and do not; empty if all is well.
    std::string missing(const std::map<node::KeyName, std::string>& values) const;
    // What was made visible and should not have been.
    const std::string& violation() const { return violation_; }

    void set_fleet(Fleet* fleet) { fleet_ = fleet; }
    void on_process(uint64_t node_id) override;
    void on_delta(uint64_t node_id, const std::string& namespace_name, const node::DeltaFrame& frame) override;
    void on_group_end(uint64_t node_id, size_t shard) override;

    uint64_t acknowledged = 0;
    uint64_t refused = 0;
    uint64_t in_doubt = 0;  // of unknown outcome, or lost with a disk before anybody else had them

private:
    enum class Fate : uint8_t { pending, acknowledged, nothing, unknown };
    struct Write {
        Fate fate = Fate::pending;
        uint64_t node_id = 0;
        node::Origin origin;
        uint64_t head = 0;  // its number is at most this
        // Of a write that changed nothing: all that was there. It is lost with what made it needless.
        node::VersionVector rests_on;
    };
    struct Count {
        node::KeyName name;
        uint64_t client_id;
        int64_t amount;  // negative: the other side of a PN counter
        size_t write;
    };
    // Something that a value shows as this text.
    struct Shown {
        node::KeyName name;
        std::string text;
        size_t write;
        std::optional<size_t> under;  // shown only if that is
        std::vector<size_t> removed;  // by these writes
        crdt::Hlc id;                 // of texts and trees
        crdt::Tag tag{};              // of sets
        std::string element;          // likewise
    };
    struct Stamped {
        node::KeyName name;
        uint64_t client_id;  // of presence
        crdt::Hlc stamp;
        std::string text;  // empty: a departure
        size_t write;
    };
    struct Batch {
        std::vector<node::KeyName> names;
        std::string text;
        size_t write;
    };

    node::WriteItem make(const std::string& ns, size_t write);
    node::WriteItem make_any(const std::string& ns, size_t write);
    crdt::InnerOp make_inner(size_t write, uint64_t client_id);
    crdt::Op make_rga(const node::KeyName& name, size_t write, uint64_t client_id);
    crdt::Op make_tree(const node::KeyName& name, size_t write, uint64_t client_id, bool deletes);
    crdt::Op make_set(const node::KeyName& name, size_t write);
    std::vector<node::WriteItem> make_batch(const std::string& ns, size_t write);
    void undo(Fleet& fleet, const Fleet::Member& member, const std::string& ns);
    std::optional<size_t> some_shown(const node::KeyName& name);
    crdt::Hlc stamp(uint64_t client_id);
    void submit(const Fleet::Member& member, node::WriteRequest request, size_t write);
    void settle(size_t write, Fate fate);
    bool may_be(size_t write) const { return writes_[write].fate != Fate::nothing; }
    bool must_be(size_t write) const { return writes_[write].fate == Fate::acknowledged; }
    bool must_show(const Shown& shown) const;

    const bool trace_;
    Fleet* fleet_ = nullptr;
    size_t pending_ = 0;
    uint16_t logical_ = 0;
    std::vector<Write> writes_;
    std::vector<Count> counts_;
    std::vector<Shown> shown_;
    std::map<node::KeyName, std::vector<size_t>> shown_of_;
    std::vector<Stamped> registers_;
    std::vector<Stamped> presence_;
    std::map<std::string, std::vector<crdt::Hlc>> undoable_;  // by namespace
    std::vector<Batch> batches_;
    std::set<node::KeyName> names_;
    std::map<uint64_t, std::map<std::string, std::set<std::string>>> seen_;  // node, batch: keys
    std::map<uint64_t, std::set<std::string>> partial_;
    std::map<std::string, size_t> batch_of_;  // by element
    std::string violation_;
};

}  // namespace meridian::simulation
