#include "wire.h"

namespace meridian::transport_http {
namespace {

constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int digit_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

}  // namespace

void append_to_batch(std::string& batch, const Delta& delta) {
    batch.push_back(static_cast<char>(delta.namespace_name.size()));
    batch.append(delta.namespace_name);
    const auto size = static_cast<uint32_t>(delta.envelope.size());
    for (int shift = 24; shift >= 0; shift -= 8) batch.push_back(static_cast<char>(size >> shift));
    batch.append(delta.envelope);
}

std::optional<Delta> take_from_batch(std::string_view& batch) {
    constexpr size_t size_bytes = 4;
    if (batch.empty()) return std::nullopt;
    const size_t name_size = static_cast<unsigned char>(batch.front());
    const size_t before = 1 + name_size + size_bytes;
    if (batch.size() < before) return std::nullopt;
    uint32_t size = 0;
    for (size_t i = before - size_bytes; i < before; ++i) size = size << 8 | static_cast<unsigned char>(batch[i]);
    if (size > batch.size() - before) return std::nullopt;
    const Delta delta{batch.substr(1, name_size), batch.substr(before, size)};
    batch.remove_prefix(before + size);
    return delta;
}

bool is_batch(std::string_view batch) {
    while (!batch.empty()) {
        if (!take_from_batch(batch)) return false;
    }
    return true;
}

std::string base64url_encode(std::string_view bytes) {
    std::string out;
    out.reserve((bytes.size() * 4 + 2) / 3);
    uint32_t bits = 0;
    int count = 0;
    for (const char c : bytes) {
        bits = (bits << 8 | static_cast<unsigned char>(c)) & 0xffffff;
        for (count += 8; count >= 6; count -= 6) out.push_back(digits[bits >> (count - 6) & 63]);
    }
    if (count > 0) out.push_back(digits[bits << (6 - count) & 63]);
    return out;
}

std::optional<std::string> base64url_decode(std::string_view text) {
    if (text.size() % 4 == 1) return std::nullopt;
    std::string out;
    out.reserve(text.size() * 3 / 4);
    uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const int value = digit_value(c);
        if (value < 0) return std::nullopt;
        bits = (bits << 6 | static_cast<uint32_t>(value)) & 0xffffff;
        count += 6;
        if (count >= 8) {
            count -= 8;
            out.push_back(static_cast<char>(bits >> count));
        }
    }
    if ((bits & ((1U << count) - 1)) != 0) return std::nullopt;
    return out;
}

}  // namespace meridian::transport_http
