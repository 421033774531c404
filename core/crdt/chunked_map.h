// An ordered map in sorted chunks: a B+ tree of two levels. Compact (no node per entry, no pointers), because counters,
// sets and presences hold many small entries. Find is O(log n); insert and erase move at most one chunk, and at a split
// the list of chunks (24 bytes for each 128 entries or so), so that a million entries still take a microsecond each.
//
// A value; not thread-safe. Pointers, references and iterators are invalid after any insert or erase.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

namespace meridian::crdt {

template <class K, class V>
class ChunkedMap {
public:
    struct Entry {
        K key;
        V value;
        friend bool operator==(const Entry&, const Entry&) = default;
    };

    template <class Map, class Item>
    class BasicIterator {
    public:
        using iterator_category = std::forward_iterator_tag;
        using value_type = Item;
        using difference_type = ptrdiff_t;
        using pointer = Item*;
        using reference = Item&;

        BasicIterator(Map* map, size_t chunk, size_t index) : map_(map), chunk_(chunk), index_(index) {}
        Item& operator*() const { return map_->chunks_[chunk_][index_]; }
        Item* operator->() const { return &map_->chunks_[chunk_][index_]; }
        BasicIterator& operator++() {
            if (++index_ == map_->chunks_[chunk_].size()) {
                ++chunk_;
                index_ = 0;
            }
            return *this;
        }
        friend bool operator==(const BasicIterator& left, const BasicIterator& right) {
            return left.chunk_ == right.chunk_ && left.index_ == right.index_;
        }

    private:
        Map* map_;
        size_t chunk_;
        size_t index_;
    };
    using const_iterator = BasicIterator<const ChunkedMap, const Entry>;
    // Gives mutable access to values; the key of an entry must not be changed.
    using iterator = BasicIterator<ChunkedMap, Entry>;

    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

    const_iterator begin() const { return {this, 0, 0}; }
    const_iterator end() const { return {this, chunks_.size(), 0}; }
    iterator begin() { return {this, 0, 0}; }
    iterator end() { return {this, chunks_.size(), 0}; }

    // The first entry whose key is not less than `key`.
    const_iterator lower_bound(const K& key) const {
        const auto [chunk, index] = position(key);
        return {this, chunk, index};
    }

    // REQUIRES: !empty().
    const Entry& front() const { return chunks_.front().front(); }

    const V* find(const K& key) const {
        const auto [chunk, index] = position(key);
        if (chunk == chunks_.size() || !(chunks_[chunk][index].key == key)) return nullptr;
        return &chunks_[chunk][index].value;
    }
    V* find(const K& key) { return const_cast<V*>(std::as_const(*this).find(key)); }
    bool contains(const K& key) const { return find(key) != nullptr; }

    // The value of `key`, made by default if there is none; true if it was made.
    std::pair<V*, bool> find_or_insert(const K& key) {
        if (chunks_.empty()) {
            chunks_.push_back({});
            chunks_[0].push_back(Entry{key, V{}});
            ++size_;
            return {&chunks_[0][0].value, true};
        }
        auto [chunk, index] = position(key);
        if (chunk < chunks_.size() && chunks_[chunk][index].key == key) return {&chunks_[chunk][index].value, false};
        if (chunk == chunks_.size() || (index == 0 && chunk > 0)) {
            // Append to the chunk before, so that ascending inserts fill chunks.
            --chunk;
            index = chunks_[chunk].size();
        }
        if (chunks_[chunk].size() == chunk_entries_max) {
            // Ascending inserts leave full chunks behind, others halve them.
            const size_t at = index == chunk_entries_max ? chunk_entries_max : chunk_entries_max / 2;
            std::vector<Entry> upper(std::make_move_iterator(chunks_[chunk].begin() + static_cast<ptrdiff_t>(at)),
                                     std::make_move_iterator(chunks_[chunk].end()));
            chunks_[chunk].resize(at);
            chunks_[chunk].shrink_to_fit();
            chunks_.insert(chunks_.begin() + static_cast<ptrdiff_t>(chunk) + 1, std::move(upper));
            if (index >= at) {
                index -= at;
                ++chunk;
            }
        }
        auto& entries = chunks_[chunk];
        const auto inserted = entries.insert(entries.begin() + static_cast<ptrdiff_t>(index), Entry{key, V{}});
        ++size_;
        return {&inserted->value, true};
    }

    bool erase(const K& key) {
        const auto [chunk, index] = position(key);
        if (chunk == chunks_.size() || !(chunks_[chunk][index].key == key)) return false;
        auto& entries = chunks_[chunk];
        entries.erase(entries.begin() + static_cast<ptrdiff_t>(index));
        if (entries.empty()) chunks_.erase(chunks_.begin() + static_cast<ptrdiff_t>(chunk));
        --size_;
        return true;
    }

    // Erases every entry for which predicate(entry) is true; gives how many.
    template <class Predicate>
    size_t erase_if(Predicate predicate) {
        size_t erased = 0;
        for (auto& chunk : chunks_) erased += std::erase_if(chunk, predicate);
        if (erased > 0) std::erase_if(chunks_, [](const std::vector<Entry>& chunk) { return chunk.empty(); });
        size_ -= erased;
        return erased;
    }

    friend bool operator==(const ChunkedMap& left, const ChunkedMap& right) {
        return left.size_ == right.size_ && std::equal(left.begin(), left.end(), right.begin());
    }

private:
    static constexpr size_t chunk_entries_max = 256;

    // Chunk and index of the first entry whose key is not less than `key`; {chunks_.size(), 0} if there is none.
    std::pair<size_t, size_t> position(const K& key) const {
        const auto chunk = std::lower_bound(chunks_.begin(), chunks_.end(), key,
                                            [](const auto& entries, const K& k) { return entries.back().key < k; });
        if (chunk == chunks_.end()) return {chunks_.size(), 0};
        const auto entry =
            std::lower_bound(chunk->begin(), chunk->end(), key, [](const Entry& e, const K& k) { return e.key < k; });
        return {static_cast<size_t>(chunk - chunks_.begin()), static_cast<size_t>(entry - chunk->begin())};
    }

    std::vector<std::vector<Entry>> chunks_;  // none is empty
    size_t size_ = 0;
};

}  // namespace meridian::crdt
