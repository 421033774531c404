// Entries of other nodes on their way into this one. For each origin: what is held already is dropped by its number;
// what comes too early waits; the entries of a client's batch wait for its last; then complete runs are merged, in
// order, one call of ReplicationPort::merge per origin at a time and merges_in_flight_max in all.
//
//   held (beyond a gap, or of an incomplete batch) -> ready (complete, in order) -> in flight -> durable
//
// An entry whose number is taken by one of other content is not lost: there is an alarm, and this node adopts both.
// They are merged and logged under numbers of its own, so that they reach every node, whichever of the two it holds.
// So it does with entries of its own incarnation that it has not numbered: another process has its id.
//
// Threads: the lane. Limits: held_entries_max and held_bytes_max per origin: the entries nearest to what is needed next
// stay, the others are dropped and pulled later. merge_backlog_bytes_max: room() is false, and whoever brings entries
// is to stop; what it brings nevertheless is dropped, pages of a pull aside. A merge that fails is repeated, each time
// later, and raises an alarm: entries of that origin then stay where they are. Entries of more than origins_max origins
// are dropped.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "replication/context.h"

namespace meridian::replication {

class Inbox {
public:
    // How an entry came: at once from its origin, or because it was asked for.
    enum class From : uint8_t { live, pull };

    struct Events {
        // Entries of this origin wait for others, which are missing.
        std::function<void(const Origin&)> gap;
        // More of this origin is durable.
        std::function<void(const Origin&)> progress;
        // Two contents have one number: others that met the same fate may have been taken for repetitions.
        std::function<void(const Origin&)> conflict;
        // room() has changed.
        std::function<void(bool room)> room;
    };

    Inbox(Context& context, Events events);

    void add(node::RemoteEntry entry, From from);
    // States of a transfer: they have no number. `done` when they are durable.
    void add_states(std::vector<node::RemoteEntry> states, std::function<void(Result<void>)> done);
    // Own entries that have become durable.
    void own_committed(const std::vector<node::CommittedEntry>& entries);
    // A new incarnation of this node.
    void self_changed();
    // The port's vector was raised.
    void raised();
    // The node may write under its incarnation: what is to be adopted waits for that.
    void ready();

    bool room() const { return backlog_bytes_ < context_.options.merge_backlog_bytes_max; }
    size_t backlog_bytes() const { return backlog_bytes_; }
    // 1..n are durable, in flight, ready, or held without a gap (of an incomplete batch): what is to be asked for next
    // begins after it.
    uint64_t received(const Origin& origin) const;
    // 1..n are durable here.
    uint64_t durable(const Origin& origin) const;
    // The first number beyond the first gap, 0 if nothing waits beyond one.
    uint64_t beyond_gap(const Origin& origin) const;
    // Of each origin of which something waits beyond a gap: the highest number that does.
    VersionVector waiting_beyond_gaps() const;
    // The highest number that is waiting, or that completes the batch that waits; at least received().
    uint64_t highest(const Origin& origin) const;
    bool stopped(const Origin& origin) const;
    size_t waiting(const Origin& origin) const;
    std::vector<Origin> origins() const;
    // What waits beyond a gap that nobody can fill is merged without numbers, `done` when that is durable. Gives the
    // last of those numbers, to which the caller then raises the vector; 0: nothing waits.
    uint64_t release_held(const Origin& origin, std::function<void()> done);

private:
    struct Held {
        node::RemoteEntry entry;
        uint64_t batch_following = 0;
        size_t cost = 0;
    };
    struct Stream {
        uint64_t durable = 0;
        uint64_t assembled = 0;         // the last number in `ready`, in flight or durable
        uint64_t contiguous = 0;        // assembled + 1 .. contiguous are in `held`
        std::map<uint64_t, Held> held;  // numbers above `assembled`
        size_t held_bytes = 0;
        std::deque<Held> ready;
        bool in_flight = false;
        uint32_t failures = 0;
        std::deque<uint64_t> prints;  // of the contents of the last numbers up to `assembled`
    };
    struct Unnumbered {
        std::vector<node::RemoteEntry> entries;
        size_t cost = 0;
        std::function<void(Result<void>)> done;  // may be null
        bool repeats = true;                     // until it succeeds
        uint32_t failures = 0;
    };

    Stream& stream(const Origin& origin);
    const Stream* find(const Origin& origin) const;
    bool make_room(Stream& stream, uint64_t sequence, size_t cost);
    void assemble(Stream& stream);
    void extend(Stream& stream);
    void remember_print(Stream& stream, uint64_t print);
    // A number that is held: the same again, or a conflict?
    void compare_with_held(node::RemoteEntry entry, Stream& stream, uint64_t print);
    void compare_with_log(node::RemoteEntry entry, uint64_t print);
    // `held`: what has its number, if that is known.
    void conflict(node::RemoteEntry entry, uint64_t print, std::optional<node::RemoteEntry> held);
    void adopt_held(const Origin& origin, uint64_t sequence);
    // Merges it under a new number, once.
    void adopt(node::RemoteEntry entry, uint64_t print);
    void merge_more();
    void merge(const Origin& origin, Stream& stream);
    void merge_unnumbered();
    void merged(const Origin& origin, std::vector<Held> run, size_t cost, Result<void> result);
    void change_backlog(size_t less, size_t more);

    Context& context_;
    Events events_;
    std::map<Origin, Stream> streams_;
    std::deque<Unnumbered> unnumbered_;
    std::vector<Unnumbered> until_ready_;
    bool unnumbered_in_flight_ = false;
    size_t backlog_bytes_ = 0;
    bool told_room_ = true;
    size_t merges_in_flight_ = 0;
    Origin last_merged_;  // origins take turns
    std::unordered_set<uint64_t> adopted_prints_;
    size_t log_checks_ = 0;
};

}  // namespace meridian::replication
