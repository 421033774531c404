#include "meridianctl/json_bridge.h"

#include <Poco/Dynamic/Var.h>
#include <Poco/Exception.h>
#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>
#include <sodium.h>

#include <array>
#include <optional>

#include "base/json_writer.h"
#include "base/msgpack.h"
#include "wire/op_codec.h"

namespace meridian::ctl {
namespace {

constexpr unsigned depth_max = 64;  // bounds the recursion below

// The bytes of 32 hexadecimal digits, with or without hyphens.
std::optional<std::string> uuid_bytes(const std::string& text) {
    std::array<unsigned char, 16> bytes{};
    size_t size = 0;
    const char* end = nullptr;
    if (::sodium_hex2bin(bytes.data(), bytes.size(), text.data(), text.size(), "-", &size, &end) != 0 ||
        size != bytes.size() || end != text.data() + text.size())
        return std::nullopt;
    return std::string(bytes.begin(), bytes.end());
}

// `tags`: strings that are UUIDs are written as bytes.
void write_var(MsgpackWriter& writer, const Poco::Dynamic::Var& value, bool tags = false) {
    if (value.isEmpty()) {
        writer.nil();
    } else if (value.isBoolean()) {
        writer.boolean(value.convert<bool>());
    } else if (value.isString()) {
        const std::string text = value.convert<std::string>();
        const auto uuid = tags ? uuid_bytes(text) : std::nullopt;
        if (uuid) {
            writer.binary(*uuid);
        } else {
            writer.string(text);
        }
    } else if (value.isInteger()) {
        if (value.isSigned() && value.convert<Poco::Int64>() < 0) {
            writer.signed_integer(value.convert<Poco::Int64>());
        } else {
            writer.unsigned_integer(value.convert<Poco::UInt64>());
        }
    } else if (value.isNumeric()) {
        writer.float64(value.convert<double>());
    } else if (value.type() == typeid(Poco::JSON::Array::Ptr)) {
        const auto array = value.extract<Poco::JSON::Array::Ptr>();
        writer.array(array->size());
        for (const Poco::Dynamic::Var& element : *array) write_var(writer, element, tags);
    } else {
        const auto object = value.extract<Poco::JSON::Object::Ptr>();
        writer.map(object->size());
        for (const auto& member : *object) {
            writer.string(member.first);
            write_var(writer, member.second, member.first == "tag" || member.first == "known_tags");
        }
    }
}

std::string hex(std::string_view bytes) {
    constexpr char digits[] = "0123456789abcdef";
    std::string out;
    for (const char c : bytes) {
        out += digits[static_cast<unsigned char>(c) >> 4];
        out += digits[static_cast<unsigned char>(c) & 15];
    }
    return out;
}

std::string key_text(const MsgpackNode& key) {
    if (key.kind() == MsgpackKind::string) return std::string(key.bytes());
    if (key.kind() == MsgpackKind::unsigned_integer) return std::to_string(key.unsigned_integer());
    if (key.kind() == MsgpackKind::binary) return hex(key.bytes());
    return key.describe();
}

void write_node(JsonWriter& json, const MsgpackNode& node) {
    switch (node.kind()) {
        case MsgpackKind::nil:
            return json.null();
        case MsgpackKind::boolean:
            return json.boolean(node.boolean());
        case MsgpackKind::unsigned_integer:
            return json.number(node.unsigned_integer());
        case MsgpackKind::negative_integer:
            return json.number(node.negative_integer());
        case MsgpackKind::float64:
            return json.number(node.float64());
        case MsgpackKind::string:
            return json.string(node.bytes());
        case MsgpackKind::binary:
        case MsgpackKind::extension:
            return json.string(hex(node.bytes()));
        case MsgpackKind::array:
        case MsgpackKind::map:
            break;
    }
    const bool map = node.kind() == MsgpackKind::map;
    if (map) {
        json.begin_object();
    } else {
        json.begin_array();
    }
    MsgpackNode member = node.size() == 0 ? node : node.first();
    for (uint32_t i = 0; i < node.size(); ++i) {
        if (i > 0) member = member.next();
        if (map) {
            json.key(key_text(member));
            member = member.next();
        }
        write_node(json, member);
    }
    if (map) {
        json.end_object();
    } else {
        json.end_array();
    }
}

}  // namespace

Result<std::string> msgpack_from_text(const std::string& text) {
    try {
        Poco::JSON::Parser parser;
        parser.setDepth(depth_max);
        // The parser wants an object or a list at the top; a scalar is wrapped.
        const auto parsed = parser.parse("[" + text + "]").extract<Poco::JSON::Array::Ptr>();
        if (parsed->size() != 1) return Error{"'" + text + "' is not one JSON value"};
        std::string msgpack;
        MsgpackWriter writer(msgpack);
        write_var(writer, parsed->get(0));
        return msgpack;
    } catch (const Poco::Exception& error) {
        return Error{"'" + text + "' is not JSON (a string needs its double quotes): " + error.displayText()};
    }
}

Result<JsonValue> json_from_text(const std::string& text) {
    const Result<std::string> msgpack = msgpack_from_text(text);
    if (!msgpack) return msgpack.error();
    return wire::decode_json_value(*msgpack);
}

Result<std::string> text_from_msgpack(std::string_view msgpack) {
    const Result<MsgpackTape> tape = MsgpackTape::parse(msgpack, depth_max * 4);
    if (!tape) return tape.error();
    JsonWriter json;
    write_node(json, tape->root());
    return json.take();
}

}  // namespace meridian::ctl
