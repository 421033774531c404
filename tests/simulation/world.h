// A single-threaded world for the node: virtual time, seeded randomness, lanes whose tasks run in an order drawn from
// the seed, and a store on a simulated disk with faults. The code under test is the node that the server runs.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/environment.h"
#include "node/store.h"

namespace meridian::simulation {

class World;

class SimulatedLane final : public Lane {
public:
    explicit SimulatedLane(World& world) : world_(world) {}
    void post(Task task) override;
    void post_after(uint64_t delay_us, Task task) override;

private:
    friend class World;
    World& world_;
    bool retired_ = false;
    std::deque<Task> ready_;
};

class World final : public Clock, public Random {
public:
    explicit World(uint64_t seed) : generator_(seed) {}

    // Clock
    uint64_t wall_ms() const override { return wall_base_ms_ + now_us_ / 1000; }
    uint64_t monotonic_us() const override { return now_us_; }
    // Random
    void fill(void* bytes, size_t size) override;

    uint64_t below(uint64_t bound) { return std::uniform_int_distribution<uint64_t>(0, bound - 1)(generator_); }
    bool chance(double probability) { return std::bernoulli_distribution(probability)(generator_); }
    std::mt19937_64& generator() { return generator_; }

    SimulatedLane& make_lane();
    void at(uint64_t time_us, SimulatedLane& lane, Task task);
    void jump_wall_ms(int64_t delta_ms) { wall_base_ms_ += static_cast<uint64_t>(delta_ms); }

    // Runs one ready task of a lane drawn at random, or lets time pass to the next timer. False: nothing is left to do,
    // or only timers after `until_us`.
    bool step(uint64_t until_us);
    // Runs until virtual time has advanced by `duration_us` and no task is ready.
    void run_for(uint64_t duration_us);
    // Runs until `done()` or nothing is left within `limit_us`; false if it was not done.
    bool run_until(const std::function<bool()>& done, uint64_t limit_us = 60'000'000);
    // Power is lost: no lane runs any task that it has now.
    void drop_all_tasks();
    // Power is lost by some: these lanes never run anything again.
    void retire(const std::vector<SimulatedLane*>& lanes);
    // How many tasks have run.
    uint64_t tasks() const { return tasks_; }

private:
    friend class SimulatedLane;
    struct Timer {
        uint64_t time_us;
        uint64_t order;
        SimulatedLane* lane;
        Task task;
        bool operator>(const Timer& other) const {
            return time_us != other.time_us ? time_us > other.time_us : order > other.order;
        }
    };

    std::mt19937_64 generator_;
    uint64_t wall_base_ms_ = 1'700'000'000'000;
    uint64_t now_us_ = 0;
    uint64_t next_order_ = 0;
    uint64_t tasks_ = 0;
    std::vector<std::unique_ptr<SimulatedLane>> lanes_;
    std::vector<SimulatedLane*> ready_;  // those that have something to run
    std::vector<Timer> timers_;          // a heap, the next on top
};

// The world's clock, off by so much.
class OffsetClock final : public Clock {
public:
    OffsetClock(const Clock& world, const int64_t& ahead_ms) : world_(world), ahead_ms_(ahead_ms) {}
    uint64_t wall_ms() const override { return world_.wall_ms() + static_cast<uint64_t>(ahead_ms_); }
    uint64_t monotonic_us() const override { return world_.monotonic_us(); }

private:
    const Clock& world_;
    const int64_t& ahead_ms_;
};

// What survives a loss of power.
struct Disk {
    struct Row {
        uint64_t position = 0;
        uint64_t deadline_ms = 0;
        std::optional<std::string> state;  // absent: deleted; the position is still needed
    };
    std::vector<node::LogEntry> log;  // positions floor .. floor + size - 1
    uint64_t floor = 1;
    std::map<node::KeyName, Row> rows;
    std::map<std::string, std::string> metadata;
    // Written, but its sync failed: there when the store is opened again, and not read before.
    std::optional<node::CommitGroup> unsynced;

