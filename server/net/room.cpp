#include "net/room.h"

#include "protocol/websocket_codec.h"

namespace meridian::server {

RoomBatch::RoomBatch(std::vector<RoomMessage> messages) : messages_(std::move(messages)) {}

const SharedBytes& RoomBatch::frames(node::KeyForm form) const {
    SharedBytes& frames = frames_[static_cast<size_t>(form)];
    if (!frames) {
        auto bytes = std::make_shared<std::string>();
        size_t size = 0;
        for (const RoomMessage& message : messages_) size += message.bytes(form).size() + 10;
        bytes->reserve(size);
        for (const RoomMessage& message : messages_) append_message(*bytes, Opcode::binary, message.bytes(form));
        frames = std::move(bytes);
    }
    return frames;
}

std::optional<ConnectionId> Room::leave(size_t index) {
    members_[index] = members_.back();
    members_.pop_back();
    if (index == members_.size()) return std::nullopt;
    return members_[index];
}

void Room::seal() {
    if (open_.empty()) return;
    batches_.push_back(std::make_unique<RoomBatch>(std::move(open_)));
    open_.clear();
}

void Room::forget_before(uint64_t number) {
    while (!batches_.empty() && first_ < number) {
        batches_.pop_front();
        ++first_;
    }
}

}  // namespace meridian::server
