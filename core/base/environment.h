// The outside world as the core sees it: time, randomness and lanes of execution. Given the same implementations and
// the same seed the core behaves the same; the server supplies real ones, the simulator its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace meridian {

// Time. Thread-safe; never blocks.
class Clock {
public:
    virtual ~Clock() = default;
    // Milliseconds since the Unix epoch. May jump in either direction.
    virtual uint64_t wall_ms() const = 0;
    // Microseconds from an arbitrary start. Never goes back; timeouts use this one only.
    virtual uint64_t monotonic_us() const = 0;
};

// Randomness, cryptographic in the server, seeded in the simulator. Thread-safe.
class Random {
public:
    virtual ~Random() = default;
    virtual void fill(void* bytes, size_t size) = 0;
    uint64_t next_u64() {
        uint64_t value = 0;
        fill(&value, sizeof value);
        return value;
    }
};

using Task = std::function<void()>;

// A lane runs tasks one after another, in the order they were posted, each to its end. Tasks of one lane never overlap;
// tasks of different lanes may run at the same time. The server maps a lane to an event loop or a thread, the
// simulator runs all lanes on one thread in an order drawn from its seed.
class Lane {
public:
    virtual ~Lane() = default;
    // Thread-safe; never runs the task inside the call; never blocks.
    virtual void post(Task task) = 0;
    // Runs the task on this lane once, no earlier than `delay_us` from now. There is no cancel: the task looks for
    // itself whether it is still wanted. Thread-safe.
    virtual void post_after(uint64_t delay_us, Task task) = 0;
};

}  // namespace meridian
