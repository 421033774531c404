#include "metrics/plugin_metrics.h"

#include <algorithm>
#include <cmath>

namespace meridian::server {
namespace {

// The endings are those that the page gives itself: a name with one could stand on it twice.
bool is_name(std::string_view name) {
    for (const std::string_view ending : {"_total", "_sum", "_count"}) {
        if (name.size() >= ending.size() && name.substr(name.size() - ending.size()) == ending) return false;
    }
    return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    });
}

}  // namespace

void PluginMetrics::report(std::string_view instance, plugin::MetricKind kind, std::string_view name, double value) {
    const std::lock_guard lock(mutex_);
    if (!is_name(name) || !std::isfinite(value)) {
        ++dropped_;
        return;
    }
    std::pair<std::string, std::string> key(instance, name);
    auto found = values_.find(key);
    if (found == values_.end()) {
        if (values_.size() == names_max) {
            ++dropped_;
            return;
        }
        found = values_.emplace(std::move(key), Value{kind, 0, 0}).first;
    }
    Value& kept = found->second;
    if (kept.kind != kind || (kind == plugin::MetricKind::counter && value < 0)) {
        ++dropped_;
        return;
    }
    kept.sum = kind == plugin::MetricKind::gauge ? value : kept.sum + value;
    ++kept.count;
}

void PluginMetrics::visit(
    const std::function<void(const std::string& instance, const std::string& name, const Value&)>& visit) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, value] : values_) visit(key.first, key.second, value);
}

uint64_t PluginMetrics::dropped() const {
    const std::lock_guard lock(mutex_);
    return dropped_;
}

}  // namespace meridian::server
