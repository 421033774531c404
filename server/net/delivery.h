// The way of a room's deltas into one connection's output: where it stands among the batches, what it may not be sent
// now, and what it has missed.
//
// A connection that may read everything, and misses and waits for nothing, is given the shared bytes of a batch; any
// other is given a copy of the frames that it may have. A delta that does not fit into the output queue is left out
// whole and its key remembered; once the queue has drained the key's state is read and sent instead. Deltas of a key
// whose state is on its way (Subscribe, Sync, a missed key) are left out as well, because that state will contain them.
// Not thread-safe: belongs to one connection.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "auth/token_cache.h"
#include "base/environment.h"
#include "metrics/edge_statistics.h"
#include "net/output_queue.h"
#include "net/room.h"

namespace meridian::server {

class Delivery {
public:
    struct Limits {
        size_t queue_bytes_max;
        size_t missed_keys_max;
    };

    Delivery(const Room& room, SessionPtr session, node::KeyForm form, bool started)
        : session_(std::move(session)), next_batch_(room.end()), form_(form), started_(started) {}

    // From now on deltas are sent; before, they are passed over (client-api.md rule C12).
    void start() { started_ = true; }

    // Queues what the room has sealed since the last call. False if the reader has missed too much to be brought up
    // again.
    bool catch_up(const Room& room, OutputQueue& output, const Limits& limits, const Clock& clock,
                  EdgeStatistics& statistics);
    bool caught_up(const Room& room) const { return next_batch_ == room.end(); }

    // A delta of this key will never come: its state is to be sent instead, if it may be read.
    void miss(const std::string& key, uint64_t now_ms);

    // Deltas of this key are left out until release().
    void withhold(const std::string& key) { withheld_ = key; }
    void release() { withheld_.reset(); }

    // A missed key whose state should be read now, or null: when nothing was missed, or the queue is still too full, or
    // a read is under way. The caller then reads the state and calls resynced().
    const std::string* next_missed(const OutputQueue& output, const Limits& limits) const;
    bool has_missed() const { return missed_ != nullptr; }
    void resync_begun() { resyncing_ = true; }
    // The state of the missed key has been queued (`sent`), or has to be read again later.
    void resynced(const std::string& key, bool sent);

    node::KeyForm form() const { return form_; }
    bool may_read(const std::string& key, uint64_t now_ms) const {
        return session_->access.reads_everything() || session_->access.can_read(key, now_ms);
    }

private:
    bool is_plain() const { return session_->access.reads_everything() && !withheld_ && !missed_; }
    void remember(const std::string& key);

    SessionPtr session_;
    uint64_t next_batch_;
    std::optional<std::string> withheld_;
    std::unique_ptr<std::set<std::string>> missed_;  // null while nothing is missed
    node::KeyForm form_;
    bool started_;
    bool resyncing_ = false;
};

}  // namespace meridian::server
