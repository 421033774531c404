// The core delta of an RGA, and the whole state as one: characters with their ids and true origins, and deletes. Runs,
// not a struct per character: a run is a chain in which every character's origin is the one before it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "crdt/hlc.h"
#include "crdt/rga_steps.h"

namespace meridian::crdt {

// One character with everything that is known of it. A deleted character has content 0.
struct RgaElement {
    Hlc id;
    std::optional<Hlc> origin_id;  // absent = head
    char32_t content = 0;
    bool deleted = false;
    friend bool operator==(const RgaElement&, const RgaElement&) = default;
};

// A value. Joining it is the same in whatever order its parts are taken.
class RgaDelta {
public:
    struct Run {
        Hlc first_id;
        Hlc origin_id;  // of the first character; meaningful only if has_origin
        uint32_t count = 0;
        bool has_origin = false;
        bool deleted = false;  // every character of the run; it has no text then
        friend bool operator==(const Run&, const Run&) = default;
    };

    // Continues the last run where possible.
    void add(const RgaElement& element);
    // Appends `count` characters that chain: `steps` are count - 1 steps, `text` is empty if deleted. Continues the
    // last run where possible. REQUIRES: both validated.
    void add_run(const Run& run, std::string_view steps, std::string_view text);
    // As add_run, but always begins a run: a decoder gives back the runs that were written.
    void begin_run(const Run& run, std::string_view steps, std::string_view text);
    void add_delete(const Hlc& id) { deletes_.push_back(id); }

    bool empty() const { return runs_.empty() && deletes_.empty(); }
    const std::vector<Run>& runs() const { return runs_; }
    // The steps and the text of all runs, in order, without marks between them.
    const std::string& steps() const { return steps_; }
    const std::string& text() const { return text_; }
    const std::vector<Hlc>& deletes() const { return deletes_; }

    // Calls visit(const RgaElement&) for every character, in order.
    template <class Visit>
    void for_each(Visit&& visit) const;

    friend bool operator==(const RgaDelta& left, const RgaDelta& right) {
        return left.runs_ == right.runs_ && left.steps_ == right.steps_ && left.text_ == right.text_ &&
               left.deletes_ == right.deletes_;
    }

private:
    std::vector<Run> runs_;
    std::string steps_;
    std::string text_;
    std::vector<Hlc> deletes_;
    Hlc last_id_;  // of the last run; meaningful only if there is one
};

template <class Visit>
void RgaDelta::for_each(Visit&& visit) const {
    const auto* step = reinterpret_cast<const uint8_t*>(steps_.data());
    const auto* text = reinterpret_cast<const uint8_t*>(text_.data());
    for (const Run& run : runs_) {
        RgaElement element;
        element.id = run.first_id;
        element.deleted = run.deleted;
        if (run.has_origin) element.origin_id = run.origin_id;
        for (uint32_t i = 0; i < run.count; ++i) {
            if (i > 0) {
                element.origin_id = element.id;
                step = apply_rga_step(step, element.id);
            }
            if (!run.deleted) text = read_utf8(text, element.content);
            visit(static_cast<const RgaElement&>(element));
        }
    }
}

}  // namespace meridian::crdt
