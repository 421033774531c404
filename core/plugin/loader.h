// Finds, checks and loads plug-ins (meridian/plugin.h).
//
// A file is loaded only after these checks, all on one open descriptor: it is a regular file, owned by root or by us;
// neither it nor a directory above it can be changed by others (sticky directories aside); it is a complete ELF shared
// object for this machine; its note names this ABI and the wanted kind. So nothing of a wrong file runs. What was
// checked is what is loaded: dlopen is given /proc/self/fd/N. A plug-in is never unloaded.
//
// Threads: call at start-up, from one thread at a time.
// Errors: one line that names the file, what was found and what was expected.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "meridian/plugin.h"

namespace meridian::plugin {

enum class Kind : uint32_t { store = MERIDIAN_KIND_STORE, transport = MERIDIAN_KIND_TRANSPORT };

std::string_view kind_name(uint32_t kind);

// A plug-in that passed every check. A value; the code stays loaded for the life of the process.
struct LoadedPlugin {
    std::string path;  // absolute, as found
    const meridian_plugin_descriptor* descriptor = nullptr;
};

// `name_or_path`: an absolute path, or a name ([a-z0-9-]+) to be found as <directory>/<name>.so in the first directory
// that has it.
Result<std::string> find_plugin(std::string_view name_or_path, const std::vector<std::string>& directories);

// The identity in the file's note, after the checks of file and ELF; nothing of it is run. For --check-plugin and the
// loader.
Result<meridian_identity> read_identity(const std::string& path);

// find_plugin, all checks, dlopen, and the checks of the descriptor.
Result<LoadedPlugin> load_plugin(std::string_view name_or_path, const std::vector<std::string>& directories, Kind kind);

}  // namespace meridian::plugin
