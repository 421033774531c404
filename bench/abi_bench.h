// What abi-bench calls in two ways.
#pragma once

#include <cstdint>
#include <memory>

// The work behind a virtual function; made in another translation unit, so that no call can be inlined.
class Counter {
public:
    virtual ~Counter() = default;
    virtual void add(uint64_t value) = 0;
    virtual uint64_t sum() const = 0;
};

std::unique_ptr<Counter> make_counter();
