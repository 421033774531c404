#include "wire/rga_codec.h"

#include <algorithm>
#include <limits>
#include <string>

namespace meridian::wire {

namespace {

using crdt::Hlc;
using crdt::Rga;
using crdt::RgaElement;
using crdt::RgaOrphans;
using crdt::RgaSequence;

int64_t difference(uint64_t from, uint64_t to) {
    return static_cast<int64_t>(to - from);
}
uint64_t advanced(uint64_t from, int64_t by) {
    return from + static_cast<uint64_t>(by);
}

Error malformed_part(const char* what, size_t index, const char* expected) {
    return Error{std::string("RGA ") + what + " " + std::to_string(index) + ": expected " + expected};
}

// A code point, or fails the reader.
char32_t read_content(BinaryReader& in) {
    const uint64_t value = in.varint();
    if (value > 0x10ffff || !crdt::is_unicode_scalar(static_cast<char32_t>(value))) {
        in.fail();
        return 0;
    }
    return static_cast<char32_t>(value);
}

uint16_t read_logical(uint64_t value, BinaryReader& in) {
    if (value > std::numeric_limits<uint16_t>::max()) in.fail();
    return static_cast<uint16_t>(value);
}

// The characters of a run but for its first id: written and read the same way in deltas and states.
void write_characters(BinaryWriter& out, uint32_t count, bool deleted, std::string_view steps, std::string_view text) {
    if (count > 1) {
        out.bytes(steps);
        if (!deleted) out.bytes(text);
    } else if (!deleted) {
        char32_t content = 0;
        crdt::read_utf8(reinterpret_cast<const uint8_t*>(text.data()), content);
        out.varint(content);
    }
}

struct Characters {
    std::string_view steps;
    std::string_view text;
    Hlc last_id;
    uint8_t single[4] = {};  // what `text` refers to when there is one character
};

// Fails the reader unless there are exactly `count` characters, all valid.
void read_characters(BinaryReader& in, const Hlc& first, uint64_t count, bool deleted, Characters& out) {
    out.last_id = first;
    out.steps = out.text = {};
    if (count > 1) {
        out.steps = in.bytes();
        if (!deleted) out.text = in.bytes();
        std::string_view steps = out.steps;
        std::string_view text = out.text;
        for (uint64_t i = 0; in.ok() && i < count; ++i) {
            if (i > 0) {
                const std::optional<size_t> size = crdt::check_rga_step(steps, out.last_id);
                if (!size) return in.fail();
                steps.remove_prefix(*size);
            }
            if (!deleted) {
                const std::optional<size_t> size = crdt::check_utf8(text);
                if (!size) return in.fail();
                text.remove_prefix(*size);
            }
        }
        if (!steps.empty() || !text.empty()) in.fail();
    } else if (!deleted) {
        const char32_t content = read_content(in);
        out.text = {reinterpret_cast<const char*>(out.single), crdt::write_utf8(out.single, content)};
    }
}

void write_id(BinaryWriter& out, const Hlc& id, uint64_t& wall_ms) {
    out.varint(id.node_id);
    out.zigzag(difference(wall_ms, id.wall_ms));
    out.varint(id.logical);
    wall_ms = id.wall_ms;
}

Hlc read_id(BinaryReader& in, uint64_t& wall_ms) {
    Hlc id;
    id.node_id = in.varint();
    wall_ms = id.wall_ms = advanced(wall_ms, in.zigzag());
    id.logical = read_logical(in.varint(), in);
    return id;
}

// logical << 1 | same author; [author]; wall time.
void write_near(BinaryWriter& out, const Hlc& id, const Hlc& near) {
    const bool same_author = id.node_id == near.node_id;
    out.varint(uint64_t{id.logical} << 1 | (same_author ? 1 : 0));
    if (!same_author) out.varint(id.node_id);
    out.zigzag(difference(near.wall_ms, id.wall_ms));
}

Hlc read_near(BinaryReader& in, const Hlc& near) {
    Hlc id;
    const uint64_t head = in.varint();
    id.logical = read_logical(head >> 1, in);
    id.node_id = near.node_id;
    if ((head & 1) == 0) {
        id.node_id = in.varint();
        if (id.node_id == near.node_id) in.fail();
    }
    id.wall_ms = advanced(near.wall_ms, in.zigzag());
    return id;
}

}  // namespace

void encode_rga_delta(BinaryWriter& out, const Rga::Delta& delta) {
    out.varint(delta.runs().size());
    Hlc before;
    const std::string_view all_steps = delta.steps();
    const std::string_view all_text = delta.text();
    size_t steps_at = 0;
    size_t text_at = 0;
    for (const Rga::Delta::Run& run : delta.runs()) {
        const size_t steps_from = steps_at;
        const size_t text_from = text_at;
        Hlc ignored;
        for (uint32_t i = 1; i < run.count; ++i) {
            const auto* step = reinterpret_cast<const uint8_t*>(all_steps.data()) + steps_at;
            steps_at += static_cast<size_t>(crdt::apply_rga_step(step, ignored) - step);
        }
        for (uint32_t i = 0; i < run.count && !run.deleted; ++i) {
            text_at += crdt::utf8_length(static_cast<uint8_t>(all_text[text_at]));
        }
        const bool same_author = run.first_id.node_id == before.node_id;
        out.varint(uint64_t{run.count} << 3 | (run.deleted ? 4 : 0) | (run.has_origin ? 2 : 0) | (same_author ? 1 : 0));
        if (!same_author) out.varint(run.first_id.node_id);
        out.zigzag(difference(before.wall_ms, run.first_id.wall_ms));
        out.varint(run.first_id.logical);
        if (run.has_origin) write_near(out, run.origin_id, run.first_id);
        write_characters(out, run.count, run.deleted, all_steps.substr(steps_from, steps_at - steps_from),
                         all_text.substr(text_from, text_at - text_from));
        before = run.first_id;
    }
    out.varint(delta.deletes().size());
    before = Hlc{};
    for (const Hlc& id : delta.deletes()) {
        write_near(out, id, before);
        before = id;
    }
}

Result<Rga::Delta> decode_rga_delta(BinaryReader& in) {
    Rga::Delta delta;
    Hlc before;
    const size_t runs = in.count(3);
    for (size_t i = 0; i < runs; ++i) {
        Rga::Delta::Run run;
        const uint64_t head = in.varint();
        const uint64_t count = head >> 3;
        run.deleted = (head & 4) != 0;
        run.has_origin = (head & 2) != 0;
        run.first_id.node_id = before.node_id;
        if ((head & 1) == 0) {
            run.first_id.node_id = in.varint();
            if (run.first_id.node_id == before.node_id) in.fail();
        }
        run.first_id.wall_ms = advanced(before.wall_ms, in.zigzag());
        run.first_id.logical = read_logical(in.varint(), in);
        if (run.has_origin) run.origin_id = read_near(in, run.first_id);
        if (count == 0 || count > in.remaining() + 1 || (run.has_origin && run.origin_id == run.first_id)) in.fail();
        run.count = static_cast<uint32_t>(count);
        Characters characters;
        read_characters(in, run.first_id, count, run.deleted, characters);
        if (!in.ok())
            return malformed_part("delta run", i, "a count, a stamp, an origin other than it, and valid characters");
        delta.begin_run(run, characters.steps, characters.text);
        before = run.first_id;
    }
    const size_t deletes = in.count(2);
    before = Hlc{};
    for (size_t i = 0; i < deletes && in.ok(); ++i) {
        before = read_near(in, before);
        delta.add_delete(before);
    }
    if (!in.ok()) return Error{"RGA delta: expected as many runs and deletes as counted"};
    return delta;
}

void encode_rga_state(BinaryWriter& out, const Rga& rga) {
    const std::vector<uint64_t> authors = rga.sequence().authors();
    out.varint(authors.size());
    uint64_t author_before = 0;
    for (const uint64_t author : authors) {
        out.varint(author - author_before);
        author_before = author;
    }
    BinaryWriter body;
    size_t runs = 0;
    uint64_t wall_ms = 0;
    uint32_t next_depth = 0;
    rga.sequence().for_each_stretch([&](const RgaSequence::Stretch& stretch, const std::optional<Hlc>&,
                                        std::string_view steps, std::string_view text) {
        const auto author = std::lower_bound(authors.begin(), authors.end(), stretch.first_id.node_id);
        body.varint(uint64_t{stretch.count} << 1 | (stretch.deleted ? 1 : 0));
        body.varint(static_cast<uint64_t>(author - authors.begin()));
        body.zigzag(difference(wall_ms, stretch.first_id.wall_ms));
        body.varint(stretch.first_id.logical);
        body.varint(next_depth - stretch.depth);
        write_characters(body, stretch.count, stretch.deleted, steps, text);
        wall_ms = stretch.last_id.wall_ms;
        next_depth = stretch.depth + stretch.count;
        ++runs;
    });
    out.varint(runs);
    out.fixed(body.data().data(), body.data().size());

    const RgaOrphans& orphans = rga.orphans();
    wall_ms = 0;
    out.varint(orphans.all().size());
    for (const auto& entry : orphans.all()) {
        write_id(out, entry.first, wall_ms);
        write_id(out, entry.second.origin_id, wall_ms);
        out.varint(entry.second.deleted ? 0 : uint64_t{entry.second.content} + 1);
    }
    out.varint(orphans.all_deletes().size());
    for (const Hlc& id : orphans.all_deletes()) write_id(out, id, wall_ms);
}

namespace {

Result<RgaSequence> decode_sequence(BinaryReader& in) {
    std::vector<uint64_t> authors(in.count(1));
    for (size_t i = 0; i < authors.size(); ++i) {
        const uint64_t step = in.varint();
        authors[i] = (i == 0 ? 0 : authors[i - 1]) + step;
        if (i > 0 && authors[i] <= authors[i - 1])
            return malformed_part("author", i, "one greater than the author before");
    }
    RgaSequence::Builder builder;
    bool first_run = true;
    bool deleted_before = false;
    Hlc before;
    uint64_t next_depth = 0;
    const size_t runs = in.count(5);
    for (size_t i = 0; i < runs; ++i) {
        const uint64_t head = in.varint();
        const uint64_t count = head >> 1;
        const bool deleted = (head & 1) != 0;
        const uint64_t author = in.varint();
        if (author >= authors.size()) return malformed_part("run", i, "the index of an author");
        Hlc first;
        first.node_id = authors[author];
        first.wall_ms = advanced(before.wall_ms, in.zigzag());
        first.logical = read_logical(in.varint(), in);
        const uint64_t levels_up = in.varint();
        if (count == 0 || count > in.remaining() + 1) in.fail();
        Characters characters;
        read_characters(in, first, count, deleted, characters);
        if (!in.ok()) return malformed_part("run", i, "a count, a stamp, levels up and valid characters");
        if (levels_up > next_depth) return malformed_part("run", i, "no more levels up than there are");
        if (!first_run && levels_up == 0 && deleted == deleted_before && crdt::fits_rga_step(before, first)) {
            return malformed_part("run", i, "no continuation of the run before");
        }
        const uint64_t depth = next_depth - levels_up;
        if (depth + count > std::numeric_limits<uint32_t>::max() ||
            !builder.append_run(first, characters.last_id, static_cast<uint32_t>(depth), deleted,
                                static_cast<uint32_t>(count), characters.steps, characters.text)) {
            return malformed_part("run", i, "an id less than that of its elder sibling");
        }
        first_run = false;
        deleted_before = deleted;
        before = characters.last_id;
        next_depth = depth + count;
    }
    std::optional<RgaSequence> sequence = builder.finish();
    if (!sequence) return Error{"RGA runs: expected every id once"};
    if (sequence->authors() != authors) return Error{"RGA authors: expected exactly those of the runs"};
    return std::move(*sequence);
}

}  // namespace

Result<Rga> decode_rga_state(BinaryReader& in) {
    Result<RgaSequence> sequence = decode_sequence(in);
    if (!sequence) return sequence.error();
    RgaOrphans orphans;
    uint64_t wall_ms = 0;
    Hlc before;
    const size_t inserts = in.count(7);
    for (size_t i = 0; i < inserts; ++i) {
        RgaElement element;
        element.id = read_id(in, wall_ms);
        element.origin_id = read_id(in, wall_ms);
        const uint64_t content = in.varint();
        element.deleted = content == 0;
        if (!element.deleted) element.content = static_cast<char32_t>(content - 1);
        if (!in.ok() || (i > 0 && !(before < element.id)) || content > 0x110000 ||
            !crdt::is_unicode_scalar(element.content)) {
            return malformed_part("orphan", i, "an id greater than the one before, an origin, a character");
        }
        before = element.id;
        orphans.add(element, true);
    }
    const size_t deletes = in.count(3);
    for (size_t i = 0; i < deletes; ++i) {
        const Hlc id = read_id(in, wall_ms);
        if (!in.ok() || (i > 0 && !(before < id))) {
            return malformed_part("waiting delete", i, "an id greater than the one before");
        }
        before = id;
        orphans.add_delete(id);
    }
    if (!in.ok()) return Error{"RGA state: expected as many orphans and deletes as counted"};
    std::optional<Rga> rga = Rga::restore(std::move(*sequence), std::move(orphans));
    if (!rga) return Error{"RGA orphans: expected ids and origins that are not placed"};
    return std::move(*rga);
}

}  // namespace meridian::wire
