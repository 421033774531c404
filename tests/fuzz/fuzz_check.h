// What the fuzz targets share: a check that stays on in every build type.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace meridian::fuzz {

inline void require(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
}

// Error texts reach HTTP bodies and logs: never empty, and short whatever the input.
inline void require_error_text(std::string_view message) {
    require(!message.empty(), "an error has a text");
    require(message.size() < 1000, "an error text is short");
}

}  // namespace meridian::fuzz
