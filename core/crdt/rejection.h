// Texts of refusals, alike for every type.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "crdt/contract.h"

namespace meridian::crdt {

// "invalid operation: <what>: found <found>, allowed <allowed>"; `what` names the thing and its unit.
inline Rejection over_limit(std::string_view what, size_t found, size_t allowed) {
    std::string text = "invalid operation: ";
    text.append(what);
    return Rejection{text + ": found " + std::to_string(found) + ", allowed " + std::to_string(allowed)};
}

}  // namespace meridian::crdt
