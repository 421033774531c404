#include "net/room.h"

#include "protocol/websocket_codec.h"

namespace meridian::server {

RoomBatch::RoomBatch(std::vector<RoomMessage> messages) : messages_(std::move(messages)) {}

const SharedBytes& RoomBatch::frames(node::KeyForm form) const {
    const auto index = static_cast<size_t>(form);
    std::call_once(encoded_[index], [this, form, index] {
        auto bytes = std::make_shared<std::string>();
        size_t size = 0;
        for (const RoomMessage& message : messages_) size += message.bytes(form).size() + 10;
        bytes->reserve(size);
        for (const RoomMessage& message : messages_) append_message(*bytes, Opcode::binary, message.bytes(form));
        frames_[index] = std::move(bytes);
    });
    return frames_[index];
}

size_t RoomBatch::message_bytes() const {
    size_t bytes = 0;
    for (const RoomMessage& message : messages_) bytes += message.bytes(node::KeyForm::integer_keys).size();
    return bytes;
}

std::optional<ConnectionId> Room::leave(size_t index) {
    members_[index] = members_.back();
    members_.pop_back();
    if (index == members_.size()) return std::nullopt;
    return members_[index];
}

RoomBatchPtr Room::seal() {
    if (open_.empty()) return nullptr;
    batches_.push_back(std::make_shared<const RoomBatch>(std::move(open_)));
    open_.clear();
    return batches_.back();
}

void Room::add_guest(uint32_t loop, uint64_t client_id) {
    if (guests_.size() <= loop) guests_.resize(loop + 1);
    ++guests_[loop];
    ++guest_clients_[client_id];
}

void Room::remove_guest(uint32_t loop, uint64_t client_id) {
    --guests_[loop];
    const auto client = guest_clients_.find(client_id);
    if (--client->second == 0) guest_clients_.erase(client);
}

void Room::forget_before(uint64_t number) {
    while (!batches_.empty() && first_ < number) {
        batches_.pop_front();
        ++first_;
    }
}

}  // namespace meridian::server
