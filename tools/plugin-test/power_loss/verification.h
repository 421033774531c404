// Opens what a loss of power has left and checks it against what was submitted and acknowledged.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model.h"
#include "plugin/loader.h"
#include "run_status.h"

namespace meridian::power_loss {

// Positions [first, next) were written by this run.
struct RunRange {
    uint64_t run = 0;
    uint64_t first = 1;
    uint64_t next = 1;
};

// What is certain, and what may be.
struct Expectation {
    uint64_t seed = 0;
    std::vector<RunRange> earlier;  // all positions before run_first
    uint64_t run = 0;               // the run whose end is to be found
    uint64_t run_first = 1;
    uint64_t acknowledged_next = 1;  // after the last group of the run that was acknowledged
    uint64_t submitted_next = 1;     // after the last one that was submitted
    Model model;                     // of all groups before run_first
    // Groups without entries write a counter: its value when the run began (empty: none), and those of the run.
    std::string beat;
    uint64_t beat_acknowledged = 0;
    uint64_t beat_submitted = 0;
};

struct VerificationRequest {
    const plugin::LoadedPlugin* plugin = nullptr;
    std::vector<std::string> config;
    std::string directory;
};

// Empty: everything is as it must be, and `next_position` is where the log ends. Otherwise what is wrong.
std::string verify(const VerificationRequest& request, const Expectation& expectation, const RunStatus& status,
                   uint64_t& next_position);

}  // namespace meridian::power_loss
