// Which nodes this one has met, kept over restarts in the data directory: a node that starts asks them before its first
// write whether they hold more of it than it does. One line a node: its name and the wall time (ms) at which it was
// last heard. It is a help, not the truth: nodes whose entries are held are known without it.
//
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"

namespace meridian::server {

using Members = std::map<uint64_t, uint64_t>;

// Empty if there is no such file. A file that is none of ours is an error that names it.
Result<Members> load_members(const std::string& data_directory);
// Replaces the file whole.
Result<void> save_members(const std::string& data_directory, const Members& members);

}  // namespace meridian::server
