// How long to wait before the next attempt to connect: doubles up to a maximum, and varies by a fifth so that the nodes
// of a cluster do not come back in step. A connection that held for long enough begins again with the first wait.
#pragma once

#include <algorithm>
#include <cstdint>

#include "meridian/plugin.hpp"
#include "options.h"

namespace meridian::transport_redis {

class Backoff {
public:
    Backoff(abi::Host host, const Options& options)
        : host_(host),
          first_us_(options.reconnect_delay_us),
          max_us_(options.reconnect_delay_max_us),
          stable_after_us_(options.stable_after_us),
          next_us_(first_us_) {}

    // After a failed attempt (held_us = 0), or the loss of a connection that had held for so long.
    uint64_t next_delay_us(bool was_ready, uint64_t held_us) {
        if (was_ready && held_us >= stable_after_us_) next_us_ = first_us_;
        const uint64_t base = next_us_;
        next_us_ = std::min(next_us_ * 2, max_us_);
        uint32_t random = 0;
        host_.random(&random, sizeof random);
        const uint64_t spread = base / 5;
        // base - spread ... base + spread
        return base - spread + (2 * spread * (random >> 8) >> 24);
    }

private:
    abi::Host host_;
    uint64_t first_us_;
    uint64_t max_us_;
    uint64_t stable_after_us_;
    uint64_t next_us_;
};

}  // namespace meridian::transport_redis
