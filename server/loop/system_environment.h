// The real clock and the real randomness.
#pragma once

#include "base/environment.h"

namespace meridian::server {

class SystemClock final : public Clock {
public:
    uint64_t wall_ms() const override;
    uint64_t monotonic_us() const override;
};

class SystemRandom final : public Random {
public:
    void fill(void* bytes, size_t size) override;
};

}  // namespace meridian::server
