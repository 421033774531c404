// The friendly forms of ops. Pure, but for the time, the randomness and the tags that the caller gives.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "crdt/op.h"

namespace meridian::ctl {

struct OpContext {
    uint64_t client_id = 0;
    uint64_t now_ms = 0;
    crdt::Tag new_tag{};
    // The tags under which a set holds an element, by its JSON text; asks the server.
    std::function<Result<std::vector<crdt::Tag>>(const std::string& key, const std::string& element)> tags_of;
};

// `words`: verb, key, operands. See op_help().
Result<crdt::Op> op_from_words(const std::vector<std::string>& words, const OpContext& context);
bool is_op_verb(const std::string& word);
std::string op_help();

}  // namespace meridian::ctl
