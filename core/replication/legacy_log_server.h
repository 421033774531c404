// Answers nodes of the older implementation that ask for this node's log (legacy_log.h): its own entries, as ops. Their
// numbers there are the own sequences, counted on over this node's incarnations, so that they never go back.
//
// Threads: the lane. Limits: pulls_served_max at once, then an empty answer; the asker comes again.
#pragma once

#include <optional>

#include "replication/endpoint.h"

namespace meridian::replication {

class LegacyLogServer {
public:
    explicit LegacyLogServer(Context& context) : context_(context) {}

    // `from`: the first number wanted; nothing if what was asked is none.
    void serve(Endpoint& endpoint, uint64_t reply_id, std::optional<uint64_t> from);

private:
    Context& context_;
    size_t serving_ = 0;
};

}  // namespace meridian::replication
