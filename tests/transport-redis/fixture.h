// What the tests of transport-redis share: a node on a Redis.
#pragma once

#include <string>

#include "redis_process.h"
#include "support/transport_host.h"

namespace meridian::test {

// The transport-redis.so of this build.
const plugin::LoadedPlugin& transport_redis();

// Short waits, for tests in which connections are lost.
TransportSection quick(TransportSection section);

// A host and one instance; started as node `name`.
class Node {
public:
    Node(const std::string& name, const TransportSection& section, bool started = true)
        : transport(transport_redis(), host, section) {
        if (started) transport.start(name);
    }
    bool is_up(size_t times = 1) {
        return host.wait_until([&](const Seen& seen) { return seen.ups.size() >= times; });
    }
    bool is_down(size_t times = 1) {
        return host.wait_until([&](const Seen& seen) { return seen.downs.size() >= times; });
    }
    // Waits until so many publishes are complete.
    bool completes(size_t count) {
        return host.wait_until([&](const Seen& seen) { return seen.completions.size() >= count; });
    }
    bool receives(size_t count) {
        return host.wait_until([&](const Seen& seen) { return seen.deliveries.size() >= count; });
    }

    // Lets the plug-in's time pass, in steps, until it says that it is down.
    bool is_down_after_steps_of(uint64_t us);

    TransportHost host;
    TransportInstance transport;
};

// The text with which the plug-in refuses a section; empty: it does not.
std::string refusal(const TransportSection& section, const std::map<std::string, std::string>& environment = {});

}  // namespace meridian::test
