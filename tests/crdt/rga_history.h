// Random histories of an RGA: what several authors with skewed clocks make of it, as core deltas. The seed decides all.
#pragma once

#include <random>
#include <vector>

#include "crdt/rga_delta.h"

namespace meridian::crdt::test {

struct HistoryShape {
    size_t ops = 60;
    unsigned authors = 3;
    unsigned skew_ms = 20;  // of an author's clock, either way
    unsigned delete_percent = 25;
    unsigned typing_percent = 50;   // continues behind the author's last character
    unsigned conflict_percent = 0;  // an id that is already taken, with another origin or content
    unsigned unknown_percent = 0;   // an origin that nobody ever makes
};

std::vector<RgaDelta> random_history(std::mt19937_64& random, const HistoryShape& shape);

}  // namespace meridian::crdt::test
