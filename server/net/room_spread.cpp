#include "net/room_spread.h"

#include "net/edge_loop.h"

namespace meridian::server {
namespace {
// Of guests that had to wait, run between two looks at everything else.
constexpr size_t requests_per_tick = 256;
}  // namespace

uint32_t RoomSpread::place(const Room& room) const {
    const uint64_t home_members = edge_.settings().room_spread_members;
    const size_t loops = edge_.shared().loops.size();
    if (home_members == 0 || loops == 1 || room.members().size() < home_members) return edge_.index();
    uint32_t best = edge_.index();
    size_t fewest = room.members().size();
    for (uint32_t loop = 0; loop < loops; ++loop) {
        if (loop == edge_.index() || room.guests(loop) >= fewest) continue;
        best = loop;
        fewest = room.guests(loop);
    }
    return best;
}

void RoomSpread::pass_on(const Room& room, const std::shared_ptr<const RoomBatch>& batch) {
    room.for_each_guest_loop([&](uint32_t loop) {
        const LossKey whom{loop, room.name()};
        const auto loss = losses_.find(whom);
        if (!has_room(loop)) return lose(loss == losses_.end() ? losses_[whom] : loss->second, *batch);
        if (loss != losses_.end()) {
            tell_loss(whom, std::move(loss->second));
            losses_.erase(loss);
        }
        tell(
            loop, [name = room.name(), batch](EdgeLoop& there) { there.receive_batch(name, batch); },
            batch->message_bytes());
    });
}

void RoomSpread::lose(Loss& loss, const RoomBatch& batch) const {
    for (const RoomMessage& message : batch.messages()) {
        if (!message.delta || loss.too_many) continue;  // awareness is only about now
        loss.keys.insert(message.delta->key());
        if (loss.keys.size() <= edge_.settings().missed_keys) continue;
        loss.too_many = true;
        loss.keys.clear();
    }
}

void RoomSpread::tell_loss(const LossKey& whom, Loss loss) {
    auto keys = std::make_shared<const std::set<std::string>>(std::move(loss.keys));
    tell(whom.first, [name = whom.second, keys, too_many = loss.too_many](EdgeLoop& there) {
        there.receive_loss(name, *keys, too_many);
    });
}

void RoomSpread::tell_losses() {
    for (auto loss = losses_.begin(); loss != losses_.end();) {
        if (!has_room(loss->first.first)) {
            ++loss;
            continue;
        }
        tell_loss(loss->first, std::move(loss->second));
        loss = losses_.erase(loss);
    }
}

void RoomSpread::take_request(const ConnectionRef& guest, std::optional<uint64_t> number, Request request) {
    if (!number) {
        request(edge_);
        return;
    }
    if (const auto held = held_.find(key_of(guest)); held != held_.end()) {
        held->second.queue.push_back({*number, std::move(request)});
        return;
    }
    if (request(edge_) == node::Progress::waiting) held_.emplace(key_of(guest), Held{number, {}});
}

void RoomSpread::released(const ConnectionRef& guest, std::optional<uint64_t> number) {
    const auto held = held_.find(key_of(guest));
    if (number && held != held_.end() && held->second.number == number) released_.push_back(held->first);
}

void RoomSpread::answer(const ConnectionRef& guest, std::optional<uint64_t> number, Answer answer) {
    released(guest, number);
    tell(guest.loop, [id = guest.id, then = std::move(answer)](EdgeLoop& there) {
        if (WebSocketConnection* connection = there.find_websocket(id)) then(*connection);
    });
}

void RoomSpread::answer_in_place(const ConnectionRef& guest, std::optional<uint64_t> number, Answer answer_to) {
    edge_.seal_open_rooms();
    answer(guest, number, std::move(answer_to));
}

void RoomSpread::tell(uint32_t loop, Task task, size_t bytes) {
    Outgoing& outgoing = outgoing_[loop];
    outgoing.tasks.push_back(std::move(task));
    if (bytes == 0) return;
    outgoing.bytes += bytes;
    outgoing.queued_bytes->fetch_add(bytes, std::memory_order_relaxed);
}

bool RoomSpread::has_room(uint32_t loop) const {
    const auto outgoing = outgoing_.find(loop);
    return outgoing == outgoing_.end() ||
           outgoing->second.queued_bytes->load(std::memory_order_relaxed) <= edge_.settings().loop_queue_bytes;
}

void RoomSpread::run_released() {
    size_t budget = requests_per_tick;
    for (const Key& key : std::exchange(released_, {})) {
        const auto held = held_.find(key);
        if (held == held_.end()) continue;
        std::deque<Waiting> queue = std::move(held->second.queue);
        held_.erase(held);
        while (!queue.empty()) {
            if (budget == 0) {
                held_.emplace(key, Held{std::nullopt, std::move(queue)});
                released_.push_back(key);
                break;
            }
            --budget;
            Waiting next = std::move(queue.front());
            queue.pop_front();
            if (next.request(edge_) == node::Progress::executed) continue;
            held_.emplace(key, Held{next.number, std::move(queue)});
            break;
        }
    }
}

void RoomSpread::flush() {
    for (auto& [loop, outgoing] : outgoing_) {
        if (outgoing.tasks.empty()) continue;
        EdgeLoop* there = edge_.shared().loops[loop];
        there->loop().post([there, tasks = std::exchange(outgoing.tasks, {}), bytes = std::exchange(outgoing.bytes, 0),
                            queued = outgoing.queued_bytes] {
            for (const Task& task : tasks) task(*there);
            queued->fetch_sub(bytes, std::memory_order_relaxed);
        });
    }
}

}  // namespace meridian::server
