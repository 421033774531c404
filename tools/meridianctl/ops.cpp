#include "meridianctl/ops.h"

#include <algorithm>

#include "client/arguments.h"
#include "meridianctl/json_bridge.h"

namespace meridian::ctl {
namespace {

constexpr uint64_t presence_ttl_ms = 30'000;

using Words = std::vector<std::string>;

Result<crdt::Op> count(const Words& words, const OpContext& context) {
    Result<uint64_t> amount =
        words.size() > 2 ? client::parse_number("amount", words[2]) : Result<uint64_t>(uint64_t{1});
    if (!amount) return amount.error();
    const bool up = words[0] == "incr";
    if (up && words[1].rfind("pn:", 0) != 0) return crdt::Op(crdt::GCounterOp{context.client_id, *amount});
    using Side = crdt::PnCounterOp::Side;
    return crdt::Op(crdt::PnCounterOp{up ? Side::increment : Side::decrement, context.client_id, *amount});
}

Result<crdt::Op> with_value(const Words& words, const OpContext& context) {
    if (words.size() != 3) return Error{words[0] + ": expected a key and a JSON value"};
    Result<JsonValue> value = json_from_text(words[2]);
    if (!value) return value.error();
    const crdt::Hlc stamp{context.now_ms, 0, context.client_id};
    if (words[0] == "set") return crdt::Op(crdt::LwwRegisterOp{*value, stamp, context.client_id});
    if (words[0] == "here")
        return crdt::Op(crdt::PresenceOp(crdt::PresenceHeartbeat{context.client_id, *value, stamp, presence_ttl_ms}));
    if (words[0] == "add") return crdt::Op(crdt::OrSetOp(crdt::OrSetAdd{*value, context.new_tag, 0, 0}));
    Result<std::vector<crdt::Tag>> tags = context.tags_of(words[1], value->to_text());
    if (!tags) return tags.error();
    std::sort(tags->begin(), tags->end());
    return crdt::Op(crdt::OrSetOp(crdt::OrSetRemove{*value, *tags}));
}

}  // namespace

bool is_op_verb(const std::string& word) {
    const Words verbs = {"incr", "decr", "set", "add", "remove", "here", "leave"};
    return std::find(verbs.begin(), verbs.end(), word) != verbs.end();
}

Result<crdt::Op> op_from_words(const Words& words, const OpContext& context) {
    if (words.size() < 2) return Error{words[0] + ": expected a key"};
    if (words.size() > 3) return Error{words[0] + ": too many operands, the first is '" + words[3] + "'"};
    if (words[0] == "incr" || words[0] == "decr") return count(words, context);
    if (words[0] == "leave") {
        return crdt::Op(
            crdt::PresenceOp(crdt::PresenceLeave{context.client_id, {context.now_ms, 0, context.client_id}}));
    }
    return with_value(words, context);
}

std::string op_help() {
    return "  incr KEY [N]             count up; a key that begins with pn: is an up/down counter\n"
           "  decr KEY [N]             count down\n"
           "  set KEY JSON             set a register\n"
           "  add KEY JSON             add to a set\n"
           "  remove KEY JSON          remove from a set what it holds now\n"
           "  here KEY JSON            announce presence for 30 s\n"
           "  leave KEY                withdraw it\n";
}

}  // namespace meridian::ctl
