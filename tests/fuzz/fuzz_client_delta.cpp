// Client deltas: the first byte chooses type and key form; what decodes comes back equal in both key forms.
#include "base/utf8.h"
#include "fuzz_check.h"
#include "wire/client_delta_codec.h"

using namespace meridian;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const auto type = static_cast<crdt::Type>(1 + data[0] % crdt::type_code_max);
    const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
    const Result<crdt::ClientDelta> delta = wire::decode_client_delta(type, input);
    if (!delta) {
        fuzz::require_error_text(delta.error().message);
        fuzz::require(is_valid_utf8(delta.error().message), "an error text is UTF-8");
        return 0;
    }
    fuzz::require(crdt::type_of(*delta) == type, "a delta has the type that was asked for");
    for (const wire::KeyForm form : {wire::KeyForm::integer_keys, wire::KeyForm::string_keys}) {
        const std::string bytes = wire::encode_client_delta(*delta, form);
        const Result<crdt::ClientDelta> again = wire::decode_client_delta(type, bytes);
        fuzz::require(again.ok(), "an encoded delta decodes");
        fuzz::require(*again == *delta, "an encoded delta decodes to the same delta");
    }
    return 0;
}
