// Which files a node's configuration is read from: those that the operator names, and the drop-in directory beside
// each.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace meridian::config {

inline constexpr size_t drop_in_files_max = 1000;

// The files in the order in which they are read: each of `named`, and after it the files `*.ini` of the directory
// `conf.d` beside it, sorted by the bytes of their names. Names that begin with a dot are left out; a directory that
// belongs to two named files is read once, after the first. A missing `conf.d` is none. Errors name the directory.
Result<std::vector<std::string>> with_drop_in_files(const std::vector<std::string>& named);

}  // namespace meridian::config
