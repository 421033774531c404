// Reads what can be known of a plug-in from its file, without loading it: its identity, in an ELF note, and the symbols
// that it exports. Takes any bytes: every offset and size in the file is checked before it is used.
//
// `descriptor` is open for reading; `path` is for messages. Errors name what was found and what was expected.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "meridian/plugin.h"

namespace meridian::plugin {

Result<meridian_identity> read_elf_identity(int descriptor, const std::string& path);

// Names of the exported symbols, without those that are the toolchain's (they begin with an underscore, and C++ names
// with _Z).
Result<std::vector<std::string>> read_elf_exports(int descriptor, const std::string& path);

}  // namespace meridian::plugin
