#include "net/room_spread.h"

#include "net/edge_loop.h"

namespace meridian::server {

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
        tell(loop, [name = room.name(), batch](EdgeLoop& there) { there.receive_batch(name, batch); });
    });
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
    if (request(edge_) == node::Progress::waiting) held_.emplace(key_of(guest), Held{*number, {}});
}

void RoomSpread::released(const ConnectionRef& guest, std::optional<uint64_t> number) {
    const auto held = held_.find(key_of(guest));
    if (number && held != held_.end() && held->second.number == *number) released_.push_back(held->first);
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

void RoomSpread::tell(uint32_t loop, Task task) {
    outgoing_[loop].push_back(std::move(task));
}

void RoomSpread::run_released() {
    for (const Key& key : std::exchange(released_, {})) {
        const auto held = held_.find(key);
        if (held == held_.end()) continue;
        std::deque<Waiting> queue = std::move(held->second.queue);
        held_.erase(held);
        while (!queue.empty()) {
            Waiting next = std::move(queue.front());
            queue.pop_front();
            if (next.request(edge_) == node::Progress::executed) continue;
            held_.emplace(key, Held{next.number, std::move(queue)});
            break;
        }
    }
}

void RoomSpread::flush() {
    for (auto& [loop, tasks] : outgoing_) {
        if (tasks.empty()) continue;
        EdgeLoop* there = edge_.shared().loops[loop];
        there->loop().post([there, tasks = std::exchange(tasks, {})] {
            for (const Task& task : tasks) task(*there);
        });
    }
}

}  // namespace meridian::server
