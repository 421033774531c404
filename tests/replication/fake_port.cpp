#include "replication/fake_port.h"

#include <algorithm>
#include <utility>

#include "wire/log_entry.h"

namespace meridian::replication {

using node::held;
using node::Origin;
using node::RemoteEntry;

std::string payload_of(const std::set<std::string>& items, uint64_t batch_following) {
    std::string delta;
    for (const std::string& item : items) delta += item + '\n';
    wire::LogEntryParts parts;
    parts.batch_following = batch_following;
    parts.key_delta = delta;
    BinaryWriter payload;
    wire::encode_log_entry(payload, parts);
    return payload.take();
}

std::set<std::string> items_of(const std::string& bytes) {
    std::set<std::string> items;
    const Result<wire::LogEntryPayload> payload = wire::decode_log_entry(bytes);
    if (!payload) return items;
    size_t begin = 0;
    while (begin < payload->key_delta.size()) {
        const size_t end = payload->key_delta.find('\n', begin);
        items.insert(payload->key_delta.substr(begin, end - begin));
        begin = end + 1;
    }
    return items;
}

void FakeDisk::cut_log(const node::VersionVector& upto) {
    for (const auto& [origin, sequence] : upto) {
        auto& entries = log[origin];
        entries.erase(entries.begin(), entries.upper_bound(sequence));
        if (entries.empty()) log.erase(origin);
    }
}

FakePort::FakePort(simulation::World& world, FakeDisk& disk) : world_(world), disk_(disk), lane_(world.make_lane()) {}

FakePort::~FakePort() {
    *alive_ = false;
}

void FakePort::later(Task task) {
    next_free_us_ = std::max(next_free_us_ + 1, world_.monotonic_us() + 50 + world_.below(commit_delay_us));
    world_.at(next_free_us_, lane_, [task = std::move(task), alive = alive_] {
        if (*alive) task();
    });
}

void FakePort::join(const RemoteEntry& entry) {
    auto& state = disk_.states[entry.name];
    for (const std::string& item : items_of(entry.payload)) state.insert(item);
}

void FakePort::write(const std::vector<std::pair<std::string, std::string>>& batch, size_t padding_bytes) {
    ++writes_pending;
    later([this, batch, padding_bytes] {
        --writes_pending;
        std::vector<node::CommittedEntry> committed;
        uint64_t following = batch.size();
        for (const auto& [key, item] : batch) {
            const uint64_t sequence = ++disk_.vector[disk_.self];
            const RemoteEntry entry{disk_.self,
                                    sequence,
                                    world_.wall_ms(),
                                    {"ns", key},
                                    payload_of({item + std::string(padding_bytes, '.')}, --following)};
            disk_.log[disk_.self][sequence] = entry;
            join(entry);
            committed.push_back({sequence, entry.wall_ms, entry.name, entry.payload, disk_.self, nullptr});
            if (padding_bytes > 0) {
                const JsonValue told = JsonValue::string(std::string(padding_bytes, '.'));
                committed.back().view =
                    std::make_shared<node::DeltaFrame>(std::make_shared<const node::KeyName>(entry.name),
                                                       crdt::LwwRegisterClientDelta{crdt::LwwEntry{told, {}, 0}});
            }
        }
        if (listener_ != nullptr) listener_->on_committed(std::move(committed));
    });
}

void FakePort::adopt(const RemoteEntry& entry) {
    const uint64_t sequence = ++disk_.vector[disk_.self];
    disk_.log[disk_.self][sequence] = {disk_.self, sequence, world_.wall_ms(), entry.name, entry.payload};
    if (listener_ != nullptr)
        listener_->on_committed({{sequence, world_.wall_ms(), entry.name, entry.payload, disk_.self, nullptr}});
}

void FakePort::begin_incarnation(std::function<void(Result<void>)> done) {
    later([this, done = std::move(done)] {
        disk_.self.incarnation = 1 + ++disk_.incarnations;
        done({});
    });
}

void FakePort::check_merge(const std::vector<RemoteEntry>& entries) {
    if (entries.empty()) violation = "merge() of nothing";
    size_t bytes = 0;
    for (size_t i = 0; i < entries.size(); ++i) {
        const RemoteEntry& entry = entries[i];
        bytes += entry.payload.size();
        if (entry.origin == Origin{}) continue;
        if (entry.origin == disk_.self) violation = "merge() of an own entry";
        uint64_t& last = outstanding_[entry.origin];
        last = std::max(last, held(disk_.vector, entry.origin));
        if (entry.sequence > last + 1) {
            violation = "merge() of number " + std::to_string(entry.sequence) + " after " + std::to_string(last);
        }
        last = std::max(last, entry.sequence);
        const auto payload = wire::decode_log_entry(entry.payload);
        if (!payload) {
            violation = "merge() of what does not decode";
        } else if (payload->batch_following >= entries.size() - i) {
            violation = "merge() of part of a batch";
        }
    }
    merge_bytes_max = std::max(merge_bytes_max, bytes);
}

void FakePort::merge(std::vector<RemoteEntry> entries, std::function<void(Result<void>)> done) {
    check_merge(entries);
    ++merges_in_flight;
    merges_in_flight_max = std::max(merges_in_flight_max, merges_in_flight);
    bool fails = world_.chance(merge_failure);
    size_t count = fails ? world_.below(entries.size() + 1) : entries.size();
    for (size_t i = 0; unreadable && i < entries.size(); ++i) {
        if (!unreadable(entries[i])) continue;
        fails = true;
        count = 0;
    }
    later([this, entries = std::move(entries), done = std::move(done), fails, count] {
        --merges_in_flight;
        for (size_t i = 0; i < count; ++i) {
            const RemoteEntry& entry = entries[i];
            join(entry);
            if (entry.renumber) adopt(entry);
            if (entry.origin == Origin{}) continue;
            ++merged;
            uint64_t& last = disk_.vector[entry.origin];
            if (entry.sequence <= last) {
                ++repeated;
                continue;
            }
            last = entry.sequence;
            disk_.log[entry.origin][entry.sequence] = entry;
        }
        if (fails) {
            for (const RemoteEntry& entry : entries) {
                if (entry.origin == Origin{}) continue;
                outstanding_[entry.origin] = held(disk_.vector, entry.origin);
            }
            return done(Error{"simulated failure"});
        }
        done({});
    });
}

node::VersionVector FakePort::floors() const {
    node::VersionVector floors;
    for (const auto& [origin, entries] : disk_.log) floors[origin] = entries.begin()->first;
    return floors;
}

void FakePort::read_entries(std::vector<node::EntryRange> ranges, size_t count_max, size_t bytes_max,
                            std::function<void(node::EntryPage)> done) {
    if (reads_stall) return;
    later([this, ranges = std::move(ranges), count_max, bytes_max, done = std::move(done)] {
        node::EntryPage page;
        if (reads_fail) page.error = "simulated failure";
        page.complete = true;
        size_t bytes = 0;
        for (const node::EntryRange& range : ranges) {
            const uint64_t last = std::min(range.upto, held(disk_.vector, range.origin));
            if (reads_fail || range.after >= last) continue;
            const auto log = disk_.log.find(range.origin);
            const uint64_t floor =
                log == disk_.log.end() ? held(disk_.vector, range.origin) + 1 : log->second.begin()->first;
            if (floor > range.after + 1) {
                page.gone.emplace_back(range.origin, floor);
                continue;
            }
            for (auto it = log->second.upper_bound(range.after); it != log->second.end() && it->first <= last; ++it) {
                if (page.entries.size() >= count_max ||
                    (!page.entries.empty() && bytes + it->second.payload.size() > bytes_max)) {
                    page.complete = false;
                    break;
                }
                bytes += it->second.payload.size();
                page.entries.push_back(it->second);
            }
        }
        done(std::move(page));
    });
}

void FakePort::digest_keys(std::optional<node::KeyName> after, size_t count_max, const node::DigestKey& key,
                           std::function<void(node::DigestPage)> done) {
    if (key == node::DigestKey{}) violation = "digests without a key";
    later([this, after = std::move(after), count_max, done = std::move(done)] {
        node::DigestPage page;
        for (auto it = after ? disk_.states.upper_bound(*after) : disk_.states.begin(); it != disk_.states.end();
             ++it) {
            if (page.digests.size() == count_max) {
                page.next = page.digests.back().name;
                break;
            }
            uint64_t digest = 0;
            for (const std::string& item : it->second) digest = digest * 31 + std::hash<std::string>()(item);
            page.digests.push_back({it->first, digest});
        }
        done(std::move(page));
    });
}

void FakePort::read_states(std::vector<node::KeyName> names,
                           std::function<void(Result<std::vector<node::KeyState>>)> done) {
    later([this, names = std::move(names), done = std::move(done)] {
        if (reads_fail) return done(Error{"simulated failure"});
        std::vector<node::KeyState> states;
        for (const node::KeyName& name : names) {
            const auto found = disk_.states.find(name);
            states.push_back({name, std::nullopt});
            if (found != disk_.states.end()) states.back().payload = payload_of(found->second, 0);
        }
        done(std::move(states));
    });
}

void FakePort::raise_vector(node::VersionVector vector, std::function<void(Result<void>)> done) {
    later([this, vector = std::move(vector), done = std::move(done)] {
        for (const auto& [origin, sequence] : vector) {
            if (origin == disk_.self) continue;
            uint64_t& last = disk_.vector[origin];
            // What is raised over is not in the log; nor is, then, what came before it.
            if (sequence > last) disk_.log.erase(origin);
            last = std::max(last, sequence);
            outstanding_[origin] = std::max(outstanding_[origin], sequence);
        }
        done({});
    });
}

}  // namespace meridian::replication
