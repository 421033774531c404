// Counts on the I/O thread, told to the host once in a while: the host takes a lock for each.
#pragma once

#include <cstdint>

#include "meridian/plugin.hpp"

namespace meridian::transport_redis {

class Counter {
public:
    explicit Counter(const char* name) : name_(name) {}
    void add(uint64_t count = 1) {
        value_ += count;
        untold_ += count;
    }
    uint64_t value() const { return value_; }
    void tell(abi::Host host) {
        if (untold_ != 0) host.metric(MERIDIAN_METRIC_COUNTER, name_, static_cast<double>(untold_));
        untold_ = 0;
    }

private:
    const char* name_;
    uint64_t value_ = 0;
    uint64_t untold_ = 0;
};

class Gauge {
public:
    explicit Gauge(const char* name) : name_(name) {}
    void tell(abi::Host host, uint64_t value) {
        if (value == told_) return;
        host.metric(MERIDIAN_METRIC_GAUGE, name_, static_cast<double>(value));
        told_ = value;
    }

private:
    const char* name_;
    uint64_t told_ = UINT64_MAX;
};

}  // namespace meridian::transport_redis
