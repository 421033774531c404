// What meridian-bench is told to do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "bench/node.h"

namespace meridian::load {

struct Options {
    enum class Action : uint8_t { measure, help, version };
    Action action = Action::measure;
    std::vector<std::string> workloads;
    NodeOptions node;
    uint64_t seconds = 5;  // of one round
    uint64_t rounds = 3;
    uint64_t subscribers = 5000;
    uint64_t connections = 64;
    std::vector<uint64_t> in_flight = {1, 16};
    uint64_t idle = 10'000;
    uint64_t joins = 1000;
    uint64_t state_bytes = 1 << 20;
    uint64_t entries = 100'000;      // that a node of a cluster missed
    std::string transport = "http";  // of the cluster: http or redis
    bool json = false;
    bool progress = true;
};

const std::vector<std::string>& workload_names();

// Checks everything that can be checked without a node.
Result<Options> parse_options(int argc, char** argv);
std::string help();

}  // namespace meridian::load
