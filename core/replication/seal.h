// What makes messages of a cluster its own: the cluster id, and a code that only holders of the shared secret can make
// (HMAC-SHA-256, RFC 2104, over the raw bytes of all key/value pairs before `mac`, which is the last key).
//
// Threads: immutable.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace meridian::replication {

class Seal {
public:
    // `required`: unsigned envelopes and messages are refused. Without a secret nothing is signed or checked.
    Seal(std::string cluster_id, std::string secret, bool required);

    const std::string& cluster_id() const { return cluster_id_; }
    bool signs() const { return !secret_.empty(); }
    bool required() const { return required_; }
    // 32 bytes. REQUIRES: signs().
    std::string code(std::string_view pairs) const;
    // In constant time.
    bool matches(std::string_view pairs, std::string_view code) const;

private:
    std::string cluster_id_;
    std::string secret_;
    bool required_;
};

}  // namespace meridian::replication
