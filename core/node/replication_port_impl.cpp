#include "node/replication_port_impl.h"

#include <algorithm>
#include <iterator>
#include <type_traits>
#include <utility>

#include "wire/log_entry.h"

namespace meridian::node {

namespace {

// Pages in which the log is read; what is not asked for in it costs as much as what is.
constexpr size_t log_page_entries = 1024;
constexpr size_t log_page_bytes = 1 << 20;

Result<void> result_of(CommitStatus status, const char* what) {
    if (status == CommitStatus::durable) return {};
    return Error{std::string(what) +
                 (status == CommitStatus::outcome_unknown ? ": the outcome is unknown" : ": it was not committed")};
}

void append(std::vector<KeyDigest>& all, std::vector<KeyDigest> part) {
    all.insert(all.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
}
void append(std::vector<KeyState>& all, std::vector<KeyState> part) {
    all.insert(all.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
}

}  // namespace

uint64_t new_incarnation(Clock& clock, Random& random) {
    return (clock.wall_ms() << 16) | (random.next_u64() & 0xffff);
}

ReplicationPortImpl::ReplicationPortImpl(Environment environment) : env_(std::move(environment)) {}

void ReplicationPortImpl::set_listener(ReplicationListener* listener) {
    env_.committer.set_replication_listener(listener);
}

Origin ReplicationPortImpl::self() const {
    return {env_.node_id, env_.committer.incarnation()};
}

void ReplicationPortImpl::begin_incarnation(std::function<void(Result<void>)> done) {
    env_.commit_lane.post([this, done = std::move(done)] {
        // Two starts within a millisecond must not share one.
        const uint64_t incarnation =
            std::max(new_incarnation(env_.clock, env_.random), env_.committer.incarnation() + 1);
        env_.committer.begin_incarnation(incarnation, [this, done](CommitStatus status) {
            env_.lane.post([done, status] { done(result_of(status, "new incarnation")); });
        });
    });
}

VersionVector ReplicationPortImpl::vector() const {
    return env_.committer.vector();
}

VersionVector ReplicationPortImpl::floors() const {
    return env_.committer.log_index().floors(env_.committer.vector());
}

void ReplicationPortImpl::set_needed(VersionVector held_by_all) {
    uint64_t from = UINT64_MAX;
    for (const auto& [origin, sequence] : env_.committer.vector()) {
        const uint64_t by_all = held(held_by_all, origin);
        if (by_all < sequence) from = std::min(from, env_.committer.log_index().start_of(origin, by_all));
    }
    env_.needed_from.store(from, std::memory_order_relaxed);
}

void ReplicationPortImpl::set_covered_before(uint64_t wall_ms) {
    env_.covered_before_ms.store(wall_ms, std::memory_order_relaxed);
}

void ReplicationPortImpl::raise_vector(VersionVector vector, std::function<void(Result<void>)> done) {
    vector.erase(self());
    if (vector.empty()) {
        env_.lane.post([done = std::move(done)] { done({}); });
        return;
    }
    env_.committer.raise(std::move(vector), [this, done = std::move(done)](CommitStatus status) {
        env_.lane.post([done, status] { done(result_of(status, "raised vector")); });
    });
}

template <class Item, class Out, class NameOf>
void ReplicationPortImpl::on_shards(
    std::vector<Item> items, NameOf name_of,
    std::function<void(ShardImpl&, std::vector<Item>, std::function<void(Result<Out>)>)> work,
    std::function<void(Result<Out>)> done) {
    std::vector<std::vector<Item>> by_shard(env_.shards.size());
    for (Item& item : items) by_shard[env_.shard_index(name_of(item).namespace_name)].push_back(std::move(item));
    struct Gathered {
        size_t left = 0;
        Out all{};
        std::optional<Error> error;
    };
    auto gathered = std::make_shared<Gathered>();
    for (const auto& part : by_shard) gathered->left += !part.empty();
    if (gathered->left == 0) {
        env_.lane.post([done = std::move(done)] { done(Out{}); });
        return;
    }
    const auto gather = [this, gathered, done = std::move(done)](Result<Out> part) {
        env_.lane.post([gathered, done, part = std::move(part)]() mutable {
            if (part) {
                append(gathered->all, std::move(part).value());
            } else if (!gathered->error) {
                gathered->error = part.error();
            }
            if (--gathered->left != 0) return;
            gathered->error ? done(*gathered->error) : done(std::move(gathered->all));
        });
    };
    for (size_t i = 0; i < by_shard.size(); ++i) {
        if (by_shard[i].empty()) continue;
        env_.shard_lanes[i]->post([this, i, work, gather, part = std::move(by_shard[i])]() mutable {
            work(*env_.shards[i], std::move(part), gather);
        });
    }
}

// Entries of different shards go to the committer one part after the other, so that those of an origin are in the log
// in the order of their numbers: whatever a crash leaves of a call is its beginning, and is counted by the vector.
struct ReplicationPortImpl::Merging {
    struct Part {
        size_t shard;
        std::vector<RemoteEntry> entries;
    };
    std::vector<Part> parts;
    size_t unfinished = 0;  // replication lane
    std::optional<Error> error;
    std::function<void(Result<void>)> done;
};

void ReplicationPortImpl::merge(std::vector<RemoteEntry> entries, std::function<void(Result<void>)> done) {
    auto merging = std::make_shared<Merging>();
    merging->done = std::move(done);
    const auto shard_of = [this](const RemoteEntry& entry) { return env_.shard_index(entry.name.namespace_name); };
    // Of those without numbers the order does not matter.
    if (std::all_of(entries.begin(), entries.end(), [](const auto& entry) { return entry.sequence == 0; })) {
        std::stable_sort(entries.begin(), entries.end(), [&](const RemoteEntry& left, const RemoteEntry& right) {
            return shard_of(left) < shard_of(right);
        });
    }
    std::vector<std::vector<KeyName>> names(env_.shards.size());
    for (RemoteEntry& entry : entries) {
        const size_t shard = shard_of(entry);
        if (merging->parts.empty() || merging->parts.back().shard != shard) merging->parts.push_back({shard, {}});
        names[shard].push_back(entry.name);
        merging->parts.back().entries.push_back(std::move(entry));
    }
    merging->unfinished = merging->parts.size();
    if (merging->parts.empty()) {
        env_.lane.post([merging] { merging->done({}); });
        return;
    }
    // Cold keys of one part must not wait for those of another.
    for (size_t shard = 0; merging->parts.size() > 1 && shard < names.size(); ++shard) {
        if (names[shard].empty()) continue;
        env_.shard_lanes[shard]->post([this, shard, cold = std::move(names[shard])]() mutable {
            env_.shards[shard]->load_ahead(std::move(cold));
        });
    }
    merge_part(merging, 0, std::nullopt);
}

void ReplicationPortImpl::merge_part(const std::shared_ptr<Merging>& merging, size_t index,
                                     std::optional<uint64_t> epoch) {
    const size_t shard = merging->parts[index].shard;
    env_.shard_lanes[shard]->post([this, merging, shard, index, epoch] {
        ShardImpl::MergePart part;
        part.entries = std::move(merging->parts[index].entries);
        part.epoch = epoch;
        part.submitted = [this, merging, index](std::optional<uint64_t> under) {
            const size_t following = merging->parts.size() - index - 1;
            if (following == 0) return;
            if (under) return merge_part(merging, index + 1, under);
            env_.lane.post([merging, following] { merging->unfinished -= following; });
        };
        part.done = [this, merging](const Result<void>& merged) {
            env_.lane.post([merging, merged] {
                if (!merged && !merging->error) merging->error = merged.error();
                if (--merging->unfinished != 0) return;
                merging->error ? merging->done(*merging->error) : merging->done({});
            });
        };
        env_.shards[shard]->merge(std::move(part));
    });
}

void ReplicationPortImpl::digest_keys(std::optional<KeyName> after, size_t count_max, const DigestKey& key,
                                      std::function<void(DigestPage)> done) {
    env_.store.scan_keys({}, std::move(after), count_max, [this, key, done = std::move(done)](KeyPage page) {
        if (!page.error.empty()) {
            DigestPage failed;
            failed.error = page.error;
            env_.lane.post([done, failed = std::move(failed)] { done(failed); });
            return;
        }
        std::optional<KeyName> next;
        if (page.more && !page.names.empty()) next = page.names.back();
        on_shards<KeyName, std::vector<KeyDigest>>(
            std::move(page.names), [](const KeyName& name) -> const KeyName& { return name; },
            [key](ShardImpl& shard, std::vector<KeyName> part,
                  std::function<void(Result<std::vector<KeyDigest>>)> report) {
                shard.digest(std::move(part), key, std::move(report));
            },
            [done, next = std::move(next)](Result<std::vector<KeyDigest>> digests) {
                DigestPage out;
                if (digests) {
                    out.digests = *std::move(digests);
                    std::sort(out.digests.begin(), out.digests.end(),
                              [](const KeyDigest& left, const KeyDigest& right) { return left.name < right.name; });
                    out.next = next;
                } else {
                    out.error = digests.error().message;
                }
                done(std::move(out));
            });
    });
}

void ReplicationPortImpl::read_states(std::vector<KeyName> names,
                                      std::function<void(Result<std::vector<KeyState>>)> done) {
    on_shards<KeyName, std::vector<KeyState>>(
        std::move(names), [](const KeyName& name) -> const KeyName& { return name; },
        [](ShardImpl& shard, std::vector<KeyName> part, std::function<void(Result<std::vector<KeyState>>)> report) {
            shard.read_states(std::move(part), std::move(report));
        },
        std::move(done));
}

// One walk over the log serves all ranges. What is ahead of a gap is put aside: in a log of an earlier version entries
// of different shards may have overtaken each other.
struct ReplicationPortImpl::Reading {
    struct Range {
        EntryRange wanted;
        uint64_t contiguous = 0;             // up to here all of it has been found
        std::map<uint64_t, LogEntry> found;  // after `wanted.after`
        uint64_t held = 0;                   // what there is
        uint64_t passed_over = UINT64_MAX;   // position of the first entry after what is asked for, or held
        bool done() const { return contiguous >= std::min(wanted.upto, held); }
    };
    std::map<Origin, Range> ranges;
    std::vector<std::pair<Origin, uint64_t>> gone;
    size_t count_max = 0, bytes_max = 0;
    size_t count = 0, bytes = 0;
    uint64_t position = 0;
    std::string error;
    std::function<void(EntryPage)> done;
};

void ReplicationPortImpl::read_entries(std::vector<EntryRange> ranges, size_t count_max, size_t bytes_max,
                                       std::function<void(EntryPage)> done) {
    auto reading = std::make_shared<Reading>();
    for (const EntryRange& range : ranges) {
        Reading::Range& one = reading->ranges[range.origin];
        one.wanted = range;
        one.contiguous = range.after;
    }
    reading->count_max = std::max<size_t>(count_max, 1);
    reading->bytes_max = bytes_max;
    reading->done = std::move(done);
    env_.lane.post([this, reading] { begin_reading(reading); });
}

void ReplicationPortImpl::begin_reading(const std::shared_ptr<Reading>& reading) {
    const VersionVector vector = env_.committer.vector();
    LogIndex& index = env_.committer.log_index();
    const VersionVector floors = index.floors(vector);
    reading->gone.clear();
    reading->position = UINT64_MAX;
    for (auto& [origin, range] : reading->ranges) {
        range.held = held(vector, origin);
        if (range.done()) continue;
        if (range.wanted.after + 1 < held(floors, origin)) {
            reading->gone.emplace_back(origin, held(floors, origin));
            range.held = 0;
            continue;
        }
        uint64_t start = index.start_of(origin, range.wanted.after);
        const auto hint = hints_.find(origin);
        if (hint != hints_.end() && hint->second.sequence <= range.wanted.after)
            start = std::max(start, hint->second.position);
        reading->position = std::min(reading->position, start);
    }
    read_on(reading);
}

void ReplicationPortImpl::read_on(const std::shared_ptr<Reading>& reading) {
    const bool all = std::all_of(reading->ranges.begin(), reading->ranges.end(),
                                 [](const auto& each) { return each.second.done(); });
    // A page with nothing in it would be asked for again, for ever: what is ahead of a gap does not fill one.
    const bool some = std::any_of(reading->ranges.begin(), reading->ranges.end(),
                                  [](const auto& each) { return each.second.contiguous > each.second.wanted.after; });
    const bool full = reading->count >= reading->count_max || reading->bytes >= reading->bytes_max;
    if (all || (some && full)) return finish_reading(reading);
    env_.store.read_log(reading->position, log_page_entries, log_page_bytes, [this, reading](LogPage page) {
        env_.lane.post([this, reading, page = std::move(page)]() mutable { on_log_page(reading, std::move(page)); });
    });
}

void ReplicationPortImpl::on_log_page(const std::shared_ptr<Reading>& reading, LogPage page) {
    if (!page.error.empty()) {
        reading->error = page.error;
        return finish_reading(reading);
    }
    if (page.gone) {  // the log was truncated since its floor was last seen
        if (page.floor <= env_.committer.log_index().floor()) {
            reading->error =
                "the log begins at " + std::to_string(page.floor) + " and refuses " + std::to_string(reading->position);
            return finish_reading(reading);
        }
        set_log_floor(page.floor);
        return begin_reading(reading);
    }
    for (LogEntry& entry : page.entries) {
        const auto at = reading->ranges.find({entry.origin_node_id, entry.origin_incarnation});
        if (at == reading->ranges.end()) continue;
        Reading::Range& range = at->second;
        const uint64_t sequence = entry.origin_sequence;
        if (sequence <= range.wanted.after) continue;
        if (sequence > std::min(range.wanted.upto, range.held)) {
            range.passed_over = std::min(range.passed_over, entry.position);
            continue;
        }
        const size_t bytes = entry.payload.size() + entry.name.key.size() + entry.name.namespace_name.size();
        if (reading->count > 0 &&
            (reading->count >= reading->count_max || reading->bytes + bytes > reading->bytes_max) &&
            range.contiguous > range.wanted.after) {
            return finish_reading(reading);
        }
        if (!range.found.emplace(sequence, std::move(entry)).second) continue;
        ++reading->count;
        reading->bytes += bytes;
        while (range.found.count(range.contiguous + 1) != 0) ++range.contiguous;
    }
    // The head of the log: what was durable when the reading began has been read.
    if (page.entries.empty() || page.next_position <= reading->position) return finish_reading(reading);
    reading->position = page.next_position;
    read_on(reading);
}

void ReplicationPortImpl::finish_reading(const std::shared_ptr<Reading>& reading) {
    EntryPage out;
    out.error = reading->error;
    out.gone = std::move(reading->gone);
    out.complete = out.error.empty() && out.gone.empty();
    for (auto& [origin, range] : reading->ranges) {
        if (!range.done()) out.complete = false;
        uint64_t next_position = std::min(reading->position, range.passed_over);
        for (auto& [sequence, entry] : range.found) {
            if (sequence > range.contiguous) {
                next_position = std::min(next_position, entry.position);
                continue;
            }
            RemoteEntry given;
            given.origin = origin;
            given.sequence = sequence;
            const auto payload = wire::decode_log_entry(entry.payload);
            given.wall_ms = payload ? payload->stamp.hlc.wall_ms : entry.wall_ms;
            given.name = std::move(entry.name);
            given.payload = std::move(entry.payload);
            out.entries.push_back(std::move(given));
        }
        if (range.contiguous > range.wanted.after) hints_[origin] = {range.contiguous, next_position};
    }
    reading->done(std::move(out));
}

void ReplicationPortImpl::set_log_floor(uint64_t floor) {
    std::vector<MetadataWrite> removals = env_.committer.log_index().set_floor(floor);
    if (!removals.empty()) env_.committer.submit_metadata(std::move(removals));
}

}  // namespace meridian::node
