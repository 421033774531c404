// What one event loop counts of its clients. Written by the loop alone, read by any thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace meridian::server {

// A number with one writer: no locked instruction, and readers see a whole value.
class LoopCounter {
public:
    void add(uint64_t count) {
        value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
    }
    void subtract(uint64_t count) { add(-count); }
    uint64_t get() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<uint64_t> value_{0};
};

struct EdgeStatistics {
    LoopCounter http_responses[6];   // by the first digit of the status
    LoopCounter websockets;          // open
    LoopCounter guests;              // of those, on a loop that does not own their namespace
    LoopCounter websocket_messages;  // received
    LoopCounter deltas;              // made visible on this loop
    LoopCounter delta_sends;         // batches of deltas queued for a reader
    LoopCounter delta_bytes;         // of those
    LoopCounter readers_too_slow;    // batches that a reader was too slow for, in part or whole
    LoopCounter rooms;               // namespaces that somebody is connected to
};

}  // namespace meridian::server
