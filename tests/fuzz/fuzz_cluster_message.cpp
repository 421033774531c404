// Messages between nodes, with and without a secret: what decodes comes back equal through the encoder.
#include "base/utf8.h"
#include "fuzz_check.h"
#include "replication/hash_tree.h"
#include "replication/message.h"
#include "replication/message_samples.h"

using namespace meridian;

namespace {

const replication::Seal seals[] = {{"", "", false}, {"blue", "", false}, {"blue", "secret", false}};

void check(std::string_view input, const replication::Seal& seal) {
    const auto decoded = replication::decode_message(input, seal);
    if (!decoded) {
        fuzz::require_error_text(decoded.error().message);
        fuzz::require(is_valid_utf8(decoded.error().message), "an error text is UTF-8");
        return;
    }
    const auto* message = std::get_if<replication::Message>(&*decoded);
    if (message == nullptr) return;
    const std::string bytes = replication::encode_message(*message, seal);
    const auto again = replication::decode_message(bytes, seal);
    fuzz::require(again.ok(), "an encoded message decodes");
    const auto* same = std::get_if<replication::Message>(&*again);
    fuzz::require(same != nullptr && test::same_message(*message, *same), "it decodes to the same message");
    fuzz::require(replication::encode_message(*same, seal) == bytes, "equal messages have equal bytes");

    // What a peer says of its tree never makes the requester go deeper than its own request.
    if (const auto* reply = std::get_if<replication::TreeReply>(&message->body)) {
        replication::HashTree own;
        own.finish();
        const replication::TreeDifference difference = replication::compare_children(own, {"", "a"}, reply->children);
        fuzz::require(difference.descend.size() + difference.with_keys.size() <= 32, "at most the children");
    }
    if (const auto* request = std::get_if<replication::KeysRequest>(&message->body)) {
        (void)replication::PathSet(request->paths).contains(0x0123456789abcdef);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    for (const replication::Seal& seal : seals) check(input, seal);
    return 0;
}
