// Storage of an RGA's placed characters: runs in 64-byte slots, and the stamps and text of each run.
//
// A run is a stretch of the document in which every character's origin is the character before it, ids ascend, author
// and deleted state are the same. It holds at most run_length_max characters, so that finding one inside it takes
// bounded time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "crdt/avl_links.h"
#include "crdt/hlc.h"
#include "crdt/rga_delta.h"

namespace meridian::crdt {

// A slot. Trivially copyable; the arena owns what `payload.block` points to.
struct alignas(64) RgaRun {
    static constexpr uint32_t length_max = 128;

    uint64_t wall_ms = 0;  // first id
    uint64_t author = 0;
    // Steps, then text. Up to 8 bytes in place, else a block whose capacity follows from the size
    // (RgaRunArena::capacity).
    union Payload {
        uint8_t bytes[8];
        uint8_t* block;
    } payload{};
    AvlLinks in_document;
    AvlLinks in_index;
    uint32_t subtree_min = 0;  // the run least by (depth, first id) in its subtree of the document tree
    uint32_t depth = 0;        // of the first character; children of the root have depth 0
    uint16_t logical = 0;      // first id
    uint8_t document_height = 0;
    uint8_t index_height = 0;
    uint32_t step_bytes : 11;
    uint32_t text_bytes : 10;
    uint32_t count : 8;
    uint32_t deleted : 1;

    RgaRun() : step_bytes(0), text_bytes(0), count(0), deleted(0) {}

    Hlc first_id() const { return Hlc{wall_ms, logical, author}; }
    size_t payload_bytes() const { return size_t{step_bytes} + text_bytes; }
    bool in_place() const { return payload_bytes() <= sizeof payload.bytes; }
    const uint8_t* steps() const { return in_place() ? payload.bytes : payload.block; }
    const uint8_t* text() const { return steps() + step_bytes; }
};
static_assert(sizeof(RgaRun) == 64);
static_assert(RgaRun::length_max * rga_step_bytes_max < 2048 && RgaRun::length_max * 4 < 1024);

// Owns runs and their payloads. Runs are named by their index and never leave one by one. Copying copies everything.
class RgaRunArena {
public:
    RgaRunArena() = default;
    RgaRunArena(const RgaRunArena& other);
    RgaRunArena(RgaRunArena&& other) noexcept;
    RgaRunArena& operator=(RgaRunArena other) noexcept;
    ~RgaRunArena();

    uint32_t size() const { return size_; }
    RgaRun& operator[](uint32_t run) { return chunks_[run >> chunk_bits][run & chunk_mask]; }
    const RgaRun& operator[](uint32_t run) const { return chunks_[run >> chunk_bits][run & chunk_mask]; }

    // A new run, not in any tree. REQUIRES: 1 <= count <= length_max; steps and text fit (text empty if deleted).
    uint32_t create(const Hlc& first, uint32_t depth, bool deleted, uint32_t count, std::string_view steps,
                    std::string_view text);
    // Adds a character behind the last, or before the first (whose depth then is one less). REQUIRES: count <
    // length_max, the ids chain. `content` is not looked at if the run is deleted.
    void append(uint32_t run, const Hlc& last, const Hlc& id, char32_t content);
    void prepend(uint32_t run, const Hlc& id);
    // Takes away the last or the first character. REQUIRES: count > 1.
    void drop_last(uint32_t run);
    void drop_first(uint32_t run);
    // Moves the characters from `offset` on into a new run, which is not in any tree. REQUIRES: 0 < offset < count.
    uint32_t split(uint32_t run, uint32_t offset);
    // Marks all characters deleted and forgets their content.
    void erase_text(uint32_t run);
    // REQUIRES: not deleted.
    void replace_content(uint32_t run, uint32_t offset, char32_t content);

    Hlc id_at(uint32_t run, uint32_t offset) const;
    Hlc last_id(uint32_t run) const { return id_at(run, (*this)[run].count - 1); }
    // REQUIRES: not deleted.
    char32_t content_at(uint32_t run, uint32_t offset) const;
    std::string_view steps(uint32_t run) const;
    std::string_view text(uint32_t run) const;

    size_t memory_bytes() const;

private:
    static constexpr unsigned chunk_bits = 10;
    static constexpr uint32_t chunk_runs = 1U << chunk_bits;
    static constexpr uint32_t chunk_mask = chunk_runs - 1;

    static size_t capacity(size_t payload_bytes);
    void set_payload(RgaRun& run, const uint8_t* steps, size_t step_bytes, const uint8_t* text, size_t text_bytes);
    void release_payload(RgaRun& run);
    void reserve_slot();

    // The first chunk grows from 4 slots; small documents stay small.
    std::vector<std::unique_ptr<RgaRun[]>> chunks_;
    uint32_t size_ = 0;
    uint32_t capacity_ = 0;
    size_t block_bytes_ = 0;
};

}  // namespace meridian::crdt
