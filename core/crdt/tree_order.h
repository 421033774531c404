// A sequence of handles that its owner keeps sorted by a key that it looks up itself: nodes by id, moves by op id.
// Chunks of at most 512, so that an insertion moves at most that many handles (and now and then splits a chunk), while
// appending in order fills every chunk. Search is O(log n). Not thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace meridian::crdt {

class HandleOrder {
public:
    // A place in the sequence; any insertion invalidates it.
    struct Cursor {
        size_t chunk = 0;
        size_t offset = 0;
        friend bool operator==(const Cursor&, const Cursor&) = default;
    };

    size_t size() const { return size_; }
    Cursor begin() const { return {}; }
    Cursor end() const { return {chunks_.size(), 0}; }
    // REQUIRES: cursor is not end().
    uint32_t at(Cursor cursor) const { return chunks_[cursor.chunk][cursor.offset]; }
    Cursor next(Cursor cursor) const {
        if (++cursor.offset == chunks_[cursor.chunk].size()) cursor = {cursor.chunk + 1, 0};
        return cursor;
    }
    // REQUIRES: cursor is not begin().
    Cursor previous(Cursor cursor) const {
        if (cursor.offset > 0) return {cursor.chunk, cursor.offset - 1};
        return {cursor.chunk - 1, chunks_[cursor.chunk - 1].size() - 1};
    }

    // The first place whose handle is not `before`: before(handle) must be true for a prefix of the sequence.
    template <class Before>
    Cursor lower_bound(Before before) const {
        const auto chunk = std::partition_point(chunks_.begin(), chunks_.end(),
                                                [&](const std::vector<uint32_t>& c) { return before(c.back()); });
        if (chunk == chunks_.end()) return end();
        const auto place = std::partition_point(chunk->begin(), chunk->end(), before);
        return {static_cast<size_t>(chunk - chunks_.begin()), static_cast<size_t>(place - chunk->begin())};
    }

    // Puts the handle in front of `cursor`.
    void insert(Cursor cursor, uint32_t handle) {
        ++size_;
        if (cursor == end()) {
            if (chunks_.empty() || chunks_.back().size() == chunk_handles_max) chunks_.emplace_back();
            chunks_.back().push_back(handle);
            return;
        }
        if (chunks_[cursor.chunk].size() == chunk_handles_max) {
            constexpr size_t half = chunk_handles_max / 2;
            const auto middle = chunks_[cursor.chunk].begin() + half;
            std::vector<uint32_t> upper(middle, chunks_[cursor.chunk].end());
            chunks_[cursor.chunk].erase(middle, chunks_[cursor.chunk].end());
            chunks_.insert(chunks_.begin() + static_cast<std::ptrdiff_t>(cursor.chunk) + 1, std::move(upper));
            if (cursor.offset > half) cursor = {cursor.chunk + 1, cursor.offset - half};
        }
        auto& chunk = chunks_[cursor.chunk];
        chunk.insert(chunk.begin() + static_cast<std::ptrdiff_t>(cursor.offset), handle);
    }

    void shrink_to_fit() {
        for (auto& chunk : chunks_) chunk.shrink_to_fit();
        chunks_.shrink_to_fit();
    }

    template <class Visit>
    void for_each(Visit visit) const {
        for (const auto& chunk : chunks_) {
            for (const uint32_t handle : chunk) visit(handle);
        }
    }

    size_t memory_bytes() const {
        // Chunks are half full to full; counted as if three quarters full.
        return size_ * sizeof(uint32_t) * 4 / 3 + chunks_.capacity() * sizeof(std::vector<uint32_t>);
    }

private:
    static constexpr size_t chunk_handles_max = 512;
    std::vector<std::vector<uint32_t>> chunks_;  // none is empty
    size_t size_ = 0;
};

}  // namespace meridian::crdt
