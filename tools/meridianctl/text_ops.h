// Edits of a text by position, made of the ids that its state holds. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "crdt/client_delta.h"

namespace meridian::ctl {

inline constexpr size_t edit_characters_max = 10'000;

// Inserts `text` (UTF-8) so that its first character is at `position`, counted in characters from 0. `stamp` is the id
// of that character; those of the others follow.
Result<std::vector<crdt::Op>> insert_text(const crdt::RgaClientDelta& state, uint64_t position, const std::string& text,
                                          crdt::Hlc stamp);
// Deletes `count` characters from `position` on.
Result<std::vector<crdt::Op>> delete_text(const crdt::RgaClientDelta& state, uint64_t position, uint64_t count);

}  // namespace meridian::ctl
