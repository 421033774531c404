// What a workload measured, as text for people and as JSON; and the line that shows how far it is.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/json_writer.h"
#include "bench/measure.h"

namespace meridian::load {

// Named numbers in the order in which they are shown. Names end in their unit.
using Figures = std::vector<std::pair<std::string, double>>;

// p50, p99 and p99.9 in milliseconds.
void add_latency(Figures& figures, const std::string& prefix, const Histogram& latency);

// One workload with one set of parameters, measured several times.
struct Measurement {
    std::string workload;
    std::vector<std::pair<std::string, uint64_t>> parameters;
    std::vector<Figures> rounds;  // all with the same names

    // The median of each figure over the rounds.
    Figures median() const;
};

// Figures with their medians, and the range over the rounds where there are several.
std::string to_text(const Measurement& measurement);
void write_json(JsonWriter& json, const Measurement& measurement);

// A line on standard error that is rewritten once a second, if that is a terminal.
class Progress {
public:
    explicit Progress(bool wanted);
    ~Progress() { clear(); }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    // What is going on now.
    void begin(std::string what);
    // How far it is: a part of what there is to do, as 0 to 1.
    void update(double done);
    void clear();

private:
    bool shown_ = false;
    bool wanted_;
    uint64_t next_ns_ = 0;
    std::string what_;
};

}  // namespace meridian::load
