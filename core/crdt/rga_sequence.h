// The placed characters of an RGA in document order, each a descendant of the root.
//
// Order (crdts.md section 4.7, "New server"): children of one parent by descending id, the document is the pre-order
// walk of the tree: the rule of Roh et al., "Replicated abstract data types", 2011. It is a function of the set of
// characters only.
//
// Structure: two balanced trees over the same runs. The document tree is a sequence; each subtree knows its least run
// by (depth, first id). A new child c of p at depth d belongs directly before the first character behind p that is less
// than (d, c): one that is not below p any more, or a lesser sibling. Everything before it is below a greater sibling.
// That is one search, whatever the number of siblings. The parent of a character at depth d is the nearest one before
// it at depth d - 1, so origins need not be kept. The index tree is sorted by (author, first id); runs of one author
// never interleave in it: a run is split where an id of another run falls between two of its own.
//
// Insert, delete, find: O(log n + length_max) in the worst case. A value; not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crdt/avl_links.h"
#include "crdt/hlc.h"
#include "crdt/rga_delta.h"
#include "crdt/rga_runs.h"

namespace meridian::crdt {

class RgaSequence {
public:
    struct Position {
        uint32_t run = no_node;
        uint32_t offset = 0;
        friend bool operator==(const Position&, const Position&) = default;
    };
    struct Placed {
        Position at;
        bool after_origin = false;  // directly behind its origin (or at the very start)
    };
    // A stretch of the document as long as possible: all that chains, whatever runs it is stored in.
    struct Stretch {
        Hlc first_id;
        Hlc last_id;
        uint32_t depth = 0;
        uint32_t count = 0;
        bool deleted = false;
    };

    bool empty() const { return runs_.size() == 0; }
    size_t elements() const { return elements_; }
    size_t visible() const { return visible_; }

    std::optional<Position> find(const Hlc& id) const;
    // The id among those with this wall time and logical count whose node id is equal as a double: the exact one if
    // present, else the least.
    std::optional<Hlc> find_rounded(const Hlc& id) const;

    // REQUIRES: the id is not here; the origin, if any, is.
    Placed insert(const RgaElement& element);
    // REQUIRES: not deleted.
    void erase(Position at);
    // REQUIRES: not deleted.
    void replace_content(Position at, char32_t content);

    Hlc id_at(Position at) const { return runs_.id_at(at.run, at.offset); }
    uint32_t depth_at(Position at) const { return runs_[at.run].depth + at.offset; }
    bool deleted_at(Position at) const { return runs_[at.run].deleted != 0; }
    char32_t content_at(Position at) const { return deleted_at(at) ? 0 : runs_.content_at(at.run, at.offset); }
    std::optional<Hlc> origin_at(Position at) const;
    // Neighbours in the document; run == no_node at the ends.
    Position first() const { return Position{document_.first(runs_), 0}; }
    Position next(Position at) const;
    Position previous(Position at) const;

    // Calls visit(const Stretch&, std::optional<Hlc> origin of the first, std::string_view steps, std::string_view
    // text) for all stretches in document order. The views live during the call only.
    template <class Visit>
    void for_each_stretch(Visit&& visit) const;
    // Calls visit(const RgaElement&, uint32_t depth) for all characters in document order; their origin is not filled
    // in.
    template <class Visit>
    void for_each(Visit&& visit) const;
    // The authors of all characters, ascending.
    std::vector<uint64_t> authors() const;

    // Building from outside, in document order: any number of append_run(), then finish(). append_run() gives false
    // where the run cannot follow (too deep, or not less than its elder sibling); finish() where an id occurs twice.
    class Builder;

    // Packs runs anew if that frees something worth while.
    void compact();
    size_t memory_bytes() const { return runs_.memory_bytes(); }

    // Same characters, order, content, deletions.
    friend bool operator==(const RgaSequence& left, const RgaSequence& right);

private:
    struct DocumentPolicy;
    struct IndexPolicy;
    struct Gap {
        uint32_t before = no_node;  // the index run behind which the id belongs
        std::optional<Position> found;
        uint32_t cut = 0;  // if not 0: `before` must be split here first
    };

    Gap look_up(const Hlc& id) const;
    uint32_t split(uint32_t run, uint32_t offset);
    // The first run behind `after` (no_node: of all) that is less than (depth, id).
    uint32_t first_less(uint32_t after, uint32_t depth, const Hlc& id) const;
    uint32_t last_shallower(uint32_t before, uint32_t depth) const;
    uint32_t next_run(uint32_t run) const { return document_.next(runs_, run); }
    uint32_t previous_run(uint32_t run) const { return document_.previous(runs_, run); }
    // `right` directly follows `left` in document and index and its characters chain on.
    bool chains(uint32_t left, uint32_t right) const;
    // Builds both trees over runs that are in document order in `order`; splits those that interleave. False if an id
    // repeats.
    bool assemble(std::vector<uint32_t> order);

