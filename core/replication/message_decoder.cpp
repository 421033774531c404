#include <algorithm>

#include "replication/message.h"
#include "replication/sealed_map.h"

namespace meridian::replication {

namespace {

using wire::Decoder;
using wire::optional_field;
using wire::required_field;

bool read_bool(Decoder& decoder, MsgpackNode node, bool& out) {
    if (node.kind() != MsgpackKind::boolean) return decoder.fail(node, "true or false");
    out = node.boolean();
    return true;
}

bool read_binary(Decoder& decoder, MsgpackNode node, size_t bytes_max, std::string& out) {
    if (node.kind() != MsgpackKind::binary) return decoder.fail(node, "a byte string");
    if (node.size() > bytes_max) return decoder.fail(node, "at most " + std::to_string(bytes_max) + " bytes");
    out.assign(node.bytes());
    return true;
}

// As long as the message that holds it.
bool read_payload(Decoder& decoder, MsgpackNode node, std::string& out) {
    return read_binary(decoder, node, SIZE_MAX, out);
}

bool read_path(Decoder& decoder, MsgpackNode node, std::string& out) {
    if (!read_text(decoder, node, path_digits_max, out)) return false;
    const bool hexadecimal =
        std::all_of(out.begin(), out.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
    return hexadecimal || decoder.fail(node, "lower-case hexadecimal digits");
}

// Reads the elements of an array of fixed length one after another; more than are read are an error, so that what a
// list's items hold is told by the version alone.
class Tuple {
public:
    Tuple(Decoder& decoder, MsgpackNode node, uint32_t size, std::string_view expected)
        : decoder_(decoder), next_(node), left_(size) {
        ok_ = node.kind() == MsgpackKind::array && node.size() == size;
        if (ok_) {
            next_ = node.following();
        } else {
            decoder.fail(node, expected);
        }
    }
    // Calls `read` for the next element, unless one before it failed. REQUIRES: no more often than `size`.
    template <class Read>
    Tuple& then(Read read) {
        if (!ok_) return *this;
        const MsgpackNode element = next_;
        ok_ = read(element);
        if (--left_ > 0) next_ = element.next();
        return *this;
    }
    Tuple& number(uint64_t& out) {
        return then([&](MsgpackNode node) { return wire::read_integer(decoder_, node, out); });
    }
    Tuple& positive(uint64_t& out) {
        return then([&](MsgpackNode node) { return read_positive(decoder_, node, out); });
    }
    Tuple& origin(Origin& out) { return number(out.node_id).number(out.incarnation); }
    Tuple& name(node::KeyName& out) {
        then([&](MsgpackNode node) { return read_namespace(decoder_, node, out.namespace_name); });
        return then([&](MsgpackNode node) { return read_key(decoder_, node, out.key); });
    }
    bool ok() const { return ok_; }

private:
    Decoder& decoder_;
    MsgpackNode next_;
    uint32_t left_;
    bool ok_;
};

template <class T, class Read>
bool read_list(Decoder& decoder, MsgpackNode node, size_t count_max, std::vector<T>& out, Read read) {
    if (node.kind() == MsgpackKind::array && node.size() > count_max) {
        return decoder.fail(node, "at most " + std::to_string(count_max) + " elements");
    }
    // No reserve(): an element may take less in the input than in memory.
    return wire::read_array(decoder, node, [&](MsgpackNode element) { return read(element, out.emplace_back()); });
}

bool read_vector(Decoder& decoder, MsgpackNode node, VersionVector& out) {
    return wire::read_array(decoder, node, [&](MsgpackNode element) {
        Origin origin;
        uint64_t sequence = 0;
        if (!Tuple(decoder, element, 3, "[node, incarnation, sequence]").origin(origin).positive(sequence).ok()) {
            return false;
        }
        return out.emplace(origin, sequence).second || decoder.fail("found an origin twice, expected it once");
    });
}

bool read_paths(Decoder& decoder, MsgpackNode node, std::vector<std::string>& out) {
    return read_list(decoder, node, paths_max, out,
                     [&](MsgpackNode element, std::string& path) { return read_path(decoder, element, path); });
}

// What every body reader is given: the map, and short ways to name its fields.
struct Fields {
    Decoder& decoder;
    MsgpackNode root;

    auto number(std::string_view name, uint64_t& out) const {
        return required_field(name, [this, &out](MsgpackNode node) { return wire::read_integer(decoder, node, out); });
    }
    auto flag(std::string_view name, bool& out) const {
        return optional_field(name, [this, &out](MsgpackNode node) { return read_bool(decoder, node, out); });
    }
    auto vector(VersionVector& out) const {
        return required_field("vv", [this, &out](MsgpackNode node) { return read_vector(decoder, node, out); });
    }
    auto paths(std::vector<std::string>& out) const {
        return required_field("paths", [this, &out](MsgpackNode node) { return read_paths(decoder, node, out); });
    }
    auto namespace_name(std::string& out) const {
        return required_field("ns", [this, &out](MsgpackNode node) { return read_namespace(decoder, node, out); });
    }
    auto error(std::string& out) const {
        return optional_field("err",
                              [this, &out](MsgpackNode node) { return read_text(decoder, node, text_bytes_max, out); });
    }
    template <class... Reads>
    bool read(const wire::Field<Reads>&... fields) const {
        return wire::read_struct(decoder, root, fields...);
    }
};

bool read_body(const Fields& in, Hello& out) {
    Decoder& decoder = in.decoder;
    const auto read_addresses = [&](MsgpackNode node) {
        return read_list(decoder, node, addresses_max, out.addresses, [&](MsgpackNode element, auto& address) {
            return Tuple(decoder, element, 2, "[transport, address]")
                .then([&](MsgpackNode n) { return read_text(decoder, n, transport_name_bytes_max, address.first); })
                .then([&](MsgpackNode n) { return read_text(decoder, n, address_bytes_max, address.second); })
                .ok();
        });
    };
    const auto read_versions = [&](MsgpackNode node) {
        return Tuple(decoder, node, 2, "[lowest, highest]")
            .then([&](MsgpackNode n) { return wire::read_integer(decoder, n, out.entry_versions_min); })
            .then([&](MsgpackNode n) { return wire::read_integer(decoder, n, out.entry_versions_max); })
            .ok();
    };
    const auto read_echo = [&](MsgpackNode node) {
        return Tuple(decoder, node, 2, "[wall_ms, number]").number(out.echo_wall_ms).number(out.echo_number).ok();
    };
    const auto read_members = [&](MsgpackNode node) {
        return read_list(decoder, node, members_max, out.members, [&](MsgpackNode element, auto& member) {
            return Tuple(decoder, element, 2, "[node, ms]").number(member.first).number(member.second).ok();
        });
    };
    const auto read_waiting = [&](MsgpackNode node) { return read_vector(decoder, node, out.waiting); };
    return in.read(
        in.number("floor", out.floor), in.vector(out.vector), optional_field("wait", read_waiting),
        optional_field("url", read_addresses), in.number("max", out.message_bytes_max),
        required_field("enc", read_versions),
        required_field("nonce",
                       [&](MsgpackNode node) { return read_binary(decoder, node, nonce_bytes_max, out.nonce); }),
        optional_field("echo", read_echo), in.number("ivl", out.interval_ms), optional_field("mem", read_members),
        in.flag("ask", out.wants_reply), in.flag("leaving", out.leaving), in.flag("ready", out.ready));
}

bool read_body(const Fields& in, Pull& out) {
    Decoder& decoder = in.decoder;
    const auto read_range = [&](MsgpackNode element, node::EntryRange& range) {
        uint64_t upto = 0;
        if (!Tuple(decoder, element, 4, "[node, incarnation, after, upto]")
                 .origin(range.origin)
                 .number(range.after)
                 .number(upto)
                 .ok()) {
            return false;
        }
        range.upto = upto == 0 ? UINT64_MAX : upto;
        return range.upto > range.after || decoder.fail("found upto " + std::to_string(upto) + ", expected more than " +
                                                        std::to_string(range.after));
    };
    return in.read(
        required_field("want",
                       [&](MsgpackNode node) { return read_list(decoder, node, ranges_max, out.want, read_range); }),
        in.number("bytes", out.bytes_max), in.number("count", out.count_max));
}

bool read_body(const Fields& in, Entries& out) {
    Decoder& decoder = in.decoder;
    const auto read_group = [&](MsgpackNode group) {
        Origin origin;
        const auto read_entry = [&](MsgpackNode element) {
            node::RemoteEntry& entry = out.entries.emplace_back();
            entry.origin = origin;
            return Tuple(decoder, element, 5, "[sequence, wall_ms, namespace, key, payload]")
                .positive(entry.sequence)
                .number(entry.wall_ms)
                .name(entry.name)
                .then([&](MsgpackNode n) { return read_payload(decoder, n, entry.payload); })
                .ok();
        };
        return Tuple(decoder, group, 3, "[node, incarnation, entries]")
            .origin(origin)
            .then([&](MsgpackNode list) { return wire::read_array(decoder, list, read_entry); })
            .ok();
    };
    const auto read_gone = [&](MsgpackNode element, std::pair<Origin, uint64_t>& gone) {
        return Tuple(decoder, element, 3, "[node, incarnation, floor]").origin(gone.first).number(gone.second).ok();
    };
    return in.read(
        required_field("ents", [&](MsgpackNode node) { return wire::read_array(decoder, node, read_group); }),
        in.flag("done", out.complete),
        optional_field("gone",
                       [&](MsgpackNode node) { return read_list(decoder, node, SIZE_MAX, out.gone, read_gone); }),
        in.error(out.error));
}

bool read_body(const Fields& in, TreeRequest& out) {
    return in.read(in.number("scan", out.scan), in.paths(out.paths));
}

bool read_body(const Fields& in, TreeReply& out) {
    Decoder& decoder = in.decoder;
    const auto read_node = [&](MsgpackNode element, TreeNode& tree_node) {
        return Tuple(decoder, element, 3, "[path, keys, digest]")
            .then([&](MsgpackNode n) { return read_path(decoder, n, tree_node.path); })
            .number(tree_node.keys)
            .number(tree_node.digest)
            .ok();
    };
    return in.read(
        in.number("scan", out.scan), in.vector(out.vector),
        required_field("nodes",
                       [&](MsgpackNode node) { return read_list(decoder, node, SIZE_MAX, out.children, read_node); }),
        in.error(out.error));
}

bool read_body(const Fields& in, KeysRequest& out) {
    return in.read(in.number("scan", out.scan), in.paths(out.paths));
}

bool read_body(const Fields& in, KeysReply& out) {
    Decoder& decoder = in.decoder;
    const auto read_digest = [&](MsgpackNode element, node::KeyDigest& key) {
        return Tuple(decoder, element, 3, "[namespace, key, digest]").name(key.name).number(key.digest).ok();
    };
    return in.read(
        in.number("scan", out.scan),
        required_field("keys",
                       [&](MsgpackNode node) { return read_list(decoder, node, SIZE_MAX, out.keys, read_digest); }),
        in.error(out.error));
}

bool read_body(const Fields& in, StatesRequest& out) {
    Decoder& decoder = in.decoder;
    const auto read_name = [&](MsgpackNode element, node::KeyName& name) {
        return Tuple(decoder, element, 2, "[namespace, key]").name(name).ok();
    };
    return in.read(required_field(
        "names", [&](MsgpackNode node) { return read_list(decoder, node, SIZE_MAX, out.names, read_name); }));
}

bool read_body(const Fields& in, StatesReply& out) {
    Decoder& decoder = in.decoder;
    const auto read_state = [&](MsgpackNode element, node::KeyState& state) {
        return Tuple(decoder, element, 3, "[namespace, key, payload]")
            .name(state.name)
            .then([&](MsgpackNode n) {
                return wire::read_nullable(n, state.payload, [&](MsgpackNode payload, std::string& bytes) {
                    return read_payload(decoder, payload, bytes);
                });
            })
            .ok();
    };
    return in.read(
        required_field("states",
                       [&](MsgpackNode node) { return read_list(decoder, node, SIZE_MAX, out.states, read_state); }),
        in.error(out.error));
}

bool read_body(const Fields& in, Awareness& out) {
    Decoder& decoder = in.decoder;
    return in.read(
        in.namespace_name(out.namespace_name), in.number("client_id", out.client_id),
        required_field("key", [&](MsgpackNode node) { return read_text(decoder, node, key_bytes_max, out.key); }),
        required_field("data",
                       [&](MsgpackNode node) { return read_binary(decoder, node, awareness_bytes_max, out.data); }));
}

bool read_body(const Fields& in, RevokeSessions& out) {
    return in.read(in.namespace_name(out.namespace_name), in.number("client_id", out.client_id));
}

bool read_body(const Fields& in, Refusal& out) {
    Decoder& decoder = in.decoder;
    return in.read(
        required_field("code", [&](MsgpackNode node) { return read_text(decoder, node, kind_bytes_max, out.code); }),
        in.number("retry_ms", out.retry_ms));
}

bool read_header(const Fields& in, Header& out, std::string& kind) {
    Decoder& decoder = in.decoder;
    std::optional<uint64_t> to;
    uint64_t to_incarnation = 0;
    const bool ok = in.read(
        required_field("t", [&](MsgpackNode node) { return read_text(decoder, node, kind_bytes_max, kind); }),
        optional_field(
            "cid", [&](MsgpackNode node) { return read_text(decoder, node, cluster_id_bytes_max, out.cluster_id); }),
        in.number("from", out.from.node_id), in.number("inc", out.from.incarnation), in.number("ts", out.wall_ms),
        in.number("n", out.number),
        optional_field("to", [&](MsgpackNode node) { return wire::read_integer(decoder, node, to.emplace()); }),
        optional_field("toinc", [&](MsgpackNode node) { return wire::read_integer(decoder, node, to_incarnation); }),
        optional_field("rid", [&](MsgpackNode node) { return wire::read_integer(decoder, node, out.request_id); }),
        in.flag("re", out.is_reply));
    if (to) out.to = Origin{*to, to_incarnation};
    return ok;
}

template <class T>
bool read_as(const Fields& in, Body& body) {
    return read_body(in, body.emplace<T>());
}

enum class Found : uint8_t { message, malformed, unknown_kind };

// `kind` is completed where it is unknown.
Found read_kind(const Fields& in, const Header& header, std::string& kind, Body& body) {
    const auto found = [](bool ok) { return ok ? Found::message : Found::malformed; };
    if (kind == "hello") return found(read_as<Hello>(in, body));
    if (kind == "pull") return found(read_as<Pull>(in, body));
    if (kind == "ents") return found(read_as<Entries>(in, body));
    if (kind == "tree") return found(header.is_reply ? read_as<TreeReply>(in, body) : read_as<TreeRequest>(in, body));
    if (kind == "keys") return found(header.is_reply ? read_as<KeysReply>(in, body) : read_as<KeysRequest>(in, body));
    if (kind == "snap") {
        return found(header.is_reply ? read_as<StatesReply>(in, body) : read_as<StatesRequest>(in, body));
    }
    if (kind == "aw") return found(read_as<Awareness>(in, body));
    if (kind == "err") return found(read_as<Refusal>(in, body));
    if (kind != "ctl") return Found::unknown_kind;
    std::string command;
    const bool has_command = in.read(
        required_field("cmd", [&](MsgpackNode node) { return read_text(in.decoder, node, kind_bytes_max, command); }));
    if (!has_command) return Found::malformed;
    if (command == "revoke") return found(read_as<RevokeSessions>(in, body));
    kind += " " + command;
    return Found::unknown_kind;
}

}  // namespace

Result<std::variant<Message, UnknownKind>> decode_message(std::string_view bytes, const Seal& seal,
                                                          RefusalReason* reason) {
    RefusalReason ignored = RefusalReason::malformed;
    RefusalReason& why = reason != nullptr ? *reason : ignored;
    why = RefusalReason::malformed;
    const auto refused = [](std::string_view what, const Error& error) {
        return Error{std::string(what) + ": " + error.message};
    };

    const Result<MsgpackTape> tape = MsgpackTape::parse(bytes);
    if (!tape) return refused("message", tape.error());
    const MsgpackNode root = tape->root();
    if (root.kind() != MsgpackKind::map) return Error{"message: found " + root.describe() + ", expected a map"};
    const Result<Made> made = check_seal(bytes, tape->bytes_used(), root, Writers::ours, seal, why);
    if (!made) return refused("message", made.error());
    why = RefusalReason::malformed;

    Decoder decoder;
    const Fields fields{decoder, root};
    Message message;
    std::string kind;
    if (!read_header(fields, message.header, kind)) return refused("message", decoder.error());
    const std::string named = "message \"" + kind + "\"";
    switch (read_kind(fields, message.header, kind, message.body)) {
        case Found::message:
            return std::variant<Message, UnknownKind>(std::move(message));
        case Found::unknown_kind:
            return std::variant<Message, UnknownKind>(UnknownKind{std::move(kind)});
        case Found::malformed:
            break;
    }
    return refused(named, decoder.error());
}

}  // namespace meridian::replication
