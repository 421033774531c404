#include "abi_bench.h"

namespace {

class PlainCounter final : public Counter {
public:
    void add(uint64_t value) override { sum_ += value; }
    uint64_t sum() const override { return sum_; }

private:
    uint64_t sum_ = 0;
};

}  // namespace

std::unique_ptr<Counter> make_counter() {
    return std::make_unique<PlainCounter>();
}