    RgaRunArena runs_;
    AvlTree<RgaRunArena, DocumentPolicy> document_;
    AvlTree<RgaRunArena, IndexPolicy> index_;
    size_t elements_ = 0;
    size_t visible_ = 0;
};

struct RgaSequence::DocumentPolicy {
    static AvlLinks& links(RgaRunArena& arena, uint32_t run) { return arena[run].in_document; }
    static const AvlLinks& links(const RgaRunArena& arena, uint32_t run) { return arena[run].in_document; }
    static uint8_t& height(RgaRunArena& arena, uint32_t run) { return arena[run].document_height; }
    static uint8_t height(const RgaRunArena& arena, uint32_t run) { return arena[run].document_height; }
    static uint32_t summary(const RgaRunArena& arena, uint32_t run) { return arena[run].subtree_min; }
    static void summarize(RgaRunArena& arena, uint32_t run);
};
struct RgaSequence::IndexPolicy {
    static AvlLinks& links(RgaRunArena& arena, uint32_t run) { return arena[run].in_index; }
    static const AvlLinks& links(const RgaRunArena& arena, uint32_t run) { return arena[run].in_index; }
    static uint8_t& height(RgaRunArena& arena, uint32_t run) { return arena[run].index_height; }
    static uint8_t height(const RgaRunArena& arena, uint32_t run) { return arena[run].index_height; }
    static uint32_t summary(const RgaRunArena&, uint32_t) { return 0; }
    static void summarize(RgaRunArena&, uint32_t) {}
};

class RgaSequence::Builder {
public:
    // `steps` and `text` are validated; any count >= 1.
    bool append_run(const Hlc& first, const Hlc& last, uint32_t depth, bool deleted, uint32_t count,
                    std::string_view steps, std::string_view text);
    // Takes the sequence out.
    std::optional<RgaSequence> finish();

private:
    struct Open {
        uint32_t run;
        uint32_t depth;
    };
    RgaSequence sequence_;
    std::vector<uint32_t> order_;
    std::vector<Open> path_;  // the runs on the way from the root to the last character
    uint32_t next_depth_ = 0;
};

template <class Visit>
void RgaSequence::for_each_stretch(Visit&& visit) const {
    struct Open {
        uint32_t run;
        uint32_t depth;
    };
    std::vector<Open> path;
    std::string steps;
    std::string text;
    for (uint32_t run = document_.first(runs_); run != no_node;) {
        const RgaRun& head = runs_[run];
        Stretch stretch{head.first_id(), runs_.last_id(run), head.depth, head.count, head.deleted != 0};
        while (!path.empty() && path.back().depth >= stretch.depth) path.pop_back();
        std::optional<Hlc> origin;
        if (!path.empty()) origin = runs_.id_at(path.back().run, stretch.depth - 1 - path.back().depth);
        path.push_back(Open{run, stretch.depth});
        std::string_view all_steps = runs_.steps(run);
        std::string_view all_text = runs_.text(run);
        bool joined = false;
        for (run = next_run(run); run != no_node; run = next_run(run)) {
            const RgaRun& more = runs_[run];
            if (more.depth != stretch.depth + stretch.count || (more.deleted != 0) != stretch.deleted ||
                !fits_rga_step(stretch.last_id, more.first_id())) {
                break;
            }
            if (!joined) {
                steps.assign(all_steps);
                text.assign(all_text);
                joined = true;
            }
            uint8_t step[rga_step_bytes_max];
            const size_t length = write_rga_step(step, stretch.last_id, more.first_id());
            steps.append(reinterpret_cast<const char*>(step), length).append(runs_.steps(run));
            text.append(runs_.text(run));
            all_steps = steps;
            all_text = text;
            stretch.last_id = runs_.last_id(run);
            stretch.count += more.count;
            path.push_back(Open{run, more.depth});
        }
        visit(static_cast<const Stretch&>(stretch), static_cast<const std::optional<Hlc>&>(origin), all_steps,
              all_text);
    }
}

template <class Visit>
void RgaSequence::for_each(Visit&& visit) const {
    for (uint32_t run = document_.first(runs_); run != no_node; run = next_run(run)) {
        const RgaRun& at = runs_[run];
        RgaElement element;
        element.id = at.first_id();
        element.deleted = at.deleted != 0;
        const uint8_t* step = at.steps();
        const uint8_t* text = at.text();
        for (uint32_t i = 0; i < at.count; ++i) {
            if (i > 0) step = apply_rga_step(step, element.id);
            if (!element.deleted) text = read_utf8(text, element.content);
            visit(static_cast<const RgaElement&>(element), at.depth + i);
        }
    }
}

}  // namespace meridian::crdt
