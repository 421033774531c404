// What abi-bench calls in two ways.
#pragma once

#include <cstdint>
#include <memory>

// The work behind a virtual function; made in another translation unit, so that no call can be inlined.
class Cell {
public:
    virtual ~Cell() = default;
    virtual void set(uint64_t value) = 0;
    virtual uint64_t get() const = 0;
};

std::unique_ptr<Cell> make_cell_in_program();
std::unique_ptr<Cell> make_cell_in_library();  // of a shared object, as the plug-in is
