// Built twice: into the program, and into a shared object; MAKE_CELL is the function that it defines.
#include "abi_bench.h"

namespace {

class PlainCell final : public Cell {
public:
    void set(uint64_t value) override { value_ = value; }
    uint64_t get() const override { return value_; }

private:
    uint64_t value_ = 0;
};

}  // namespace

std::unique_ptr<Cell> MAKE_CELL() {
    return std::make_unique<PlainCell>();
}
