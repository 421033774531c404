#include "node/maintenance.h"

#include <algorithm>
#include <utility>

namespace meridian::node {

namespace {

constexpr uint64_t tick_us = 500'000;
constexpr size_t checkpoint_keys_per_round = 4096;
// Keys that cannot be read stay due. They come first in the order of deadlines, so a look that got nothing done is
// followed by one that looks further.
constexpr size_t due_keys_per_look_min = 256;
constexpr size_t due_keys_per_look_max = 8192;
constexpr uint64_t retention_interval_us = 60'000'000;
// A log that has outgrown its size by an eighth is not left to grow until the next look at its age.
constexpr uint64_t retention_pause_us = 1'000'000;
constexpr uint64_t forget_interval_us = 600'000'000;
constexpr size_t forget_page = 512;
// While finishing: a key may be on its way to the store already, or stale for good because it cannot be read. So a
// round that wrote nothing is repeated after a pause, and only so often.
constexpr uint64_t finish_pause_us = 20'000;
constexpr size_t finish_idle_rounds_max = 25;

}  // namespace

Maintenance::Maintenance(Environment environment)
    : env_(std::move(environment)), due_keys_per_look_(due_keys_per_look_min) {}

void Maintenance::start() {
    const uint64_t now_us = env_.clock.monotonic_us();
    next_checkpoint_us_ = now_us + env_.limits.checkpoint_interval_ms * 1000;
    next_retention_us_ = now_us + retention_interval_us;
    next_forget_us_ = now_us + forget_interval_us;
    tick();
}

void Maintenance::tick() {
    if (finishing_) return;
    const uint64_t now_us = env_.clock.monotonic_us();
    const bool log_has_grown = env_.store.usage().log_bytes_since_checkpoint >= env_.limits.checkpoint_log_bytes;
    if (!checkpointing_ && (now_us >= next_checkpoint_us_ || log_has_grown)) checkpoint_round();
    // Without checkpoints the stored deadlines cannot be renewed, and the same keys would come up again and again.
    if (!looking_for_due_ && !env_.store.usage().failed) look_for_due();
    if (!retaining_ && (now_us >= next_retention_us_ || log_is_too_large(now_us))) retain();
    if (!forgetting_ && now_us >= next_forget_us_) forget_idempotency({});
    env_.lane.post_after(tick_us, [this] { tick(); });
}

void Maintenance::on_shards(std::vector<KeyName> names,
                            const std::function<void(ShardImpl&, std::vector<KeyName>, Report)>& work, Report done) {
    std::vector<std::vector<KeyName>> by_shard(env_.shards.size());
    for (KeyName& name : names) by_shard[env_.shard_index(name.namespace_name)].push_back(std::move(name));
    struct Gathered {
        size_t left = 0;
        size_t sum = 0;
    };
    auto progress = std::make_shared<Gathered>();
    for (const auto& group : by_shard) progress->left += !group.empty();
    auto report = [this, progress, done = std::move(done)](size_t count) {
        env_.lane.post([progress, done, count] {
            progress->sum += count;
            if (--progress->left == 0) done(progress->sum);
        });
    };
    for (size_t i = 0; i < by_shard.size(); ++i) {
        if (by_shard[i].empty()) continue;
        env_.shard_lanes[i]->post([this, i, work, group = std::move(by_shard[i]), report]() mutable {
            work(*env_.shards[i], std::move(group), report);
        });
    }
}

void Maintenance::checkpoint_round() {
    if (finishing_ && !finished_) return;  // the deadline has passed
    std::vector<KeyName> names = env_.store.stale_keys(checkpoint_keys_per_round);
    next_checkpoint_us_ = env_.clock.monotonic_us() + env_.limits.checkpoint_interval_ms * 1000;
    const bool too_late = finished_ && env_.clock.monotonic_us() >= finish_deadline_us_;
    if (names.empty() || too_late || env_.store.usage().failed) {
        if (finished_) std::exchange(finished_, nullptr)();
        return;
    }
    checkpointing_ = true;
    on_shards(
        std::move(names),
        [](ShardImpl& shard, std::vector<KeyName> group, Report done) {
            shard.checkpoint(std::move(group), std::move(done));
        },
        [this](size_t keys_written) { on_round_done(keys_written); });
}

void Maintenance::on_round_done(size_t keys_written) {
    checkpointing_ = false;
    if (!finished_) return;
    idle_rounds_ = keys_written == 0 ? idle_rounds_ + 1 : 0;
    if (idle_rounds_ == 0) {
        checkpoint_round();
    } else if (idle_rounds_ < finish_idle_rounds_max) {
        env_.lane.post_after(finish_pause_us, [this] { checkpoint_round(); });
    } else {
        std::exchange(finished_, nullptr)();
    }
}

void Maintenance::finish(uint64_t deadline_us, std::function<void()> done) {
    finishing_ = true;
    finish_deadline_us_ = deadline_us;
    finished_ = std::move(done);
    if (!checkpointing_) checkpoint_round();
    watch_deadline();
}

// A checkpoint that is never answered must not keep the node from stopping.
void Maintenance::watch_deadline() {
    if (!finished_) return;
    const uint64_t now_us = env_.clock.monotonic_us();
    if (now_us >= finish_deadline_us_) return std::exchange(finished_, nullptr)();
    env_.lane.post_after(std::min(tick_us, finish_deadline_us_ - now_us), [this] { watch_deadline(); });
}

void Maintenance::look_for_due() {
    looking_for_due_ = true;
    env_.store.scan_due(env_.clock.wall_ms(), due_keys_per_look_, [this](std::vector<DueKey> due) {
        env_.lane.post([this, due = std::move(due)] {
            if (due.empty() || finishing_) {
                looking_for_due_ = false;
                due_keys_per_look_ = due_keys_per_look_min;
                return;
            }
            const size_t wanted = due.size();
            std::vector<KeyName> names;
            for (const DueKey& key : due) names.push_back(key.name);
            on_shards(
                std::move(names),
                [](ShardImpl& shard, std::vector<KeyName> group, Report done) {
                    shard.handle_due(std::move(group), std::move(done));
                },
                [this, wanted](size_t keys_written) {
                    looking_for_due_ = false;
                    due_keys_per_look_ = keys_written > wanted / 2
                                             ? due_keys_per_look_min
                                             : std::min(2 * due_keys_per_look_, due_keys_per_look_max);
                });
        });
    });
}

bool Maintenance::log_is_too_large(uint64_t now_us) const {
    const uint64_t bytes_max = env_.limits.log_retention_bytes;
    return now_us + retention_interval_us >= next_retention_us_ + retention_pause_us &&
           env_.store.usage().log_bytes > bytes_max + bytes_max / 8;
}

// Positions are contiguous and ordered by time, so the first entry that is young enough is found by bisection.
void Maintenance::retain() {
    next_retention_us_ = env_.clock.monotonic_us() + retention_interval_us;
    const uint64_t now_ms = env_.clock.wall_ms();
    const uint64_t cutoff_ms = now_ms > env_.limits.log_retention_ms ? now_ms - env_.limits.log_retention_ms : 0;
    retaining_ = true;
    env_.store.read_log(0, 1, 1, [this, cutoff_ms](LogPage page) {
        env_.lane.post([this, cutoff_ms, page = std::move(page)] {
            retaining_ = false;
            const uint64_t floor = page.gone ? page.floor : 1;
            const uint64_t next = env_.committer.durable_position() + 1;
            if (!page.error.empty() || next <= floor) return;
            const uint64_t log_bytes = env_.store.usage().log_bytes;
            if (log_bytes > env_.limits.log_retention_bytes) {
                const double excess =
                    1.0 - static_cast<double>(env_.limits.log_retention_bytes) / static_cast<double>(log_bytes);
                uint64_t from = floor + static_cast<uint64_t>(static_cast<double>(next - floor) * excess);
                // What another node lacks is cheaper to keep a while than to send as whole states.
                if (log_bytes / 2 <= env_.limits.log_retention_bytes)
                    from = std::min(from, env_.needed_from.load(std::memory_order_relaxed));
                env_.store.retain_from(from);
                return;
            }
            retaining_ = true;
            search_retention(floor, next, cutoff_ms);
        });
    });
}

void Maintenance::search_retention(uint64_t low, uint64_t high, uint64_t cutoff_ms) {
    if (low == high) {
        retaining_ = false;
        env_.store.retain_from(low);
        return;
    }
    const uint64_t middle = low + (high - low) / 2;
    env_.store.read_log(middle, 1, 1, [this, low, middle, high, cutoff_ms](LogPage page) {
        env_.lane.post([this, low, middle, high, cutoff_ms, page = std::move(page)] {
            if (page.entries.empty()) {
                retaining_ = false;  // the log moved under the search; the next run starts afresh
            } else if (page.entries[0].wall_ms < cutoff_ms) {
                search_retention(middle + 1, high, cutoff_ms);
            } else {
                search_retention(low, middle, cutoff_ms);
            }
        });
    });
}

void Maintenance::forget_idempotency(std::string after) {
    forgetting_ = true;
    next_forget_us_ = env_.clock.monotonic_us() + forget_interval_us;
    env_.store.scan_metadata(
        std::string(idempotency_prefix), std::move(after), forget_page,
        [this](std::vector<std::pair<std::string, std::string>> page) {
            env_.lane.post([this, page = std::move(page)] {
                const uint64_t now_ms = env_.clock.wall_ms();
                std::vector<MetadataWrite> deletes;
                for (const auto& [name, bytes] : page) {
                    const auto record = decode_idempotency(bytes);
                    const bool old = !record || (record->wall_ms < now_ms &&
                                                 now_ms - record->wall_ms > env_.limits.idempotency_retention_ms);
                    if (old) deletes.push_back({name, std::nullopt});
                }
                if (!deletes.empty()) env_.committer.submit_metadata(std::move(deletes));
                if (page.size() < forget_page || finishing_) {
                    forgetting_ = false;
                } else {
                    forget_idempotency(page.back().first);
                }
            });
        });
}

}  // namespace meridian::node
