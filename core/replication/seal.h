// What makes messages of a cluster its own: the cluster id, and a code that only holders of the shared secret can make
// (HMAC-SHA-256, RFC 2104, over the raw bytes of all key/value pairs before `mac`, which is the last key).
// docs/CLUSTER-PROTOCOL.md.
//
// Threads: immutable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace meridian::replication {

// Why an envelope or a message was refused, for counting.
enum class RefusalReason : uint8_t {
    malformed,        // not what the grammar says
    foreign_cluster,  // of a cluster with another id
    bad_mac,          // made without our secret, or changed on the way
    not_signed,       // no `mac`, and one is required
    too_new,          // a version that this node does not read
};
// "malformed", "foreign_cluster", "bad_mac", "unsigned", "too_new".
std::string_view refusal_text(RefusalReason reason);

class Seal {
public:
    // `required`: unsigned envelopes and messages are refused. Without a secret nothing is signed or checked, and
    // `required` has no effect. An empty cluster id belongs only to nodes without one.
    Seal(std::string cluster_id, std::string secret, bool required);

    const std::string& cluster_id() const { return cluster_id_; }
    bool signs() const { return !secret_.empty(); }
    bool required() const { return required_; }
    static constexpr size_t code_bytes = 32;
    // REQUIRES: signs().
    std::string code(std::string_view pairs) const;
    // In constant time. REQUIRES: signs().
    bool matches(std::string_view pairs, std::string_view code) const;

private:
    std::string cluster_id_;
    std::string secret_;
    bool required_;
};

}  // namespace meridian::replication
