// What a node offers to replication, and what it tells it. Replication (core/replication) talks to other nodes; the
// node joins what comes from them, and gives what they ask for. Nothing here is on the path of an acknowledgement.
//
// Numbers. The committer numbers a node's own entries when it closes a group. Entries of other origins keep their
// numbers. The log holds both; each origin's entries stand in it in ascending order. The version vector counts what is
// durable here, and is written in the same group as the entries that it counts.
//
// Threads: the functions of ReplicationPort may be called on any thread; completions and the listener are called on
// NodeOptions::replication_lane, never inside the call.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "node/node.h"
#include "node/store.h"
#include "node/version_vector.h"

namespace meridian::node {

// A write that another node accepted.
struct RemoteEntry {
    Origin origin;          // {0, 0}: a state that was transferred; it has no number and is served to nobody
    uint64_t sequence = 0;  // from 1
    uint64_t wall_ms = 0;   // when the origin accepted it
    KeyName name;
    std::string payload;  // wire/log_entry.h
    // It gets the next number of this node, and goes to the others like a write of its own; the fields above say
    // nothing. REQUIRES: it is no part of a batch (batch_following).
    bool renumber = false;
};

// A write that this node accepted, when it has become durable.
struct CommittedEntry {
    uint64_t sequence = 0;
    uint64_t wall_ms = 0;
    KeyName name;
    std::string payload;  // wire/log_entry.h
    Origin origin;        // this node, with the incarnation under which it is numbered
    DeltaFramePtr view;   // what clients were told of the write's own effect; null if nothing
};

class ReplicationListener {
public:
    virtual ~ReplicationListener() = default;
    // Own entries, ascending sequences without a gap.
    virtual void on_committed(std::vector<CommittedEntry> entries) = 0;
};

// The entries after `after` up to `upto` of one origin.
struct EntryRange {
    Origin origin;
    uint64_t after = 0;
    uint64_t upto = UINT64_MAX;
};

// A page of what was asked for. Entries of one origin ascend without a gap.
struct EntryPage {
    std::vector<RemoteEntry> entries;
    bool complete = false;  // nothing that was asked for, and is held, is missing
    // The log no longer reaches back to what was asked of these origins; the sequence is the oldest that can be served.
    std::vector<std::pair<Origin, uint64_t>> gone;
    std::string error;  // not empty: the log could not be read
};

// Names the digests of one cluster: a client cannot choose content that collides without knowing it.
using DigestKey = std::array<uint8_t, 32>;

struct KeyDigest {
    KeyName name;
    uint64_t digest = 0;
};
struct DigestPage {
    std::vector<KeyDigest> digests;  // in byte order of (namespace, key); those that expired long ago are left out
    std::optional<KeyName> next;     // give this as `after` for the next page; absent: this was the last
    std::string error;
};

struct KeyState {
    KeyName name;
    std::optional<std::string> payload;  // a RemoteEntry's payload that holds the whole state; absent: no such key
};

class ReplicationPort {
public:
    virtual ~ReplicationPort() = default;

    // Before the first write. Null: none.
    virtual void set_listener(ReplicationListener* listener) = 0;

    // This node and its present incarnation.
    virtual Origin self() const = 0;
    // Takes a new incarnation, whose sequences begin at 1. Writes that are not durable yet are numbered under it.
    // Completes when it is durable; on an error it may be in force nevertheless, and is to be asked for again.
    virtual void begin_incarnation(std::function<void(Result<void>)> done) = 0;

    // What is durable here, this node's own entries included.
    virtual VersionVector vector() const = 0;

    // Joins the entries, tells subscribers what changed, and writes them to the log with their numbers. Completes when
    // they are durable; on an error none, some (the first) or all of them may be, and they are to be given again
    // (joining twice is harmless). Entries of one origin must come in ascending order, in this call and over calls that
    // are outstanding; the entries of one client batch in one call: they become visible in one step. An entry of a key
    // that cannot be read here, or whose payload does not decode, fails the call: the error names it.
    virtual void merge(std::vector<RemoteEntry> entries, std::function<void(Result<void>)> done) = 0;

    // What of the ranges is in the log, at most about `bytes_max` and at most `count_max` entries, at least one.
    virtual void read_entries(std::vector<EntryRange> ranges, size_t count_max, size_t bytes_max,
                              std::function<void(EntryPage)> done) = 0;
    // For each origin of which entries are in the log: the oldest sequence from which on none is missing.
    virtual VersionVector floors() const = 0;

    // What the members of the cluster hold, each of them: what is above it may still be asked for. The log keeps that
    // until it is twice as large as log_retention_bytes, or older than log_retention_ms.
    virtual void set_needed(VersionVector held_by_all) = 0;
    // Every member holds every entry that is stamped before this wall time (crdt::CompactionContext). 0, as in the
    // beginning: nothing is known, and no tombstone goes.
    virtual void set_covered_before(uint64_t wall_ms) = 0;

    // State transfer. Digests and states are of what is durable. A page covers at most `count_max` keys. Of large
    // states fewer are given than were asked for, but at least one.
    virtual void digest_keys(std::optional<KeyName> after, size_t count_max, const DigestKey& key,
                             std::function<void(DigestPage)> done) = 0;
    virtual void read_states(std::vector<KeyName> names, std::function<void(Result<std::vector<KeyState>>)> done) = 0;
    // After the states of a peer have been merged: the node now holds all that `vector` counts, though its log does
    // not. Completes when that is durable.
    virtual void raise_vector(VersionVector vector, std::function<void(Result<void>)> done) = 0;
};

}  // namespace meridian::node
