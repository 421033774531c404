// Reads INI files line by line, keeping the file and the line of every value for error messages.
//
//   # or ; begins a comment line          [section] or [section name]          key = value
//
// Keys are [a-z0-9_]+, sections [a-z0-9_-]+ with an optional name after one space. A value is the rest of the line
// without surrounding blanks; a value in double quotes keeps its blanks, and inside it \" and \\ stand for " and \.
// There are no continuation lines and no comments after values. A byte order mark at the start is skipped.
//
// Errors name file and line: keys outside a section, a section or key that appears twice, lines that are none of the
// above, control characters, text that is not UTF-8, files that are not regular or larger than the limit. Pure
// functions, except that read_ini_file reads its file.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace meridian::config {

inline constexpr size_t ini_file_bytes_max = 1 << 20;
inline constexpr size_t ini_entries_max = 10'000;

struct IniEntry {
    std::string key;
    std::string value;
    unsigned line = 0;
};

struct IniSection {
    std::string kind;  // "store" of [store], "transport" of [transport eu]
    std::string name;  // "eu"; empty if the section has none
    unsigned line = 0;
    std::vector<IniEntry> entries;
};

struct IniFile {
    std::string path;
    std::vector<IniSection> sections;  // in order of appearance
};

Result<IniFile> parse_ini(std::string path, std::string_view text);
Result<IniFile> read_ini_file(const std::string& path);

}  // namespace meridian::config
