#include "fixture.h"

#include <stdexcept>

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
