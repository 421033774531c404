#include "replication/retention.h"

#include <algorithm>
#include <utility>

namespace meridian::replication {

namespace {

constexpr uint64_t period_us = 15'000'000;
constexpr uint64_t sample_apart_us = 60'000'000;
constexpr uint64_t sample_apart_ms = 60'000;
constexpr uint64_t kept_us = 600'000'000;
constexpr uint64_t guard_ms = 600'000;
constexpr size_t samples_max = 60;

}  // namespace

void Retention::start() {
    context_.post_after(context_.jittered(period_us, 0.1), [this] { tick(); });
}

void Retention::tick() {
    if (context_.stopping) return;
    const VersionVector own = context_.port.vector();
    if (own_.empty() || own_.back().first + sample_apart_us <= context_.now_us()) {
        own_.emplace_back(context_.now_us(), own);
    }
    sample(context_.self, context_.wall_ms(), node::held(own, context_.self));
    if (peers_.all_members_heard()) say_needed();
    if (peers_.all_members_alive()) say_covered();
    start();
}

void Retention::sample(const Origin& origin, uint64_t wall_ms, uint64_t head) {
    if (samples_.size() > context_.options.peers_max && samples_.find(origin.node_id) == samples_.end()) {
        for (auto it = samples_.begin(); it != samples_.end();)
            it = it->first != context_.self.node_id && peers_.find(it->first) == nullptr ? samples_.erase(it)
                                                                                         : std::next(it);
    }
    auto& [known, samples] = samples_[origin.node_id];
    if (known != origin) {
        known = origin;
        samples.clear();
    }
    if (!samples.empty() && wall_ms < samples.back().wall_ms + sample_apart_ms) return;
    samples.push_back({wall_ms, head});
    if (samples.size() > samples_max) samples.pop_front();
}

void Retention::say_needed() {
    // The newest own vector that is old enough.
    while (own_.size() > 1 && own_[1].first + kept_us <= context_.now_us()) own_.pop_front();
    if (own_.empty() || own_.front().first + kept_us > context_.now_us()) return;
    VersionVector needed = own_.front().second;
    for (const Peer* member : peers_.members()) {
        for (auto it = needed.begin(); it != needed.end();) {
            it->second = std::min(it->second, node::held(member->vector, it->first));
            it = it->second == 0 ? needed.erase(it) : std::next(it);
        }
    }
    context_.port.set_needed(std::move(needed));
}

void Retention::say_covered() {
    const VersionVector own = context_.port.vector();
    const std::vector<const Peer*> members = peers_.members();
    VersionVector everything = own;
    for (const Peer* member : members) node::merge_into(everything, member->vector);
    const auto all_hold = [&](const Origin& origin, uint64_t sequence) {
        if (node::held(own, origin) < sequence) return false;
        return std::all_of(members.begin(), members.end(),
                           [&](const Peer* member) { return node::held(member->vector, origin) >= sequence; });
    };
    uint64_t covered_ms = UINT64_MAX;
    const auto limit_by = [&](const Origin& origin) {
        const auto found = samples_.find(origin.node_id);
        uint64_t newest_ms = 0;
        if (found != samples_.end() && found->second.first == origin) {
            for (const Sample& sample : found->second.second) {
                if (all_hold(origin, sample.head)) newest_ms = std::max(newest_ms, sample.wall_ms);
            }
        }
        covered_ms = std::min(covered_ms, newest_ms);
    };
    limit_by(context_.self);
    for (const Peer* member : members) limit_by(member->origin);
    const auto lives = [&](const Origin& origin) {
        return origin == context_.self || std::any_of(members.begin(), members.end(), [&origin](const Peer* member) {
                   return member->origin == origin;
               });
    };
    for (const auto& [origin, sequence] : everything) {
        if (!lives(origin) && !all_hold(origin, sequence)) return;
    }
    if (covered_ms < guard_ms || covered_ms - guard_ms <= covered_ms_) return;
    covered_ms_ = covered_ms - guard_ms;
    context_.port.set_covered_before(covered_ms_);
}

}  // namespace meridian::replication
