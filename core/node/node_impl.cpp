#include <sodium.h>

#include <utility>

#include "node/committer.h"
#include "node/maintenance.h"
#include "node/node.h"
#include "node/node_clock.h"
#include "node/replication_port_impl.h"
#include "node/shard_impl.h"

namespace meridian::node {

namespace {

class NodeImpl final : public Node {
public:
    NodeImpl(NodeOptions options, Store& store, Clock& clock, Random& random, std::vector<Lane*> shard_lanes,
             Lane& commit_lane)
        : options_(std::move(options)),
          store_(store),
          clock_(clock),
          random_(random),
          shard_lanes_(std::move(shard_lanes)),
          commit_lane_(commit_lane),
          stamps_(clock, options_.node_id),
          committer_({options_.node_id, options_.limits.pending_commit_bytes_max, options_.limits.group_bytes_max,
                      options_.limits.log_backlog_bytes_max, options_.replication_lane},
                     store, stamps_, commit_lane) {
        for (size_t i = 0; i < shard_lanes_.size(); ++i) {
            shards_.push_back(std::make_unique<ShardImpl>(
                ShardImpl::Environment{i, *shard_lanes_[i], clock_, stamps_, store_, committer_, options_.limits,
                                       options_.limits.cache_bytes_max / shard_lanes_.size(),
                                       options_.replication_lane != nullptr, covered_before_ms_, options_.damage}));
        }
        // A node alone is every member there is, and holds every entry that it ever acknowledged.
        if (options_.replication_lane == nullptr) covered_before_ms_ = UINT64_MAX;
        Maintenance::Environment environment{
            commit_lane_,    clock_, store_,       committer_,
            options_.limits, {},     shard_lanes_, [this](std::string_view name) { return shard_index(name); },
            needed_from_};
        for (const auto& shard : shards_) environment.shards.push_back(shard.get());
        if (options_.replication_lane != nullptr) {
            replication_ = std::make_unique<ReplicationPortImpl>(ReplicationPortImpl::Environment{
                options_.node_id, *options_.replication_lane, commit_lane_, clock_, random_, store_, committer_,
                environment.shards, shard_lanes_, environment.shard_index, covered_before_ms_, needed_from_});
        }
        maintenance_ = std::make_unique<Maintenance>(std::move(environment));
    }

    void open(std::function<void(Result<void>)> ready) {
        store_.read_metadata({std::string(head_metadata_name)},
                             [this, ready = std::move(ready)](Result<std::vector<std::optional<std::string>>> found) {
                                 commit_lane_.post([this, ready, found = std::move(found)] {
                                     if (!found) return ready(found.error());
                                     read_vector([this, ready, head = (*found)[0]] { ready(start(head)); });
                                 });
                             });
    }

    size_t shard_count() const override { return shards_.size(); }
    size_t shard_index(std::string_view namespace_name) const override {
        return std::hash<std::string_view>{}(namespace_name) % shards_.size();
    }
    Shard& shard(size_t index) override { return *shards_[index]; }
    ReplicationPort* replication() override { return replication_.get(); }
    NodeStatistics statistics() const override;
    void stop(uint64_t deadline_us, std::function<void()> done) override;

private:
    using Records = std::vector<std::pair<std::string, std::string>>;
    void read_vector(std::function<void()> done);
    void scan_metadata(std::string_view prefix, std::string after, std::shared_ptr<Records> records,
                       std::function<void()> done);
    Result<void> start(const std::optional<std::string>& head_bytes);

