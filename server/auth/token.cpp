#include "auth/token.h"

#include <sodium.h>

#include <algorithm>
#include <cmath>

#include "base/msgpack.h"
#include "base/utf8.h"

namespace meridian::server {
namespace {

constexpr const char* format_text = "token format invalid: expected '<claims_b64>.<sig_b64>'";

// The value of a member of a map; keys that are no strings are passed over.
std::optional<MsgpackNode> member(const MsgpackNode& map, std::string_view name) {
    if (map.kind() != MsgpackKind::map) return std::nullopt;
    MsgpackNode key = map.size() == 0 ? map : map.first();
    for (uint32_t i = 0; i < map.size(); ++i) {
        const MsgpackNode value = key.next();
        if (key.kind() == MsgpackKind::string && key.bytes() == name) return value;
        if (i + 1 < map.size()) key = value.next();
    }
    return std::nullopt;
}

// An integer of any encoding; JavaScript writes those above 2^53 as float64.
std::optional<uint64_t> unsigned_value(const MsgpackNode& node) {
    if (node.kind() == MsgpackKind::unsigned_integer) return node.unsigned_integer();
    if (node.kind() == MsgpackKind::float64 && node.float64() >= 0 && node.float64() < 18446744073709551616.0 &&
        std::floor(node.float64()) == node.float64()) {
        return static_cast<uint64_t>(node.float64());
    }
    return std::nullopt;
}

class ClaimsDecoder {
public:
    Result<Claims> decode(const MsgpackNode& root) {
        if (root.kind() != MsgpackKind::map) return Error{"expected a map of claims, found " + root.describe()};
        Claims claims;
        claims.namespace_name = text_member(root, "namespace");
        claims.client_id = number_member(root, "client_id");
        claims.expires_at_ms = number_member(root, "expires_at");
        const auto permissions = member(root, "permissions");
        if (!permissions || permissions->kind() != MsgpackKind::map) {
            fail("permissions", "a map");
        } else {
            claims.permissions = decode_permissions(*permissions);
        }
        if (const auto key = member(root, "client_pubkey"); key && !key->is_nil()) {
            if (key->kind() == MsgpackKind::binary && key->bytes().size() == 32) {
                claims.client_key.emplace();
                std::copy_n(key->bytes().data(), 32, reinterpret_cast<char*>(claims.client_key->data()));
            } else {
                fail("client_pubkey", "32 bytes");
            }
        }
        if (!problem_.empty()) return Error{problem_};
        return claims;
    }

private:
    void fail(std::string_view field, std::string_view expected) {
        if (problem_.empty()) problem_ = "field '" + std::string(field) + "': expected " + std::string(expected);
    }

    std::string text_member(const MsgpackNode& map, std::string_view name) {
        const auto node = member(map, name);
        if (node && node->kind() == MsgpackKind::string && is_valid_utf8(node->bytes()))
            return std::string(node->bytes());
        fail(name, "a string");
        return {};
    }
    uint64_t number_member(const MsgpackNode& map, std::string_view name) {
        const auto node = member(map, name);
        const auto value = node ? unsigned_value(*node) : std::nullopt;
        if (!value) fail(name, "an unsigned integer");
        return value.value_or(0);
    }
    bool boolean_member(const MsgpackNode& map, std::string_view name) {
        const auto node = member(map, name);
        if (node && node->kind() == MsgpackKind::boolean) return node->boolean();
        fail(name, "a boolean");
        return false;
    }

    // Version 2 is tried first; the value of `v` is not looked at.
    Permissions decode_permissions(const MsgpackNode& map) {
        Permissions permissions;
        permissions.version = member(map, "v") && member(map, "r") && member(map, "w") ? 2 : 1;
        const bool rules = permissions.version == 2;
        permissions.read = decode_list(map, rules ? "r" : "read", rules);
        permissions.write = decode_list(map, rules ? "w" : "write", rules);
        permissions.admin = boolean_member(map, "admin");
        if (!rules) return permissions;
        if (const auto limit = member(map, "rl"); limit && !limit->is_nil()) {
            const auto value = unsigned_value(*limit);
            if (!value || *value > UINT32_MAX) {
                fail("rl", "an unsigned 32-bit integer");
            } else {
                permissions.requests_per_second = static_cast<uint32_t>(*value);
            }
        }
        return permissions;
    }

