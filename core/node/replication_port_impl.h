// ReplicationPort over the shards, the committer and the log of the store. See replication_port.h. Its own state is
// touched on the replication lane only.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/environment.h"
#include "node/committer.h"
#include "node/replication_port.h"
#include "node/shard_impl.h"

namespace meridian::node {

class ReplicationPortImpl final : public ReplicationPort {
public:
    struct Environment {
        uint64_t node_id = 0;
        Lane& lane;
        Lane& commit_lane;
        Clock& clock;
        Random& random;
        Store& store;
        Committer& committer;
        std::vector<ShardImpl*> shards;
        std::vector<Lane*> shard_lanes;
        std::function<size_t(std::string_view)> shard_index;
        std::atomic<uint64_t>& covered_before_ms;
        std::atomic<uint64_t>& needed_from;
    };
    explicit ReplicationPortImpl(Environment environment);

    void set_listener(ReplicationListener* listener) override;
    Origin self() const override;
    void begin_incarnation(std::function<void(Result<void>)> done) override;
    VersionVector vector() const override;
    void merge(std::vector<RemoteEntry> entries, std::function<void(Result<void>)> done) override;
    void read_entries(std::vector<EntryRange> ranges, size_t count_max, size_t bytes_max,
                      std::function<void(EntryPage)> done) override;
    VersionVector floors() const override;
    void set_needed(VersionVector held_by_all) override;
    void set_covered_before(uint64_t wall_ms) override;
    void digest_keys(std::optional<KeyName> after, size_t count_max, const DigestKey& key,
                     std::function<void(DigestPage)> done) override;
    void read_states(std::vector<KeyName> names, std::function<void(Result<std::vector<KeyState>>)> done) override;
    void raise_vector(VersionVector vector, std::function<void(Result<void>)> done) override;

private:
    struct Reading;
    void begin_reading(const std::shared_ptr<Reading>& reading);
    void read_on(const std::shared_ptr<Reading>& reading);
    void on_log_page(const std::shared_ptr<Reading>& reading, LogPage page);
    void finish_reading(const std::shared_ptr<Reading>& reading);
    void set_log_floor(uint64_t floor);

    struct Merging;
    void merge_part(const std::shared_ptr<Merging>& merging, size_t index, std::optional<uint64_t> epoch);

    // Splits the items by shard, runs `work` on the lane of each, and `done` on the replication lane with what they
    // gave put together, or the first error.
    template <class Item, class Out, class NameOf>
    void on_shards(std::vector<Item> items, NameOf name_of,
                   std::function<void(ShardImpl&, std::vector<Item>, std::function<void(Result<Out>)>)> work,
                   std::function<void(Result<Out>)> done);

    const Environment env_;
    // Where the entries after the last that was served to somebody are: whoever pulls page by page goes on there.
    struct Hint {
        uint64_t sequence = 0;
        uint64_t position = 0;
    };
    std::map<Origin, Hint> hints_;
};

// Unix milliseconds x 65536 + 16 random bits: below 2^63, never given twice in practice (cluster-and-storage.md section
// 3).
uint64_t new_incarnation(Clock& clock, Random& random);

}  // namespace meridian::node
