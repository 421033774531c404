// Log entries of one write on their way to the committer: encoded one behind the other into a buffer that is used again
// for the next write. Plain data of one lane.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/binary.h"
#include "crdt/key.h"
#include "node/committer.h"
#include "wire/log_entry.h"

namespace meridian::node {

class EntryEncoder {
public:
    // Forgets the entries.
    void clear();
    // `parts` without its key delta, which is encoded from `delta`. `name` is borrowed.
    void add(const KeyName& name, uint64_t deadline_ms, wire::LogEntryParts parts, const crdt::KeyDelta& delta);
    // What clients are told of the effect of the entry that was added last, for replication.
    void set_view(std::shared_ptr<const DeltaFrame> view) { entries_.back().view = std::move(view); }
    // What was added, until the next call of clear() or add().
    std::span<const PendingEntry> entries();

private:
    BinaryWriter key_delta_;
    BinaryWriter payloads_;
    std::vector<size_t> payload_ends_;
    std::vector<PendingEntry> entries_;
};

}  // namespace meridian::node
