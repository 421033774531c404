// What is measured about a process from outside, what one message through the loopback interface costs, and latencies.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"

namespace meridian::load {

// Nanoseconds of a clock that never goes back.
uint64_t now_ns();

// A running process, named by its id. Values are absent when the process is gone or not ours to look at.
class Process {
public:
    explicit Process(pid_t id) : id_(id) {}
    pid_t id() const { return id_; }
    // User and system time of all its threads, those that have ended included.
    std::optional<uint64_t> cpu_ns() const;
    // The same of each thread that is running, by its id; empty where the kernel does not tell.
    std::map<pid_t, uint64_t> thread_cpu_ns() const;
    // Memory that belongs to it alone: what would be free if it ended. User space only.
    std::optional<uint64_t> private_bytes() const;
    std::optional<uint64_t> descriptors() const;

private:
    pid_t id_;
};

// CPU time of this process.
uint64_t own_cpu_ns();

// CPU time of one blocking send and receive of `bytes` over a TCP connection of this process with itself: the unit in
// which costs of a server are given, since it varies between machines, and over time, as those do. Takes about 0.2 s.
Result<double> loopback_pair_ns(size_t bytes);

// The load average of the last minute.
double load_average();

// Counts of durations in buckets of at most 1.6 % width. A value.
class Histogram {
public:
    void record(uint64_t duration_ns);
    void add(const Histogram& other);
    uint64_t count() const { return count_; }
    // The upper end of the bucket in which that part (0 to 1) of the durations ends; 0 if there are none.
    uint64_t quantile_ns(double part) const;

private:
    static constexpr unsigned sub_bits = 6;
    static constexpr size_t buckets = (64 - sub_bits + 1) << sub_bits;
    std::array<uint64_t, buckets> counts_{};
    uint64_t count_ = 0;
};

}  // namespace meridian::load
