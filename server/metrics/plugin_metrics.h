// What plug-ins report through meridian_host::metric. Threads: any. Bounded: a plug-in cannot make the page grow
// without end, because names beyond the limit are dropped and counted.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "plugin/host_services.h"

namespace meridian::server {

class PluginMetrics {
public:
    static constexpr size_t names_max = 200;  // of all instances together

    struct Value {
        plugin::MetricKind kind = plugin::MetricKind::counter;
        double sum = 0;      // of a gauge: the value
        uint64_t count = 0;  // how often it was reported
    };

    // `instance`: the configuration section, such as "store". Names that are not [a-z0-9_]+ or end in
    // _total, _sum or _count, and values that are not
    // finite are dropped.
    void report(std::string_view instance, plugin::MetricKind kind, std::string_view name, double value);
    // In order of instance and name.
    void visit(
        const std::function<void(const std::string& instance, const std::string& name, const Value&)>& visit) const;
    uint64_t dropped() const;

private:
    mutable std::mutex mutex_;
    std::map<std::pair<std::string, std::string>, Value, std::less<>> values_;
    uint64_t dropped_ = 0;
};

}  // namespace meridian::server
