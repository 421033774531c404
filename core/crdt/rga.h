// RGA: collaborative text (crdts.md section 4.7, the order required there; defects D-10, D-11, D-14 do not occur).
//
// State. A map from id to (origin, content, deleted), and the set of ids deleted before they were inserted. What is
// shown is a function of it: the tree of origins in pre-order, children by descending id; then, behind it, characters
// whose origin is not known, in ascending id order with their subtrees. Nothing is ever dropped: an id once seen cannot
// be revived by a repeated insert, and a late insert behind a deleted character finds its place.
//
// Join of one id: deleted wins; of two different inserts the lesser (origin, content) wins, absent origin first. The
// content of a deleted character is neither kept nor compared. This still converges: the origin is the least one seen,
// whether deleted or not; the content is the least one seen with that origin, or gone; deletion never reverts. check()
// refuses the second of two different inserts with one id (a TypeScript client makes them within one millisecond); a
// join keeps the lesser. If that changes a character's origin, the document is built anew: O(n log n) once per join.
//
// Cost: O(log n) for an insert or delete, whatever the number of siblings and the order of arrival.
//
// What clients are told (they place by the naive rule and never move anything):
// - An insert goes out with the origin that lets the naive rule put it in the right place at a client that has listened
// from
//   the start: the true one, else its left neighbour, else the true one although it fails. Origins sent that were not
//   the true ones are remembered in memory only, as many as an eighth of the document; to forget them costs accuracy,
//   not convergence.
// - An orphan of our own client goes out at once, unchanged; clients append it. One that a peer sent is held back until
// it can
//   be placed, or until `hold_ms` have passed (expire()). An orphan that was sent and finds its place later is not
//   mentioned again: no message can move a character; the clients that have it see it at the end until they sync
//   afresh.
// - Nothing can be told of a change of origin or content by a conflict of ids; clients see it when they sync afresh.
//
// Threads: not thread-safe (one lane owns a value). Plain data; no clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/json_writer.h"
#include "crdt/client_delta.h"
#include "crdt/contract.h"
#include "crdt/op.h"
#include "crdt/rga_delta.h"
#include "crdt/rga_orphans.h"
#include "crdt/rga_sequence.h"

namespace meridian::crdt {

class Rga {
public:
    using Op = RgaOp;
    using Delta = RgaDelta;
    using ClientDelta = RgaClientDelta;

    // A message to a client holds at most this many ops; longer replies are several messages.
    static constexpr size_t view_ops_max = 4096;
    // How long an orphan that a peer sent may wait for its origin before clients are sent it at the end of the
    // document.
    static constexpr uint64_t hold_ms = 5000;

    std::optional<Rejection> check(const Op& op, const Limits& limits) const;
    Applied<Delta, ClientDelta> apply(const Op& op, const ApplyContext& context);
    std::vector<ClientDelta> join(const Delta& delta, const JoinContext& context);

    Delta full_delta() const;
    std::vector<ClientDelta> sync(const SyncContext& context) const;
    std::vector<ClientDelta> emptying() const;
    // {"len": <Unicode scalar values>, "text": "..."}
    void write_value(JsonWriter& out, uint64_t now_ms) const;
    bool empty() const { return sequence_.empty() && orphans_.empty(); }
    size_t visible() const { return sequence_.visible() + orphans_.visible(); }

    // The wall time at which an orphan that is held back falls due; 0 = none. expire() gives those that are due.
    uint64_t next_deadline_ms() const;
    std::vector<ClientDelta> expire(uint64_t now_ms);

    // Packs the memory; ids and origins stay for good. The lattice state and its encoding do not change, so the result
    // is never `changed`. Safe at any time, on any node, alone.
    CompactionResult compact(const CompactionContext& context);
    size_t memory_bytes() const;

    // The op with ids that were rounded to a double (rule A3) replaced by the stored ids they stand for; one that
    // stands for nothing known stays as it is. check() and apply() do this themselves.
    Op resolve(const Op& op) const;

    // For codecs.
    const RgaSequence& sequence() const { return sequence_; }
    const RgaOrphans& orphans() const { return orphans_; }
    // Absent if the parts contradict each other: an id in both, an orphan whose origin is placed, a waiting delete of a
    // known id.
    static std::optional<Rga> restore(RgaSequence sequence, RgaOrphans orphans);

    friend bool operator==(const Rga& left, const Rga& right) {
        return left.sequence_ == right.sequence_ && left.orphans_ == right.orphans_;
    }

private:
    size_t pending_ops() const { return orphans_.inserts() + orphans_.deletes(); }

    // Collects ops for clients into messages of bounded size.
    class ViewWriter;
    enum class Source : uint8_t { client, peer };

    std::optional<Rejection> check_insert(const RgaInsert& insert, const Limits& limits) const;
    std::optional<Rejection> check_delete(const RgaDelete& deletion, const Limits& limits) const;
    // Gives whether the state changed. A conflict over the origin is put off into `conflicts`.
    bool add(const RgaElement& element, Source source, uint64_t now_ms, ViewWriter& views,
             std::vector<RgaElement>& conflicts);
    bool remove(const Hlc& id, ViewWriter& views);
    void hold(const Hlc& id, uint64_t now_ms);
    void place(const RgaElement& element, bool told, ViewWriter& views);
    void place_waiting(const Hlc& origin, ViewWriter& views);
    void rebuild(const std::vector<RgaElement>& conflicts);
    std::vector<RgaElement> all_elements() const;

    // Projection (rga_projection.cpp).
    std::optional<Hlc> origin_to_send(const RgaElement& element, const RgaSequence::Placed& placed);
    bool naive_rule_reaches(const RgaElement& element, RgaSequence::Position at) const;
    const Hlc* sent_origin(const Hlc& id) const;
    void sync_ascending(ViewWriter& views) const;
    void sync_chain(ViewWriter& views) const;

    RgaSequence sequence_;
    RgaOrphans orphans_;
    // In memory only: origins that were sent in place of the true ones, and orphans held back, by deadline.
    std::map<Hlc, Hlc> sent_origins_;
    std::deque<std::pair<uint64_t, Hlc>> held_;
};

class Rga::ViewWriter {
public:
    void insert(const Hlc& id, const std::optional<Hlc>& origin, char32_t content, bool deleted);
    void erase(const Hlc& id);
    // The next op begins a new message.
    void cut() { cut_ = true; }
    std::vector<ClientDelta> take() { return std::move(messages_); }

private:
    std::vector<RgaOp>& room_for(size_t ops);
    std::vector<ClientDelta> messages_;
    bool cut_ = true;
};

}  // namespace meridian::crdt
