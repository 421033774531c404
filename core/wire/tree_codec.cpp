#include "wire/tree_codec.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"

namespace meridian::wire {

namespace {

using crdt::Hlc;
using crdt::Tree;

template <class T>
void sort_unique(std::vector<T>& values) {
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
}

// ---- Encoding

class Encoder {
public:
    Encoder(BinaryWriter& out, const Tree::Delta& delta) : out_(out), delta_(delta) {
        for (const auto& add : delta.adds) {
            ids_.push_back(add.id);
            if (add.parent_id) ids_.push_back(*add.parent_id);
        }
        for (const auto& update : delta.updates) {
            ids_.push_back(update.id);
            authors_.push_back(update.updated_at.node_id);
        }
        ids_.insert(ids_.end(), delta.deletes.begin(), delta.deletes.end());
        for (const auto& move : delta.moves) {
            authors_.push_back(move.op_id.node_id);
            ids_.push_back(move.node_id);
            if (move.new_parent_id) ids_.push_back(*move.new_parent_id);
        }
        sort_unique(ids_);
        for (const Hlc& id : ids_) authors_.push_back(id.node_id);
        sort_unique(authors_);
    }

    void write() {
        write_tables();
        out_.varint(delta_.adds.size());
        next_id_ = 0;
        for (const auto& add : delta_.adds) {
            write_gap(add.id);
            write_parent(add.parent_id);
            out_.bytes(add.position);
            out_.bytes(add.value);
        }
        out_.varint(delta_.updates.size());
        next_id_ = 0;
        for (const auto& update : delta_.updates) {
            write_gap(update.id);
            write_stamp(update.updated_at, update.id.wall_ms);
            out_.bytes(update.value);
        }
        out_.varint(delta_.deletes.size());
        next_id_ = 0;
        for (const Hlc& id : delta_.deletes) write_gap(id);
        out_.varint(delta_.moves.size());
        uint64_t wall_ms = 0;
        for (const auto& move : delta_.moves) {
            write_stamp(move.op_id, wall_ms);
            wall_ms = move.op_id.wall_ms;
            out_.varint(index_of(move.node_id));
            write_parent(move.new_parent_id);
            out_.bytes(move.new_position);
        }
    }

private:
    void write_tables() {
        out_.varint(authors_.size());
        uint64_t author_before = 0;
        for (const uint64_t author : authors_) {
            out_.varint(author - author_before);
            author_before = author;
        }
        out_.varint(ids_.size());
        uint64_t wall_ms = 0;
        for (const Hlc& id : ids_) {
            write_stamp(id, wall_ms);
            wall_ms = id.wall_ms;
        }
    }

    void write_stamp(const Hlc& stamp, uint64_t base_wall_ms) {
        out_.varint(stamp.wall_ms - base_wall_ms);
        out_.varint(stamp.logical);
        const auto author = std::lower_bound(authors_.begin(), authors_.end(), stamp.node_id);
        out_.varint(static_cast<uint64_t>(author - authors_.begin()));
    }

    size_t index_of(const Hlc& id) const {
        return static_cast<size_t>(std::lower_bound(ids_.begin(), ids_.end(), id) - ids_.begin());
    }

    void write_gap(const Hlc& id) {
        const size_t index = index_of(id);
        out_.varint(index - next_id_);
        next_id_ = index + 1;
    }

    void write_parent(const std::optional<Hlc>& parent_id) { out_.varint(parent_id ? index_of(*parent_id) + 1 : 0); }

    BinaryWriter& out_;
    const Tree::Delta& delta_;
    std::vector<uint64_t> authors_;
    std::vector<Hlc> ids_;
    size_t next_id_ = 0;
};

// ---- Decoding

class Decoder {
public:
    explicit Decoder(BinaryReader& in) : in_(in) {}

