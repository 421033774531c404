#include "fixture.h"

#include <chrono>
#include <stdexcept>
#include <thread>

#ifndef TRANSPORT_REDIS_PATH
#error "TRANSPORT_REDIS_PATH must name the plug-in of this build"
#endif

namespace meridian::test {

const plugin::LoadedPlugin& transport_redis() {
    static const plugin::LoadedPlugin loaded = [] {
        auto result = plugin::load_plugin(TRANSPORT_REDIS_PATH, {}, plugin::Kind::transport);
        if (!result) throw std::runtime_error(result.error().message);
        return *result;
    }();
    return loaded;
}

bool Node::is_down_after_steps_of(uint64_t us) {
    for (int step = 0; step < 10'000; ++step) {
        if (!host.seen().downs.empty()) return true;
        host.advance_clock(us);
        transport.resume();
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
}

TransportSection quick(TransportSection section) {
    section.emplace("reconnect_delay", "10ms");
    section.emplace("reconnect_delay_max", "50ms");
    return section;
}

std::string refusal(const TransportSection& section, const std::map<std::string, std::string>& environment) {
    TransportHost host;
    try {
        const TransportInstance instance(transport_redis(), host, section, environment);
    } catch (const std::runtime_error& error) { return error.what(); }
    return {};
}

}  // namespace meridian::test
