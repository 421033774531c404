#include "node/node.h"
#include "wire/client_delta_codec.h"
#include "wire/client_message.h"

namespace meridian::node {

const std::string& DeltaFrame::delta_bytes(KeyForm form) const {
    std::string& bytes = delta_bytes_[static_cast<size_t>(form)];
    if (bytes.empty()) bytes = wire::encode_client_delta(delta_, form);
    return bytes;
}

const std::string& DeltaFrame::message(KeyForm form) const {
    std::string& bytes = message_[static_cast<size_t>(form)];
    if (bytes.empty()) wire::append_delta_message(bytes, key_, delta_bytes(form));
    return bytes;
}

}  // namespace meridian::node
