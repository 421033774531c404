#include "replication/message_samples.h"

#include <tuple>

namespace meridian::test {

namespace {

using namespace replication;

class Samples {
public:
    explicit Samples(std::mt19937_64& random) : random_(random) {}

    // Of every length in bytes, the largest included.
    uint64_t number() { return random_() >> (random_() % 64); }
    uint64_t positive() { return number() | 1; }
    size_t below(size_t bound) { return random_() % bound; }
    bool coin() { return below(2) == 0; }
    std::string text(size_t bytes_max) {
        std::string out;
        for (size_t left = below(bytes_max + 1); left > 0; --left) {
            out += left > 1 && below(8) == 0 ? (--left, "\xc3\xa9") : std::string(1, static_cast<char>(below(128)));
        }
        return out;
    }
    std::string bytes(size_t bytes_max) {
        std::string out;
        for (size_t left = below(bytes_max + 1); left > 0; --left) out += static_cast<char>(below(256));
        return out;
    }
    std::string namespace_name() { return "n" + std::to_string(below(1000)); }
    std::string path() {
        std::string out;
        for (size_t left = below(path_digits_max + 1); left > 0; --left) out += "0123456789abcdef"[below(16)];
        return out;
    }
    Origin origin() { return {number(), number()}; }
    node::KeyName name() { return {namespace_name(), "k" + text(40)}; }
    VersionVector vector() {
        VersionVector out;
        for (size_t left = below(5); left > 0; --left) out[origin()] = positive();
        return out;
    }
    template <class Make>
    auto list(Make make) {
        std::vector<decltype(make())> out;
        for (size_t left = below(5); left > 0; --left) out.push_back(make());
        return out;
    }
    std::vector<std::string> paths() {
        return list([&] { return path(); });
    }

