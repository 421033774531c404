#include "harness.h"

#include <cstdlib>

#include "wire/key_codec.h"
#include "wire/log_entry.h"
#include "wire/op_codec.h"

namespace meridian::node {

Harness::Harness(uint64_t seed, NodeLimits node_limits, size_t shards, uint64_t node_id, bool replicated)
    : world(seed), limits(std::move(node_limits)), shard_count_(shards), node_id_(node_id), replicated_(replicated) {
    open();
}

Harness::~Harness() {
    world.drop_all_tasks();
    node.reset();
}

void Harness::open() {
    store = std::make_unique<simulation::SimulatedStore>(world, disk);
    lanes_.clear();
    std::vector<Lane*> lanes;
    for (size_t i = 0; i < shard_count_; ++i) {
        lanes_.push_back(&world.make_lane());
        lanes.push_back(lanes_.back());
    }
    std::optional<std::string> opened;
    node = Node::open({node_id_, limits, replicated_ ? &world.make_lane() : nullptr,
                       [this](const std::string& text) { damage.push_back(text); }},
                      *store, world, world, lanes, world.make_lane(),
                      [&](const Result<void>& result) { opened = result ? "" : result.error().message; });
    CPPUNIT_ASSERT(world.run_until([&] { return opened.has_value(); }));
    CPPUNIT_ASSERT_EQUAL(std::string(), *opened);
    for (size_t i = 0; i < shard_count_; ++i) {
        lanes_[i]->post([this, i] { node->shard(i).set_listener(this); });
    }
    world.run_for(0);
}

void Harness::stop() {
    bool stopped = false;
    node->stop(world.monotonic_us() + 60'000'000, [&] { stopped = true; });
    CPPUNIT_ASSERT(world.run_until([&] { return stopped; }));
}

void Harness::restart(bool clean) {
    if (clean) stop();
    world.drop_all_tasks();
    node.reset();
    store.reset();
    open();
}

void Harness::on_delta(const std::string& namespace_name, const DeltaFramePtr& frame) {
    seen.push_back({namespace_name, frame, disk.last_position()});
}

void Harness::on_lane(const std::string& ns, std::function<void(Shard&)> call) {
    const size_t index = node->shard_index(ns);
    lanes_[index]->post([this, index, call = std::move(call)] { call(node->shard(index)); });
}

std::shared_ptr<std::optional<WriteOutcome>> Harness::submit(WriteRequest request) {
    auto result = std::make_shared<std::optional<WriteOutcome>>();
    auto shared = std::make_shared<WriteRequest>(std::move(request));
    on_lane(shared->namespace_name, [this, shared, result](Shard& shard) {
        shard.write(*shared, [this, result](WriteOutcome outcome) {
            CPPUNIT_ASSERT_MESSAGE("completed twice", !result->has_value());
            *result = std::move(outcome);
            seen_at_completion.push_back(seen.size());
        });
        CPPUNIT_ASSERT_MESSAGE("completed inside the call", !result->has_value());
    });
    return result;
}

WriteOutcome Harness::write(WriteRequest request) {
    auto result = submit(std::move(request));
    CPPUNIT_ASSERT(world.run_until([&] { return result->has_value(); }));
    return **result;
}

std::shared_ptr<std::optional<UndoOutcome>> Harness::submit_undo(const UndoRequest& request) {
    auto result = std::make_shared<std::optional<UndoOutcome>>();
    on_lane(request.namespace_name, [request, result](Shard& shard) {
        shard.undo(request, [result](UndoOutcome outcome) { *result = std::move(outcome); });
    });
    return result;
}

UndoOutcome Harness::undo(const UndoRequest& request) {
    auto result = submit_undo(request);
    CPPUNIT_ASSERT(world.run_until([&] { return result->has_value(); }));
    return **result;
}

std::shared_ptr<std::optional<ValueOutcome>> Harness::submit_read(const std::string& ns, const std::string& key) {
    auto result = std::make_shared<std::optional<ValueOutcome>>();
    on_lane(ns, [ns, key, result](Shard& shard) {
        shard.read_value(ns, key, [result](ValueOutcome outcome) { *result = std::move(outcome); });
    });
    return result;
}

ValueOutcome Harness::read(const std::string& ns, const std::string& key) {
    auto result = submit_read(ns, key);
    CPPUNIT_ASSERT(world.run_until([&] { return result->has_value(); }));
    return **result;
}

StateOutcome Harness::state(const std::string& ns, const std::string& key, crdt::SequenceForm form) {
    std::optional<StateOutcome> result;
    on_lane(ns, [&](Shard& shard) {
        shard.read_state(ns, key, form, [&](StateOutcome outcome) { result = std::move(outcome); });
    });
    CPPUNIT_ASSERT(world.run_until([&] { return result.has_value(); }));
    return *result;
}

std::string Harness::value(const std::string& ns, const std::string& key) {
    const ValueOutcome outcome = read(ns, key);
    switch (outcome.status) {
        case Status::ok:
            return outcome.text;
        case Status::not_found:
            return "<not found>";
        case Status::corrupt:
            return "<corrupt>";
        default:
            return "<failed: " + outcome.text + ">";
    }
}

crdt::Key Harness::key_on_disk(const KeyName& name) const {
    crdt::Key key;
    uint64_t position = 0;
    const auto row = disk.rows.find(name);
    if (row != disk.rows.end()) {
        position = row->second.position;
        if (row->second.state) key = *wire::decode_snapshot(*row->second.state);
    }
    struct NoStamps final : crdt::StampSource {
        crdt::Hlc next_stamp() override { return {1, 0, 0}; }
    } stamps;
    for (const LogEntry& entry : disk.log) {
        if (entry.name != name || entry.position <= position) continue;
        const auto delta = wire::decode_key_delta(*wire::key_delta_of_log_entry(entry.payload));
        key.join(*delta, {world.wall_ms(), stamps});
    }
    return key;
}

WriteItem item(const std::string& key, crdt::Op op, std::optional<uint64_t> ttl_ms) {
    std::string bytes = wire::encode_op(op);
    return {key, std::move(op), std::move(bytes), ttl_ms};
}

WriteItem increment(const std::string& key, uint64_t client_id, uint64_t amount, std::optional<uint64_t> ttl_ms) {
    return item(key, crdt::GCounterOp{client_id, amount}, ttl_ms);
}

WriteItem assign(const std::string& key, const std::string& text, uint64_t wall_ms, uint64_t author,
                 std::optional<uint64_t> ttl_ms) {
    return item(key, crdt::LwwRegisterOp{JsonValue::string(text), {wall_ms, 0, author}, author}, ttl_ms);
}

WriteRequest request(const std::string& ns, std::vector<WriteItem> items, const std::string& idempotency_key) {
    WriteRequest made;
    made.namespace_name = ns;
    made.client_id = 42;
    made.source = items.size() > 1 ? Source::ws_batch : Source::ws;
    made.items = std::move(items);
    made.idempotency_key = idempotency_key;
    return made;
}

uint64_t base_seed() {
    const char* text = std::getenv("MERIDIAN_TEST_SEED");
    return text != nullptr ? std::strtoull(text, nullptr, 10) : 20'261'122;
}

}  // namespace meridian::node
