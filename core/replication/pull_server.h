// Answers the pulls of peers from this node's log, within the size of a message of the transport.
//
// Threads: the lane. Limits: pulls_served_max at once, then Refusal "busy". An entry that is larger than a message is
// refused, with an alarm.
#pragma once

#include "replication/messenger.h"

namespace meridian::replication {

class PullServer {
public:
    PullServer(Context& context, Messenger& messenger) : context_(context), messenger_(messenger) {}

    void serve(const ReplyPath& path, Pull pull);

private:
    void answer(const ReplyPath& path, node::EntryPage page, size_t bytes_max);

    Context& context_;
    Messenger& messenger_;
    size_t serving_ = 0;
};

}  // namespace meridian::replication