    Body body(size_t kind) {
        switch (kind) {
            case 0: {
                Hello hello;
                hello.floor = number();
                hello.vector = vector();
                if (coin()) hello.waiting = vector();
                hello.addresses = list([&] { return std::pair{text(20), text(60)}; });
                hello.message_bytes_max = number();
                hello.entry_versions_min = static_cast<uint32_t>(number());
                hello.entry_versions_max = static_cast<uint32_t>(number());
                hello.nonce = bytes(16);
                hello.echo_wall_ms = number();
                hello.echo_number = number();
                hello.interval_ms = number();
                hello.members = list([&] { return std::pair{number(), number()}; });
                hello.wants_reply = coin();
                hello.leaving = coin();
                hello.ready = coin();
                return hello;
            }
            case 1:
                return Pull{list([&] {
                                node::EntryRange range{origin(), number() / 2, UINT64_MAX};
                                if (coin()) range.upto = range.after + 1 + below(1000);
                                return range;
                            }),
                            number(), number()};
            case 2: {
                Entries entries;
                Origin origin_now = origin();
                entries.entries = list([&] {
                    if (below(3) == 0) origin_now = origin();
                    return node::RemoteEntry{origin_now, positive(), number(), name(), bytes(300)};
                });
                entries.complete = coin();
                entries.gone = list([&] { return std::pair{origin(), number()}; });
                entries.error = text(30);
                return entries;
            }
            case 3:
                return TreeRequest{number(), paths()};
            case 4:
                return TreeReply{number(), vector(), list([&] {
                                     return TreeNode{path(), number(), number()};
                                 }),
                                 text(30)};
            case 5:
                return KeysRequest{number(), paths()};
            case 6:
                return KeysReply{number(), list([&] { return node::KeyDigest{name(), number()}; }), text(30)};
            case 7:
                return StatesRequest{list([&] { return name(); })};
            case 8:
                return StatesReply{list([&] {
                                       node::KeyState state{name(), std::nullopt};
                                       if (coin()) state.payload = bytes(300);
                                       return state;
                                   }),
                                   text(30)};
            case 9:
                return Awareness{namespace_name(), number(), text(20), bytes(100)};
            case 10:
                return RevokeSessions{namespace_name(), number()};
            default:
                return Refusal{text(20), number()};
        }
    }

private:
    std::mt19937_64& random_;
};

auto parts(const node::RemoteEntry& entry) {
    return std::tie(entry.origin, entry.sequence, entry.wall_ms, entry.name, entry.payload);
}
auto parts(const node::EntryRange& range) {
    return std::tie(range.origin, range.after, range.upto);
}
auto parts(const node::KeyDigest& key) {
    return std::tie(key.name, key.digest);
}
auto parts(const node::KeyState& state) {
    return std::tie(state.name, state.payload);
}
auto parts(const TreeNode& node) {
    return std::tie(node.path, node.keys, node.digest);
}

template <class T>
bool same_list(const std::vector<T>& a, const std::vector<T>& b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i) {
        if (parts(a[i]) != parts(b[i])) return false;
    }
    return true;
}

bool same(const Hello& a, const Hello& b) {
    const auto all = [](const Hello& h) {
        return std::tie(h.floor, h.vector, h.waiting, h.addresses, h.message_bytes_max, h.entry_versions_min,
                        h.entry_versions_max, h.nonce, h.echo_wall_ms, h.echo_number, h.interval_ms, h.members,
                        h.wants_reply, h.leaving, h.ready);
    };
    return all(a) == all(b);
}
bool same(const Pull& a, const Pull& b) {
    return same_list(a.want, b.want) && a.bytes_max == b.bytes_max && a.count_max == b.count_max;
}
bool same(const Entries& a, const Entries& b) {
    return same_list(a.entries, b.entries) && a.complete == b.complete && a.gone == b.gone && a.error == b.error;
}
bool same(const TreeRequest& a, const TreeRequest& b) {
    return a.scan == b.scan && a.paths == b.paths;
}
bool same(const TreeReply& a, const TreeReply& b) {
    return a.scan == b.scan && a.vector == b.vector && same_list(a.children, b.children) && a.error == b.error;
}
bool same(const KeysRequest& a, const KeysRequest& b) {
    return a.scan == b.scan && a.paths == b.paths;
}
bool same(const KeysReply& a, const KeysReply& b) {
    return a.scan == b.scan && same_list(a.keys, b.keys) && a.error == b.error;
}
bool same(const StatesRequest& a, const StatesRequest& b) {
    return a.names == b.names;
}
bool same(const StatesReply& a, const StatesReply& b) {
    return same_list(a.states, b.states) && a.error == b.error;
}
bool same(const Awareness& a, const Awareness& b) {
    return a.namespace_name == b.namespace_name && a.client_id == b.client_id && a.key == b.key && a.data == b.data;
}
bool same(const RevokeSessions& a, const RevokeSessions& b) {
    return a.namespace_name == b.namespace_name && a.client_id == b.client_id;
}
bool same(const Refusal& a, const Refusal& b) {
    return a.code == b.code && a.retry_ms == b.retry_ms;
}

}  // namespace

Message random_message(std::mt19937_64& random, size_t kind, std::string_view cluster_id) {
    Samples samples(random);
    Message message;
    Header& header = message.header;
    header.cluster_id = cluster_id;
    header.from = samples.origin();
    header.wall_ms = samples.number();
    header.number = samples.number();
    if (samples.coin()) header.to = samples.origin();
    if (samples.coin()) header.request_id = samples.number();
    message.body = samples.body(kind);
    // Requests and replies of these kinds are different bodies.
    const bool by_body = kind >= 3 && kind <= 8;
    header.is_reply = by_body ? kind % 2 == 0 : samples.coin();
    return message;
}

bool same_message(const Message& a, const Message& b) {
    const auto all = [](const Header& h) {
        return std::tie(h.cluster_id, h.from, h.wall_ms, h.number, h.to, h.request_id, h.is_reply);
    };
    if (all(a.header) != all(b.header) || a.body.index() != b.body.index()) return false;
    return std::visit([&](const auto& body) { return same(body, std::get<std::decay_t<decltype(body)>>(b.body)); },
                      a.body);
}

}  // namespace meridian::test
