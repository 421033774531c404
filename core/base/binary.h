// The primitive forms of our own encodings (core deltas, snapshots, log entries): little-endian base-128 varints
// (LEB128), zigzag for signed values, length-prefixed bytes. The reader never reads past its input and never allocates
// more than it was given; after a failure it stays failed, so that a decoder may check once at the end.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace meridian {

class BinaryWriter {
public:
    void u8(uint8_t value) { bytes_.push_back(static_cast<char>(value)); }
    void varint(uint64_t value) {
        char encoded[varint_bytes_max];
        size_t size = 0;
        for (; value >= 0x80; value >>= 7) encoded[size++] = static_cast<char>(value | 0x80);
        encoded[size++] = static_cast<char>(value);
        bytes_.append(encoded, size);
    }
    void zigzag(int64_t value) { varint((static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63)); }
    void fixed(const void* data, size_t size) { bytes_.append(static_cast<const char*>(data), size); }
    void bytes(std::string_view value) {
        varint(value.size());
        bytes_.append(value);
    }
    const std::string& data() const { return bytes_; }
    std::string take() { return std::move(bytes_); }
    // Begins anew and keeps the memory.
    void clear() { bytes_.clear(); }

private:
    static constexpr size_t varint_bytes_max = 10;

    std::string bytes_;
};

class BinaryReader {
public:
    explicit BinaryReader(std::string_view input) : rest_(input) {}

    bool ok() const { return ok_; }
    bool at_end() const { return rest_.empty(); }
    size_t remaining() const { return rest_.size(); }
    void fail() {
        ok_ = false;
        rest_ = {};
    }

    uint8_t u8() {
        if (rest_.empty()) {
            fail();
            return 0;
        }
        const auto value = static_cast<uint8_t>(rest_[0]);
        rest_.remove_prefix(1);
        return value;
    }
    uint64_t varint() {
        uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            if (rest_.empty()) break;
            const auto byte = static_cast<uint8_t>(rest_[0]);
            rest_.remove_prefix(1);
            if (shift == 63 && byte > 1) break;  // would not fit 64 bits
            value |= static_cast<uint64_t>(byte & 0x7f) << shift;
            if ((byte & 0x80) == 0) {
                if (byte == 0 && shift != 0) break;  // not the shortest form: one value, one encoding
                return value;
            }
        }
        fail();
        return 0;
    }
    int64_t zigzag() {
        const uint64_t value = varint();
        return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
    }
    void fixed(void* out, size_t size) {
        if (rest_.size() < size) {
            fail();
            std::memset(out, 0, size);
            return;
        }
        std::memcpy(out, rest_.data(), size);
        rest_.remove_prefix(size);
    }
    // Borrowed from the input.
    std::string_view bytes() {
        const uint64_t size = varint();
        if (!ok_ || size > rest_.size()) {
            fail();
            return {};
        }
        const auto value = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return value;
    }
    // A count of things that each take at least `bytes_each_min` bytes: fails when the input cannot hold so many, so
    // that the caller may reserve that many.
    size_t count(size_t bytes_each_min) {
        const uint64_t value = varint();
        if (!ok_ || value > rest_.size() / (bytes_each_min == 0 ? 1 : bytes_each_min)) {
            fail();
            return 0;
        }
        return value;
    }

private:
    std::string_view rest_;
    bool ok_ = true;
};

}  // namespace meridian
