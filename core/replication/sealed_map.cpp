#include "replication/sealed_map.h"

#include <optional>

#include "replication/message.h"

namespace meridian::replication {

SealedMapWriter::SealedMapWriter(size_t bytes_expected) : writer_(bytes_) {
    bytes_.reserve(bytes_expected);
    bytes_.push_back('\0');
}

std::string SealedMapWriter::finish(const Seal& seal) && {
    if (seal.signs()) {
        const std::string code = seal.code(std::string_view(bytes_).substr(1));
        key("mac").binary(code);
    }
    std::string header;
    MsgpackWriter(header).map(count_);
    bytes_.replace(0, 1, header);
    return std::move(bytes_);
}

namespace {

size_t map_header_bytes(char first) {
    const auto byte = static_cast<uint8_t>(first);
    if (byte == 0xde) return 3;
    if (byte == 0xdf) return 5;
    return 1;
}

struct SealFields {
    std::optional<MsgpackNode> version, cluster_id, code;
    MsgpackNode code_key;
    bool has_our_keys = false;

    explicit SealFields(MsgpackNode root) : code_key(root) {}
};

bool find_seal_fields(wire::Decoder& decoder, MsgpackNode root, SealFields& out) {
    return wire::read_map(decoder, root, [&](MsgpackNode key, MsgpackNode content) {
        if (key.kind() != MsgpackKind::string) return decoder.fail(key, "a field name, which is a string");
        const std::string_view name = key.bytes();
        std::optional<MsgpackNode>* field = nullptr;
        if (name == "v") field = &out.version;
        if (name == "cid") field = &out.cluster_id;
        if (name == "mac") {
            field = &out.code;
            out.code_key = key;
        }
        if (field != nullptr) {
            if (*field) return decoder.fail("found the field \"" + std::string(name) + "\" twice, expected it once");
            *field = content;
        }
        if (field != nullptr || name == "inc" || name == "oseq" || name == "xd") out.has_our_keys = true;
        return true;
    });
}

struct Signed {
    std::string_view pairs;
    std::string_view code;
};

// The raw bytes of the code and of the pairs before it; nothing if the code is not written as the encoder writes it, as
// the last 38 bytes of the map.
std::optional<Signed> find_signed(std::string_view bytes, size_t bytes_used, const SealFields& fields) {
    constexpr std::string_view pair_start = "\xa3mac\xc4\x20";
    constexpr size_t pair_bytes = pair_start.size() + Seal::code_bytes;
    const size_t header_bytes = map_header_bytes(bytes.front());
    if (bytes_used < header_bytes + pair_bytes) return std::nullopt;
    const size_t pair_at = bytes_used - pair_bytes;
    // What is there might be inside another value, so the key that was parsed must be the one there; then it is the
    // last.
    if (fields.code_key.bytes().data() != bytes.data() + pair_at + 1) return std::nullopt;
    if (bytes.substr(pair_at, pair_start.size()) != pair_start) return std::nullopt;
    return Signed{bytes.substr(header_bytes, pair_at - header_bytes),
                  bytes.substr(pair_at + pair_start.size(), Seal::code_bytes)};
}

}  // namespace

Result<Made> check_seal(std::string_view bytes, size_t bytes_used, MsgpackNode root, Writers writers, const Seal& seal,
                        RefusalReason& reason) {
    reason = RefusalReason::malformed;
    wire::Decoder decoder;
    SealFields fields(root);
    if (!find_seal_fields(decoder, root, fields)) return decoder.error();

    const bool legacy = writers == Writers::ours_or_legacy && !fields.has_our_keys;
    std::string cluster_id;
    if (fields.cluster_id && !read_text(decoder, *fields.cluster_id, cluster_id_bytes_max, cluster_id)) {
        decoder.within("cid");
        return decoder.error();
    }
    if (!legacy && cluster_id != seal.cluster_id()) {
        reason = RefusalReason::foreign_cluster;
        return Error{"found the cluster id \"" + cluster_id + "\", expected \"" + seal.cluster_id() + "\""};
    }
    if (seal.signs() && !fields.code && seal.required()) {
        reason = RefusalReason::not_signed;
        return Error{"found no mac, which is required"};
    }
    if (seal.signs() && fields.code) {
        const std::optional<Signed> found = find_signed(bytes, bytes_used, fields);
        if (!found || !seal.matches(found->pairs, found->code)) {
            reason = RefusalReason::bad_mac;
            return Error{found ? "found a mac that was made with another cluster secret, or for other bytes"
                               : "found a mac that is not the last field and 32 bytes"};
        }
    }
    if (legacy) return Made::legacy;

    if (!fields.version) return Error{"found no field \"v\", which is required"};
    uint64_t version = 0;
    if (!read_positive(decoder, *fields.version, version)) {
        decoder.within("v");
        return decoder.error();
    }
    if (version > protocol_version) {
        reason = RefusalReason::too_new;
        return Error{"found version " + std::to_string(version) + ", expected at most " +
                     std::to_string(protocol_version)};
    }
    return Made::ours;
}

bool read_text(wire::Decoder& decoder, MsgpackNode node, size_t bytes_max, std::string& out) {
    std::string_view text;
    if (!wire::read_string(decoder, node, text)) return false;
    if (text.size() > bytes_max) return decoder.fail(node, "at most " + std::to_string(bytes_max) + " bytes");
    out.assign(text);
    return true;
}

bool read_namespace(wire::Decoder& decoder, MsgpackNode node, std::string& out) {
    if (!read_text(decoder, node, namespace_bytes_max, out)) return false;
    if (out.empty() || out.find('\0') != std::string::npos) {
        return decoder.fail(node, "a namespace, not empty and without NUL");
    }
    return true;
}

bool read_key(wire::Decoder& decoder, MsgpackNode node, std::string& out) {
    if (!read_text(decoder, node, key_bytes_max, out)) return false;
    return !out.empty() || decoder.fail(node, "a key, not empty");
}

bool read_positive(wire::Decoder& decoder, MsgpackNode node, uint64_t& out) {
    if (!wire::read_integer(decoder, node, out)) return false;
    return out != 0 || decoder.fail(node, "an integer from 1");
}

}  // namespace meridian::replication