    std::vector<Rule> decode_list(const MsgpackNode& map, std::string_view name, bool rules) {
        std::vector<Rule> out;
        const auto list = member(map, name);
        if (!list || list->kind() != MsgpackKind::array || list->size() > rules_max) {
            fail(name, "a list of at most " + std::to_string(rules_max));
            return out;
        }
        MsgpackNode element = list->size() == 0 ? *list : list->first();
        for (uint32_t i = 0; i < list->size(); ++i) {
            out.push_back(rules ? decode_rule(element) : Rule{decode_pattern(element), op_mask_all, std::nullopt});
            if (i + 1 < list->size()) element = element.next();
        }
        return out;
    }

    std::string decode_pattern(const MsgpackNode& node) {
        if (node.kind() == MsgpackKind::string && node.bytes().size() <= pattern_bytes_max)
            return std::string(node.bytes());
        fail("pattern", "a string of at most " + std::to_string(pattern_bytes_max) + " bytes");
        return {};
    }

    Rule decode_rule(const MsgpackNode& node) {
        Rule rule;
        const auto pattern = member(node, "p");
        if (pattern) {
            rule.pattern = decode_pattern(*pattern);
        } else {
            fail("p", "a string");
        }
        if (const auto mask = member(node, "o"); mask && !mask->is_nil()) {
            const auto value = unsigned_value(*mask);
            if (!value || *value > op_mask_all) fail("o", "an unsigned 16-bit integer");
            rule.op_mask = value.value_or(0) == 0 ? op_mask_all : static_cast<uint16_t>(*value);
        }
        if (const auto expiry = member(node, "e"); expiry && !expiry->is_nil()) {
            rule.expires_ms = unsigned_value(*expiry);
            if (!rule.expires_ms) fail("e", "an unsigned integer");
        }
        return rule;
    }

    std::string problem_;
};

void write_rules(MsgpackWriter& writer, const std::vector<Rule>& rules) {
    writer.array(rules.size());
    for (const Rule& rule : rules) {
        const bool masked = rule.op_mask != op_mask_all;
        writer.map(1 + (masked ? 1U : 0U) + (rule.expires_ms ? 1U : 0U));
        writer.string("p");
        writer.string(rule.pattern);
        if (masked) {
            writer.string("o");
            writer.unsigned_integer(rule.op_mask);
        }
        if (rule.expires_ms) {
            writer.string("e");
            writer.unsigned_integer(*rule.expires_ms);
        }
    }
}

void write_patterns(MsgpackWriter& writer, const std::vector<Rule>& rules) {
    writer.array(rules.size());
    for (const Rule& rule : rules) writer.string(rule.pattern);
}

void write_permissions(MsgpackWriter& writer, const Permissions& permissions) {
    if (permissions.version == 1) {
        writer.map(3);
        writer.string("read");
        write_patterns(writer, permissions.read);
        writer.string("write");
        write_patterns(writer, permissions.write);
        writer.string("admin");
        writer.boolean(permissions.admin);
        return;
    }
    writer.map(permissions.requests_per_second ? 5 : 4);
    writer.string("v");
    writer.unsigned_integer(2);
    writer.string("r");
    write_rules(writer, permissions.read);
    writer.string("w");
    write_rules(writer, permissions.write);
    writer.string("admin");
    writer.boolean(permissions.admin);
    if (permissions.requests_per_second) {
        writer.string("rl");
        writer.unsigned_integer(*permissions.requests_per_second);
    }
}

TokenVerdict refuse(std::string code, std::string message) {
    return {std::nullopt, {std::move(code), std::move(message)}};
}

}  // namespace

SigningKey SigningKey::from_seed(const std::array<uint8_t, 32>& seed) {
    SigningKey key;
    crypto_sign_seed_keypair(key.public_key_.data(), key.secret_key_.data(), seed.data());
    return key;
}

Result<SigningKey> SigningKey::from_hex(std::string_view hex) {
    std::array<uint8_t, 32> seed{};
    size_t size = 0;
    const char* end = nullptr;
    if (hex.size() != 64 ||
        sodium_hex2bin(seed.data(), seed.size(), hex.data(), hex.size(), nullptr, &size, &end) != 0 || size != 32) {
        return Error{"the signing key is malformed: expected 64 hexadecimal digits"};
    }
    return from_seed(seed);
}

std::array<uint8_t, 64> SigningKey::sign(std::string_view bytes) const {
    std::array<uint8_t, 64> signature{};
    crypto_sign_detached(signature.data(), nullptr, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(),
                         secret_key_.data());
    return signature;
}

std::string base64url_encode(std::string_view bytes) {
    std::string text(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_URLSAFE_NO_PADDING), '\0');
    sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    text.pop_back();  // the terminator that the length counts
    return text;
}

