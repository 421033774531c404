// What nodes say to each other besides deltas: the messages of cluster-and-storage.md section 20, and their
// authentication. docs/CLUSTER-PROTOCOL.md has the grammar. Every message is a MessagePack map with the keys of Header,
// those of its kind, and `mac` last. Unknown keys and unknown kinds are ignored, so that newer nodes may say more.
//
// Pure functions; memory proportional to the input; errors name the field, what was found and what was expected.
#pragma once

#include <cstddef>
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

// What the decoders take. Lists are bounded by the message that holds them; those with a maximum here by it too.
inline constexpr size_t namespace_bytes_max = 255;  // from 1, without NUL
inline constexpr size_t key_bytes_max = 4096;       // from 1
inline constexpr size_t path_digits_max = 32;       // lower-case hexadecimal
inline constexpr size_t paths_max = 4096;
inline constexpr size_t ranges_max = 4096;
inline constexpr size_t members_max = 4'096;
inline constexpr size_t addresses_max = 16;
inline constexpr size_t address_bytes_max = 2048;
inline constexpr size_t transport_name_bytes_max = 64;
inline constexpr size_t nonce_bytes_max = 64;
inline constexpr size_t awareness_bytes_max = 65536;
inline constexpr size_t kind_bytes_max = 64;    // of "t", "cmd" and the code of a refusal
inline constexpr size_t text_bytes_max = 1024;  // of errors; the encoder cuts longer ones

struct Header {
    std::string cluster_id;    // "cid"; the encoder writes that of the seal
    Origin from;               // "from", "inc"
    uint64_t wall_ms = 0;      // "ts": the sender's clock when it was sent
    uint64_t number = 0;       // "n": never twice from one sender, and ascending; against replays
    std::optional<Origin> to;  // "to", "toinc": one node only
    uint64_t request_id = 0;   // "rid": 0 = none; a reply has that of its request
    bool is_reply = false;     // "re"; of "tree", "keys" and "snap" the body tells it, and the encoder goes by that
};

// "hello": who I am and what I hold. Also the tick of anti-entropy.
struct Hello {
    uint64_t floor = 0;     // oldest own sequence still in the log
    VersionVector vector;   // "vv" [[node, inc, sequence]...]; own head included
    VersionVector waiting;  // "wait": likewise, the highest number that waits behind a gap and is not in the vector
    std::vector<std::pair<std::string, std::string>> addresses;  // "url" [[transport plug-in, address]...]
    uint64_t message_bytes_max = 0;                              // "max"
    uint32_t entry_versions_min = 1, entry_versions_max = 1;     // "enc": encodings of entries that this node reads
    std::string nonce;  // "nonce": 16 bytes of this process; equal node ids are told apart by it
    uint64_t echo_wall_ms = 0, echo_number = 0;  // "echo": of the last hello heard from `to`, for clock offsets
    uint64_t interval_ms = 0;                    // "ivl": how often it says hello
    std::vector<std::pair<uint64_t, uint64_t>>
        members;               // "mem" [[node, ms since it was heard]...]; at most members_max
    bool wants_reply = false;  // "ask"
    bool leaving = false;      // "leaving"
    bool ready = false;        // "ready"
};

// "pull": entries that I lack.
struct Pull {
    std::vector<node::EntryRange> want;  // [[node, inc, after, upto or 0]...]; the encoder leaves out empty ones
    uint64_t bytes_max = 0;              // "bytes"
    uint64_t count_max = 0;              // "count"
};

// "ents": the answer; also sent unasked (rid 0) for entries that are too large for an envelope, then without payload.
struct Entries {
    // "ents": [[node, inc, [[sequence, wall_ms, namespace, key, payload]...]]...]: grouped by origin, ascending. An
    // empty payload: to be pulled.
    std::vector<node::RemoteEntry> entries;
    bool complete = false;                          // "done"
    std::vector<std::pair<Origin, uint64_t>> gone;  // [[node, inc, floor]...]
    std::string error;                              // "err"
};

// "tree": hash-tree levels. The first request has no scan; the answer names one, which later requests repeat.
struct TreeRequest {
    uint64_t scan = 0;
    std::vector<std::string> paths;  // nodes of the tree whose children are wanted: hash_tree.h
};
struct TreeNode {
    std::string path;
    uint64_t keys = 0;    // how many keys are under it
    uint64_t digest = 0;  // their sum modulo 2^64
};
struct TreeReply {
    uint64_t scan = 0;
    VersionVector vector;            // "vv": of the responder before it began to scan
    std::vector<TreeNode> children;  // "nodes" [[path, keys, digest]...]
    std::string error;               // "err"
};
// "keys": the keys under these paths, with their digests.
struct KeysRequest {
    uint64_t scan = 0;
    std::vector<std::string> paths;
};
struct KeysReply {
    uint64_t scan = 0;
    std::vector<node::KeyDigest> keys;  // [[namespace, key, digest]...]
    std::string error;                  // "err"
};
// "snap": whole states.
struct StatesRequest {
    std::vector<node::KeyName> names;  // [[namespace, key]...]
};
struct StatesReply {
    // [[namespace, key, payload or nil]...]; may be fewer than asked for: ask again for the rest
    std::vector<node::KeyState> states;
    std::string error;  // "err"
};

// "aw": what a client says of itself; not logged, not repeated.
struct Awareness {
    std::string namespace_name;  // "ns"
    uint64_t client_id = 0;
    std::string key;   // may be empty
    std::string data;  // as the client sent it
};

// "ctl": an order to every node; "cmd" is "revoke".
struct RevokeSessions {
    std::string namespace_name;  // "ns"
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

// REQUIRES: within the limits above.
std::string encode_message(const Message& message, const Seal& seal);

// A message of an unknown kind is UnknownKind, which is no error. What is checked, in this order: MessagePack, cluster,
// code, version, fields. On an error `reason`, if not null, tells it for counting.
struct UnknownKind {
    std::string kind;  // "t"; of an unknown command "ctl " and the command
};
Result<std::variant<Message, UnknownKind>> decode_message(std::string_view bytes, const Seal& seal,
                                                          RefusalReason* reason = nullptr);

}  // namespace meridian::replication
