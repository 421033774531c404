// What nodes say to each other besides deltas: the messages of cluster-and-storage.md section 20, and their
// authentication. docs/CLUSTER-PROTOCOL.md has the grammar. Every message is a MessagePack map with the keys of Header,
// those of its kind, and `mac` last. Unknown keys and unknown kinds are ignored, so that newer nodes may say more.
//
// Pure functions; memory proportional to the input; errors name the field, what was found and what was expected.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "node/replication_port.h"
#include "node/version_vector.h"
#include "replication/seal.h"

namespace meridian::replication {

using node::Origin;
using node::VersionVector;

struct Header {
    std::string cluster_id;    // "cid"
    Origin from;               // "from", "inc"
    uint64_t wall_ms = 0;      // "ts": the sender's clock when it was sent
    uint64_t number = 0;       // "n": never twice from one sender, and ascending; against replays
    std::optional<Origin> to;  // "to", "toinc": one node only
    uint64_t request_id = 0;   // "rid": 0 = none; a reply has that of its request
    bool is_reply = false;     // "re"
};

// "hello": who I am and what I hold. Also the tick of anti-entropy.
struct Hello {
    uint64_t floor = 0;                                          // oldest own sequence still in the log
    VersionVector vector;                                        // "vv" [[node, inc, sequence]...]; own head included
    std::vector<std::pair<std::string, std::string>> addresses;  // "url" [[transport plug-in, address]...]
    uint64_t message_bytes_max = 0;                              // "max"
    uint32_t entry_versions_min = 1, entry_versions_max = 1;     // "enc": encodings of entries that this node reads
    std::string nonce;  // "nonce": 16 bytes of this process; equal node ids are told apart by it
    uint64_t echo_wall_ms = 0, echo_number = 0;  // "echo": of the last hello heard from `to`, for clock offsets
    uint64_t interval_ms = 0;                    // "ivl": how often it says hello
    bool wants_reply = false;                    // "ask"
    bool leaving = false;                        // "leaving"
    bool ready = false;                          // "ready"
};

// "pull": entries that I lack.
struct Pull {
    std::vector<node::EntryRange> want;  // [[node, inc, after, upto or 0]...]
    uint64_t bytes_max = 0;
    uint64_t count_max = 0;
};

// "ents": the answer; also sent unasked (rid 0) for entries that are too large for an envelope, then without payload.
struct Entries {
    std::vector<node::RemoteEntry> entries;  // grouped by origin, ascending
    bool complete = false;                   // "done"
    std::vector<std::pair<Origin, uint64_t>> gone;
    std::string error;
};

// "tree": hash-tree levels. The first request has no scan; the answer names one, which later requests repeat.
struct TreeRequest {
    uint64_t scan = 0;
    std::vector<std::string> paths;  // nodes of the tree whose children are wanted: strings of hexadecimal digits
};
struct TreeNode {
    std::string path;
    uint64_t keys = 0;    // how many keys are under it
    uint64_t digest = 0;  // their sum modulo 2^64
};
struct TreeReply {
    uint64_t scan = 0;
    VersionVector vector;  // of the responder before it began to scan
    std::vector<TreeNode> children;
    std::string error;
};
// "keys": the keys under these paths, with their digests.
struct KeysRequest {
    uint64_t scan = 0;
    std::vector<std::string> paths;
};
struct KeysReply {
    uint64_t scan = 0;
    std::vector<node::KeyDigest> keys;
    std::string error;
};
// "snap": whole states.
struct StatesRequest {
    std::vector<node::KeyName> names;
};
struct StatesReply {
    std::vector<node::KeyState> states;  // may be fewer than asked for: ask again for the rest
    std::string error;
};

// "aw": what a client says of itself; not logged, not repeated.
struct Awareness {
    std::string namespace_name;
    uint64_t client_id = 0;
    std::string key;
    std::string data;
};

// "ctl": an order to every node.
struct RevokeSessions {
    std::string namespace_name;
    uint64_t client_id = 0;
};

// "err": a request that was not carried out.
struct Refusal {
    std::string code;       // "busy", "unsupported", "failed"
    uint64_t retry_ms = 0;  // not before
};

using Body = std::variant<Hello, Pull, Entries, TreeRequest, TreeReply, KeysRequest, KeysReply, StatesRequest,
                          StatesReply, Awareness, RevokeSessions, Refusal>;

struct Message {
    Header header;
    Body body;
};

std::string encode_message(const Message& message, const Seal& seal);
// Checks structure and seal, in this order of errors: not a message, another cluster, a bad or missing mac. A message
// of an unknown kind is UnknownKind, which is no error.
struct UnknownKind {
    std::string kind;
};
Result<std::variant<Message, UnknownKind>> decode_message(std::string_view bytes, const Seal& seal);

}  // namespace meridian::replication
