// What the node does on its own, on the commit lane: checkpoints in the background, keys whose deadline has come while
// they were not in memory, log retention, old idempotency records. Never on the path of a write.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/environment.h"
#include "node/committer.h"
#include "node/node.h"
#include "node/shard_impl.h"

namespace meridian::node {

class Maintenance {
public:
    struct Environment {
        Lane& lane;
        Clock& clock;
        Store& store;
        Committer& committer;
        const NodeLimits& limits;
        std::vector<ShardImpl*> shards;
        std::vector<Lane*> shard_lanes;
        std::function<size_t(std::string_view)> shard_index;
        const std::atomic<uint64_t>& needed_from;  // the oldest position that another node may still ask for
    };
    explicit Maintenance(Environment environment);

    void start();
    // Checkpoints until no key is stale or the monotonic deadline has passed; then `done`, on the commit lane. Nothing
    // else runs any more.
    void finish(uint64_t deadline_us, std::function<void()> done);

private:
    void tick();
    void checkpoint_round();
    void watch_deadline();
    void on_round_done(size_t keys_written);
    void look_for_due();
    // Splits the names by shard, runs `work` on each shard's lane, and `done` on the commit lane after the last has
    // finished, with the sum of what they reported.
    using Report = std::function<void(size_t)>;
    void on_shards(std::vector<KeyName> names,
                   const std::function<void(ShardImpl&, std::vector<KeyName>, Report)>& work, Report done);
    bool log_is_too_large(uint64_t now_us) const;
    void retain();
    void search_retention(uint64_t low, uint64_t high, uint64_t cutoff_ms);
    void forget_idempotency(std::string after);

    const Environment env_;
    bool checkpointing_ = false;
    bool looking_for_due_ = false;
    size_t due_keys_per_look_;
    bool retaining_ = false;
    bool forgetting_ = false;
    uint64_t next_checkpoint_us_ = 0;
    uint64_t next_retention_us_ = 0;
    uint64_t next_forget_us_ = 0;
    uint64_t finish_deadline_us_ = 0;
    bool finishing_ = false;  // for good: nothing but finish() goes on
    size_t idle_rounds_ = 0;  // of finish(), in a row
    std::function<void()> finished_;
};

}  // namespace meridian::node
