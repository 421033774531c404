// Building a sequence as a whole: from a snapshot, and anew for compaction; and comparing two.
#include <algorithm>
#include <cassert>
#include <queue>
#include <tuple>

#include "crdt/rga_sequence.h"

namespace meridian::crdt {

namespace {

// Compaction is worth its work when it frees at least this share of the runs.
constexpr size_t compaction_share = 8;

bool less_by_author(const RgaRun& left, const RgaRun& right) {
    return std::tie(left.author, left.wall_ms, left.logical) < std::tie(right.author, right.wall_ms, right.logical);
}

}  // namespace

bool RgaSequence::assemble(std::vector<uint32_t> order) {
    // Sweep over the runs by (author, first id). A run into which the next one falls is cut there; its rest waits its
    // turn.
    const auto later = [this](uint32_t left, uint32_t right) { return less_by_author(runs_[right], runs_[left]); };
    std::priority_queue<uint32_t, std::vector<uint32_t>, decltype(later)> waiting(later, order);
    std::vector<uint32_t> by_id;
    by_id.reserve(order.size());
    std::vector<std::pair<uint32_t, uint32_t>> cuts;  // (run, its new right part), in the order of cutting
    while (!waiting.empty()) {
        const uint32_t run = waiting.top();
        waiting.pop();
        by_id.push_back(run);
        if (waiting.empty() || runs_[waiting.top()].author != runs_[run].author) continue;
        const Hlc limit = runs_[waiting.top()].first_id();
        if (runs_[run].first_id() == limit) return false;
        if (runs_.last_id(run) < limit) continue;
        Hlc stamp = runs_[run].first_id();
        const uint8_t* step = runs_[run].steps();
        uint32_t offset = 0;
        while (stamp < limit) {
            step = apply_rga_step(step, stamp);
            ++offset;
        }
        if (stamp == limit) return false;
        const uint32_t rest = runs_.split(run, offset);
        cuts.emplace_back(run, rest);
        waiting.push(rest);
    }
    if (!cuts.empty()) {
        // A rest belongs directly behind its front; a front is cut once, a rest may be cut again.
        std::vector<uint32_t> right_part(runs_.size(), no_node);
        for (const auto& cut : cuts) right_part[cut.first] = cut.second;
        std::vector<uint32_t> refined;
        refined.reserve(order.size() + cuts.size());
        for (const uint32_t run : order) {
            for (uint32_t part = run; part != no_node; part = right_part[part]) refined.push_back(part);
        }
        order = std::move(refined);
    }
    document_.build(runs_, order.data(), order.size());
    index_.build(runs_, by_id.data(), by_id.size());
    return true;
}

bool RgaSequence::Builder::append_run(const Hlc& first, const Hlc& last, uint32_t depth, bool deleted, uint32_t count,
                                      std::string_view steps, std::string_view text) {
    if (depth > next_depth_ || count == 0 || depth + count < depth) return false;
    RgaRunArena& runs = sequence_.runs_;
    // The path to the last character holds, at this depth, the elder sibling if there is one.
    while (!path_.empty() && path_.back().depth > depth) path_.pop_back();
    if (depth < next_depth_) {
        const Open& elder = path_.back();
        if (!(first < runs.id_at(elder.run, depth - elder.depth))) return false;
        if (elder.depth == depth) path_.pop_back();
    }
    Hlc stamp = first;
    const auto* step = reinterpret_cast<const uint8_t*>(steps.data());
    const auto* steps_end = step + steps.size();
    const auto* character = reinterpret_cast<const uint8_t*>(text.data());
    for (uint32_t done = 0; done < count;) {
        const uint32_t part = std::min(count - done, RgaRun::length_max);
        const Hlc part_first = stamp;
        const uint8_t* part_step = step;
        const uint8_t* part_text = character;
        for (uint32_t i = 1; i < part; ++i) step = apply_rga_step(step, stamp);
        const uint8_t* part_steps_end = step;
        if (!deleted) {
            for (uint32_t i = 0; i < part; ++i) character += utf8_length(*character);
        }
        const uint32_t run =
            runs.create(part_first, depth + done, deleted, part,
                        {reinterpret_cast<const char*>(part_step), static_cast<size_t>(part_steps_end - part_step)},
                        {reinterpret_cast<const char*>(part_text), static_cast<size_t>(character - part_text)});
        order_.push_back(run);
        path_.push_back(Open{run, depth + done});
        done += part;
        if (step != steps_end) step = apply_rga_step(step, stamp);
    }
    assert(stamp == last);
    static_cast<void>(last);
    next_depth_ = depth + count;
    sequence_.elements_ += count;
    if (!deleted) sequence_.visible_ += count;
    return true;
}

std::optional<RgaSequence> RgaSequence::Builder::finish() {
    if (!sequence_.assemble(std::move(order_))) return std::nullopt;
    return std::move(sequence_);
}

void RgaSequence::compact() {
    size_t joinable = 0;
    for (uint32_t run = document_.first(runs_); run != no_node;) {
        const uint32_t following = next_run(run);
        if (following == no_node) break;
        if (runs_[run].deleted == runs_[following].deleted &&
            runs_[run].count + runs_[following].count <= RgaRun::length_max && chains(run, following)) {
            ++joinable;
        }
        run = following;
    }
    if (joinable == 0 || joinable < runs_.size() / compaction_share) return;
    Builder builder;
    for_each_stretch(
        [&](const Stretch& stretch, const std::optional<Hlc>&, std::string_view steps, std::string_view text) {
            const bool follows = builder.append_run(stretch.first_id, stretch.last_id, stretch.depth, stretch.deleted,
                                                    stretch.count, steps, text);
            assert(follows);
            static_cast<void>(follows);
        });
    std::optional<RgaSequence> packed = builder.finish();
    assert(packed);
    *this = std::move(*packed);
}

bool operator==(const RgaSequence& left, const RgaSequence& right) {
    if (left.elements_ != right.elements_ || left.visible_ != right.visible_) return false;
    RgaSequence::Position a = left.first();
    RgaSequence::Position b = right.first();
    // Runs may be cut differently; walk both, character by character.
    const uint8_t* step_a = nullptr;
    const uint8_t* step_b = nullptr;
    const uint8_t* text_a = nullptr;
    const uint8_t* text_b = nullptr;
    Hlc id_a;
    Hlc id_b;
    const auto enter = [](const RgaRun& run, uint32_t offset, const uint8_t*& step, const uint8_t*& text, Hlc& id) {
        if (offset == 0) {
            id = run.first_id();
            step = run.steps();
            text = run.text();
        } else {
            step = apply_rga_step(step, id);
        }
    };
    for (; a.run != no_node && b.run != no_node; a = left.next(a), b = right.next(b)) {
        enter(left.runs_[a.run], a.offset, step_a, text_a, id_a);
        enter(right.runs_[b.run], b.offset, step_b, text_b, id_b);
        if (id_a != id_b || left.depth_at(a) != right.depth_at(b) || left.deleted_at(a) != right.deleted_at(b)) {
            return false;
        }
        if (left.deleted_at(a)) continue;
        char32_t content_a = 0;
        char32_t content_b = 0;
        text_a = read_utf8(text_a, content_a);
        text_b = read_utf8(text_b, content_b);
        if (content_a != content_b) return false;
    }
    return a.run == b.run;
}

}  // namespace meridian::crdt
