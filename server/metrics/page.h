// A page of metrics in the Prometheus text format (version 0.0.4), put together metric by metric. A value.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

namespace meridian::server {

class Page {
public:
    // Begins a metric: its values follow.
    void metric(const char* name, const char* type, const char* help) {
        name_ = std::string("meridian_") + name;
        text_.append("# HELP ").append(name_).append(1, ' ').append(help).append(1, '\n');
        text_.append("# TYPE ").append(name_).append(1, ' ').append(type).append(1, '\n');
    }
    void value(uint64_t value, const std::string& labels = {}) { line(std::to_string(value), labels); }
    void value(double value, const std::string& labels = {}) {
        char digits[40];
        std::snprintf(digits, sizeof digits, "%.17g", value);
        line(digits, labels);
    }
    void counter(const char* name, const char* help, uint64_t count) {
        metric(name, "counter", help);
        value(count);
    }
    void gauge(const char* name, const char* help, uint64_t level) {
        metric(name, "gauge", help);
        value(level);
    }
    std::string take() { return std::move(text_); }

private:
    void line(const std::string& digits, const std::string& labels) {
        text_.append(name_);
        if (!labels.empty()) text_.append(1, '{').append(labels).append(1, '}');
        text_.append(1, ' ').append(digits).append(1, '\n');
    }

    std::string text_;
    std::string name_;
};

}  // namespace meridian::server