std::optional<std::string> base64url_decode(std::string_view text) {
    std::string bytes(text.size() / 4 * 3 + 3, '\0');
    size_t size = 0;
    // Without an end pointer anything that follows the encoding is an error.
    if (sodium_base642bin(reinterpret_cast<uint8_t*>(bytes.data()), bytes.size(), text.data(), text.size(), nullptr,
                          &size, nullptr, sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0) {
        return std::nullopt;
    }
    bytes.resize(size);
    return bytes;
}

std::string encode_claims(const Claims& claims) {
    std::string out;
    MsgpackWriter writer(out);
    writer.map(claims.client_key ? 5 : 4);
    writer.string("namespace");
    writer.string(claims.namespace_name);
    writer.string("client_id");
    writer.unsigned_integer(claims.client_id);
    writer.string("expires_at");
    writer.unsigned_integer(claims.expires_at_ms);
    writer.string("permissions");
    write_permissions(writer, claims.permissions);
    if (claims.client_key) {
        writer.string("client_pubkey");
        writer.binary({reinterpret_cast<const char*>(claims.client_key->data()), claims.client_key->size()});
    }
    return out;
}

Result<Claims> decode_claims(std::string_view msgpack) {
    const Result<MsgpackTape> tape = MsgpackTape::parse(msgpack, 16);
    if (!tape) return tape.error();
    return ClaimsDecoder().decode(tape->root());
}

std::string issue_token(const Claims& claims, const SigningKey& key) {
    const std::string payload = base64url_encode(encode_claims(claims));
    const std::array<uint8_t, 64> signature = key.sign(payload);
    return payload + "." + base64url_encode({reinterpret_cast<const char*>(signature.data()), signature.size()});
}

TokenVerdict verify_token(std::string_view token, const PublicKey& key) {
    const size_t dot = token.find('.');
    if (dot == std::string_view::npos || token.size() > token_bytes_max) return refuse("invalid_format", format_text);
    const std::string_view payload = token.substr(0, dot);
    const auto signature = base64url_decode(token.substr(dot + 1));
    if (!signature) return refuse("auth_error", "token base64 decode failed: the signature is not unpadded base64url");
    if (signature->size() != 64) return refuse("invalid_format", format_text);
    if (!verify_signature(*signature, payload, key)) return refuse("invalid_signature", "signature invalid");
    const auto claims_bytes = base64url_decode(payload);
    if (!claims_bytes) return refuse("auth_error", "token base64 decode failed: the claims are not unpadded base64url");
    Result<Claims> claims = decode_claims(*claims_bytes);
    if (!claims) return refuse("auth_error", "token claims deserialization failed: " + claims.error().message);
    return {std::move(claims).value(), {}};
}

TokenRefusal expired_refusal(uint64_t expires_at_ms, uint64_t now_ms) {
    return {"token_expired",
            "token expired at " + std::to_string(expires_at_ms) + "ms (now: " + std::to_string(now_ms) + "ms)"};
}

bool verify_signature(std::string_view signature, std::string_view bytes, const PublicKey& key) {
    return signature.size() == 64 &&
           crypto_sign_verify_detached(reinterpret_cast<const uint8_t*>(signature.data()),
                                       reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), key.data()) == 0;
}

bool is_valid_namespace(std::string_view name) {
    return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    });
}

}  // namespace meridian::server
