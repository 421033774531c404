#include "net/room.h"

#include "protocol/websocket_codec.h"

namespace meridian::server {
namespace {
constexpr size_t message_bytes_typical = 160;
}

RoomBatch::RoomBatch(std::vector<RoomMessage> messages) : messages_(std::move(messages)) {}

const RoomBatch::Encoded& RoomBatch::encoded(node::KeyForm form) const {
    Encoded& encoded = encoded_[static_cast<size_t>(form)];
    std::call_once(encoded.done, [&] {
        auto bytes = std::make_shared<std::string>();
        bytes->reserve(messages_.size() * message_bytes_typical);
        encoded.ends.reserve(messages_.size());
        std::string own;
        std::string scratch;
        scratch.reserve(message_bytes_typical);
        for (const RoomMessage& message : messages_) {
            own.clear();
            if (message.delta) message.delta->append_message(own, form, scratch);
            append_message(*bytes, Opcode::binary, message.delta ? own : *message.awareness);
            encoded.ends.push_back(bytes->size());
        }
        encoded.frames = std::move(bytes);
    });
    return encoded;
}

std::string_view RoomBatch::frame(node::KeyForm form, size_t index) const {
    const Encoded& all = encoded(form);
    const size_t begin = index == 0 ? 0 : all.ends[index - 1];
    return std::string_view(*all.frames).substr(begin, all.ends[index] - begin);
}

size_t RoomBatch::message_bytes() const {
    return frames(node::KeyForm::integer_keys)->size();
}

std::optional<ConnectionId> Room::leave(size_t index) {
    members_[index] = members_.back();
    members_.pop_back();
    if (index == members_.size()) return std::nullopt;
    return members_[index];
}

RoomBatchPtr Room::seal() {
    if (open_.empty()) return nullptr;
    last_batch_messages_ = open_.size();
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
