#include "bench/report.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace meridian::load {
namespace {

constexpr size_t name_width = 44;

// Whole numbers with groups of three, others with three significant digits.
std::string number_text(double value) {
    char text[64];
    if (std::abs(value) < 1000 && value != std::floor(value)) {
        const int digits = std::abs(value) >= 100 ? 0 : std::abs(value) >= 10 ? 1 : std::abs(value) >= 1 ? 2 : 3;
        std::snprintf(text, sizeof text, "%.*f", digits, value);
        return text;
    }
    std::snprintf(text, sizeof text, "%.0f", value);
    std::string grouped = text;
    for (size_t i = grouped.size(); i > 3 && grouped[i - 4] != '-'; i -= 3) grouped.insert(i - 3, ",");
    return grouped;
}

// The values of one figure over the rounds, ascending.
std::vector<double> sorted_values(const std::vector<Figures>& rounds, size_t figure) {
    std::vector<double> values;
    for (const Figures& round : rounds) values.push_back(round[figure].second);
    std::sort(values.begin(), values.end());
    return values;
}

void write_figures(JsonWriter& json, const Figures& figures) {
    json.begin_object();
    for (const auto& figure : figures) {
        json.key(figure.first);
        json.number(figure.second);
    }
    json.end_object();
}

}  // namespace

void add_latency(Figures& figures, const std::string& prefix, const Histogram& latency) {
    const auto add = [&](const char* name, double part) {
        figures.emplace_back(prefix + name, static_cast<double>(latency.quantile_ns(part)) / 1e6);
    };
    add("_p50_ms", 0.5);
    add("_p99_ms", 0.99);
    add("_p99_9_ms", 0.999);
}

Figures Measurement::median() const {
    Figures medians;
    if (rounds.empty()) return medians;
    for (size_t i = 0; i < rounds.front().size(); ++i) {
        const std::vector<double> values = sorted_values(rounds, i);
        const size_t middle = values.size() / 2;
        medians.emplace_back(rounds.front()[i].first,
                             values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2);
    }
    return medians;
}

std::string to_text(const Measurement& measurement) {
    std::string text = measurement.workload;
    for (const auto& parameter : measurement.parameters)
        text += "  " + parameter.first + " " + number_text(static_cast<double>(parameter.second));
    text += "\n";
    const Figures medians = measurement.median();
    for (size_t i = 0; i < medians.size(); ++i) {
        std::string line = "  " + medians[i].first;
        const std::string value = number_text(medians[i].second);
        line.resize(std::max(name_width > value.size() ? name_width - value.size() : 0, line.size() + 1), ' ');
        line += value;
        if (measurement.rounds.size() > 1) {
            const std::vector<double> values = sorted_values(measurement.rounds, i);
            line += "   (" + number_text(values.front()) + " to " + number_text(values.back()) + ")";
        }
        text += line + "\n";
    }
    return text;
}

void write_json(JsonWriter& json, const Measurement& measurement) {
    json.begin_object();
    json.key("workload");
    json.string(measurement.workload);
    json.key("parameters");
    json.begin_object();
    for (const auto& parameter : measurement.parameters) {
        json.key(parameter.first);
        json.number(parameter.second);
    }
    json.end_object();
    json.key("median");
    write_figures(json, measurement.median());
    json.key("rounds");
    json.begin_array();
    for (const Figures& round : measurement.rounds) write_figures(json, round);
    json.end_array();
    json.end_object();
}

Progress::Progress(bool wanted) : wanted_(wanted && ::isatty(STDERR_FILENO) == 1) {}

void Progress::begin(std::string what) {
    what_ = std::move(what);
    next_ns_ = 0;
    update(0);
}

void Progress::update(double done) {
    if (!wanted_ || now_ns() < next_ns_) return;
    next_ns_ = now_ns() + 1'000'000'000;
    std::fprintf(stderr, "\r\033[K%s: %.0f %%", what_.c_str(), std::min(done, 1.0) * 100);
    std::fflush(stderr);
    shown_ = true;
}

void Progress::clear() {
    if (shown_) std::fputs("\r\033[K", stderr);
    shown_ = false;
}

}  // namespace meridian::load
