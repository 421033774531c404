// One random schedule: a cluster is made, written to, cut apart, crashed, restored and put out of time; then all is
// made well, and it must come to rest with the same everywhere and with everything that was acknowledged.
//
// Everything follows from the seed (and the wrong rule): the same seed gives the same schedule on every machine with
// the same standard library.
#pragma once

#include <cstdint>
#include <string>

#include "simulation/wrong_rules.h"

namespace meridian::simulation {

struct ScheduleOptions {
    uint64_t seed = 1;
    WrongRule wrong_rule = WrongRule::none;
    bool trace = false;  // what happens, to standard output
};

struct ScheduleResult {
    std::string failure;  // empty: all is as it should be
    uint64_t acknowledged = 0, refused = 0, in_doubt = 0;
    uint64_t crashes = 0, restores = 0, joins = 0, leaves = 0, partitions = 0, transfers = 0, incarnations = 0;
    uint64_t messages = 0, tasks = 0, virtual_ms = 0;
};

ScheduleResult run_schedule(const ScheduleOptions& options);

}  // namespace meridian::simulation