    Result<Tree::Delta> read() {
        Tree::Delta delta;
        read_authors();
        read_ids();
        read_adds(delta);
        read_updates(delta);
        read_deletes(delta);
        read_moves(delta);
        check_all_used();
        if (!error_.empty()) return Error{error_};
        if (!in_.ok()) return Error{"tree: the bytes end early or a number is not in its shortest form"};
        return delta;
    }

private:
    void refuse(const char* what, size_t index, const char* expected) {
        if (in_.ok() && error_.empty()) {
            error_ = std::string("tree: ") + what + " " + std::to_string(index) + ": expected " + expected;
        }
        in_.fail();
    }

    void read_authors() {
        const size_t count = in_.count(1);
        authors_.reserve(count);
        for (size_t i = 0; i < count && in_.ok(); ++i) {
            const uint64_t difference = in_.varint();
            const uint64_t before = authors_.empty() ? 0 : authors_.back();
            if (i > 0 && (difference == 0 || before + difference < before)) refuse("author", i, "a greater one");
            authors_.push_back(before + difference);
        }
        author_used_.resize(authors_.size(), false);
    }

    void read_ids() {
        const size_t count = in_.count(3);
        ids_.reserve(count);
        for (size_t i = 0; i < count && in_.ok(); ++i) {
            const Hlc id = read_ascending_stamp("id", i, ids_.empty() ? Hlc{} : ids_.back(), i > 0);
            ids_.push_back(id);
        }
        id_used_.resize(ids_.size(), false);
    }

    Hlc read_stamp(uint64_t base_wall_ms) {
        Hlc stamp;
        stamp.wall_ms = base_wall_ms + in_.varint();
        const uint64_t logical = in_.varint();
        const uint64_t author = in_.varint();
        if (!in_.ok()) return stamp;
        if (logical > std::numeric_limits<uint16_t>::max()) {
            refuse("logical", logical, "at most 65535");
        } else if (author >= authors_.size()) {
            refuse("author index", author, "one in the table");
        } else {
            stamp.logical = static_cast<uint16_t>(logical);
            stamp.node_id = authors_[author];
            author_used_[author] = true;
        }
        return stamp;
    }

    Hlc read_ascending_stamp(const char* what, size_t index, const Hlc& before, bool has_before) {
        const Hlc stamp = read_stamp(before.wall_ms);
        // A wall time that wraps is smaller too.
        if (has_before && in_.ok() && stamp <= before) refuse(what, index, "a greater stamp than the one before");
        return stamp;
    }

    // Moves on to the next id of an ascending list.
    Hlc read_gap_id(size_t& next_id) {
        const uint64_t gap = in_.varint();
        if (!in_.ok()) return {};
        if (gap >= ids_.size() - next_id) {
            refuse("id gap", gap, "an id in the table");
            return {};
        }
        next_id += gap + 1;
        id_used_[next_id - 1] = true;
        return ids_[next_id - 1];
    }

    Hlc read_id() {
        const uint64_t index = in_.varint();
        if (!in_.ok()) return {};
        if (index >= ids_.size()) {
            refuse("id index", index, "an id in the table");
            return {};
        }
        id_used_[index] = true;
        return ids_[index];
    }

    std::optional<Hlc> read_parent() {
        const uint64_t index = in_.varint();
        if (!in_.ok() || index == 0) return std::nullopt;
        if (index > ids_.size()) {
            refuse("parent index", index, "0 or an id in the table");
            return std::nullopt;
        }
        id_used_[index - 1] = true;
        return ids_[index - 1];
    }

    std::string read_text(const char* what, size_t index) {
        const std::string_view text = in_.bytes();
        if (!is_valid_utf8(text)) {
            refuse(what, index, "valid UTF-8");
            return {};
        }
        return std::string(text);
    }

