#include "api/token_api.h"

#include <Poco/Dynamic/Var.h>
#include <Poco/Exception.h>
#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>
#include <Poco/JSON/ParseHandler.h>
#include <Poco/JSON/Parser.h>

#include <algorithm>

#include "base/json_writer.h"
#include "base/utf8.h"
#include "http/message_head.h"

namespace meridian::server {
namespace {

constexpr uint64_t ttl_ms_default = 3'600'000;

// Thrown and caught in this file only: the path of a shape error through nested readers.
struct ShapeError {
    std::string text;
};

uint64_t unsigned_of(const Poco::Dynamic::Var& value, const std::string& name, uint64_t max = UINT64_MAX) {
    if (value.isInteger() && !value.isBoolean()) {
        try {
            const auto number = value.convert<Poco::UInt64>();
            if (number <= max) return number;
        } catch (const Poco::Exception&) {
            // Negative: reported below like everything else that does not fit.
        }
    }
    throw ShapeError{name + ": expected an integer from 0 to " + std::to_string(max)};
}

bool boolean_of(const Poco::Dynamic::Var& value, const std::string& name) {
    if (!value.isBoolean()) throw ShapeError{name + ": expected true or false"};
    return value.convert<bool>();
}

std::string pattern_of(const Poco::Dynamic::Var& value, const std::string& name) {
    if (!value.isString()) throw ShapeError{name + ": expected a string"};
    std::string pattern = value.convert<std::string>();
    if (pattern.size() > pattern_bytes_max)
        throw ShapeError{name + ": expected at most " + std::to_string(pattern_bytes_max) + " bytes"};
    return pattern;
}

Poco::JSON::Object::Ptr object_of(const Poco::Dynamic::Var& value, const std::string& name) {
    if (value.type() != typeid(Poco::JSON::Object::Ptr)) throw ShapeError{name + ": expected an object"};
    return value.extract<Poco::JSON::Object::Ptr>();
}

Poco::JSON::Array::Ptr array_of(const Poco::Dynamic::Var& value, const std::string& name) {
    if (value.type() != typeid(Poco::JSON::Array::Ptr)) throw ShapeError{name + ": expected a list"};
    auto array = value.extract<Poco::JSON::Array::Ptr>();
    if (array->size() > rules_max)
        throw ShapeError{name + ": expected at most " + std::to_string(rules_max) + " entries"};
    return array;
}

bool has(const Poco::JSON::Object::Ptr& object, const char* name) {
    return object->has(name) && !object->isNull(name);
}

Rule rule_of(const Poco::Dynamic::Var& value, const std::string& name) {
    const auto object = object_of(value, name);
    if (!has(object, "p")) throw ShapeError{name + ": missing field `p`"};
    Rule rule;
    rule.pattern = pattern_of(object->get("p"), name + ".p");
    if (has(object, "o")) {
        const uint64_t mask = unsigned_of(object->get("o"), name + ".o", op_mask_all);
        rule.op_mask = mask == 0 ? op_mask_all : static_cast<uint16_t>(mask);
    }
    if (has(object, "e")) rule.expires_ms = unsigned_of(object->get("e"), name + ".e");
    return rule;
}

std::vector<Rule> rules_of(const Poco::JSON::Object::Ptr& object, const char* field) {
    if (!has(object, field)) throw ShapeError{std::string("rules: missing field `") + field + "`"};
    const std::string name = std::string("rules.") + field;
    const auto array = array_of(object->get(field), name);
    std::vector<Rule> rules;
    for (const Poco::Dynamic::Var& element : *array) rules.push_back(rule_of(element, name));
    return rules;
}

// An omitted list grants nothing.
std::vector<Rule> patterns_of(const Poco::JSON::Object::Ptr& object, const char* field) {
    std::vector<Rule> rules;
    if (!has(object, field)) return rules;
    const std::string name = std::string("permissions.") + field;
    const auto array = array_of(object->get(field), name);
    for (const Poco::Dynamic::Var& element : *array)
        rules.push_back({pattern_of(element, name), op_mask_all, std::nullopt});
    return rules;
}

Permissions permissions_of(const Poco::JSON::Object::Ptr& body) {
    Permissions permissions;
    if (has(body, "rules")) {
        const auto rules = object_of(body->get("rules"), "rules");
        permissions.read = rules_of(rules, "r");
        permissions.write = rules_of(rules, "w");
        if (has(rules, "admin")) permissions.admin = boolean_of(rules->get("admin"), "rules.admin");
        if (has(rules, "rl"))
            permissions.requests_per_second =
                static_cast<uint32_t>(unsigned_of(rules->get("rl"), "rules.rl", UINT32_MAX));
        return permissions;
    }
    permissions.version = 1;
    if (!has(body, "permissions")) return permissions;
    const auto lists = object_of(body->get("permissions"), "permissions");
    if (lists->has("r") || lists->has("w")) throw ShapeError{"permissions: fields `r` and `w` belong under `rules`"};
    permissions.read = patterns_of(lists, "read");
    permissions.write = patterns_of(lists, "write");
    if (has(lists, "admin")) permissions.admin = boolean_of(lists->get("admin"), "permissions.admin");
    return permissions;
}

struct TokenRequest {
    uint64_t client_id = 0;
    uint64_t ttl_ms = ttl_ms_default;
    Permissions permissions;
    std::optional<std::string> client_key;  // as given
};

TokenRequest request_of(const Poco::Dynamic::Var& parsed) {
    const auto body = object_of(parsed, "the body");
    TokenRequest request;
    if (!has(body, "client_id")) throw ShapeError{"missing field `client_id`"};
    request.client_id = unsigned_of(body->get("client_id"), "client_id");
    if (has(body, "ttl_ms")) request.ttl_ms = unsigned_of(body->get("ttl_ms"), "ttl_ms");
    request.permissions = permissions_of(body);
    if (has(body, "client_pubkey")) {
        if (!body->get("client_pubkey").isString()) throw ShapeError{"client_pubkey: expected a string"};
        request.client_key = body->get("client_pubkey").convert<std::string>();
    }
    return request;
}

bool is_json(std::string_view content_type) {
    std::string_view type = content_type.substr(0, content_type.find(';'));
    while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
    if (http::equals_ignoring_case(type, "application/json")) return true;
    return type.size() > 17 && http::equals_ignoring_case(type.substr(0, 12), "application/") &&
           http::equals_ignoring_case(type.substr(type.size() - 5), "+json");
}

// The parsed body, or the answer that refuses it.
std::variant<TokenRequest, HttpResponse> read_request(const HttpRequest& request) {
    if (!is_json(request.content_type)) {
        return error_response(415, "unsupported_media_type", "Expected request with `Content-Type: application/json`");
    }
    try {
        if (!is_valid_utf8(request.body))
            return error_response(400, "malformed_json", "Failed to parse the request body as JSON: not UTF-8");
        Poco::JSON::Parser parser;
        parser.setDepth(16);
        return request_of(parser.parse(request.body));
    } catch (const ShapeError& error) {
        return error_response(422, "invalid_body",
                              "Failed to deserialize the JSON body into the target type: " + error.text);
    } catch (const Poco::Exception& error) {
        return error_response(400, "malformed_json",
                              "Failed to parse the request body as JSON: " + error.displayText());
    }
}

void write_patterns(JsonWriter& json, const std::vector<Rule>& rules) {
    json.begin_array();
    for (const Rule& rule : rules) json.string(rule.pattern);
    json.end_array();
}

void write_rules(JsonWriter& json, const std::vector<Rule>& rules) {
    json.begin_array();
    for (const Rule& rule : rules) {
        json.begin_object();
        if (rule.expires_ms) {
            json.key("e");
            json.number(*rule.expires_ms);
        }
        if (rule.op_mask != op_mask_all) {
            json.key("o");
            json.number(uint64_t{rule.op_mask});
        }
        json.key("p");
        json.string(rule.pattern);
        json.end_object();
    }
    json.end_array();
}

void write_permissions(JsonWriter& json, const Permissions& permissions) {
    json.begin_object();
    json.key("admin");
    json.boolean(permissions.admin);
    if (permissions.version == 1) {
        json.key("read");
        write_patterns(json, permissions.read);
        json.key("write");
        write_patterns(json, permissions.write);
    } else {
        json.key("r");
        write_rules(json, permissions.read);
        if (permissions.requests_per_second) {
            json.key("rl");
            json.number(uint64_t{*permissions.requests_per_second});
        }
        json.key("v");
        json.number(uint64_t{2});
        json.key("w");
        write_rules(json, permissions.write);
    }
    json.end_object();
}

HttpResponse json_body(std::string body) {
    HttpResponse response;
    response.content_type = "application/json";
    response.body = std::move(body);
    return response;
}

HttpResponse same_text(int status, const char* text) {
    return error_response(status, text, text);
}

}  // namespace

HttpResponse issue_token_response(const HttpRequest& request, const SigningKey& key, uint64_t now_ms) {
    auto read = read_request(request);
    if (auto* refusal = std::get_if<HttpResponse>(&read)) return std::move(*refusal);
    const TokenRequest& wanted = std::get<TokenRequest>(read);
    const Claims& issuer = request.session->claims;
    if (issuer.namespace_name != request.path.namespace_name) return same_text(403, "token namespace mismatch");
    if (!issuer.permissions.admin) return same_text(403, "admin permission required");
    if (!is_valid_namespace(issuer.namespace_name))
        return error_response(400, "invalid_namespace", "namespace: expected [a-z0-9_-]{1,64}");
    Claims claims;
    claims.namespace_name = issuer.namespace_name;
    claims.client_id = wanted.client_id;
    claims.expires_at_ms = wanted.ttl_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + wanted.ttl_ms;
    claims.permissions = wanted.permissions;
    if (wanted.client_key) {
        std::string_view text = *wanted.client_key;
        while (!text.empty() && text.back() == '=') text.remove_suffix(1);
        const auto bytes = base64url_decode(text);
        if (!bytes) return same_text(400, "client_pubkey: invalid base64url");
        if (bytes->size() != 32) return same_text(400, "client_pubkey must be 32 bytes (Ed25519)");
        claims.client_key.emplace();
        std::copy_n(bytes->data(), 32, reinterpret_cast<char*>(claims.client_key->data()));
    }
    JsonWriter json;
    json.begin_object();
    json.key("token");
    json.string(issue_token(claims, key));
    json.end_object();
    return json_body(json.take());
}

std::string describe_claims(const Claims& claims) {
    JsonWriter json;
    json.begin_object();
    json.key("client_id");
    json.number(claims.client_id);
    if (claims.client_key) {
        // 32 bytes: 43 digits and one '='.
        json.key("client_pubkey");
        json.string(
            base64url_encode({reinterpret_cast<const char*>(claims.client_key->data()), claims.client_key->size()}) +
            "=");
    }
    json.key("expires_at");
    json.number(claims.expires_at_ms);
    json.key("namespace");
    json.string(claims.namespace_name);
    json.key("permissions");
    write_permissions(json, claims.permissions);
    json.end_object();
    return json.take();
}

HttpResponse describe_token_response(const HttpRequest& request) {
    const Claims& claims = request.session->claims;
    if (claims.namespace_name != request.path.namespace_name) return same_text(403, "token namespace mismatch");
    return json_body(describe_claims(claims));
}

}  // namespace meridian::server
