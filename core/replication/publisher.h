// Own entries on their way out: each becomes an envelope on every transport that broadcasts, in order, from a bounded
// window. Best effort: what a transport cannot take in time is skipped, and peers find the gap and pull. An entry too
// large for a transport is announced there by its number.
//
// Threads: on_committed may be called on any thread; the rest on the lane. Limits: publish_window_*; when it is full
// its oldest entries go. publishes_in_flight_max per transport.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "replication/endpoint.h"

namespace meridian::replication {

class Publisher final : public node::ReplicationListener {
public:
    // `committed`: on the lane, before anything is published.
    Publisher(Context& context, std::vector<std::unique_ptr<Endpoint>>& endpoints,
              std::function<void(const std::vector<node::CommittedEntry>&)> committed);

    void on_committed(std::vector<node::CommittedEntry> entries) override;

    // The endpoint came up, or has room again.
    void resume(Endpoint& endpoint);
    size_t waiting(const Endpoint& endpoint) const;
    size_t window_bytes() const { return window_bytes_; }
    bool idle() const;

private:
    struct Waiting {
        node::CommittedEntry entry;
        size_t cost;
    };
    // Publishes that have ended, counted on any thread; the lane takes many at once.
    struct Completions {
        std::atomic<size_t> count{0};
        std::atomic<bool> posted{false};
        std::function<void()> post;

        void add_one() {
            count.fetch_add(1);
            if (!posted.exchange(true)) post();
        }
        size_t take() {
            posted = false;
            return count.exchange(0);
        }
    };
    struct Cursor {
        uint64_t next = 0;  // index of the next entry to be given to the transport
        size_t in_flight = 0;
        bool busy = false;
        std::shared_ptr<Completions> completions;  // whom a transport may call after this has gone
    };

    void add(std::vector<node::CommittedEntry> entries);
    Cursor& cursor_of(Endpoint& endpoint);
    void pump(Endpoint& endpoint);
    SendStatus give(Endpoint& endpoint, const Waiting& waiting);
    void trim();

    Context& context_;
    std::vector<std::unique_ptr<Endpoint>>& endpoints_;
    std::function<void(const std::vector<node::CommittedEntry>&)> committed_;
    std::deque<Waiting> window_;
    uint64_t window_begin_ = 0;  // index of window_.front()
    size_t window_bytes_ = 0;
    std::map<size_t, Cursor> cursors_;
    std::atomic<size_t> posted_bytes_{0};
};

}  // namespace meridian::replication
