#include "crdt/rga_runs.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <memory>
#include <utility>

namespace meridian::crdt {

namespace {

using Blocks = std::allocator<uint8_t>;

// What one block costs beside its bytes: the header of the usual heap.
constexpr size_t block_overhead = 8;

const uint8_t* bytes_of(std::string_view text) {
    return reinterpret_cast<const uint8_t*>(text.data());
}

}  // namespace

// Sizes that fill the heap's 16-byte grain, growing by 32 bytes: no doubling, since most of a document is such blocks.
size_t RgaRunArena::capacity(size_t payload_bytes) {
    return payload_bytes <= 24 ? 24 : ((payload_bytes + 7) / 32 + 1) * 32 - 8;
}

RgaRunArena::RgaRunArena(const RgaRunArena& other) {
    for (uint32_t i = 0; i < other.size_; ++i) {
        reserve_slot();
        RgaRun& copy = (*this)[size_++];
        copy = other[i];
        if (copy.in_place()) continue;
        const size_t bytes = capacity(copy.payload_bytes());
        copy.payload.block = Blocks().allocate(bytes);
        std::memcpy(copy.payload.block, other[i].payload.block, copy.payload_bytes());
        block_bytes_ += bytes + block_overhead;
    }
}

RgaRunArena::RgaRunArena(RgaRunArena&& other) noexcept
    : chunks_(std::move(other.chunks_)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)),
      block_bytes_(std::exchange(other.block_bytes_, 0)) {
    other.chunks_.clear();
}

