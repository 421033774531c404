#include "rga_model.h"

#include <algorithm>

#include "base/json_writer.h"
#include "base/utf8.h"

namespace meridian::crdt::test {

namespace {

bool conflict_less(const RgaElement& left, const RgaElement& right) {
    if (left.origin_id != right.origin_id) {
        if (!left.origin_id || !right.origin_id) return !left.origin_id;
        return *left.origin_id < *right.origin_id;
    }
    return left.content < right.content;
}

}  // namespace

void RgaModel::insert(const RgaElement& element) {
    if (element.deleted) erase(element.id);
    const auto [it, fresh] = elements_.emplace(element.id, element);
    if (fresh) {
        if (mutation_ == Mutation::forgotten_early_delete && !element.deleted) deleted_.erase(element.id);
        if (mutation_ == Mutation::no_subtree_skip) insert_naively(element);
        return;
    }
    if (mutation_ == Mutation::first_conflict_wins) return;
    const bool less = conflict_less(element, it->second);
    if (less != (mutation_ == Mutation::greater_conflict_wins) && element != it->second) it->second = element;
}

void RgaModel::erase(const Hlc& id) {
    deleted_.insert(id);
}

void RgaModel::take(const RgaDelta& delta) {
    delta.for_each([this](const RgaElement& element) { insert(element); });
    for (const Hlc& id : delta.deletes()) erase(id);
}

void RgaModel::insert_naively(const RgaElement& element) {
    size_t at = 0;
    if (element.origin_id) {
        while (at < naive_order_.size() && naive_order_[at].id != *element.origin_id) ++at;
        if (at < naive_order_.size()) ++at;
    }
    while (at < naive_order_.size() && naive_order_[at].origin_id == element.origin_id &&
           naive_order_[at].id > element.id) {
        ++at;
    }
    naive_order_.insert(naive_order_.begin() + static_cast<std::ptrdiff_t>(at), element);
}

std::vector<RgaElement> RgaModel::shown() const {
    std::vector<RgaElement> result;
    const auto add = [&](const RgaElement& element) {
        RgaElement out = element;
        out.deleted = deleted_.count(out.id) != 0;
        if (out.deleted) out.content = 0;
        result.push_back(out);
    };
    if (mutation_ == Mutation::no_subtree_skip) {
        for (const RgaElement& element : naive_order_) add(element);
        return result;
    }
    std::map<std::optional<Hlc>, std::set<Hlc>> children;
    for (const auto& [id, element] : elements_) children[element.origin_id].insert(id);
    std::set<Hlc> tops;  // characters that stand for themselves behind the document
    std::set<Hlc> seen;
    const auto walk = [&](std::vector<Hlc> open) {
        while (!open.empty()) {
            const Hlc id = open.back();
            open.pop_back();
            if (!seen.insert(id).second) continue;
            add(elements_.at(id));
            std::vector<Hlc> below;
            for (const Hlc& child : children[id]) {
                if (tops.count(child) == 0) below.push_back(child);
            }
            if (mutation_ == Mutation::ascending_siblings) std::reverse(below.begin(), below.end());
            open.insert(open.end(), below.begin(), below.end());
        }
    };
    std::vector<Hlc> heads(children[std::nullopt].begin(), children[std::nullopt].end());
    if (mutation_ == Mutation::ascending_siblings) std::reverse(heads.begin(), heads.end());
    walk(heads);
    if (mutation_ == Mutation::dropped_orphans) return result;
    for (const auto& [id, element] : elements_) {
        if (!element.origin_id) continue;
        if (elements_.count(*element.origin_id) == 0) {
            tops.insert(id);
            continue;
        }
        // The least of a ring: going up from it comes back to it, and meets nothing less.
        std::optional<Hlc> up = element.origin_id;
        size_t steps = 0;
        bool least = true;
        while (up && elements_.count(*up) != 0 && *up != id && steps <= elements_.size()) {
            least = least && *up > id;
            up = elements_.at(*up).origin_id;
            ++steps;
        }
        if (up == id && least) tops.insert(id);
    }
    std::vector<Hlc> ordered(tops.begin(), tops.end());
    if (mutation_ == Mutation::orphans_by_descending_id) std::reverse(ordered.begin(), ordered.end());
    for (const Hlc& top : ordered) walk({top});
    return result;
}

std::string RgaModel::text() const {
    std::string out;
    for (const RgaElement& element : shown()) {
        if (!element.deleted) append_utf8(out, element.content);
    }
    return out;
}

void NaiveClient::take(const RgaOp& op) {
    const auto position = [this](const Hlc& id) {
        return std::find_if(nodes_.begin(), nodes_.end(), [&](const Node& node) { return node.id == id; });
    };
    if (const auto* deletion = std::get_if<RgaDelete>(&op)) {
        const auto it = position(deletion->id);
        if (it != nodes_.end()) it->deleted = true;
        return;
    }
    const auto& insert = std::get<RgaInsert>(op);
    if (position(insert.id) != nodes_.end()) return;
    auto at = nodes_.begin();
    if (insert.origin_id) {
        at = position(*insert.origin_id);
        if (at != nodes_.end()) ++at;
    }
    while (at != nodes_.end() && at->origin == insert.origin_id && at->id > insert.id) ++at;
    nodes_.insert(at, Node{insert.id, insert.origin_id, insert.content, false});
}

void NaiveClient::take(const RgaClientDelta& delta) {
    for (const RgaOp& op : delta.ops) take(op);
}

void NaiveClient::take(const std::vector<RgaClientDelta>& deltas) {
    for (const RgaClientDelta& delta : deltas) take(delta);
}

std::string NaiveClient::text() const {
    std::string out;
    for (const Node& node : nodes_) {
        if (!node.deleted) append_utf8(out, node.content);
    }
    return out;
}

std::vector<Hlc> NaiveClient::visible() const {
    std::vector<Hlc> ids;
    for (const Node& node : nodes_) {
        if (!node.deleted) ids.push_back(node.id);
    }
    return ids;
}

std::vector<RgaElement> shown(const Rga& rga) {
    std::vector<RgaElement> result;
    rga.sequence().for_each([&](const RgaElement& element, uint32_t) {
        RgaElement full = element;
        full.origin_id = rga.sequence().origin_at(*rga.sequence().find(element.id));
        result.push_back(full);
    });
    for (const RgaOrphans::Shown& orphan : rga.orphans().shown()) result.push_back(orphan.element);
    return result;
}

std::string text(const Rga& rga) {
    JsonWriter out;
    rga.write_value(out, 0);
    return out.take();
}

Applied<RgaDelta, RgaClientDelta> apply_op(Rga& rga, const RgaOp& op, uint64_t now_ms) {
    TestStamps stamps;
    return rga.apply(op, ApplyContext{EntryStamp{Hlc{now_ms, 0, 1}, 1}, stamps});
}

std::vector<RgaClientDelta> join(Rga& rga, const RgaDelta& delta, uint64_t now_ms) {
    TestStamps stamps;
    return rga.join(delta, JoinContext{now_ms, stamps});
}

RgaInsert make_insert(Hlc id, std::optional<Hlc> origin, char32_t content) {
    return RgaInsert{id, origin, content, false};
}

RgaDelta delta_of(const RgaOp& op) {
    RgaDelta delta;
    if (const auto* insert = std::get_if<RgaInsert>(&op)) {
        delta.add(RgaElement{insert->id, insert->origin_id, insert->content, false});
    } else {
        delta.add_delete(std::get<RgaDelete>(op).id);
    }
    return delta;
}

}  // namespace meridian::crdt::test
