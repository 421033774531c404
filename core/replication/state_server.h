// The side of state transfer that has the states: scans the digests of this node's keys into a hash tree, answers about
// its nodes and the keys under them, and gives states.
//
// A peer's first question for a tree begins a scan; it is answered when the scan is finished, or "busy" after two
// seconds, and the next such question of the same peer meets the same scan. The vector in the answers was taken before
// the scan began: the scan covers what it counts.
//
// Threads: the lane. Limits: scans_served_max scans, then "busy"; one that was not asked about for scan_timeout_ms
// goes. scan_names_bytes_max of names are kept with a scan; beyond it questions for keys scan again. Answers fit a
// message: those about the tree and the keys say "too large" if not all that was asked for fits, states may be fewer.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "replication/hash_tree.h"
#include "replication/messenger.h"

namespace meridian::replication {

inline constexpr char answer_too_large[] = "too large";
inline constexpr char scan_unknown[] = "unknown scan";

class StateServer {
public:
    StateServer(Context& context, Messenger& messenger, const node::DigestKey& key)
        : context_(context), messenger_(messenger), key_(key) {}

    void serve(const ReplyPath& path, const TreeRequest& request);
    void serve(const ReplyPath& path, KeysRequest request);
    void serve(const ReplyPath& path, StatesRequest request);

private:
    struct Scan {
        uint64_t id = 0;
        VersionVector vector;
        HashTree tree;
        std::vector<std::pair<uint64_t, node::KeyDigest>> keys;  // with their paths; empty if they are too many
        size_t names_bytes = 0;
        bool finished = false;
        bool told = false;  // its id was given to the peer
        uint64_t used_us = 0;
        std::optional<ReplyPath> waiting;
        std::vector<std::string> waiting_paths;
    };

    Scan* find(const Origin& peer, uint64_t id);
    void drop_unused();
    void begin(const ReplyPath& path, const std::vector<std::string>& paths);
    void answer_tree(const ReplyPath& path, Scan& scan, const std::vector<std::string>& paths);
    void answer_keys(const ReplyPath& path, uint64_t scan, std::vector<node::KeyDigest> keys);

    Context& context_;
    Messenger& messenger_;
    const node::DigestKey key_;
    std::map<Origin, std::shared_ptr<Scan>> scans_;  // by the peer that asks
    size_t states_serving_ = 0;
};

}  // namespace meridian::replication
