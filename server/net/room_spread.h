// How a large room is spread over several event loops.
//
// A namespace has a home: the loop that owns its shard. Up to Settings::room_spread_members connections of a room live
// there; further ones are guests on the other loops, so that the sends of one large room use all cores. The home seals
// the room's batches once and passes them to every loop that has guests, where a room of the same name hands them out
// to its own members. A guest's requests run at home, one after another, and their answers come back behind the deltas
// that were produced before them.
//
// Everything that one loop has for another is collected during a tick and posted as one task at its end, in order: so
// the order of a guest's deltas and answers is that of a connection at home, for one lock per loop and tick.
//
// One RoomSpread per loop, on that loop's thread. Memory: requests that wait for a cold key, of each guest at most what
// a connection may ask for at once (Settings::websocket_frames_in_flight, Settings::connection_queue_bytes); and of
// deltas and awareness on their way to another loop Settings::loop_queue_bytes and one batch. When a loop is that far
// behind, further deltas of a room are not passed to it: its guests there are told which keys they have missed, like
// slow readers (delivery.h). Awareness is then left out.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "net/connection.h"
#include "net/room.h"
#include "node/node.h"

namespace meridian::server {

class EdgeLoop;

class RoomSpread {
public:
    using Task = std::function<void(EdgeLoop&)>;
    // A guest's request, run at home.
    using Request = std::function<node::Progress(EdgeLoop& home)>;
    // Its answer, run where the guest lives, if it is still there.
    using Answer = std::function<void(WebSocketConnection&)>;

    explicit RoomSpread(EdgeLoop& edge) : edge_(edge) {}

    // At home: the loop on which a further member of this room should live.
    uint32_t place(const Room& room) const;
    // At home: passes a batch that has just been sealed to the loops of the room's guests.
    void pass_on(const Room& room, const std::shared_ptr<const RoomBatch>& batch);
    // At home: runs a guest's request, or keeps it while an earlier one of that guest waits for its key. `number` names
    // the reply; a request without one keeps no order.
    void take_request(const ConnectionRef& guest, std::optional<uint64_t> number, Request request);
    // At home: sends an answer. It and the deltas made so far, sealed at the end of the tick, arrive together, and a
    // connection sends its deltas before its replies.
    void answer(const ConnectionRef& guest, std::optional<uint64_t> number, Answer answer);
    // At home: the same for an answer whose place among the deltas must be exact: what is open is sealed before it.
    void answer_in_place(const ConnectionRef& guest, std::optional<uint64_t> number, Answer answer);
    // At home: the guest has gone; what it still had waiting is dropped.
    void forget(const ConnectionRef& guest) { held_.erase(key_of(guest)); }

    // Any loop: runs `task` on another one, after everything sent there before. `bytes`: what of it counts as queued.
    void tell(uint32_t loop, Task task, size_t bytes = 0);
    // Whether more may be queued for that loop.
    bool has_room(uint32_t loop) const;
    // Now and then: tells the guests of quiet rooms what they have missed.
    void tell_losses();

    // At the end of the tick, before the rooms are sealed: requests whose turn has come.
    void run_released();
    bool has_released() const { return !released_.empty(); }
    // At the end of the tick, after the rooms are sealed.
    void flush();

private:
    using Key = std::pair<uint32_t, uint64_t>;  // loop and token
    struct Waiting {
        uint64_t number;
        Request request;
    };
    // A guest whose request `number` waits for its key, or that waits for its turn; `queue` are the requests behind it.
    struct Held {
        std::optional<uint64_t> number;
        std::deque<Waiting> queue;
    };
    struct Outgoing {
        std::vector<Task> tasks;
        size_t bytes = 0;  // of `tasks`
        // Of those, and of what the other loop has not run yet.
        std::shared_ptr<std::atomic<size_t>> queued_bytes = std::make_shared<std::atomic<size_t>>(0);
    };
    // Keys of a room whose deltas were not passed to a loop; when there are too many, its guests there cannot be
    // brought up again.
    struct Loss {
        std::set<std::string> keys;
        bool too_many = false;
    };
    using LossKey = std::pair<uint32_t, std::string>;  // loop and room
    void lose(Loss& loss, const RoomBatch& batch) const;
    void tell_loss(const LossKey& whom, Loss loss);
    static Key key_of(const ConnectionRef& guest) { return {guest.loop, guest.id.token()}; }
    void released(const ConnectionRef& guest, std::optional<uint64_t> number);

    EdgeLoop& edge_;
    std::map<uint32_t, Outgoing> outgoing_;  // by loop
    std::map<LossKey, Loss> losses_;
    std::map<Key, Held> held_;
    std::vector<Key> released_;
};

}  // namespace meridian::server
