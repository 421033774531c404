// Patterns of tokens and queries (client-api.md section 4.4): '*' stands for any run of bytes, everything else for
// itself; the whole text must match. Time: at most pattern length x text length, in practice linear; no recursion. Pure
// functions.
#pragma once

#include <string_view>

namespace meridian::server {

inline bool glob_matches(std::string_view pattern, std::string_view text) {
    size_t p = 0;
    size_t t = 0;
    size_t star = std::string_view::npos;  // the last '*' seen: the only one worth going back to
    size_t star_text = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            star_text = t;
        } else if (p < pattern.size() && pattern[p] == text[t]) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

}  // namespace meridian::server
