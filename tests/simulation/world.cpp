#include "simulation/world.h"

#include <algorithm>
#include <utility>

namespace meridian::simulation {

void SimulatedLane::post(Task task) {
    if (retired_) return;
    if (ready_.empty()) world_.ready_.push_back(this);
    ready_.push_back(std::move(task));
}

void SimulatedLane::post_after(uint64_t delay_us, Task task) {
    world_.at(world_.monotonic_us() + delay_us, *this, std::move(task));
}

void World::fill(void* bytes, size_t size) {
    auto* out = static_cast<uint8_t*>(bytes);
    for (size_t i = 0; i < size; ++i) out[i] = static_cast<uint8_t>(generator_());
}

SimulatedLane& World::make_lane() {
    lanes_.push_back(std::make_unique<SimulatedLane>(*this));
    return *lanes_.back();
}

void World::at(uint64_t time_us, SimulatedLane& lane, Task task) {
    if (lane.retired_) return;
    timers_.push_back({time_us, next_order_++, &lane, std::move(task)});
    std::push_heap(timers_.begin(), timers_.end(), std::greater<>());
}

bool World::step(uint64_t until_us) {
    while (!timers_.empty() && timers_.front().time_us <= now_us_) {
        std::pop_heap(timers_.begin(), timers_.end(), std::greater<>());
        timers_.back().lane->post(std::move(timers_.back().task));
        timers_.pop_back();
    }
    if (ready_.empty()) {
        if (timers_.empty() || timers_.front().time_us > until_us) return false;
        now_us_ = timers_.front().time_us;
        return true;
    }
    SimulatedLane*& chosen = ready_[below(ready_.size())];
    SimulatedLane& lane = *chosen;
    Task task = std::move(lane.ready_.front());
    lane.ready_.pop_front();
    if (lane.ready_.empty()) {
        chosen = ready_.back();
        ready_.pop_back();
    }
    ++tasks_;
    task();
    return true;
}

void World::run_for(uint64_t duration_us) {
    const uint64_t until_us = now_us_ + duration_us;
    while (step(until_us)) {}
    now_us_ = std::max(now_us_, until_us);
}

bool World::run_until(const std::function<bool()>& done, uint64_t limit_us) {
    const uint64_t until_us = now_us_ + limit_us;
    while (!done()) {
        if (!step(until_us)) return false;
    }
    return true;
}

void World::drop_all_tasks() {
    timers_.clear();
    ready_.clear();
    for (const auto& lane : lanes_) lane->ready_.clear();
}

void World::retire(const std::vector<SimulatedLane*>& lanes) {
    for (SimulatedLane* lane : lanes) {
        lane->retired_ = true;
        lane->ready_.clear();
    }
    const auto retired = [](const SimulatedLane* lane) { return lane->retired_; };
    ready_.erase(std::remove_if(ready_.begin(), ready_.end(), retired), ready_.end());
    timers_.erase(std::remove_if(timers_.begin(), timers_.end(), [&](const Timer& each) { return retired(each.lane); }),
                  timers_.end());
    std::make_heap(timers_.begin(), timers_.end(), std::greater<>());
}

void Disk::append(node::CommitGroup group) {
    for (node::LogEntry& entry : group.entries) log.push_back(std::move(entry));
    for (node::MetadataWrite& write : group.metadata) {
        if (write.value) {
            metadata[write.name] = *std::move(write.value);
        } else {
            metadata.erase(write.name);
        }
    }
}

SimulatedStore::SimulatedStore(World& world, Disk& disk) : world_(world), disk_(disk), lane_(world.make_lane()) {
    if (disk.unsynced) disk.append(*std::exchange(disk.unsynced, std::nullopt));
    opening_.store_id = std::string(16, 's');
    opening_.next_position = disk.last_position() + 1;
    opening_.floor = disk.floor;
    opening_.created = disk.log.empty() && disk.metadata.empty();
}

void SimulatedStore::later(Task task) {
    world_.at(world_.monotonic_us() + 20 + world_.below(400), lane_, std::move(task));
}

void SimulatedStore::later_unless_stalled(Task task) {
    if (stalled_) {
        stalled_tasks_.push_back(std::move(task));
    } else {
        later(std::move(task));
    }
}

void SimulatedStore::stall(bool on) {
    stalled_ = on;
    if (on) return;
    for (Task& task : std::exchange(stalled_tasks_, {})) later(std::move(task));
}

node::StoreUsage SimulatedStore::usage() const {
    node::StoreUsage usage;
    for (const node::LogEntry& entry : disk_.log) usage.log_bytes += entry.payload.size() + 64;
    usage.log_bytes_available = log_bytes_available_;
    usage.failed = failed_;
    return usage;
}

void SimulatedStore::commit_views(const node::CommitGroupView& group,
                                  std::function<void(node::CommitResult)> completion) {
    if (commit_in_flight_) violation_ = "commit() while a group is in flight";
    commit_in_flight_ = true;
    ++commits_;
    const node::CommitStatus failure =
        failed_ ? node::CommitStatus::not_committed : std::exchange(next_failure_, node::CommitStatus::durable);
    auto shared = std::make_shared<node::CommitGroup>();
    for (const node::LogEntryView& entry : group.entries) {
        shared->entries.push_back({entry.position,
                                   entry.origin_node_id,
                                   entry.origin_incarnation,
                                   entry.origin_sequence,
                                   entry.wall_ms,
                                   entry.deadline_ms,
                                   {std::string(entry.namespace_name), std::string(entry.key)},
                                   std::string(entry.payload)});
    }
    shared->metadata.assign(group.metadata.begin(), group.metadata.end());
    later([this, shared, failure, completion = std::move(completion)] {
        commit_in_flight_ = false;
        uint64_t expected = disk_.last_position() + 1;
        for (const node::LogEntry& entry : shared->entries) {
            if (entry.position != expected) {
                violation_ = "position " + std::to_string(entry.position) + ", expected " + std::to_string(expected);
            }
            ++expected;
        }
        if (failure == node::CommitStatus::outcome_unknown) {
            failed_ = true;
            if (world_.chance(0.5)) disk_.unsynced = std::move(*shared);
        } else if (failure == node::CommitStatus::durable) {
            groups_.emplace_back(disk_.last_position() + 1, expected - 1);
            disk_.append(std::move(*shared));
        }
        completion({failure, failure == node::CommitStatus::durable ? "" : "simulated failure"});
    });
}

node::KeyRecord SimulatedStore::record_of(const node::KeyName& name) const {
    node::KeyRecord record;
    record.name = name;
    const auto row = disk_.rows.find(name);
    if (row != disk_.rows.end()) {
        record.snapshot = row->second.state;
        record.snapshot_position = row->second.position;
    }
    for (const node::LogEntry& entry : disk_.log) {
        if (entry.name != name || entry.position <= record.snapshot_position) continue;
        record.tail.push_back(entry.payload);
        record.tail_position = entry.position;
    }
    return record;
}

void SimulatedStore::read_keys(std::vector<node::KeyName> names,
                               std::function<void(std::vector<node::KeyRecord>)> completion) {
    later_unless_stalled([this, names = std::move(names), completion = std::move(completion)] {
        std::vector<node::KeyRecord> records;
        for (const node::KeyName& name : names) records.push_back(record_of(name));
        completion(std::move(records));
    });
}

void SimulatedStore::checkpoint(std::vector<node::SnapshotWrite> snapshots,
                                std::function<void(std::string)> completion) {
    for (const node::SnapshotWrite& write : snapshots) {
        if (write.position > disk_.last_position()) violation_ = "a snapshot is ahead of the log";
    }
    later_unless_stalled([this, snapshots = std::move(snapshots), completion = std::move(completion)] {
        if (failing_checkpoints_ > 0) {
            --failing_checkpoints_;
            return completion("simulated failure");
        }
        for (const node::SnapshotWrite& write : snapshots) {
            if (unwritable_.count(write.name) != 0) return completion("simulated failure of a key");
        }
        for (const node::SnapshotWrite& write : snapshots) {
            Disk::Row& row = disk_.rows[write.name];
            if (row.position > write.position) continue;
            row = {write.position, write.deadline_ms, write.state};
        }
        // The log goes up to the first entry that no snapshot covers, or that is to be retained.
        while (!disk_.log.empty() && disk_.floor < retain_from_) {
            const node::LogEntry& entry = disk_.log.front();
            const auto row = disk_.rows.find(entry.name);
            if (row == disk_.rows.end() || row->second.position < entry.position) break;
            disk_.log.erase(disk_.log.begin());
            ++disk_.floor;
        }
        completion({});
    });
}

std::vector<node::KeyName> SimulatedStore::stale_keys(size_t count_max) const {
    std::vector<node::KeyName> names;
    for (const node::LogEntry& entry : disk_.log) {
        if (names.size() == count_max) break;
        const auto row = disk_.rows.find(entry.name);
        if (row != disk_.rows.end() && row->second.position >= entry.position) continue;
        if (std::find(names.begin(), names.end(), entry.name) == names.end()) names.push_back(entry.name);
    }
    return names;
}

void SimulatedStore::read_log(uint64_t from_position, size_t entries_max, size_t bytes_max,
                              std::function<void(node::LogPage)> completion) {
    later([this, from_position, entries_max, bytes_max, completion = std::move(completion)] {
        node::LogPage page;
        page.floor = disk_.floor;
        page.gone = from_position < disk_.floor;
        page.next_position = from_position;
        size_t bytes = 0;
        for (const node::LogEntry& entry : disk_.log) {
            if (page.gone || entry.position < from_position) continue;
            if (page.entries.size() == entries_max || (bytes != 0 && bytes + entry.payload.size() > bytes_max)) break;
            bytes += entry.payload.size();
            page.entries.push_back(entry);
            page.next_position = entry.position + 1;
        }
        completion(std::move(page));
    });
}

void SimulatedStore::scan_keys(std::string namespace_name, std::optional<node::KeyName> after, size_t count_max,
                               std::function<void(node::KeyPage)> completion) {
    later([this, namespace_name = std::move(namespace_name), after = std::move(after), count_max,
           completion = std::move(completion)] {
        std::map<node::KeyName, bool> all;
        for (const auto& [name, row] : disk_.rows) {
            if (row.state) all[name] = true;
        }
        for (const node::LogEntry& entry : disk_.log) all[entry.name] = true;
        node::KeyPage page;
        for (const auto& [name, here] : all) {
            if (after && name <= *after) continue;
            if (!namespace_name.empty() && name.namespace_name != namespace_name) continue;
            if (page.names.size() == count_max) {
                page.more = true;
                break;
            }
            page.names.push_back(name);
        }
        completion(std::move(page));
    });
}

void SimulatedStore::scan_due(uint64_t until_ms, size_t count_max,
                              std::function<void(std::vector<node::DueKey>)> completion) {
    later([this, until_ms, count_max, completion = std::move(completion)] {
        std::map<node::KeyName, uint64_t> deadlines;
        for (const auto& [name, row] : disk_.rows) {
            if (row.state) deadlines[name] = row.deadline_ms;
        }
        for (const node::LogEntry& entry : disk_.log) {
            const auto row = disk_.rows.find(entry.name);
            if (row == disk_.rows.end() || row->second.position < entry.position)
                deadlines[entry.name] = entry.deadline_ms;
        }
        std::vector<node::DueKey> due;
        for (const auto& [name, deadline_ms] : deadlines) {
            if (deadline_ms != 0 && deadline_ms <= until_ms) due.push_back({name, deadline_ms});
        }
        std::sort(due.begin(), due.end(), [](const node::DueKey& left, const node::DueKey& right) {
            return left.deadline_ms < right.deadline_ms;
        });
        if (due.size() > count_max) due.resize(count_max);
        completion(std::move(due));
    });
}

void SimulatedStore::read_metadata(std::vector<std::string> names,
                                   std::function<void(Result<std::vector<std::optional<std::string>>>)> completion) {
    later([this, names = std::move(names), completion = std::move(completion)] {
        if (std::exchange(fail_metadata_read_, false)) return completion(Error{"simulated failure"});
        std::vector<std::optional<std::string>> values;
        for (const std::string& name : names) {
            const auto found = disk_.metadata.find(name);
            values.push_back(found == disk_.metadata.end() ? std::nullopt : std::optional(found->second));
        }
        completion(std::move(values));
    });
}

void SimulatedStore::scan_metadata(std::string prefix, std::string after, size_t count_max,
                                   std::function<void(std::vector<std::pair<std::string, std::string>>)> completion) {
    later([this, prefix = std::move(prefix), after = std::move(after), count_max, completion = std::move(completion)] {
        std::vector<std::pair<std::string, std::string>> page;
        for (auto it = disk_.metadata.upper_bound(std::max(prefix, after)); it != disk_.metadata.end(); ++it) {
            if (it->first.compare(0, prefix.size(), prefix) != 0 || page.size() == count_max) break;
            page.push_back(*it);
        }
        completion(std::move(page));
    });
}

void SimulatedStore::backup(std::string, std::function<void(std::string)> completion) {
    later([completion = std::move(completion)] { completion("a simulated store has no backup"); });
}

}  // namespace meridian::simulation
