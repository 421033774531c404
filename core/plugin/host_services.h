// What the host lends its plug-ins: clock, randomness, log, metrics, timers, as the C table of meridian/plugin.h.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/environment.h"
#include "meridian/plugin.h"

namespace meridian::plugin {

enum class LogLevel : int { debug = 0, information = 1, warning = 2, error = 3 };
enum class MetricKind : int { counter = 0, gauge = 1, histogram = 2 };

// All references must outlive every instance that was given them. The functions may be called on any thread of the
// plug-in.
struct HostServices {
    Clock* clock = nullptr;
    Random* random = nullptr;
    Lane* lane = nullptr;  // runs timers, and completions of calls that a plug-in refused
    std::function<void(LogLevel level, std::string_view text)> log;                    // may be empty
    std::function<void(MetricKind kind, std::string_view name, double value)> metric;  // may be empty
};

// The C table over HostServices for one instance. Must outlive the instance. Timers that fire after the bridge is gone
// are dropped.
class HostBridge {
public:
    explicit HostBridge(HostServices services);
    ~HostBridge();
    HostBridge(const HostBridge&) = delete;
    HostBridge& operator=(const HostBridge&) = delete;

    const meridian_host* table() const { return &table_; }
    const HostServices& services() const { return services_; }
    // No timer callback runs after this returns. Blocks while one is running.
    void stop_timers();

private:
    struct TimerGate;
    HostServices services_;
    std::shared_ptr<TimerGate> gate_;
    meridian_host table_{};
};

}  // namespace meridian::plugin
