#include <algorithm>

#include "base/utf8.h"
#include "replication/message.h"
#include "replication/sealed_map.h"

namespace meridian::replication {

namespace {

class BodyEncoder {
public:
    explicit BodyEncoder(SealedMapWriter& map) : map_(map) {}

    void operator()(const Hello& hello) const {
        map_.key("floor").unsigned_integer(hello.floor);
        vector("vv", hello.vector);
        if (!hello.waiting.empty()) vector("wait", hello.waiting);
        MsgpackWriter& writer = map_.key("url");
        writer.array(hello.addresses.size());
        for (const auto& [transport, address] : hello.addresses) {
            writer.array(2);
            writer.string(transport);
            writer.string(address);
        }
        number("max", hello.message_bytes_max);
        map_.key("enc").array(2);
        writer.unsigned_integer(hello.entry_versions_min);
        writer.unsigned_integer(hello.entry_versions_max);
        map_.key("nonce").binary(hello.nonce);
        map_.key("echo").array(2);
        writer.unsigned_integer(hello.echo_wall_ms);
        writer.unsigned_integer(hello.echo_number);
        number("ivl", hello.interval_ms);
        if (!hello.members.empty()) {
            map_.key("mem").array(hello.members.size());
            for (const auto& [node_id, silent_ms] : hello.members) {
                writer.array(2);
                writer.unsigned_integer(node_id);
                writer.unsigned_integer(silent_ms);
            }
        }
        flag("ask", hello.wants_reply);
        flag("leaving", hello.leaving);
        flag("ready", hello.ready);
    }

    void operator()(const Pull& pull) const {
        const auto asks = [](const node::EntryRange& range) { return range.upto > range.after; };
        MsgpackWriter& writer = map_.key("want");
        writer.array(static_cast<size_t>(std::count_if(pull.want.begin(), pull.want.end(), asks)));
        for (const node::EntryRange& range : pull.want) {
            if (!asks(range)) continue;
            writer.array(4);
            origin(writer, range.origin);
            writer.unsigned_integer(range.after);
            writer.unsigned_integer(range.upto == UINT64_MAX ? 0 : range.upto);
        }
        number("bytes", pull.bytes_max);
        number("count", pull.count_max);
    }

    void operator()(const Entries& entries) const {
        MsgpackWriter& writer = map_.key("ents");
        const std::vector<node::RemoteEntry>& all = entries.entries;
        const auto end_of_group = [&](size_t begin) {
            size_t end = begin;
            while (end < all.size() && all[end].origin == all[begin].origin) ++end;
            return end;
        };
        size_t groups = 0;
        for (size_t begin = 0; begin < all.size(); begin = end_of_group(begin)) ++groups;
        writer.array(groups);
        for (size_t begin = 0; begin < all.size();) {
            const size_t end = end_of_group(begin);
            writer.array(3);
            origin(writer, all[begin].origin);
            writer.array(end - begin);
            for (; begin < end; ++begin) {
                const node::RemoteEntry& entry = all[begin];
                writer.array(5);
                writer.unsigned_integer(entry.sequence);
                writer.unsigned_integer(entry.wall_ms);
                name(writer, entry.name);
                writer.binary(entry.payload);
            }
        }
        flag("done", entries.complete);
        map_.key("gone").array(entries.gone.size());
        for (const auto& [gone, floor] : entries.gone) {
            writer.array(3);
            origin(writer, gone);
            writer.unsigned_integer(floor);
        }
        error(entries.error);
    }

    void operator()(const TreeRequest& request) const {
        number("scan", request.scan);
        paths(request.paths);
    }
    void operator()(const TreeReply& reply) const {
        number("scan", reply.scan);
        vector("vv", reply.vector);
        MsgpackWriter& writer = map_.key("nodes");
        writer.array(reply.children.size());
        for (const TreeNode& node : reply.children) {
            writer.array(3);
            writer.string(node.path);
            writer.unsigned_integer(node.keys);
            writer.unsigned_integer(node.digest);
        }
        error(reply.error);
    }

    void operator()(const KeysRequest& request) const {
        number("scan", request.scan);
        paths(request.paths);
    }
    void operator()(const KeysReply& reply) const {
        number("scan", reply.scan);
        MsgpackWriter& writer = map_.key("keys");
        writer.array(reply.keys.size());
        for (const node::KeyDigest& key : reply.keys) {
            writer.array(3);
            name(writer, key.name);
            writer.unsigned_integer(key.digest);
        }
        error(reply.error);
    }

    void operator()(const StatesRequest& request) const {
        MsgpackWriter& writer = map_.key("names");
        writer.array(request.names.size());
        for (const node::KeyName& wanted : request.names) {
            writer.array(2);
            name(writer, wanted);
        }
    }
    void operator()(const StatesReply& reply) const {
        MsgpackWriter& writer = map_.key("states");
        writer.array(reply.states.size());
        for (const node::KeyState& state : reply.states) {
            writer.array(3);
            name(writer, state.name);
            if (state.payload) {
                writer.binary(*state.payload);
            } else {
                writer.nil();
            }
        }
        error(reply.error);
    }

