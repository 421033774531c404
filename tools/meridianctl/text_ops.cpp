#include "meridianctl/text_ops.h"

#include "base/utf8.h"
#include "crdt/rga.h"

namespace meridian::ctl {
namespace {

// Texts make no corrective stamps.
class NoStamps final : public crdt::StampSource {
public:
    crdt::Hlc next_stamp() override { return {}; }
};

// Ids of the characters that are shown, in order.
std::vector<crdt::Hlc> shown_ids(const crdt::RgaClientDelta& state) {
    NoStamps stamps;
    crdt::Rga text;
    for (const crdt::RgaOp& op : state.ops) text.apply(op, {{}, stamps});
    std::vector<crdt::Hlc> ids;
    text.sequence().for_each([&ids](const crdt::RgaElement& element, uint32_t) {
        if (!element.deleted) ids.push_back(element.id);
    });
    return ids;
}

Error beyond(uint64_t position, size_t length) {
    return Error{"position " + std::to_string(position) + ": expected at most " + std::to_string(length) +
                 ", the length of the text"};
}

Error too_many(uint64_t count) {
    return Error{std::to_string(count) + " characters: expected at most " + std::to_string(edit_characters_max)};
}

}  // namespace

Result<std::vector<crdt::Op>> insert_text(const crdt::RgaClientDelta& state, uint64_t position, const std::string& text,
                                          crdt::Hlc stamp) {
    const std::vector<crdt::Hlc> ids = shown_ids(state);
    if (position > ids.size()) return beyond(position, ids.size());
    if (text.empty() || !is_valid_utf8(text)) return Error{"the text to insert: expected UTF-8, at least a character"};
    std::vector<crdt::Op> ops;
    crdt::RgaInsert insert;
    if (position > 0) insert.origin_id = ids[position - 1];
    for (size_t at = 0; at < text.size();) {
        size_t size = 1;
        while (at + size < text.size() && (static_cast<unsigned char>(text[at + size]) & 0xc0) == 0x80) ++size;
        insert.id = stamp;
        insert.content = *single_utf8_scalar(std::string_view(text).substr(at, size));
        ops.emplace_back(crdt::RgaOp(insert));
        insert.origin_id = stamp;
        ++stamp.logical;
        at += size;
        if (ops.size() > edit_characters_max) return too_many(text.size());
    }
    return ops;
}

Result<std::vector<crdt::Op>> delete_text(const crdt::RgaClientDelta& state, uint64_t position, uint64_t count) {
    const std::vector<crdt::Hlc> ids = shown_ids(state);
    if (position > ids.size()) return beyond(position, ids.size());
    if (count > ids.size() - position) {
        return Error{"a count of " + std::to_string(count) + ": behind position " + std::to_string(position) +
                     " there are " + std::to_string(ids.size() - position) + " characters"};
    }
    if (count > edit_characters_max) return too_many(count);
    std::vector<crdt::Op> ops;
    for (uint64_t i = position; i < position + count; ++i) {
        crdt::RgaDelete erase;
        erase.id = ids[i];
        ops.emplace_back(crdt::RgaOp(erase));
    }
    return ops;
}

}  // namespace meridian::ctl
