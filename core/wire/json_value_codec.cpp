#include "wire/json_value_codec.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/utf8.h"
#include "wire/op_codec.h"

namespace meridian::wire {

namespace {

struct Member {
    MsgpackNode key;
    std::string_view name() const { return key.bytes(); }
};

// A value still to be written, or the name of a member.
struct Pending {
    MsgpackNode node;
    unsigned depth;  // containers around it
};

class Canonicaliser {
public:
    explicit Canonicaliser(Decoder& decoder) : decoder_(decoder), writer_(bytes_) {}

    // Depth-first with a stack of our own, for the nesting is the client's.
    bool run(MsgpackNode root) {
        if (!write(root, 0)) return false;
        while (!pending_.empty()) {
            const Pending next = pending_.back();
            pending_.pop_back();
            if (!write(next.node, next.depth)) return false;
        }
        return true;
    }
    std::string take() { return std::move(bytes_); }

private:
    bool write(MsgpackNode node, unsigned depth) {
        switch (node.kind()) {
            case MsgpackKind::nil:
                writer_.nil();
                return true;
            case MsgpackKind::boolean:
                writer_.boolean(node.boolean());
                return true;
            case MsgpackKind::unsigned_integer:
                writer_.unsigned_integer(node.unsigned_integer());
                return true;
            case MsgpackKind::negative_integer:
                writer_.signed_integer(node.negative_integer());
                return true;
            case MsgpackKind::float64:
                if (std::isfinite(node.float64())) {
                    writer_.float64(node.float64());
                } else {
                    writer_.nil();
                }
                return true;
            case MsgpackKind::string: {
                std::string_view text;
                if (!read_string(decoder_, node, text)) return false;
                writer_.string(text);
                return true;
            }
            case MsgpackKind::array:
                return check_depth(depth) && write_array(node, depth);
            case MsgpackKind::map:
                return check_depth(depth) && write_object(node, depth);
            case MsgpackKind::binary:
            case MsgpackKind::extension:
                break;
        }
        return decoder_.fail(node, "a JSON value");
    }

    bool check_depth(unsigned depth) {
        if (depth < json_depth_max) return true;
        return decoder_.fail("found a JSON value nested more than " + std::to_string(json_depth_max) +
                             " levels deep, expected at most that");
    }

    bool write_array(MsgpackNode node, unsigned depth) {
        writer_.array(node.size());
        const size_t base = pending_.size();
        MsgpackNode element = node.following();
        for (uint32_t i = 0; i < node.size(); ++i) {
            if (i > 0) element = element.next();
            pending_.push_back({element, depth + 1});
        }
        std::reverse(pending_.begin() + static_cast<std::ptrdiff_t>(base), pending_.end());
        return true;
    }

    bool write_object(MsgpackNode node, unsigned depth) {
        members_.clear();
        const bool keys_ok = read_map(decoder_, node, [this](MsgpackNode key, MsgpackNode) {
            if (key.kind() != MsgpackKind::string) return decoder_.fail(key, "a string as the name of a JSON member");
            members_.push_back({key});
            return true;
        });
        if (!keys_ok) return false;
        const auto by_name = [](const Member& left, const Member& right) { return left.name() < right.name(); };
        // Servers and most clients send them in order.
        if (!std::is_sorted(members_.begin(), members_.end(), by_name)) {
            std::stable_sort(members_.begin(), members_.end(), by_name);
        }
        // Of members with the same name the last one counts.
        size_t kept = 0;
        for (size_t i = 0; i < members_.size(); ++i) {
            if (i + 1 < members_.size() && members_[i + 1].name() == members_[i].name()) continue;
            members_[kept++] = members_[i];
        }
        writer_.map(kept);
        for (size_t i = kept; i-- > 0;) {
            pending_.push_back({members_[i].key.next(), depth + 1});
            pending_.push_back({members_[i].key, depth + 1});
        }
        return true;
    }

    Decoder& decoder_;
    std::string bytes_;
    MsgpackWriter writer_;
    std::vector<Pending> pending_;
    std::vector<Member> members_;
};

}  // namespace

bool read_json_value(Decoder& decoder, MsgpackNode node, JsonValue& out) {
    Canonicaliser canonicaliser(decoder);
    if (!canonicaliser.run(node)) return false;
    out = JsonValue::from_canonical_msgpack(canonicaliser.take());
    return true;
}

}  // namespace meridian::wire
