// ORSet (crdts.md section 4.3): an observed-remove set whose removed tags are remembered (Bieniusa et al., "An
// optimized conflict-free replicated set", 2012, explains what tombstones are for). An element is a canonical JSON
// text; it is present while it has a live tag.
//
// State: for each (element, tag) one of absent < live (node_id, seq) < removed (entry stamp of the remove), merged by
// maximum. So a late or repeated Add of a removed tag has no effect, wherever and in whatever order it arrives.
//
// Compaction. A tombstone is dropped when the stamp of its remove is covered (every member of the cluster holds that
// entry) and older than the grace period. Then no member has the tag live: each has joined the remove, and live is
// below removed. Nor can an older state bring it back by join: states come from members only; one that was away long
// enough to miss the remove does not count as covered, or has been expelled and then takes the state whole instead of
// joining its own; a snapshot of this node's own past is followed by the log that holds the remove, because the grace
// period is at least the retention of the log. A remove of a tag that was never seen here was sent by a client that had
// seen its Add accepted, so that entry is older still than the remove. What is left is a client that sends again an Add
// older than the grace period; nothing tells that from a new one.
//
// operator== compares live tags with their versions and all retained tombstones. Replicas that compact at different
// moments differ until both have compacted; a digest must leave out tombstones that are old enough to be dropped.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "crdt/chunked_map.h"
#include "crdt/client_delta.h"
#include "crdt/contract.h"
#include "crdt/op.h"

namespace meridian {
class JsonWriter;
}

namespace meridian::crdt {

class OrSet {
public:
    using Op = OrSetOp;
    using ClientDelta = OrSetClientDelta;

    // What the client told with its Add. Kept to be readable by others; plays no part in what is live.
    struct Version {
        uint64_t node_id = 0;
        uint32_t seq = 0;
        friend auto operator<=>(const Version&, const Version&) = default;
    };
    struct ElementDelta {
        std::string element;                              // canonical JSON text
        std::vector<std::pair<Tag, Version>> adds;        // ascending tags
        std::vector<std::pair<Tag, EntryStamp>> removes;  // ascending tags
        friend bool operator==(const ElementDelta&, const ElementDelta&) = default;
    };
    struct Delta {
        std::vector<ElementDelta> elements;  // ascending; none without tags; no tag of one element in both lists
        friend bool operator==(const Delta&, const Delta&) = default;
    };

    std::optional<Rejection> check(const Op& op, const Limits& limits) const;
    Applied<Delta, ClientDelta> apply(const Op& op, const ApplyContext& context);
    std::vector<ClientDelta> join(const Delta& delta, const JoinContext& context);
    static OrSet from_delta(const Delta& delta);
    Delta full_delta() const;
    // All live tags and all tombstones, in pieces that each fit a frame; adds and removes of different tags may share a
    // piece.
    std::vector<ClientDelta> sync(const SyncContext& context) const;
    std::vector<ClientDelta> emptying() const;
    void write_value(JsonWriter& out, uint64_t now_ms) const;  // elements ordered by key text
    bool empty() const { return elements_.empty(); }
    CompactionResult compact(const CompactionContext& context);
    size_t memory_bytes() const { return sizeof *this + memory_bytes_; }
    friend bool operator==(const OrSet& left, const OrSet& right) { return left.elements_ == right.elements_; }

    // The same for a reader that keeps no tags, such as the TypeScript view of a CRDTMap (section 4.6): to it an add
    // means "present" and a remove "absent". `view` came from apply() or join() just now. Gives the removes first, then
    // the adds together with the live tags of elements that lost one and are still present.
    std::vector<ClientDelta> without_tags(const ClientDelta& view) const;
    // Tombstones of absent elements first, then all live tags.
    std::vector<ClientDelta> sync_without_tags() const;

    size_t tag_count() const { return tag_count_; }  // live and removed

private:
    struct Element {
        ChunkedMap<Tag, Version> live;
        ChunkedMap<Tag, EntryStamp> removed;
        friend bool operator==(const Element&, const Element&) = default;
    };
    using Elements = std::map<std::string, Element, std::less<>>;

    Element& find_or_insert(const std::string& element);
    // True if the state changed. `visible`: a client would see it.
    bool add(Element& element, const Tag& tag, const Version& version, bool& visible);
    bool remove(Element& element, const Tag& tag, const EntryStamp& stamp, bool& visible);

    Elements elements_;  // none without tags
    size_t tag_count_ = 0;
    size_t memory_bytes_ = 0;
};

}  // namespace meridian::crdt