    void append(node::CommitGroup group);
    uint64_t last_position() const { return floor - 1 + log.size(); }
};

// A node::Store on a Disk. Everything completes after a delay drawn from the seed.
class SimulatedStore final : public node::Store {
public:
    SimulatedStore(World& world, Disk& disk);
    SimulatedLane& lane() { return lane_; }

    // Faults. Each applies to the next commit.
    void fail_next_commit(node::CommitStatus status) { next_failure_ = status; }
    // The next checkpoints fail and write nothing.
    void fail_next_checkpoints(uint64_t count) { failing_checkpoints_ = count; }
    // How many of those are still to come.
    uint64_t failing_checkpoints() const { return failing_checkpoints_; }
    // Checkpoints with one of these keys fail and write nothing.
    void fail_checkpoints_of(std::set<node::KeyName> names) { unwritable_ = std::move(names); }
    // Reads of keys and checkpoints are taken and not answered until it is called with false.
    void stall(bool on);
    void set_log_bytes_available(uint64_t bytes) { log_bytes_available_ = bytes; }
    uint64_t commits() const { return commits_; }
    // What breaks the contract of node::Store, e.g. a snapshot ahead of the log; empty if nothing did.
    const std::string& violation() const { return violation_; }
    // Each committed group as (first position, last position).
    const std::vector<std::pair<uint64_t, uint64_t>>& groups() const { return groups_; }

    const node::StoreOpening& opening() const override { return opening_; }
    node::StoreUsage usage() const override;
    void commit_views(const node::CommitGroupView& group, std::function<void(node::CommitResult)> completion) override;
    void read_keys(std::vector<node::KeyName> names,
                   std::function<void(std::vector<node::KeyRecord>)> completion) override;
    void checkpoint(std::vector<node::SnapshotWrite> snapshots, std::function<void(std::string)> completion) override;
    std::vector<node::KeyName> stale_keys(size_t count_max) const override;
    void retain_from(uint64_t position) override { retain_from_ = position; }
    void read_log(uint64_t from_position, size_t entries_max, size_t bytes_max,
                  std::function<void(node::LogPage)> completion) override;
    void scan_keys(std::string namespace_name, std::optional<node::KeyName> after, size_t count_max,
                   std::function<void(node::KeyPage)> completion) override;
    void scan_due(uint64_t until_ms, size_t count_max,
                  std::function<void(std::vector<node::DueKey>)> completion) override;
    void read_metadata(std::vector<std::string> names,
                       std::function<void(Result<std::vector<std::optional<std::string>>>)> completion) override;
    // The next read of metadata fails.
    void fail_next_metadata_read() { fail_metadata_read_ = true; }
    void scan_metadata(std::string prefix, std::string after, size_t count_max,
                       std::function<void(std::vector<std::pair<std::string, std::string>>)> completion) override;
    void backup(std::string target_directory, std::function<void(std::string)> completion) override;
    void close() override {}

private:
    void later(Task task);
    void later_unless_stalled(Task task);
    node::KeyRecord record_of(const node::KeyName& name) const;

    World& world_;
    Disk& disk_;
    SimulatedLane& lane_;
    node::StoreOpening opening_;
    node::CommitStatus next_failure_ = node::CommitStatus::durable;
    bool commit_in_flight_ = false;
    bool failed_ = false;
    bool fail_metadata_read_ = false;
    uint64_t failing_checkpoints_ = 0;
    std::set<node::KeyName> unwritable_;
    bool stalled_ = false;
    std::vector<Task> stalled_tasks_;
    uint64_t commits_ = 0;
    uint64_t log_bytes_available_ = 1ULL << 40;
    uint64_t retain_from_ = 0;
    std::string violation_;
    std::vector<std::pair<uint64_t, uint64_t>> groups_;
};

}  // namespace meridian::simulation
