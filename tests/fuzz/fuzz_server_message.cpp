// Messages of the server: what decodes has one encoding, which decodes to itself.
#include "base/utf8.h"
#include "fuzz_check.h"
#include "wire/client_message.h"

using namespace meridian;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const Result<wire::ServerMessage> message = wire::decode_server_message(input);
    if (!message) {
        fuzz::require_error_text(message.error().message);
        fuzz::require(is_valid_utf8(message.error().message), "an error text is UTF-8");
        return 0;
    }
    const std::string bytes = wire::encode_server_message(*message);
    const Result<wire::ServerMessage> again = wire::decode_server_message(bytes);
    fuzz::require(again.ok(), "an encoded message decodes");
    fuzz::require(again->index() == message->index(), "an encoded message decodes to the same kind");
    fuzz::require(wire::encode_server_message(*again) == bytes, "a message has one encoding");
    return 0;
}