    void read_adds(Tree::Delta& delta) {
        const size_t count = in_.count(4);
        size_t next_id = 0;
        for (size_t i = 0; i < count && in_.ok(); ++i) {
            crdt::TreeAddNode add;
            add.id = read_gap_id(next_id);
            add.parent_id = read_parent();
            add.position = read_text("position of AddNode", i);
            add.value = read_text("value of AddNode", i);
            delta.adds.push_back(std::move(add));
        }
    }

    void read_updates(Tree::Delta& delta) {
        const size_t count = in_.count(5);
        size_t next_id = 0;
        for (size_t i = 0; i < count && in_.ok(); ++i) {
            crdt::TreeUpdateNode update;
            update.id = read_gap_id(next_id);
            update.updated_at = read_stamp(update.id.wall_ms);
            if (in_.ok() && update.updated_at < update.id) refuse("UpdateNode", i, "a stamp that is not before the id");
            update.value = read_text("value of UpdateNode", i);
            delta.updates.push_back(std::move(update));
        }
    }

    void read_deletes(Tree::Delta& delta) {
        const size_t count = in_.count(1);
        size_t next_id = 0;
        for (size_t i = 0; i < count && in_.ok(); ++i) delta.deletes.push_back(read_gap_id(next_id));
    }

    void read_moves(Tree::Delta& delta) {
        const size_t count = in_.count(6);
        for (size_t i = 0; i < count && in_.ok(); ++i) {
            crdt::TreeMoveNode move;
            move.op_id = read_ascending_stamp("MoveNode", i, i == 0 ? Hlc{} : delta.moves.back().op_id, i > 0);
            move.node_id = read_id();
            move.new_parent_id = read_parent();
            move.new_position = read_text("position of MoveNode", i);
            delta.moves.push_back(std::move(move));
        }
    }

    void check_all_used() {
        for (size_t i = 0; i < author_used_.size() && in_.ok(); ++i) {
            if (!author_used_[i]) refuse("author", i, "one that is used");
        }
        for (size_t i = 0; i < id_used_.size() && in_.ok(); ++i) {
            if (!id_used_[i]) refuse("id", i, "one that is used");
        }
    }

    BinaryReader& in_;
    std::string error_;
    std::vector<uint64_t> authors_;
    std::vector<bool> author_used_;
    std::vector<Hlc> ids_;
    std::vector<bool> id_used_;
};

// What full_delta() never gives: values that cannot show. All lists are ascending.
std::optional<Error> check_canonical_state(const Tree::Delta& state) {
    auto deleted = state.deletes.begin();
    const auto is_deleted = [&](const Hlc& id) {
        while (deleted != state.deletes.end() && *deleted < id) ++deleted;
        return deleted != state.deletes.end() && *deleted == id;
    };
    for (const auto& update : state.updates) {
        if (is_deleted(update.id)) return Error{"tree: deleted node " + to_text(update.id) + ": expected no update"};
    }
    deleted = state.deletes.begin();
    auto update = state.updates.begin();
    for (const auto& add : state.adds) {
        if (add.value.empty()) continue;
        while (update != state.updates.end() && update->id < add.id) ++update;
        const bool superseded =
            update != state.updates.end() && update->id == add.id && update->updated_at > update->id;
        if (superseded || is_deleted(add.id)) {
            return Error{"tree: deleted or updated node " + to_text(add.id) + ": expected an empty creation value"};
        }
    }
    return std::nullopt;
}

}  // namespace

void encode_tree_delta(BinaryWriter& out, const Tree::Delta& delta) {
    Encoder(out, delta).write();
}

Result<Tree::Delta> decode_tree_delta(BinaryReader& in) {
    return Decoder(in).read();
}

void encode_tree_state(BinaryWriter& out, const Tree& tree) {
    encode_tree_delta(out, tree.full_delta());
}

Result<Tree> decode_tree_state(BinaryReader& in) {
    auto state = decode_tree_delta(in);
    if (!state) return state.error();
    if (auto error = check_canonical_state(*state)) return *error;
    return Tree::restore(*state);
}

}  // namespace meridian::wire
