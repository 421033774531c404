// What everything that lives on an instance's one thread shares.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "meridian/plugin.hpp"
#include "poller.h"
#include "resolver.h"
#include "settings.h"

namespace meridian::transport_http {

constexpr uint64_t never_us = std::numeric_limits<uint64_t>::max();

class Loop {
public:
    Loop(abi::Host services, const Settings& of) : host(services), settings(of) {}
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    uint64_t now_us() const { return host.monotonic_us(); }
    // Somebody has to look at the clock at that time. Deadlines are not kept singly: when the earliest is reached
    // everybody is asked (on_time), and says when to ask again.
    void arm(uint64_t deadline_us) { next_check_us = std::min(next_check_us, deadline_us); }

    const abi::Host host;
    const Settings& settings;
    Poller poller;
    Resolver resolver;
    uint64_t next_check_us = 0;
};

}  // namespace meridian::transport_http
