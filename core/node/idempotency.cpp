#include "node/idempotency.h"

#include <sodium.h>

#include "base/binary.h"
#include "wire/client_delta_codec.h"

namespace meridian::node {

namespace {
constexpr uint8_t record_version = 1;
}

std::string idempotency_name(const WriteRequest& request) {
    return std::string(idempotency_prefix) + request.namespace_name + '/' + std::to_string(request.client_id) + '/' +
           request.idempotency_key;
}

std::array<uint8_t, 16> digest_of(const WriteRequest& request) {
    BinaryWriter bytes;
    for (const WriteItem& item : request.items) {
        bytes.bytes(item.key);
        bytes.bytes(item.op_bytes);
        bytes.varint(item.ttl_ms ? *item.ttl_ms : 0);
        bytes.u8(item.ttl_ms.has_value());
    }
    std::array<uint8_t, 16> digest{};
    crypto_generichash(digest.data(), digest.size(), reinterpret_cast<const unsigned char*>(bytes.data().data()),
                       bytes.data().size(), nullptr, 0);
    return digest;
}

std::string encode_idempotency(const IdempotencyRecord& record) {
    BinaryWriter out;
    out.u8(record_version);
    out.fixed(record.digest.data(), record.digest.size());
    out.varint(record.wall_ms);
    out.varint(record.items.size());
    for (const IdempotencyRecord::Item& item : record.items) {
        out.u8(item.changed);
        out.u8(item.type_code);
        out.bytes(item.delta_bytes);
    }
    return out.take();
}

std::optional<IdempotencyRecord> decode_idempotency(std::string_view bytes) {
    BinaryReader in(bytes);
    IdempotencyRecord record;
    if (in.u8() != record_version) return std::nullopt;
    in.fixed(record.digest.data(), record.digest.size());
    record.wall_ms = in.varint();
    const size_t count = in.count(3);
    for (size_t i = 0; i < count && in.ok(); ++i) {
        IdempotencyRecord::Item item;
        item.changed = in.u8() != 0;
        item.type_code = in.u8();
        item.delta_bytes = in.bytes();
        record.items.push_back(std::move(item));
    }
    if (!in.ok() || !in.at_end()) return std::nullopt;
    return record;
}

IdempotencyRecord make_idempotency(const WriteRequest& request, const WriteOutcome& outcome, uint64_t wall_ms) {
    IdempotencyRecord record;
    record.digest = digest_of(request);
    record.wall_ms = wall_ms;
    for (const ItemOutcome& item : outcome.items) {
        IdempotencyRecord::Item kept;
        kept.changed = item.changed;
        if (item.delta) {
            kept.type_code = static_cast<uint8_t>(crdt::type_of(item.delta->delta()));
            kept.delta_bytes = item.delta->delta_bytes(KeyForm::integer_keys);
        }
        record.items.push_back(std::move(kept));
    }
    return record;
}

WriteOutcome replay(const IdempotencyRecord& record, const WriteRequest& request) {
    WriteOutcome outcome;
    if (record.digest != digest_of(request) || record.items.size() != request.items.size()) {
        outcome.status = Status::idempotency_mismatch;
        outcome.text = "Idempotency-Key '" + request.idempotency_key + "' was used for another request";
        return outcome;
    }
    for (size_t i = 0; i < record.items.size(); ++i) {
        ItemOutcome item;
        item.changed = record.items[i].changed;
        if (const auto type = crdt::type_from_code(record.items[i].type_code)) {
            auto delta = wire::decode_client_delta(*type, record.items[i].delta_bytes);
            const KeyName name{request.namespace_name, request.items[i].key};
            if (delta) {
                item.delta = std::make_shared<DeltaFrame>(std::make_shared<const KeyName>(name), *std::move(delta));
            }
        }
        outcome.items.push_back(std::move(item));
    }
    return outcome;
}

}  // namespace meridian::node
