// An INI file: refused with its name and a line, or read within the limits.
#include <cstdint>
#include <string>

#include "config/ini_file.h"
#include "fuzz_check.h"

using namespace meridian::config;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const auto file = parse_ini("f.ini", {reinterpret_cast<const char*>(data), size});
    if (!file) {
        meridian::fuzz::require(file.error().message.rfind("f.ini:", 0) == 0,
                                "file.error().message.rfind(\"f.ini:\", 0) == 0");
        return 0;
    }
    size_t entries = 0;
    unsigned line = 0;
    for (const IniSection& section : file->sections) {
        meridian::fuzz::require(section.line > line, "section.line > line");
        line = section.line;
        for (const IniEntry& entry : section.entries) {
            meridian::fuzz::require(entry.line > line && !entry.key.empty(), "entry.line > line && !entry.key.empty()");
            line = entry.line;
            ++entries;
        }
    }
    meridian::fuzz::require(entries <= ini_entries_max, "entries <= ini_entries_max");
    return 0;
}
