// Short byte strings of a Tree, mostly positions: 16 bytes each, up to 12 bytes of text inside, longer text in a pool.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace meridian::crdt {

// Refers to text inside itself or in the TextPool that made it. Copying the pool keeps it valid for the copy.
class PooledText {
public:
    static constexpr size_t inline_bytes_max = 12;

    size_t size() const { return size_; }

private:
    friend class TextPool;
    uint32_t size_ = 0;
    std::array<char, inline_bytes_max> data_{};  // the text, or block index and offset as two uint32_t
};

// Append-only. Text that is no longer referred to stays until the owner builds a new pool. Not thread-safe.
class TextPool {
public:
    PooledText add(std::string_view text) {
        PooledText result;
        result.size_ = static_cast<uint32_t>(text.size());
        if (text.empty()) return result;
        if (text.size() <= PooledText::inline_bytes_max) {
            std::memcpy(result.data_.data(), text.data(), text.size());
            return result;
        }
        // A block is never grown past its capacity, so that large texts do not double what is reserved.
        if (blocks_.empty() || blocks_.back().capacity() - blocks_.back().size() < text.size()) {
            blocks_.emplace_back();
            const size_t block_bytes = blocks_.size() < 8 ? size_t{256} << blocks_.size() : block_bytes_max;
            blocks_.back().reserve(text.size() > block_bytes ? text.size() : block_bytes);
            memory_bytes_ += blocks_.back().capacity() + sizeof(std::string);
        }
        const uint32_t place[2] = {static_cast<uint32_t>(blocks_.size() - 1),
                                   static_cast<uint32_t>(blocks_.back().size())};
        std::memcpy(result.data_.data(), place, sizeof place);
        blocks_.back().append(text);
        return result;
    }

    // Borrowed from `text` or from the pool: valid until either goes.
    std::string_view get(const PooledText& text) const {
        if (text.size_ <= PooledText::inline_bytes_max) return {text.data_.data(), text.size_};
        uint32_t place[2];
        std::memcpy(place, text.data_.data(), sizeof place);
        return std::string_view(blocks_[place[0]]).substr(place[1], text.size_);
    }

    size_t memory_bytes() const { return memory_bytes_; }

private:
    static constexpr size_t block_bytes_max = 64 << 10;
    std::vector<std::string> blocks_;
    size_t memory_bytes_ = 0;
};

}  // namespace meridian::crdt
