// Takes back a random part of what was not yet durable when a process was killed, from the shim's journal.
//
// Contents: each sector of 512 bytes goes back to one of the states that it went through since it was last made
// durable; which one is drawn for the whole file, for each write, each page of 4096 bytes or each sector. Sizes go back
// to one of theirs; bytes whose size was kept and whose content was lost read as zeros. Names: any subset of the
// changes of a directory may be lost, except that of two changes of one name the later is not kept without the earlier.
// A rename is kept or lost as one.
//
// Threads: one. Nothing else may use the directory meanwhile.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "base/result.h"

namespace meridian::power_loss {

struct RollbackReport {
    uint64_t records = 0;       // in the journal
    uint64_t sectors = 0;       // not durable when the process was killed
    uint64_t sectors_lost = 0;  // set back to an earlier state
    uint64_t names = 0;         // changes of directories that were not durable
    uint64_t names_lost = 0;
};

// `watched` is the directory that the shim watched; `journal` the one in which it left its journal.
Result<RollbackReport> roll_back(const std::string& watched, const std::string& journal, std::mt19937_64& random);

}  // namespace meridian::power_loss
