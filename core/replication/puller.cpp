#include "replication/puller.h"

#include <algorithm>
#include <set>
#include <utility>

namespace meridian::replication {

namespace {

constexpr uint64_t gap_us = 200'000;
constexpr double gap_jitter = 0.5;
// States cost more than entries: before they are asked for, peers whose logs reach back have time to say so.
constexpr uint64_t other_peer_us = 500'000;

}  // namespace

Puller::Puller(Context& context, Peers& peers, Messenger& messenger, Inbox& inbox, Events events)
    : context_(context), peers_(peers), messenger_(messenger), inbox_(inbox), events_(std::move(events)) {}

void Puller::gap(const Origin& origin) {
    want(origin, context_.jittered(gap_us, gap_jitter));
}

void Puller::heard(const Peer& peer, bool at_once) {
    for (const auto& [origin, sequence] : peer.vector) {
        if (sequence > received(origin)) heard(origin, at_once);
    }
}

void Puller::heard(const Origin& origin, bool at_once) {
    want(origin, at_once ? 0 : context_.jittered(gap_us, gap_jitter));
}

void Puller::want(const Origin& origin, uint64_t delay_us) {
    // Own entries that are lost come when they are those of a former incarnation.
    if (origin == context_.self) return;
    if (wants_.size() >= context_.options.origins_max && wants_.find(origin) == wants_.end()) return;
    const auto [found, is_new] = wants_.try_emplace(origin);
    Want& want = found->second;
    const uint64_t due_us = context_.now_us() + delay_us;
    if (is_new) {
        ++context_.counters.gaps;
        want.due_us = due_us;
    } else if (want.failures == 0 || delay_us == 0) {
        want.due_us = std::min(want.due_us, due_us);
    }
    wake_at(want.due_us);
}

void Puller::check_again(const Origin& origin, uint64_t after) {
    checked_[origin] = after;
    want(origin, 0);
}

uint64_t Puller::received(const Origin& origin) const {
    const uint64_t received = inbox_.received(origin);
    const auto checked = checked_.find(origin);
    return checked == checked_.end() ? received : std::min(received, checked->second);
}

uint64_t Puller::highest_known(const Origin& origin) const {
    uint64_t highest = inbox_.highest(origin);
    for (const auto& [node_id, peer] : peers_.all()) {
        if (peers_.alive(peer)) highest = std::max(highest, node::held(peer.vector, origin));
    }
    return highest;
}

Puller::Choice Puller::choose(const Origin& origin, uint64_t after) {
    Choice choice;
    uint64_t best = 0;
    for (auto& [node_id, peer] : peers_.all()) {
        if (!peers_.alive(peer)) continue;
        const uint64_t held = node::held(peer.vector, origin);
        if (held <= after) continue;
        const auto gone = peer.gone.find(origin);
        const bool is_origin = peer.origin == origin;
        if ((gone != peer.gone.end() && gone->second > after + 1) || (is_origin && peer.floor > after + 1)) {
            if (choice.gone == nullptr || held > node::held(choice.gone->vector, origin)) choice.gone = &peer;
            continue;
        }
        if (peer.pulling) {
            choice.busy = true;
        } else if (peer.not_before_us > context_.now_us()) {
            if (choice.not_before_us == 0 || peer.not_before_us < choice.not_before_us)
                choice.not_before_us = peer.not_before_us;
        } else if (is_origin || held > best) {
            best = is_origin ? UINT64_MAX : held;
            choice.peer = &peer;
        }
    }
    return choice;
}

void Puller::pump() {
    if (pumping_) return;
    pumping_ = true;
    const uint64_t now_us = context_.now_us();
    std::map<uint64_t, std::vector<Origin>> questions;
    for (auto it = wants_.begin(); it != wants_.end();) {
        const Origin origin = it->first;
        Want& want = it->second;
        const uint64_t after = received(origin);
        if (!want.in_flight && highest_known(origin) <= after) {
            it = wants_.erase(it);
            continue;
        }
        ++it;
        if (want.in_flight) continue;
        if (want.due_us > now_us) {
            wake_at(want.due_us);
            continue;
        }
        if (!inbox_.room()) continue;  // pump() follows when there is
        const Choice choice = choose(origin, after);
        const bool nobody =
            choice.peer == nullptr && choice.gone == nullptr && !choice.busy && choice.not_before_us == 0;
        if (!nobody) want.nobody_since_us = 0;
        const bool only_gone =
            choice.gone != nullptr && choice.peer == nullptr && !choice.busy && choice.not_before_us == 0;
        if (!only_gone) want.gone_since_us = 0;
        if (choice.peer != nullptr) {
            std::vector<Origin>& origins = questions[choice.peer->origin.node_id];
            if (origins.size() < context_.options.pull_origins_max) {
                origins.push_back(origin);
                want.in_flight = true;
            }
        } else if (choice.not_before_us != 0) {
            want.due_us = choice.not_before_us;
            wake_at(want.due_us);
        } else if (!choice.busy) {
            if (only_gone && want.gone_since_us == 0) want.gone_since_us = now_us;
            if (only_gone && now_us < want.gone_since_us + other_peer_us) {
                want.due_us = want.gone_since_us + other_peer_us;
                wake_at(want.due_us);
                continue;
            }
            if (choice.gone != nullptr) {
                checked_.erase(origin);
                events_.transfer(*choice.gone);
            }
            if (nobody && want.nobody_since_us == 0) want.nobody_since_us = now_us;
            if (nobody && now_us - want.nobody_since_us >= context_.options.retention_ms * 1000)
                events_.unfillable(origin);
            want.due_us = now_us + context_.backoff_us(++want.failures);
            wake_at(want.due_us);
        }
    }
    for (const auto& [node_id, origins] : questions) {
        if (Peer* peer = peers_.find(node_id)) ask(*peer, origins);
    }
    pumping_ = false;
}

void Puller::ask(Peer& peer, const std::vector<Origin>& origins) {
    Pull pull;
    pull.bytes_max = context_.options.pull_bytes_max;
    pull.count_max = context_.options.pull_entries_max;
    for (const Origin& origin : origins) {
        const uint64_t beyond = inbox_.beyond_gap(origin);
        pull.want.push_back({origin, received(origin), beyond == 0 ? UINT64_MAX : beyond - 1});
    }
    peer.pulling = true;
    ++context_.counters.pulls_sent;
    const uint64_t node_id = peer.origin.node_id;
    std::vector<node::EntryRange> asked = pull.want;
    messenger_.request(peer, std::move(pull), [this, node_id, asked = std::move(asked)](Result<Message> answer) {
        answered(node_id, asked, std::move(answer));
    });
}

void Puller::answered(uint64_t node_id, const std::vector<node::EntryRange>& asked, Result<Message> answer) {
    for (const node::EntryRange& range : asked) {
        const auto want = wants_.find(range.origin);
        if (want == wants_.end()) continue;
        want->second.in_flight = false;
        want->second.due_us = context_.now_us();
    }
    Peer* peer = peers_.find(node_id);
    if (peer != nullptr) {
        peer->pulling = false;
        Entries* page = answer ? std::get_if<Entries>(&answer->body) : nullptr;
        if (page != nullptr && page->error.empty()) {
            take_page(*peer, asked, std::move(*page));
        } else {
            ++context_.counters.pulls_failed;
            const Refusal* refusal = answer ? std::get_if<Refusal>(&answer->body) : nullptr;
            leave_alone(*peer, refusal == nullptr ? 0 : std::min<uint64_t>(refusal->retry_ms, 10'000) * 1000);
        }
    }
    pump();
}

void Puller::take_page(Peer& peer, const std::vector<node::EntryRange>& asked, Entries page) {
    peer.failures = 0;
    std::set<Origin> wanted;
    for (const node::EntryRange& range : asked) wanted.insert(range.origin);
    for (const auto& [origin, floor] : page.gone) {
        if (wanted.count(origin) != 0) peer.gone[origin] = floor;
    }
    for (node::RemoteEntry& entry : page.entries) {
        if (wanted.count(entry.origin) == 0 || entry.payload.empty()) {
            ++context_.counters.dropped_invalid;
            continue;
        }
        if (const auto checked = checked_.find(entry.origin); checked != checked_.end())
            checked->second = std::max(checked->second, entry.sequence);
        inbox_.add(std::move(entry), Inbox::From::pull);
    }
    const bool progress = std::any_of(asked.begin(), asked.end(), [this](const node::EntryRange& range) {
        return received(range.origin) > range.after;
    });
    for (const node::EntryRange& range : asked) {
        const auto found = wants_.find(range.origin);
        if (found == wants_.end()) continue;
        const auto checked = checked_.find(range.origin);
        const bool all_checked = checked != checked_.end() && checked->second >= inbox_.received(range.origin);
        if (received(range.origin) > range.after) {
            found->second.failures = 0;
            peer.gone.erase(range.origin);
        } else if ((page.complete || !progress) && peer.gone.count(range.origin) == 0) {
            // It was thought to have what it does not have.
            found->second.due_us = context_.now_us() + context_.backoff_us(++found->second.failures);
        }
        if (all_checked) checked_.erase(checked);
    }
}

void Puller::leave_alone(Peer& peer, uint64_t at_least_us) {
    const uint64_t wait_us = std::max(context_.backoff_us(++peer.failures), at_least_us);
    peer.not_before_us = context_.now_us() + wait_us;
}

bool Puller::pulling(const Origin& origin) const {
    const auto found = wants_.find(origin);
    return found != wants_.end() && found->second.in_flight;
}

size_t Puller::outstanding() const {
    size_t count = 0;
    for (const auto& [node_id, peer] : peers_.all()) count += peer.pulling;
    return count;
}

void Puller::wake_at(uint64_t time_us) {
    if (time_us >= wake_at_us_) return;
    wake_at_us_ = time_us;
    const uint64_t now_us = context_.now_us();
    context_.post_after(time_us > now_us ? time_us - now_us : 0, [this, time_us] {
        if (wake_at_us_ != time_us) return;  // an earlier one was set meanwhile
        wake_at_us_ = UINT64_MAX;
        pump();
    });
}

}  // namespace meridian::replication
