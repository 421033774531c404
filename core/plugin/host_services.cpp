#include "plugin/host_services.h"

#include <mutex>
#include <utility>

namespace meridian::plugin {

// Outlives the bridge in the tasks of timers; open until stop_timers().
struct HostBridge::TimerGate {
    std::mutex mutex;
    bool open = true;
};

HostBridge::HostBridge(HostServices services) : services_(std::move(services)), gate_(std::make_shared<TimerGate>()) {
    table_.struct_size = sizeof table_;
    table_.context = this;
    table_.log = [](void* context, int32_t level, meridian_bytes text) {
        const auto& bridge = *static_cast<const HostBridge*>(context);
        const int bounded = level < 0 ? 0 : level > MERIDIAN_LOG_ERROR ? MERIDIAN_LOG_ERROR : level;
        if (!bridge.services_.log) return;
        const std::string_view view(static_cast<const char*>(text.data), text.size);
        bridge.services_.log(static_cast<LogLevel>(bounded), view);
    };
    table_.wall_ms = [](void* context) { return static_cast<const HostBridge*>(context)->services_.clock->wall_ms(); };
    table_.monotonic_us = [](void* context) {
        return static_cast<const HostBridge*>(context)->services_.clock->monotonic_us();
    };
    table_.random = [](void* context, void* out, uint64_t size) {
        static_cast<const HostBridge*>(context)->services_.random->fill(out, static_cast<size_t>(size));
    };
    table_.metric = [](void* context, int32_t kind, const char* name, double value) {
        const auto& bridge = *static_cast<const HostBridge*>(context);
        if (bridge.services_.metric) bridge.services_.metric(static_cast<MetricKind>(kind), name, value);
    };
    table_.timer = [](void* context, uint64_t delay_us, void (*callback)(void*), void* cookie) {
        const auto& bridge = *static_cast<const HostBridge*>(context);
        bridge.services_.lane->post_after(delay_us, [gate = bridge.gate_, callback, cookie] {
            const std::lock_guard lock(gate->mutex);
            if (gate->open) callback(cookie);
        });
    };
    table_.get_extension = [](void*, const char*) -> const void* { return nullptr; };
}

HostBridge::~HostBridge() {
    stop_timers();
}

void HostBridge::stop_timers() {
    const std::lock_guard lock(gate_->mutex);
    gate_->open = false;
}

}  // namespace meridian::plugin
