// Reads all that the store keeps, slowly and again and again, so that damage is found while a backup still has what was
// lost. What it finds it reports, to the log and as a metric; it changes nothing, but ends writing if that would
// destroy more. A damaged key is an error of that key when it is read, whether the scrubber has been there or not.
//
// Metrics: scrub_passes (counter), scrub_damage (gauge: places found damaged in the last whole pass).
//
// Threads: one of its own between start() and stop().
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "meridian/plugin.hpp"
#include "segment.h"
#include "snapshot_db.h"

namespace meridian::store_kv {

struct ScrubOptions {
    uint64_t interval_ms = 0;  // from the end of one pass to the begin of the next; 0 = never
    uint64_t bytes_per_second = 8 << 20;
};

class Scrubber {
public:
    // `segments` is guarded by `state_mutex`. All references must outlive the scrubber.
    // `stop_writing` is called when the snapshot database is damaged so that writing to it would destroy rows.
    Scrubber(abi::Host host, ScrubOptions options, SegmentList& segments, std::mutex& state_mutex,
             const SnapshotDb& database, std::function<void(const std::string& what)> stop_writing);
    ~Scrubber() { stop(); }
    Scrubber(const Scrubber&) = delete;
    Scrubber& operator=(const Scrubber&) = delete;

    // Starts the thread if there is something to do. From the thread that made it, like the other two.
    void start();
    // Takes effect at once, in a pass that is under way too.
    void set_options(ScrubOptions options);
    void stop();

private:
    void run();
    // These answer false when stop() was called meanwhile.
    bool wait_for_pass(bool first);
    bool pass();
    bool check_segment(const std::shared_ptr<Segment>& segment);
    bool check_structure();
    bool check_rows();
    bool pace(uint64_t bytes);
    bool wait_ms(uint64_t milliseconds);

    void report(const std::string& what);

    abi::Host host_;
    SegmentList& segments_;
    std::mutex& state_mutex_;
    const SnapshotDb& database_;
    const std::function<void(const std::string& what)> stop_writing_;
    uint64_t damage_ = 0;   // found in this pass
    uint64_t unpaced_ = 0;  // bytes read since the last pause

    std::mutex mutex_;
    std::condition_variable wake_;
    ScrubOptions options_;   // guarded by mutex_
    bool stopping_ = false;  // guarded by mutex_
    std::thread thread_;
};

}  // namespace meridian::store_kv
