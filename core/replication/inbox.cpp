#include "replication/inbox.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <memory>
#include <utility>

#include "wire/log_entry.h"

namespace meridian::replication {

namespace {

constexpr size_t prints_max = 1'024;
constexpr size_t adopted_prints_max = 4'096;
constexpr size_t log_checks_max = 16;

uint64_t print_of(const node::RemoteEntry& entry) {
    const std::hash<std::string> hash;
    uint64_t print = hash(entry.payload);
    print = print * 1'099'511'628'211ULL ^ hash(entry.name.namespace_name);
    return print * 1'099'511'628'211ULL ^ hash(entry.name.key);
}

size_t cost_of(const node::RemoteEntry& entry) {
    return entry.payload.size() + entry.name.namespace_name.size() + entry.name.key.size() + entry_memory_bytes;
}

bool same_content(const node::RemoteEntry& left, const node::RemoteEntry& right) {
    return left.name == right.name && left.payload == right.payload;
}

}  // namespace

Inbox::Inbox(Context& context, Events events) : context_(context), events_(std::move(events)) {
    for (const auto& [origin, sequence] : context.port.vector()) stream(origin);
    stream(context.self);
}

Inbox::Stream& Inbox::stream(const Origin& origin) {
    const auto [found, is_new] = streams_.try_emplace(origin);
    Stream& target = found->second;
    if (is_new) target.durable = target.assembled = target.contiguous = node::held(context_.port.vector(), origin);
    return target;
}

void Inbox::add(node::RemoteEntry entry, From from) {
    if (entry.sequence == 0 || entry.origin.node_id == 0) {
        ++context_.counters.dropped_invalid;
        return;
    }
    const Origin origin = entry.origin;
    if (streams_.size() >= context_.options.origins_max && find(origin) == nullptr) {
        ++context_.counters.entries_dropped;
        return;
    }
    const uint64_t print = print_of(entry);
    Stream& target = stream(origin);
    if (entry.sequence <= target.assembled) return compare_with_held(std::move(entry), target, print);
    const Result<wire::LogEntryPayload> payload = wire::decode_log_entry(entry.payload);
    if (!payload) {
        ++context_.counters.dropped_invalid;
        // What was asked for cannot be had in a better form.
        if (from == From::pull) {
            context_.alarm(AlarmKind::origin_stopped, to_text(entry.origin),
                           "entry " + std::to_string(entry.sequence) + " of origin " + to_text(entry.origin) +
                               " cannot be read: " + payload.error().message);
        }
        return;
    }
    if (origin == context_.self) {
        // Nobody but this node numbers for it: it has lost these, or another process has its id. What is lost is pulled
        // when it is that of a former incarnation.
        if (context_.ready) adopt(std::move(entry), print);
        return;
    }
    const auto waiting = target.held.find(entry.sequence);
    if (waiting != target.held.end()) {
        ++context_.counters.entries_duplicate;
        if (!same_content(waiting->second.entry, entry)) conflict(std::move(entry), print, waiting->second.entry);
        return;
    }
    const size_t cost = cost_of(entry);
    if ((from == From::live && !room()) || !make_room(target, entry.sequence, cost)) {
        ++context_.counters.entries_dropped;
        if (events_.gap) events_.gap(origin);
        return;
    }
    const uint64_t sequence = entry.sequence;
    target.held.emplace(sequence, Held{std::move(entry), payload->batch_following, cost});
    target.held_bytes += cost;
    assemble(target);
    if (!target.held.empty() && events_.gap) events_.gap(origin);
    merge_more();
}

// Keeps what is nearest to `assembled`. What continues it without a gap is always kept: an incomplete batch must have
// room to become complete.
bool Inbox::make_room(Stream& target, uint64_t sequence, size_t cost) {
    const ReplicationOptions& options = context_.options;
    const bool continues = sequence == target.contiguous + 1;
    while (target.held.size() >= options.held_entries_max || target.held_bytes + cost > options.held_bytes_max) {
        if (target.held.empty()) return continues;
        const auto last = std::prev(target.held.end());
        if (last->first < sequence) return continues;
        target.held_bytes -= last->second.cost;
        target.held.erase(last);
        ++context_.counters.entries_dropped;
    }
    return true;
}

void Inbox::extend(Stream& target) {
    target.contiguous = std::max(target.contiguous, target.assembled);
    while (target.held.count(target.contiguous + 1) != 0) ++target.contiguous;
}

void Inbox::assemble(Stream& target) {
    extend(target);
    while (target.contiguous > target.assembled) {
        // The run that begins here: an entry and those of its batch that follow.
        const uint64_t following = target.held.begin()->second.batch_following;
        if (target.contiguous - target.assembled - 1 < following) {
            if (target.contiguous == target.assembled + 1) ++context_.counters.batches_held;
            return;
        }
        const uint64_t last = target.assembled + 1 + following;
        size_t cost = 0;
        auto it = target.held.begin();
        while (it != target.held.end() && it->first <= last) {
            cost += it->second.cost;
            remember_print(target, print_of(it->second.entry));
            target.ready.push_back(std::move(it->second));
            it = target.held.erase(it);
        }
        target.held_bytes -= cost;
        target.assembled = last;
        change_backlog(0, cost);
    }
}

void Inbox::remember_print(Stream& target, uint64_t print) {
    target.prints.push_back(print);
    if (target.prints.size() > prints_max) target.prints.pop_front();
}

void Inbox::compare_with_held(node::RemoteEntry entry, Stream& target, uint64_t print) {
    ++(entry.origin == context_.self ? context_.counters.dropped_own : context_.counters.entries_duplicate);
    const uint64_t back = target.assembled - entry.sequence;  // 0: the newest
    if (back >= target.prints.size()) return compare_with_log(std::move(entry), print);
    if (target.prints[target.prints.size() - 1 - back] != print) conflict(std::move(entry), print, std::nullopt);
}

// Old duplicates are rare; some are enough to notice that numbers are used twice.
void Inbox::compare_with_log(node::RemoteEntry entry, uint64_t print) {
    if (log_checks_ >= log_checks_max) return;
    ++log_checks_;
    const node::EntryRange range{entry.origin, entry.sequence - 1, entry.sequence};
    context_.port.read_entries({range}, 1, 1,
                               context_.here([this, entry = std::move(entry), print](node::EntryPage page) {
                                   --log_checks_;
                                   if (page.entries.size() != 1 || page.entries[0].sequence != entry.sequence) return;
                                   if (!same_content(page.entries[0], entry))
                                       conflict(entry, print, std::move(page.entries[0]));
                               }));
}

void Inbox::conflict(node::RemoteEntry entry, uint64_t print, std::optional<node::RemoteEntry> held) {
    if (!wire::decode_log_entry(entry.payload)) {
        ++context_.counters.dropped_invalid;
        return;
    }
    ++context_.counters.entries_conflicting;
    context_.alarm(AlarmKind::conflicting_entry, to_text(entry.origin),
                   "number " + std::to_string(entry.sequence) + " of origin " + to_text(entry.origin) +
                       " was used for two writes (namespace '" + entry.name.namespace_name + "', key '" +
                       entry.name.key + "'); both are merged");
    if (events_.conflict) events_.conflict(entry.origin);
    // Other nodes have taken the other one for it.
    if (held) {
        const uint64_t held_print = print_of(*held);
        adopt(*std::move(held), held_print);
    } else {
        adopt_held(entry.origin, entry.sequence);
    }
    adopt(std::move(entry), print);
}

// As long as the log has it.
void Inbox::adopt_held(const Origin& origin, uint64_t sequence) {
    if (log_checks_ >= log_checks_max) return;
    ++log_checks_;
    context_.port.read_entries({{origin, sequence - 1, sequence}}, 1, 1,
                               context_.here([this, sequence](node::EntryPage page) {
                                   --log_checks_;
                                   if (page.entries.size() != 1 || page.entries[0].sequence != sequence) return;
                                   const uint64_t print = print_of(page.entries[0]);
                                   adopt(std::move(page.entries[0]), print);
                               }));
}

void Inbox::adopt(node::RemoteEntry entry, uint64_t print) {
    if (!room()) {
        ++context_.counters.entries_dropped;
        return;
    }
    if (adopted_prints_.size() >= adopted_prints_max) adopted_prints_.clear();
    if (adopted_prints_.count(print) != 0) return;
    // Its effect alone: history and webhooks have the op from whoever holds it by its number.
    const Result<wire::LogEntryPayload> payload = wire::decode_log_entry(entry.payload);
    if (!payload) return;
    adopted_prints_.insert(print);
    wire::LogEntryParts parts;
    parts.stamp = payload->stamp;
    parts.key_delta = payload->key_delta;
    Unnumbered item;
    item.entries.push_back({{}, 0, entry.wall_ms, std::move(entry.name), wire::encode_log_entry(parts), true});
    item.cost = cost_of(item.entries[0]);
    change_backlog(0, item.cost);
    if (!context_.ready) {
        until_ready_.push_back(std::move(item));
        return;
    }
    unnumbered_.push_back(std::move(item));
    merge_more();
}

void Inbox::ready() {
    std::move(until_ready_.begin(), until_ready_.end(), std::back_inserter(unnumbered_));
    until_ready_.clear();
    merge_more();
}

void Inbox::add_states(std::vector<node::RemoteEntry> states, std::function<void(Result<void>)> done) {
    Unnumbered item;
    for (const node::RemoteEntry& state : states) item.cost += cost_of(state);
    item.entries = std::move(states);
    item.done = std::move(done);
    item.repeats = false;
    change_backlog(0, item.cost);
    unnumbered_.push_back(std::move(item));
    merge_more();
}

void Inbox::own_committed(const std::vector<node::CommittedEntry>& entries) {
    for (const node::CommittedEntry& entry : entries) {
        Stream& own = stream(entry.origin);
        if (entry.sequence > own.assembled) {
            remember_print(own, print_of({entry.origin, entry.sequence, entry.wall_ms, entry.name, entry.payload}));
            own.assembled = own.durable = own.contiguous = entry.sequence;
        }
    }
}

void Inbox::self_changed() {
    stream(context_.self);
}

void Inbox::raised() {
    for (const auto& [origin, sequence] : context_.port.vector()) {
        Stream& target = stream(origin);
        target.durable = std::max(target.durable, sequence);
        if (target.assembled < sequence) {
            target.assembled = sequence;
            target.prints.clear();
            while (!target.held.empty() && target.held.begin()->first <= sequence) {
                target.held_bytes -= target.held.begin()->second.cost;
                target.held.erase(target.held.begin());
            }
            assemble(target);
        }
        if (events_.progress) events_.progress(origin);
    }
    merge_more();
}

const Inbox::Stream* Inbox::find(const Origin& origin) const {
    const auto found = streams_.find(origin);
    return found == streams_.end() ? nullptr : &found->second;
}

uint64_t Inbox::received(const Origin& origin) const {
    const Stream* target = find(origin);
    return target == nullptr ? node::held(context_.port.vector(), origin) : target->contiguous;
}

uint64_t Inbox::durable(const Origin& origin) const {
    const Stream* target = find(origin);
    return target == nullptr ? node::held(context_.port.vector(), origin) : target->durable;
}

uint64_t Inbox::beyond_gap(const Origin& origin) const {
    const Stream* target = find(origin);
    if (target == nullptr) return 0;
    const auto beyond = target->held.upper_bound(target->contiguous);
    return beyond == target->held.end() ? 0 : beyond->first;
}

VersionVector Inbox::waiting_beyond_gaps() const {
    VersionVector waiting;
    for (const auto& [origin, target] : streams_) {
        if (target.held.empty()) continue;
        const uint64_t highest = std::prev(target.held.end())->first;
        if (highest > target.contiguous) waiting[origin] = highest;
    }
    return waiting;
}

uint64_t Inbox::highest(const Origin& origin) const {
    const Stream* target = find(origin);
    if (target == nullptr || target->held.empty()) return received(origin);
    uint64_t highest = std::prev(target->held.end())->first;
    if (target->contiguous > target->assembled) {
        highest = std::max(highest, target->assembled + 1 + target->held.begin()->second.batch_following);
    }
    return highest;
}

bool Inbox::stopped(const Origin& origin) const {
    const Stream* target = find(origin);
    return target != nullptr && target->failures > 0;
}

size_t Inbox::waiting(const Origin& origin) const {
    const Stream* target = find(origin);
    return target == nullptr ? 0 : target->held.size();
}

std::vector<Origin> Inbox::origins() const {
    std::vector<Origin> origins;
    for (const auto& [origin, stream] : streams_) origins.push_back(origin);
    return origins;
}

uint64_t Inbox::release_held(const Origin& origin, std::function<void()> done) {
    Stream& target = stream(origin);
    Unnumbered item;
    const uint64_t last = target.held.empty() ? 0 : std::prev(target.held.end())->first;
    for (auto& [sequence, held] : target.held) {
        item.cost += held.cost;
        held.entry.origin = {};
        held.entry.sequence = 0;
        item.entries.push_back(std::move(held.entry));
    }
    target.held.clear();
    target.held_bytes = 0;
    target.contiguous = target.assembled;
    if (item.entries.empty()) return 0;
    item.done = [done = std::move(done)](const Result<void>&) { done(); };
    change_backlog(0, item.cost);
    unnumbered_.push_back(std::move(item));
    merge_more();
    return last;
}

void Inbox::merge_more() {
    merge_unnumbered();
    // Origins take turns, beginning after the one that was last.
    for (size_t turn = 0; turn < 2; ++turn) {
        auto it = turn == 0 ? streams_.upper_bound(last_merged_) : streams_.begin();
        for (; it != streams_.end(); ++it) {
            if (merges_in_flight_ >= context_.options.merges_in_flight_max) return;
            if (it->second.in_flight || it->second.ready.empty()) continue;
            last_merged_ = it->first;
            merge(it->first, it->second);
        }
    }
}

void Inbox::merge(const Origin& origin, Stream& target) {
    const ReplicationOptions& options = context_.options;
    std::vector<Held> run;
    std::vector<node::RemoteEntry> entries;
    size_t cost = 0;
    while (!target.ready.empty()) {
        // One write, or one batch.
        size_t size = 1 + target.ready.front().batch_following;
        size = std::min(size, target.ready.size());
        size_t more = 0;
        for (size_t i = 0; i < size; ++i) more += target.ready[i].cost;
        if (!run.empty() && (run.size() + size > options.merge_call_entries_max ||
                             cost + more > options.merge_call_bytes_max || target.failures > 0)) {
            break;
        }
        for (size_t i = 0; i < size; ++i) {
            entries.push_back(target.ready.front().entry);
            run.push_back(std::move(target.ready.front()));
            target.ready.pop_front();
        }
        cost += more;
    }
    target.in_flight = true;
    ++merges_in_flight_;
    context_.port.merge(std::move(entries),
                        context_.here([this, origin, run = std::move(run), cost](Result<void> result) mutable {
                            merged(origin, std::move(run), cost, std::move(result));
                        }));
}

void Inbox::merged(const Origin& origin, std::vector<Held> run, size_t cost, Result<void> result) {
    --merges_in_flight_;
    Stream& target = stream(origin);
    const uint64_t last = run.back().entry.sequence;
    if (!result) {
        ++context_.counters.merges_failed;
        if (++target.failures >= 3) {
            context_.alarm(AlarmKind::origin_stopped, to_text(origin),
                           "entries of origin " + to_text(origin) + " from " +
                               std::to_string(run.front().entry.sequence) +
                               " on cannot be merged: " + result.error().message);
        }
        for (auto it = run.rbegin(); it != run.rend(); ++it) target.ready.push_front(std::move(*it));
        context_.post_after(context_.backoff_us(target.failures), [this, origin] {
            stream(origin).in_flight = false;
            merge_more();
        });
        return merge_more();
    }
    target.in_flight = false;
    if (target.failures > 0) context_.clear_alarm(AlarmKind::origin_stopped, to_text(origin));
    target.failures = 0;
    target.durable = std::max(target.durable, last);
    context_.counters.entries_merged += run.size();
    change_backlog(cost, 0);
    merge_more();
    if (events_.progress) events_.progress(origin);
}

void Inbox::merge_unnumbered() {
    if (unnumbered_in_flight_ || unnumbered_.empty()) return;
    unnumbered_in_flight_ = true;
    context_.port.merge(unnumbered_.front().entries, context_.here([this](Result<void> result) {
        Unnumbered& first = unnumbered_.front();
        if (!result && first.repeats) {
            // The others need not wait for one that perhaps never succeeds.
            ++context_.counters.merges_failed;
            const auto failed = std::make_shared<Unnumbered>(std::move(first));
            unnumbered_.pop_front();
            unnumbered_in_flight_ = false;
            context_.post_after(context_.backoff_us(++failed->failures), [this, failed] {
                unnumbered_.push_back(std::move(*failed));
                merge_more();
            });
            return merge_more();
        }
        unnumbered_in_flight_ = false;
        const Unnumbered finished = std::move(first);
        unnumbered_.pop_front();
        change_backlog(finished.cost, 0);
        merge_more();
        if (finished.done) finished.done(std::move(result));
    }));
}

void Inbox::change_backlog(size_t less, size_t more) {
    backlog_bytes_ = backlog_bytes_ - less + more;
    const size_t limit = context_.options.merge_backlog_bytes_max;
    const bool room_now = told_room_ ? backlog_bytes_ < limit : backlog_bytes_ < limit / 2;
    if (room_now == told_room_) return;
    told_room_ = room_now;
    if (events_.room) events_.room(room_now);
}

}  // namespace meridian::replication
