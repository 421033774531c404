// Reads the identity of a plug-in from the ELF note in its file, without loading it. Takes any bytes: every offset and
// size in the file is checked before it is used.
#pragma once

#include <string>

#include "base/result.h"
#include "meridian/plugin.h"

namespace meridian::plugin {

// `descriptor` is open for reading. Errors name what was found and what was expected; `path` is for messages.
Result<meridian_identity> read_elf_identity(int descriptor, const std::string& path);

}  // namespace meridian::plugin