    const NodeOptions options_;
    Store& store_;
    Clock& clock_;
    Random& random_;
    const std::vector<Lane*> shard_lanes_;
    Lane& commit_lane_;
    NodeClock stamps_;
    Committer committer_;
    std::atomic<uint64_t> covered_before_ms_{0};
    std::atomic<uint64_t> needed_from_{UINT64_MAX};
    std::vector<std::unique_ptr<ShardImpl>> shards_;
    std::unique_ptr<ReplicationPortImpl> replication_;
    std::unique_ptr<Maintenance> maintenance_;
    std::shared_ptr<Records> vector_records_ = std::make_shared<Records>();
};

// What the log holds of other nodes. A record that cannot be read makes the vector smaller than it might be; what is
// missing then is asked for and joined again.
void NodeImpl::read_vector(std::function<void()> done) {
    auto floors = std::make_shared<Records>();
    auto index = std::make_shared<Records>();
    scan_metadata(vector_prefix, {}, vector_records_, [this, floors, index, done = std::move(done)] {
        if (!replication_) return done();
        scan_metadata(log_floor_prefix, {}, floors, [this, floors, index, done] {
            scan_metadata(log_index_prefix, {}, index, [this, floors, index, done] {
                committer_.log_index().load(*index, *floors, store_.opening().floor);
                done();
            });
        });
    });
}

void NodeImpl::scan_metadata(std::string_view prefix, std::string after, std::shared_ptr<Records> records,
                             std::function<void()> done) {
    constexpr size_t page_records = 512;
    store_.scan_metadata(std::string(prefix), std::move(after), page_records,
                         [this, prefix, records = std::move(records), done = std::move(done)](Records page) {
                             commit_lane_.post([this, prefix, records, done, page = std::move(page)] {
                                 records->insert(records->end(), page.begin(), page.end());
                                 if (page.size() < page_records) return done();
                                 scan_metadata(prefix, page.back().first, records, done);
                             });
                         });
}

Result<void> NodeImpl::start(const std::optional<std::string>& head_bytes) {
    Committer::Start head;
    if (head_bytes) {
        const auto decoded = decode_head(*head_bytes);
        if (!decoded) return Error{"store: the record 'node/head' is malformed"};
        head = *decoded;
        stamps_.start_at(head.clock_ceiling_ms);
    } else if (store_.opening().next_position != 1) {
        return Error{"store: there are log entries up to position " +
                     std::to_string(store_.opening().next_position - 1) + " but the record 'node/head' is missing"};
    } else {
        head.incarnation = new_incarnation(clock_, random_);
    }
    head.received = decode_sequences(vector_prefix, *vector_records_);
    vector_records_.reset();
    std::vector<CommitListener*> listeners;
    for (const auto& shard : shards_) listeners.push_back(shard.get());
    committer_.start(head, std::move(listeners), shard_lanes_);
    maintenance_->start();
    return {};
}

NodeStatistics NodeImpl::statistics() const {
    NodeStatistics all;
    for (const auto& shard : shards_) {
        const ShardImpl::Statistics& one = shard->statistics();
        all.writes_accepted += one.accepted.load(std::memory_order_relaxed);
        all.writes_rejected += one.rejected.load(std::memory_order_relaxed);
        all.writes_refused += one.refused.load(std::memory_order_relaxed);
        all.states_built += one.states_built.load(std::memory_order_relaxed);
        all.keys_resident += one.resident.load(std::memory_order_relaxed);
        all.resident_bytes += one.resident_bytes.load(std::memory_order_relaxed);
        all.keys_loaded += one.loaded.load(std::memory_order_relaxed);
        all.keys_evicted += one.evicted.load(std::memory_order_relaxed);
        all.checkpoints += one.checkpoints.load(std::memory_order_relaxed);
        all.checkpoint_bytes += one.checkpoint_bytes.load(std::memory_order_relaxed);
        all.unreadable_loads += one.unreadable.load(std::memory_order_relaxed);
        all.keys_set_aside += one.set_aside.load(std::memory_order_relaxed);
    }
    const Committer::Statistics commits = committer_.statistics();
    all.groups_committed = commits.groups;
    all.entries_committed = commits.entries;
    all.bytes_committed = commits.bytes;
    all.pending_entries = commits.pending_entries;
    all.writable = committer_.reserve(1) != Refusal::unavailable;
    if (!all.writable) {
        all.unwritable_reason = committer_.failure();
        if (all.unwritable_reason.empty()) all.unwritable_reason = "the log has no space, or the node is stopping";
    }
    return all;
}

void NodeImpl::stop(uint64_t deadline_us, std::function<void()> done) {
    committer_.drain([this, deadline_us, done = std::move(done)] {
        // What the last group made durable is given out by the shards before the checkpoints begin.
        auto left = std::make_shared<size_t>(shards_.size());
        for (size_t i = 0; i < shards_.size(); ++i) {
            shard_lanes_[i]->post([this, i, left, deadline_us, done] {
                shards_[i]->barrier([this, left, deadline_us, done] {
                    commit_lane_.post([this, left, deadline_us, done] {
                        if (--*left == 0) maintenance_->finish(deadline_us, done);
                    });
                });
            });
        }
    });
}

}  // namespace

std::unique_ptr<Node> Node::open(NodeOptions options, Store& store, Clock& clock, Random& random,
                                 std::vector<Lane*> shard_lanes, Lane& commit_lane,
                                 std::function<void(Result<void>)> ready) {
    if (sodium_init() < 0) {
        commit_lane.post([ready] { ready(Error{"libsodium cannot be initialised"}); });
        return nullptr;
    }
    auto node =
        std::make_unique<NodeImpl>(std::move(options), store, clock, random, std::move(shard_lanes), commit_lane);
    node->open(std::move(ready));
    return node;
}

}  // namespace meridian::node
