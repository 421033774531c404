#include "node/node.h"
#include "wire/client_delta_codec.h"
#include "wire/client_message.h"

namespace meridian::node {

const std::string& DeltaFrame::delta_bytes(KeyForm form) const {
    const auto index = static_cast<size_t>(form);
    std::call_once(delta_encoded_[index],
                   [this, form, index] { delta_bytes_[index] = wire::encode_client_delta(delta_, form); });
    return delta_bytes_[index];
}

const std::string& DeltaFrame::message(KeyForm form) const {
    const auto index = static_cast<size_t>(form);
    std::call_once(message_encoded_[index],
                   [this, form, index] { wire::append_delta_message(message_[index], key_, delta_bytes(form)); });
    return message_[index];
}

}  // namespace meridian::node
