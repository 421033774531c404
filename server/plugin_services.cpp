#include "plugin_services.h"

#include <utility>

#include "log.h"

namespace meridian::server {
namespace {

LogLevel level_of(plugin::LogLevel level) {
    switch (level) {
        case plugin::LogLevel::error:
            return LogLevel::error;
        case plugin::LogLevel::warning:
            return LogLevel::warning;
        case plugin::LogLevel::information:
            return LogLevel::info;
        default:
            return LogLevel::debug;
    }
}

}  // namespace

plugin::HostServices plugin_services(Clock& clock, Random& random, Lane& lane, PluginMetrics& metrics, std::string from,
                                     std::string instance) {
    plugin::HostServices services;
    services.clock = &clock;
    services.random = &random;
    services.lane = &lane;
    services.log = [from = std::move(from)](plugin::LogLevel level, std::string_view text) {
        log_line(level_of(level), text, {{"from", from}});
    };
    services.metric = [&metrics, instance = std::move(instance)](plugin::MetricKind kind, std::string_view name,
                                                                 double value) {
        metrics.report(instance, kind, name, value);
    };
    return services;
}

}  // namespace meridian::server