RgaRunArena& RgaRunArena::operator=(RgaRunArena other) noexcept {
    std::swap(chunks_, other.chunks_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    std::swap(block_bytes_, other.block_bytes_);
    return *this;
}

RgaRunArena::~RgaRunArena() {
    for (uint32_t i = 0; i < size_; ++i) release_payload((*this)[i]);
}

void RgaRunArena::reserve_slot() {
    if (size_ < capacity_) return;
    if (capacity_ < chunk_runs) {
        const uint32_t grown = capacity_ == 0 ? 4 : capacity_ * 4;
        auto chunk = std::make_unique<RgaRun[]>(grown);
        if (size_ > 0) std::copy_n(chunks_[0].get(), size_, chunk.get());
        if (chunks_.empty()) chunks_.emplace_back();
        chunks_[0] = std::move(chunk);
        capacity_ = grown;
    } else {
        chunks_.push_back(std::make_unique<RgaRun[]>(chunk_runs));
        capacity_ += chunk_runs;
    }
}

void RgaRunArena::release_payload(RgaRun& run) {
    if (run.in_place()) return;
    const size_t bytes = capacity(run.payload_bytes());
    Blocks().deallocate(run.payload.block, bytes);
    block_bytes_ -= bytes + block_overhead;
}

// The parts may lie in the run's own payload: it is let go last.
void RgaRunArena::set_payload(RgaRun& run, const uint8_t* steps, size_t step_bytes, const uint8_t* text,
                              size_t text_bytes) {
    const size_t size = step_bytes + text_bytes;
    RgaRun::Payload fresh{};
    uint8_t* to = fresh.bytes;
    if (size > sizeof fresh.bytes) {
        const size_t bytes = capacity(size);
        fresh.block = Blocks().allocate(bytes);
        block_bytes_ += bytes + block_overhead;
        to = fresh.block;
    }
    if (step_bytes > 0) std::memcpy(to, steps, step_bytes);
    if (text_bytes > 0) std::memcpy(to + step_bytes, text, text_bytes);
    release_payload(run);
    run.payload = fresh;
    run.step_bytes = step_bytes & 0x7ff;
    run.text_bytes = text_bytes & 0x3ff;
}

uint32_t RgaRunArena::create(const Hlc& first, uint32_t depth, bool deleted, uint32_t count, std::string_view steps,
                             std::string_view text) {
    assert(count >= 1 && count <= RgaRun::length_max && (!deleted || text.empty()));
    reserve_slot();
    RgaRun& run = (*this)[size_];
    run = RgaRun();
    run.wall_ms = first.wall_ms;
    run.logical = first.logical;
    run.author = first.node_id;
    run.depth = depth;
    run.deleted = deleted ? 1 : 0;
    run.count = count & 0xff;
    set_payload(run, bytes_of(steps), steps.size(), bytes_of(text), text.size());
    return size_++;
}

void RgaRunArena::append(uint32_t index, const Hlc& last, const Hlc& id, char32_t content) {
    RgaRun& run = (*this)[index];
    uint8_t step[rga_step_bytes_max];
    const size_t step_size = write_rga_step(step, last, id);
    uint8_t character[4];
    const size_t character_size = run.deleted != 0 ? 0 : write_utf8(character, content);
    const size_t old_size = run.payload_bytes();
    const size_t new_size = old_size + step_size + character_size;
    const bool room = run.in_place() ? new_size <= sizeof run.payload.bytes : capacity(new_size) == capacity(old_size);
    if (!room) {
        uint8_t buffer[RgaRun::length_max * (rga_step_bytes_max + 4)];
        std::memcpy(buffer, run.steps(), run.step_bytes);
        std::memcpy(buffer + run.step_bytes, step, step_size);
        uint8_t* text = buffer + run.step_bytes + step_size;
        std::memcpy(text, run.text(), run.text_bytes);
        std::memcpy(text + run.text_bytes, character, character_size);
        set_payload(run, buffer, run.step_bytes + step_size, text, run.text_bytes + character_size);
    } else {
        uint8_t* payload = run.in_place() ? run.payload.bytes : run.payload.block;
        uint8_t* text = payload + run.step_bytes;
        std::memmove(text + step_size, text, run.text_bytes);
        std::memcpy(text, step, step_size);
        std::memcpy(text + step_size + run.text_bytes, character, character_size);
        run.step_bytes = (run.step_bytes + step_size) & 0x7ff;
        run.text_bytes = (run.text_bytes + character_size) & 0x3ff;
    }
    run.count = (run.count + 1) & 0xff;
}

void RgaRunArena::prepend(uint32_t index, const Hlc& id) {
    RgaRun& run = (*this)[index];
    assert(run.deleted != 0 && run.depth > 0);
    uint8_t buffer[RgaRun::length_max * rga_step_bytes_max];
    const size_t step_size = write_rga_step(buffer, id, run.first_id());
    std::memcpy(buffer + step_size, run.steps(), run.step_bytes);
    set_payload(run, buffer, run.step_bytes + step_size, nullptr, 0);
    run.wall_ms = id.wall_ms;
    run.logical = id.logical;
    run.depth -= 1;
    run.count = (run.count + 1) & 0xff;
}

void RgaRunArena::drop_last(uint32_t index) {
    RgaRun& run = (*this)[index];
    const uint32_t keep = run.count - 1;
    const uint8_t* step = run.steps();
    const uint8_t* text = run.text();
    Hlc ignored;
    char32_t content = 0;
    for (uint32_t i = 1; i < keep; ++i) step = apply_rga_step(step, ignored);
    for (uint32_t i = 0; i < keep && run.deleted == 0; ++i) text = read_utf8(text, content);
    const auto step_size = static_cast<size_t>(step - run.steps());
    const auto text_size = static_cast<size_t>(text - run.text());
    set_payload(run, run.steps(), step_size, run.text(), text_size);
    run.count = keep & 0xff;
}

void RgaRunArena::drop_first(uint32_t index) {
    RgaRun& run = (*this)[index];
    Hlc first = run.first_id();
    const uint8_t* step = apply_rga_step(run.steps(), first);
    const uint8_t* text = run.text();
    char32_t content = 0;
    if (run.deleted == 0) text = read_utf8(text, content);
    const auto step_size = run.step_bytes - static_cast<size_t>(step - run.steps());
    const auto text_size = run.text_bytes - static_cast<size_t>(text - run.text());
    set_payload(run, step, step_size, text, text_size);
    run.wall_ms = first.wall_ms;
    run.logical = first.logical;
    run.depth += 1;
    run.count = (run.count - 1) & 0xff;
}

uint32_t RgaRunArena::split(uint32_t index, uint32_t offset) {
    reserve_slot();  // before taking references: the first chunk moves as it grows
    RgaRun& run = (*this)[index];
    assert(offset > 0 && offset < run.count);
    Hlc stamp = run.first_id();
    const uint8_t* step = run.steps();
    const uint8_t* text = run.text();
    char32_t content = 0;
    for (uint32_t i = 1; i < offset; ++i) step = apply_rga_step(step, stamp);
    const uint8_t* rest = apply_rga_step(step, stamp);
    for (uint32_t i = 0; i < offset && run.deleted == 0; ++i) text = read_utf8(text, content);
    const auto left_steps = static_cast<size_t>(step - run.steps());
    const auto left_text = static_cast<size_t>(text - run.text());
    const std::string_view right_steps(reinterpret_cast<const char*>(rest),
                                       run.step_bytes - static_cast<size_t>(rest - run.steps()));
    const std::string_view right_text(reinterpret_cast<const char*>(text), run.text_bytes - left_text);
    const uint32_t right =
        create(stamp, run.depth + offset, run.deleted != 0, run.count - offset, right_steps, right_text);
    set_payload(run, run.steps(), left_steps, run.text(), left_text);
    run.count = offset & 0xff;
    return right;
}

void RgaRunArena::erase_text(uint32_t index) {
    RgaRun& run = (*this)[index];
    set_payload(run, run.steps(), run.step_bytes, nullptr, 0);
    run.deleted = 1;
}

void RgaRunArena::replace_content(uint32_t index, uint32_t offset, char32_t content) {
    RgaRun& run = (*this)[index];
    const uint8_t* text = run.text();
    char32_t old = 0;
    for (uint32_t i = 0; i < offset; ++i) text = read_utf8(text, old);
    const auto front = static_cast<size_t>(text - run.text());
    const auto old_size = utf8_length(*text);
    uint8_t buffer[RgaRun::length_max * 4];
    std::memcpy(buffer, run.text(), front);
    const size_t new_size = write_utf8(buffer + front, content);
    const size_t behind = run.text_bytes - front - old_size;
    std::memcpy(buffer + front + new_size, text + old_size, behind);
    set_payload(run, run.steps(), run.step_bytes, buffer, front + new_size + behind);
}

Hlc RgaRunArena::id_at(uint32_t index, uint32_t offset) const {
    const RgaRun& run = (*this)[index];
    Hlc stamp = run.first_id();
    const uint8_t* step = run.steps();
    for (uint32_t i = 0; i < offset; ++i) step = apply_rga_step(step, stamp);
    return stamp;
}

char32_t RgaRunArena::content_at(uint32_t index, uint32_t offset) const {
    const uint8_t* text = (*this)[index].text();
    char32_t content = 0;
    for (uint32_t i = 0; i <= offset; ++i) text = read_utf8(text, content);
    return content;
}

std::string_view RgaRunArena::steps(uint32_t index) const {
    const RgaRun& run = (*this)[index];
    return {reinterpret_cast<const char*>(run.steps()), run.step_bytes};
}

std::string_view RgaRunArena::text(uint32_t index) const {
    const RgaRun& run = (*this)[index];
    return {reinterpret_cast<const char*>(run.text()), run.text_bytes};
}

size_t RgaRunArena::memory_bytes() const {
    return size_t{capacity_} * sizeof(RgaRun) + chunks_.capacity() * sizeof(chunks_[0]) + block_bytes_;
}

}  // namespace meridian::crdt
