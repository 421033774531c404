#include "snapshot_row.h"

#include <sodium.h>

#include "base/binary.h"
#include "crc32c.h"

namespace meridian::store_kv {
namespace {

constexpr uint8_t value_format = 1;
constexpr size_t seal_size = 5;  // format byte, CRC32C
constexpr size_t digest_size = 32;

std::string digest(std::string_view name) {
    std::string out(digest_size, '\0');
    crypto_generichash(reinterpret_cast<unsigned char*>(out.data()), out.size(),
                       reinterpret_cast<const unsigned char*>(name.data()), name.size(), nullptr, 0);
    return out;
}

std::string big_endian(uint64_t number) {
    std::string out(8, '\0');
    for (size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(number >> (56 - 8 * i));
    return out;
}

uint32_t seal_checksum(std::string_view key, std::string_view body) {
    return crc32c(body, crc32c(key));
}

struct Head {
    uint64_t position = 0;
    uint64_t deadline_ms = 0;
    bool deleted = false;
    std::string_view name;
    size_t remaining = 0;
    bool valid = false;
};

Head read_head(std::string_view key, std::string_view body) {
    BinaryReader reader(body);
    Head head;
    head.position = reader.varint();
    head.deadline_ms = reader.varint();
    const uint8_t deleted = reader.u8();
    head.name = reader.bytes();
    head.deleted = deleted == 1;
    head.remaining = reader.remaining();
    head.valid = reader.ok() && deleted <= 1 && row_key(head.name) == key;
    return head;
}

}  // namespace

std::string row_key(std::string_view name) {
    if (name.size() <= direct_name_max) return std::string(name);
    return std::string(name.substr(0, direct_name_max)) + digest(name);
}

std::string numbered_key(uint64_t number, std::string_view name) {
    return big_endian(number) + digest(name);
}

std::string aside_key(std::string_view name, uint64_t position) {
    return digest(name) + big_endian(position);
}

std::string metadata_name(std::string_view name) {
    return std::string(1, '\0').append(name);
}

uint64_t number_of(std::string_view key) {
    uint64_t number = 0;
    for (size_t i = 0; i < 8 && i < key.size(); ++i) number = number << 8 | static_cast<uint8_t>(key[i]);
    return number;
}

std::string seal(std::string_view key, std::string_view body) {
    const uint32_t checksum = seal_checksum(key, body);
    std::string out;
    out.reserve(seal_size + body.size());
    out.push_back(static_cast<char>(value_format));
    for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(checksum >> (8 * i)));
    return out.append(body);
}

Result<std::string_view> unseal(std::string_view key, std::string_view value) {
    if (value.size() < seal_size)
        return Error{"the stored value has " + std::to_string(value.size()) + " bytes, expected at least 5"};
    uint32_t checksum = 0;
    for (size_t i = 0; i < 4; ++i) checksum |= static_cast<uint32_t>(static_cast<uint8_t>(value[1 + i])) << (8 * i);
    const std::string_view body = value.substr(seal_size);
    if (checksum != seal_checksum(key, body)) return Error{"the stored value fails its checksum"};
    if (static_cast<uint8_t>(value[0]) != value_format) {
        return Error{"the stored value has format " + std::to_string(static_cast<uint8_t>(value[0])) +
                     ", this version reads " + std::to_string(value_format)};
    }
    return body;
}

Result<SnapshotRow> SnapshotRow::decode(std::string_view key, std::string value) {
    SnapshotRow row;
    row.value_ = std::move(value);
    const auto body = unseal(key, row.value_);
    if (!body) return body.error();
    const Head head = read_head(key, *body);
    if (!head.valid) return Error{"the stored value is malformed"};
    row.position = head.position;
    row.deadline_ms = head.deadline_ms;
    row.deleted = head.deleted;
    row.state_offset_ = row.value_.size() - head.remaining;
    row.name_size_ = head.name.size();
    row.name_offset_ = row.state_offset_ - row.name_size_;
    return row;
}

std::string SnapshotRow::encode(std::string_view key, std::string_view name, uint64_t position, uint64_t deadline_ms,
                                const std::string_view* state) {
    BinaryWriter body;
    body.varint(position);
    body.varint(deadline_ms);
    body.u8(state != nullptr ? 0 : 1);
    body.bytes(name);
    if (state != nullptr) body.fixed(state->data(), state->size());
    return seal(key, body.data());
}

bool is_head_of_row(std::string_view key, std::string_view head) {
    return name_in_head(key, head).has_value();
}

std::optional<std::string_view> name_in_head(std::string_view key, std::string_view head) {
    if (head.size() < seal_size) return std::nullopt;
    const Head found = read_head(key, head.substr(seal_size));
    return found.valid ? std::optional<std::string_view>(found.name) : std::nullopt;
}

}  // namespace meridian::store_kv
