#include "loop/system_environment.h"

#include <sodium.h>

#include <ctime>

namespace meridian::server {
namespace {
uint64_t nanoseconds(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}
}  // namespace

uint64_t SystemClock::wall_ms() const {
    return nanoseconds(CLOCK_REALTIME) / 1'000'000;
}
uint64_t SystemClock::monotonic_us() const {
    return nanoseconds(CLOCK_MONOTONIC) / 1000;
}

void SystemRandom::fill(void* bytes, size_t size) {
    randombytes_buf(bytes, size);
}

}  // namespace meridian::server
