// The friendly forms of ops. Pure, but for the time, the randomness and what the node is asked through the context.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "crdt/client_delta.h"

namespace meridian::ctl {

struct OpContext {
    uint64_t client_id = 0;
    uint64_t now_ms = 0;
    crdt::Tag new_tag{};
    // The state of a key as the node gives it; nothing if the key does not exist.
    std::function<Result<std::optional<crdt::ClientDelta>>(crdt::Type type, const std::string& key)> state_of;
};

// `words`: verb, key, operands. See op_help(). Several ops are meant to be applied together.
Result<std::vector<crdt::Op>> ops_from_words(const std::vector<std::string>& words, const OpContext& context);
bool is_op_verb(const std::string& word);
std::vector<std::string> op_verbs();
std::string op_help();

}  // namespace meridian::ctl
