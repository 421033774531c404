// What the child does with the store until it is killed: several writers, snapshots, removals, a floor that advances,
// readers. What was submitted and acknowledged is told through RunStatus.
//
// Threads: several of its own.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <random>
#include <string>

#include "model.h"
#include "node/store.h"
#include "run_status.h"

namespace meridian::power_loss {

// Which failures the child must expect.
struct ExpectedFaults {
    bool any = false;
    bool reads = false;
};

class Workload {
public:
    Workload(node::Store& store, RunStatus& status, uint64_t seed, uint64_t run, ExpectedFaults faults);
    // Reads back what the store has, then announces that it is open. False: the store did what it must not.
    bool begin();
    // Returns when the runner wants the store closed, or it has done something that it must not, which the status
    // tells.
    void run();

private:
    struct InFlight {
        GroupPlan plan;
        uint64_t beat = 0;  // counter of a group of metadata only; 0 = a group with entries
    };
    static constexpr size_t writer_count = 6;
    static constexpr size_t in_flight_max = 24;

    void write(uint64_t thread);
    void submit(std::mt19937_64& random);
    void completed(const node::CommitResult& result);
    void write_snapshots();
    void write_some_snapshots(std::mt19937_64& random);
    void remove_row(std::mt19937_64& random);
    void read();
    void read_something(std::mt19937_64& random);
    void violation(const std::string& what);
    bool finished();

    node::Store& store_;
    RunStatus& status_;
    const uint64_t seed_;
    const uint64_t run_;
    const ExpectedFaults faults_;

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<InFlight> in_flight_;  // guarded by mutex_, like the rest
    uint64_t next_ = 1;
    uint64_t durable_ = 0;  // last acknowledged position
    uint64_t beat_ = 0;
    bool broken_ = false;        // a group was refused: positions begin again behind the durable ones
    bool unknown_seen_ = false;  // nothing may be acknowledged any more
    bool finished_ = false;
    KeyTotals totals_[key_count];
};

}  // namespace meridian::power_loss
