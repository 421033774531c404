#include "node/node.h"
#include "wire/client_delta_codec.h"
#include "wire/client_message.h"

namespace meridian::node {

const DeltaFrame::Message& DeltaFrame::encoded(KeyForm form) const {
    Message& message = messages_[static_cast<size_t>(form)];
    std::call_once(message.encoded, [&] {
        const std::string delta = wire::encode_client_delta(delta_, form);
        wire::append_delta_message(message.bytes, key(), delta);
        message.delta_bytes = delta.size();
    });
    return message;
}

const std::string& DeltaFrame::message(KeyForm form) const {
    return encoded(form).bytes;
}

std::string_view DeltaFrame::delta_bytes(KeyForm form) const {
    const Message& message = encoded(form);
    return std::string_view(message.bytes).substr(message.bytes.size() - message.delta_bytes);
}

void DeltaFrame::append_message(std::string& out, KeyForm form, std::string& scratch) const {
    scratch.clear();
    wire::append_client_delta(scratch, delta_, form);
    wire::append_delta_message(out, key(), scratch);
}

}  // namespace meridian::node
