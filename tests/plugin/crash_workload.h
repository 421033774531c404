// What crash_writer commits, as a function of the position, so that the test knows what must be there.
#pragma once

#include <string>

#include "store_fixture.h"

namespace meridian::test {

constexpr uint64_t crash_group_size = 3;
constexpr uint64_t crash_keys = 5;

inline std::string crash_key(uint64_t position) {
    return "key-" + std::to_string(position % crash_keys);
}
inline std::string crash_payload(uint64_t position) {
    return std::to_string(position) + std::string(static_cast<size_t>(position * 37 % 900), 'p');
}
inline node::CommitGroup crash_group(uint64_t first) {
    node::CommitGroup group;
    for (uint64_t position = first; position < first + crash_group_size; ++position) {
        group.entries.push_back(entry(position, "room", crash_key(position), crash_payload(position)));
    }
    group.metadata.push_back({"last", std::to_string(first + crash_group_size - 1)});
    return group;
}

}  // namespace meridian::test
