#include "meridianctl/ops.h"

#include <algorithm>

#include "client/arguments.h"
#include "meridianctl/json_bridge.h"
#include "meridianctl/text_ops.h"
#include "wire/op_codec.h"

namespace meridian::ctl {
namespace {

constexpr uint64_t presence_ttl_ms = 30'000;

using Words = std::vector<std::string>;
using Ops = std::vector<crdt::Op>;

struct Verb {
    const char* name;
    size_t words_min;  // with verb and key
    size_t words_max;
    const char* operands;
    const char* help;
};

constexpr Verb verbs[] = {
    {"incr", 2, 3, "KEY [N]", "count up; a key that begins with pn: is an up/down counter"},
    {"decr", 2, 3, "KEY [N]", "count an up/down counter down"},
    {"set", 3, 3, "KEY JSON", "set a register"},
    {"add", 3, 3, "KEY JSON", "add to a set"},
    {"remove", 3, 3, "KEY JSON", "remove from a set what it holds now"},
    {"here", 3, 3, "KEY JSON", "announce presence for 30 s"},
    {"leave", 2, 2, "KEY", "withdraw it"},
    {"insert", 4, 4, "KEY POSITION TEXT", "insert into a text, at a position counted from 0"},
    {"delete", 3, 4, "KEY POSITION [COUNT]", "delete characters of a text"},
    {"map", 4, 5, "KEY FIELD VERB [OPERAND]", "a field of a map: incr, decr, set, add, here or leave"},
    {"raw", 3, 3, "KEY JSON", R"(an op as it is: {"GCounter":{"client_id":1,"amount":5}})"},
};

const Verb* find_verb(const std::string& name) {
    const auto found =
        std::find_if(std::begin(verbs), std::end(verbs), [&](const Verb& verb) { return name == verb.name; });
    return found == std::end(verbs) ? nullptr : found;
}

Result<crdt::Op> count(const Words& words, const OpContext& context) {
    Result<uint64_t> amount =
        words.size() > 2 ? client::parse_number("amount", words[2]) : Result<uint64_t>(uint64_t{1});
    if (!amount) return amount.error();
    const bool up = words[0] == "incr";
    if (up && words[1].rfind("pn:", 0) != 0) return crdt::Op(crdt::GCounterOp{context.client_id, *amount});
    using Side = crdt::PnCounterOp::Side;
    return crdt::Op(crdt::PnCounterOp{up ? Side::increment : Side::decrement, context.client_id, *amount});
}

Result<crdt::Op> removal(const std::string& key, const JsonValue& element, const OpContext& context) {
    const auto state = context.state_of(crdt::Type::orset, key);
    if (!state) return state.error();
    const std::string text = element.to_text();
    if (*state) {
        for (const auto& held : std::get<crdt::OrSetClientDelta>(**state).adds) {
            if (held.first != text) continue;
            std::vector<crdt::Tag> tags = held.second;
            std::sort(tags.begin(), tags.end());
            return crdt::Op(crdt::OrSetOp(crdt::OrSetRemove{element, std::move(tags)}));
        }
    }
    return Error{key + ": holds no " + text};
}

// Verbs that need no state and make one op.
Result<crdt::Op> simple_op(const Words& words, const OpContext& context) {
    const std::string& verb = words[0];
    if (verb == "incr" || verb == "decr") return count(words, context);
    const crdt::Hlc stamp{context.now_ms, 0, context.client_id};
    if (verb == "leave") return crdt::Op(crdt::PresenceOp(crdt::PresenceLeave{context.client_id, stamp}));
    Result<JsonValue> value = json_from_text(words[2]);
    if (!value) return value.error();
    if (verb == "set") return crdt::Op(crdt::LwwRegisterOp{*value, stamp, context.client_id});
    if (verb == "add") return crdt::Op(crdt::OrSetOp(crdt::OrSetAdd{*value, context.new_tag, 0, 0}));
    return crdt::Op(crdt::PresenceOp(crdt::PresenceHeartbeat{context.client_id, *value, stamp, presence_ttl_ms}));
}

Result<void> check_operands(const Words& words, const std::string& before = {}) {
    const Verb* verb = find_verb(words[0]);
    if (verb == nullptr) return Error{client::unknown_name("op", words[0], op_verbs())};
    if (words.size() >= verb->words_min && words.size() <= verb->words_max) return {};
    return Error{before + words[0] + ": expected " + verb->operands + ", found " + std::to_string(words.size() - 1) +
                 " operand" + (words.size() == 2 ? "" : "s")};
}

Result<crdt::Op> map_op(const Words& words, const OpContext& context) {
    // A field is to its verb what a key is to the others.
    Words inner = {words[3], words[2]};
    inner.insert(inner.end(), words.begin() + 4, words.end());
    const Words allowed = {"incr", "decr", "set", "add", "here", "leave"};
    if (std::find(allowed.begin(), allowed.end(), inner[0]) == allowed.end())
        return Error{"map: '" + inner[0] + "' of a field: expected incr, decr, set, add, here or leave"};
    if (Result<void> checked = check_operands(inner, "map FIELD "); !checked) return checked.error();
    const Result<crdt::Op> op = simple_op(inner, context);
    if (!op) return op;
    crdt::CrdtMapOp map;
    map.key = words[2];
    map.crdt_type = crdt::type_of(*op);
    if (const auto* up = std::get_if<crdt::GCounterOp>(&*op)) map.op = *up;
    if (const auto* both = std::get_if<crdt::PnCounterOp>(&*op)) map.op = *both;
    if (const auto* set = std::get_if<crdt::OrSetOp>(&*op)) map.op = *set;
    if (const auto* value = std::get_if<crdt::LwwRegisterOp>(&*op)) map.op = *value;
    if (const auto* presence = std::get_if<crdt::PresenceOp>(&*op)) map.op = *presence;
    return crdt::Op(std::move(map));
}

Result<Ops> text_ops(const Words& words, const OpContext& context) {
    const Result<uint64_t> position = client::parse_number("position", words[2]);
    if (!position) return position.error();
    const auto state = context.state_of(crdt::Type::rga, words[1]);
    if (!state) return state.error();
    const crdt::RgaClientDelta text = *state ? std::get<crdt::RgaClientDelta>(**state) : crdt::RgaClientDelta();
    if (words[0] == "insert") return insert_text(text, *position, words[3], {context.now_ms, 0, context.client_id});
    const Result<uint64_t> characters =
        words.size() > 3 ? client::parse_number("count", words[3]) : Result<uint64_t>(uint64_t{1});
    if (!characters) return characters.error();
    return delete_text(text, *position, *characters);
}

Result<crdt::Op> raw_op(const std::string& text) {
    const Result<std::string> bytes = msgpack_from_text(text);
    if (!bytes) return bytes.error();
    return wire::decode_op(*bytes);
}

}  // namespace

std::vector<std::string> op_verbs() {
    std::vector<std::string> names;
    for (const Verb& verb : verbs) names.emplace_back(verb.name);
    return names;
}

bool is_op_verb(const std::string& word) {
    return find_verb(word) != nullptr;
}

Result<Ops> ops_from_words(const Words& words, const OpContext& context) {
    if (Result<void> checked = check_operands(words); !checked) return checked.error();
    if (words[0] == "insert" || words[0] == "delete") return text_ops(words, context);
    Result<crdt::Op> op = Error{""};
    if (words[0] == "map") {
        op = map_op(words, context);
    } else if (words[0] == "raw") {
        op = raw_op(words[2]);
    } else if (words[0] == "remove") {
        const Result<JsonValue> element = json_from_text(words[2]);
        if (!element) return element.error();
        op = removal(words[1], *element, context);
    } else {
        op = simple_op(words, context);
    }
    if (!op) return op.error();
    return Ops{std::move(op).value()};
}

std::string op_help() {
    std::string text;
    for (const Verb& verb : verbs) {
        std::string line = std::string("  op ") + verb.name + " " + verb.operands;
        line.resize(std::max<size_t>(line.size() + 2, 38), ' ');
        text += line + verb.help + "\n";
    }
    return text;
}

}  // namespace meridian::ctl
