#include "crdt/rga_sequence.h"

#include <cassert>
#include <tuple>

namespace meridian::crdt {

namespace {

// (depth, id), the lesser id first: the order of the search for the place of a new character.
bool less(uint32_t depth, const RgaRun& run, uint32_t other_depth, const Hlc& id) {
    if (depth != other_depth) return depth < other_depth;
    return std::tie(run.wall_ms, run.logical, run.author) < std::tie(id.wall_ms, id.logical, id.node_id);
}

bool before_in_index(const RgaRun& run, const Hlc& id) {
    return std::tie(run.author, run.wall_ms, run.logical) <= std::tie(id.node_id, id.wall_ms, id.logical);
}

}  // namespace

void RgaSequence::DocumentPolicy::summarize(RgaRunArena& arena, uint32_t index) {
    RgaRun& run = arena[index];
    uint32_t least = index;
    for (const uint32_t child : {run.in_document.left, run.in_document.right}) {
        if (child == no_node) continue;
        const uint32_t candidate = arena[child].subtree_min;
        const RgaRun& best = arena[least];
        const RgaRun& other = arena[candidate];
        if (other.depth < best.depth ||
            (other.depth == best.depth && less(other.depth, other, best.depth, best.first_id()))) {
            least = candidate;
        }
    }
    run.subtree_min = least;
}

RgaSequence::Gap RgaSequence::look_up(const Hlc& id) const {
    Gap gap;
    for (uint32_t node = index_.root(); node != no_node;) {
        if (before_in_index(runs_[node], id)) {
            gap.before = node;
            node = runs_[node].in_index.right;
        } else {
            node = runs_[node].in_index.left;
        }
    }
    if (gap.before == no_node || runs_[gap.before].author != id.node_id) return gap;
    const RgaRun& run = runs_[gap.before];
    Hlc stamp = run.first_id();
    const uint8_t* step = run.steps();
    for (uint32_t i = 0; i < run.count; ++i) {
        if (i > 0) step = apply_rga_step(step, stamp);
        if (stamp == id) {
            gap.found = Position{gap.before, i};
            return gap;
        }
        if (id < stamp) {
            gap.cut = i;
            return gap;
        }
    }
    return gap;
}

std::optional<RgaSequence::Position> RgaSequence::find(const Hlc& id) const {
    return look_up(id).found;
}

std::optional<Hlc> RgaSequence::find_rounded(const Hlc& id) const {
    if (find(id)) return id;
    const auto rounded = static_cast<double>(id.node_id);
    // Authors whose double is the same lie at most 1024 below and above: doubles of 64-bit integers are 2048 apart at
    // most.
    const uint64_t lowest = id.node_id < 1024 ? 0 : id.node_id - 1024;
    Hlc probe{0, 0, lowest};
    // For each such author once: the first run not before (author, zero stamp) names the next author that exists.
    while (true) {
        uint32_t at = no_node;
        for (uint32_t node = index_.root(); node != no_node;) {
            const RgaRun& run = runs_[node];
            if (run.author < probe.node_id) {
                node = run.in_index.right;
            } else {
                at = node;
                node = run.in_index.left;
            }
        }
        if (at == no_node) return std::nullopt;
        const uint64_t author = runs_[at].author;
        if (static_cast<double>(author) > rounded) return std::nullopt;
        const Hlc candidate{id.wall_ms, id.logical, author};
        if (static_cast<double>(author) == rounded && find(candidate)) return candidate;
        if (author == UINT64_MAX) return std::nullopt;
        probe.node_id = author + 1;
    }
}

uint32_t RgaSequence::first_less(uint32_t after, uint32_t depth, const Hlc& id) const {
    const auto is_less = [&](uint32_t node) { return less(runs_[node].depth, runs_[node], depth, id); };
    const auto has_less = [&](uint32_t node) { return node != no_node && is_less(runs_[node].subtree_min); };
    uint32_t inside = no_node;  // a subtree that holds the one sought
    if (after == no_node) {
        if (!has_less(document_.root())) return no_node;
        inside = document_.root();
    } else if (has_less(runs_[after].in_document.right)) {
        inside = runs_[after].in_document.right;
    } else {
        uint32_t node = after;
        for (uint32_t up = runs_[node].in_document.parent; up != no_node; up = runs_[node].in_document.parent) {
            if (runs_[up].in_document.left == node) {
                if (is_less(up)) return up;
                if (has_less(runs_[up].in_document.right)) {
                    inside = runs_[up].in_document.right;
                    break;
                }
            }
            node = up;
        }
        if (inside == no_node) return no_node;
    }
    while (true) {
        if (has_less(runs_[inside].in_document.left)) {
            inside = runs_[inside].in_document.left;
        } else if (is_less(inside)) {
            return inside;
        } else {
            inside = runs_[inside].in_document.right;
        }
    }
}

uint32_t RgaSequence::last_shallower(uint32_t before, uint32_t depth) const {
    const auto is_shallower = [&](uint32_t node) { return runs_[node].depth < depth; };
    const auto has_shallower = [&](uint32_t node) {
        return node != no_node && runs_[runs_[node].subtree_min].depth < depth;
    };
    uint32_t inside = no_node;
    if (has_shallower(runs_[before].in_document.left)) {
        inside = runs_[before].in_document.left;
    } else {
        uint32_t node = before;
        for (uint32_t up = runs_[node].in_document.parent; up != no_node; up = runs_[node].in_document.parent) {
            if (runs_[up].in_document.right == node) {
                if (is_shallower(up)) return up;
                if (has_shallower(runs_[up].in_document.left)) {
                    inside = runs_[up].in_document.left;
                    break;
                }
            }
            node = up;
        }
        if (inside == no_node) return no_node;
    }
    while (true) {
        if (has_shallower(runs_[inside].in_document.right)) {
            inside = runs_[inside].in_document.right;
        } else if (is_shallower(inside)) {
            return inside;
        } else {
            inside = runs_[inside].in_document.left;
        }
    }
}

std::optional<Hlc> RgaSequence::origin_at(Position at) const {
    if (at.offset > 0) return runs_.id_at(at.run, at.offset - 1);
    const uint32_t depth = runs_[at.run].depth;
    if (depth == 0) return std::nullopt;
    const uint32_t run = last_shallower(at.run, depth);
    assert(run != no_node);
    return runs_.id_at(run, depth - 1 - runs_[run].depth);
}

RgaSequence::Position RgaSequence::next(Position at) const {
    if (at.offset + 1 < runs_[at.run].count) return Position{at.run, at.offset + 1};
    return Position{next_run(at.run), 0};
}

RgaSequence::Position RgaSequence::previous(Position at) const {
    if (at.offset > 0) return Position{at.run, at.offset - 1};
    const uint32_t run = previous_run(at.run);
    return run == no_node ? Position{} : Position{run, uint32_t{runs_[run].count} - 1};
}

uint32_t RgaSequence::split(uint32_t run, uint32_t offset) {
    const uint32_t right = runs_.split(run, offset);
    document_.insert_after(runs_, run, right);
    index_.insert_after(runs_, run, right);
    return right;
}

RgaSequence::Placed RgaSequence::insert(const RgaElement& element) {
    const Hlc& id = element.id;
    Gap gap = look_up(id);
    assert(!gap.found);
    if (gap.cut != 0) split(gap.before, gap.cut);

    uint32_t left = no_node;  // the run that the character comes behind
    uint32_t depth = 0;
    Placed placed;
    if (!element.origin_id) {
        const uint32_t right = first_less(no_node, 0, id);
        left = right == no_node ? document_.last(runs_) : previous_run(right);
        placed.after_origin = left == no_node;
    } else {
        const Position origin = *find(*element.origin_id);
        depth = depth_at(origin) + 1;
        left = origin.run;
        // In the run of the origin, the next character is its greatest child; all further ones are below that.
        if (origin.offset + 1 < runs_[left].count && runs_.id_at(left, origin.offset + 1) < id) {
            const uint32_t rest = split(left, origin.offset + 1);
            if (gap.before == left) gap.before = rest;  // all ids of a run before the gap are less than the new one
            placed.after_origin = true;
        } else {
            const uint32_t right = first_less(left, depth, id);
            left = right == no_node ? document_.last(runs_) : previous_run(right);
            placed.after_origin = left == origin.run && origin.offset + 1 == runs_[left].count;
        }
        const RgaRun& run = runs_[left];
        if (placed.after_origin && gap.before == left && gap.cut == 0 && run.count < RgaRun::length_max &&
            (run.deleted != 0) == element.deleted && fits_rga_step(*element.origin_id, id)) {
            // Directly behind the origin in the document and in the index too, so that the ids of the run stay
            // together.
            runs_.append(left, *element.origin_id, id, element.content);
            placed.at = Position{left, uint32_t{runs_[left].count} - 1};
        }
    }
    if (placed.at.run == no_node) {
        uint8_t character[4];
        const size_t size = element.deleted ? 0 : write_utf8(character, element.content);
        const uint32_t run =
            runs_.create(id, depth, element.deleted, 1, {}, {reinterpret_cast<const char*>(character), size});
        document_.insert_after(runs_, left, run);
        index_.insert_after(runs_, gap.before, run);
        placed.at = Position{run, 0};
    }
    ++elements_;
    if (!element.deleted) ++visible_;
    return placed;
}

bool RgaSequence::chains(uint32_t left, uint32_t right) const {
    const RgaRun& a = runs_[left];
    const RgaRun& b = runs_[right];
    return b.depth == a.depth + a.count && a.author == b.author && index_.next(runs_, left) == right &&
           fits_rga_step(runs_.last_id(left), b.first_id());
}

void RgaSequence::erase(Position at) {
    assert(!deleted_at(at));
    --visible_;
    const uint32_t run = at.run;
    if (runs_[run].count == 1) {
        runs_.erase_text(run);
        return;
    }
    // Where a tombstone run borders on the character, it takes the character over: deleting a word forwards or
    // backwards leaves one run, not one per character.
    if (at.offset == 0) {
        const uint32_t left = previous_run(run);
        if (left != no_node && runs_[left].deleted != 0 && runs_[left].count < RgaRun::length_max &&
            chains(left, run)) {
            runs_.append(left, runs_.last_id(left), runs_[run].first_id(), 0);
            runs_.drop_first(run);
            document_.refresh(runs_, run);
            return;
        }
    } else if (at.offset + 1 == runs_[run].count) {
        const uint32_t right = next_run(run);
        if (right != no_node && runs_[right].deleted != 0 && runs_[right].count < RgaRun::length_max &&
            chains(run, right)) {
            const Hlc id = runs_.last_id(run);
            runs_.drop_last(run);
            runs_.prepend(right, id);
            document_.refresh(runs_, right);
            return;
        }
    }
    if (at.offset + 1 < runs_[run].count) split(run, at.offset + 1);
    runs_.erase_text(at.offset == 0 ? run : split(run, at.offset));
}

void RgaSequence::replace_content(Position at, char32_t content) {
    runs_.replace_content(at.run, at.offset, content);
}

std::vector<uint64_t> RgaSequence::authors() const {
    std::vector<uint64_t> authors;
    for (uint32_t run = index_.first(runs_); run != no_node; run = index_.next(runs_, run)) {
        if (authors.empty() || authors.back() != runs_[run].author) authors.push_back(runs_[run].author);
    }
    return authors;
}

}  // namespace meridian::crdt