    void operator()(const Awareness& awareness) const {
        map_.key("ns").string(awareness.namespace_name);
        number("client_id", awareness.client_id);
        map_.key("key").string(awareness.key);
        map_.key("data").binary(awareness.data);
    }

    void operator()(const RevokeSessions& revoke) const {
        map_.key("cmd").string("revoke");
        map_.key("ns").string(revoke.namespace_name);
        number("client_id", revoke.client_id);
    }

    void operator()(const Refusal& refusal) const {
        map_.key("code").string(refusal.code);
        number("retry_ms", refusal.retry_ms);
    }

private:
    static void origin(MsgpackWriter& writer, const Origin& origin) {
        writer.unsigned_integer(origin.node_id);
        writer.unsigned_integer(origin.incarnation);
    }
    static void name(MsgpackWriter& writer, const node::KeyName& name) {
        writer.string(name.namespace_name);
        writer.string(name.key);
    }
    void number(std::string_view key, uint64_t value) const { map_.key(key).unsigned_integer(value); }
    void flag(std::string_view key, bool value) const { map_.key(key).boolean(value); }
    void paths(const std::vector<std::string>& paths) const {
        MsgpackWriter& writer = map_.key("paths");
        writer.array(paths.size());
        for (const std::string& path : paths) writer.string(path);
    }
    void vector(std::string_view key, const VersionVector& vector) const {
        MsgpackWriter& writer = map_.key(key);
        writer.array(vector.size());
        for (const auto& [of, sequence] : vector) {
            writer.array(3);
            origin(writer, of);
            writer.unsigned_integer(sequence);
        }
    }
    void error(std::string_view text) const {
        if (text.empty()) return;
        if (!is_valid_utf8(text)) text = "the text of the error is not UTF-8";
        if (text.size() > text_bytes_max) {
            size_t end = text_bytes_max;
            // Not inside a character.
            while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) --end;
            text = text.substr(0, end);
        }
        map_.key("err").string(text);
    }

    SealedMapWriter& map_;
};

struct KindOf {
    const char* operator()(const Hello&) const { return "hello"; }
    const char* operator()(const Pull&) const { return "pull"; }
    const char* operator()(const Entries&) const { return "ents"; }
    const char* operator()(const TreeRequest&) const { return "tree"; }
    const char* operator()(const TreeReply&) const { return "tree"; }
    const char* operator()(const KeysRequest&) const { return "keys"; }
    const char* operator()(const KeysReply&) const { return "keys"; }
    const char* operator()(const StatesRequest&) const { return "snap"; }
    const char* operator()(const StatesReply&) const { return "snap"; }
    const char* operator()(const Awareness&) const { return "aw"; }
    const char* operator()(const RevokeSessions&) const { return "ctl"; }
    const char* operator()(const Refusal&) const { return "err"; }
};

bool is_reply(const Message& message) {
    const Body& body = message.body;
    if (std::holds_alternative<TreeReply>(body) || std::holds_alternative<KeysReply>(body) ||
        std::holds_alternative<StatesReply>(body)) {
        return true;
    }
    if (std::holds_alternative<TreeRequest>(body) || std::holds_alternative<KeysRequest>(body) ||
        std::holds_alternative<StatesRequest>(body)) {
        return false;
    }
    return message.header.is_reply;
}

// A guess that spares the big messages most copies.
size_t bytes_expected(const Message& message) {
    size_t bytes = 512;
    if (const auto* entries = std::get_if<Entries>(&message.body)) {
        for (const node::RemoteEntry& entry : entries->entries) {
            bytes += 32 + entry.name.namespace_name.size() + entry.name.key.size() + entry.payload.size();
        }
    }
    if (const auto* states = std::get_if<StatesReply>(&message.body)) {
        for (const node::KeyState& state : states->states) {
            bytes += 16 + state.name.namespace_name.size() + state.name.key.size() +
                     (state.payload ? state.payload->size() : 0);
        }
    }
    return bytes;
}

}  // namespace

std::string encode_message(const Message& message, const Seal& seal) {
    const Header& header = message.header;
    SealedMapWriter map(bytes_expected(message));
    map.key("t").string(std::visit(KindOf{}, message.body));
    map.key("v").unsigned_integer(protocol_version);
    if (!seal.cluster_id().empty()) map.key("cid").string(seal.cluster_id());
    map.key("from").unsigned_integer(header.from.node_id);
    map.key("inc").unsigned_integer(header.from.incarnation);
    map.key("ts").unsigned_integer(header.wall_ms);
    map.key("n").unsigned_integer(header.number);
    if (header.to) {
        map.key("to").unsigned_integer(header.to->node_id);
        map.key("toinc").unsigned_integer(header.to->incarnation);
    }
    if (header.request_id != 0) map.key("rid").unsigned_integer(header.request_id);
    if (is_reply(message)) map.key("re").boolean(true);
    std::visit(BodyEncoder(map), message.body);
    return std::move(map).finish(seal);
}

}  // namespace meridian::replication
