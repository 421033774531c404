// A room: the connections of one namespace on one loop, and the deltas on their way to them. On the loop that owns the
// namespace it also knows of the guests: connections of the same namespace that live on other loops, each with a room
// of this name there (room_spread.h).
//
// What becomes visible is collected in an open batch, sealed into a numbered, immutable batch when a commit group ends
// (or when a reply needs a firm place between two deltas), and handed to every member in order; each member has a
// cursor. A sealed batch is encoded at most once per key form, as WebSocket frames in one buffer that all members
// share. A batch goes when a pass over the members has taken it to all of them.
//
// Not thread-safe: one loop; batches are shared between loops. Memory: the batches that some member has not been handed
// yet.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "net/connection.h"
#include "net/output_queue.h"
#include "node/node.h"

namespace meridian::server {

// One message of a batch: a delta, or an awareness broadcast, which is the same in both key forms and is not made up
// for.
struct RoomMessage {
    node::DeltaFramePtr delta;  // null for awareness
    SharedBytes awareness;      // the encoded message, not yet framed
};

// Immutable to its readers, on any loop.
class RoomBatch {
public:
    explicit RoomBatch(std::vector<RoomMessage> messages);
    const std::vector<RoomMessage>& messages() const { return messages_; }
    // About what it takes to hold and to send it.
    size_t message_bytes() const;
    // All messages as WebSocket frames; encoded by whoever asks first.
    const SharedBytes& frames(node::KeyForm form) const { return encoded(form).frames; }
    // What frames() holds of one message.
    std::string_view frame(node::KeyForm form, size_t index) const;

private:
    struct Encoded {
        std::once_flag done;
        SharedBytes frames;
        std::vector<size_t> ends;  // of each message in `frames`
    };
    const Encoded& encoded(node::KeyForm form) const;

    std::vector<RoomMessage> messages_;
    mutable Encoded encoded_[2];
};
using RoomBatchPtr = std::shared_ptr<const RoomBatch>;

class Room {
public:
    explicit Room(std::string name) : name_(std::move(name)) {}

    const std::string& name() const { return name_; }
    const std::vector<ConnectionId>& members() const { return members_; }
    // The member's index, to be given to leave().
    size_t join(ConnectionId id) {
        members_.push_back(id);
        return members_.size() - 1;
    }
    // The member that now has this index, if another one was moved there.
    std::optional<ConnectionId> leave(size_t index);

    void add(RoomMessage message) {
        if (open_.empty()) open_.reserve(last_batch_messages_);
        open_.push_back(std::move(message));
    }
    bool has_open_batch() const { return !open_.empty(); }
    // Closes the open batch; null if there is nothing in it.
    RoomBatchPtr seal();
    // A batch that was sealed where the namespace is at home.
    void receive(RoomBatchPtr batch) { batches_.push_back(std::move(batch)); }

    // Guests, by the loop on which they live.
    void add_guest(uint32_t loop, uint64_t client_id);
    void remove_guest(uint32_t loop, uint64_t client_id);
    size_t guests(uint32_t loop) const { return loop < guests_.size() ? guests_[loop] : 0; }
    bool has_guest_of(uint64_t client_id) const { return guest_clients_.count(client_id) != 0; }
    template <class Visit>
    void for_each_guest_loop(Visit visit) const {
        if (guest_clients_.empty()) return;
        for (uint32_t loop = 0; loop < guests_.size(); ++loop) {
            if (guests_[loop] != 0) visit(loop);
        }
    }
    bool empty() const { return members_.empty() && guest_clients_.empty(); }

    // Numbers of sealed batches: [first, end).
    uint64_t end() const { return first_ + batches_.size(); }
    // REQUIRES: number < end() and not forgotten yet.
    const RoomBatch& batch(uint64_t number) const { return *batches_[number - first_]; }

    // A pass over the members, in slices. `visit` is called for each member and must take it up to end() as it is then.
    // Returns true when the pass is over. A pass may be begun while batches wait; members that leave or join in between
    // are safe.
    bool pass_wanted() const { return passing_ || !batches_.empty(); }
    size_t batches_waiting() const { return batches_.size(); }
    template <class Visit>
    bool pass_slice(size_t& budget, Visit visit) {
        if (!passing_) {
            passing_ = true;
            pass_target_ = end();
            pass_rest_ = members_.size();
        }
        // From the back: a member that leaves is replaced by the last one, which is then visited again rather than
        // missed.
        while (pass_rest_ > 0 && budget > 0) {
            pass_rest_ = std::min(pass_rest_, members_.size());
            if (pass_rest_ == 0) break;
            visit(members_[--pass_rest_]);
            --budget;
        }
        if (pass_rest_ > 0) return false;
        passing_ = false;
        forget_before(pass_target_);
        return true;
    }

private:
    void forget_before(uint64_t number);

    std::string name_;
    std::vector<ConnectionId> members_;
    std::vector<RoomMessage> open_;
    size_t last_batch_messages_ = 1;                      // the next batch will be about as large
    std::vector<size_t> guests_;                          // by loop
    std::unordered_map<uint64_t, size_t> guest_clients_;  // connections by client id
    std::deque<RoomBatchPtr> batches_;
    uint64_t first_ = 0;
    uint64_t pass_target_ = 0;
    size_t pass_rest_ = 0;
    bool passing_ = false;
};

}  // namespace meridian::server
