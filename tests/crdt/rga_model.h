// What an RGA must show, computed anew from the set of ops (crdts.md section 4.7), without any of the product's
// structures; and a client as naive as the specification describes them. For tests only; slow and plain on purpose.
#pragma once

#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "crdt/rga.h"

namespace meridian::crdt::test {

// Deliberately wrong rules, to show that the comparison finds them.
enum class Mutation {
    none,
    ascending_siblings,
    no_subtree_skip,
    forgotten_early_delete,
    dropped_orphans,
    orphans_by_descending_id,
    greater_conflict_wins,
    first_conflict_wins,
};

class RgaModel {
public:
    explicit RgaModel(Mutation mutation = Mutation::none) : mutation_(mutation) {}

    void insert(const RgaElement& element);
    void erase(const Hlc& id);
    void take(const RgaDelta& delta);

    // Every known character in the order in which it is shown, tombstones (content 0) included.
    std::vector<RgaElement> shown() const;
    std::string text() const;

private:
    void insert_naively(const RgaElement& element);

    Mutation mutation_;
    std::map<Hlc, RgaElement> elements_;
    std::set<Hlc> deleted_;
    std::vector<RgaElement> naive_order_;  // by arrival; only for no_subtree_skip
};

// The list that TypeScript and Rust clients keep.
class NaiveClient {
public:
    void take(const RgaClientDelta& delta);
    void take(const std::vector<RgaClientDelta>& deltas);
    void take(const RgaOp& op);
    std::string text() const;
    std::vector<Hlc> visible() const;

private:
    struct Node {
        Hlc id;
        std::optional<Hlc> origin;
        char32_t content;
        bool deleted;
    };
    std::vector<Node> nodes_;
};

// What the RGA itself shows, tombstones included, through its public interface.
std::vector<RgaElement> shown(const Rga& rga);
std::string text(const Rga& rga);

// Server stamps; the RGA asks for none.
class TestStamps : public StampSource {
public:
    Hlc next_stamp() override { return Hlc{++last_, 0, 1}; }

private:
    uint64_t last_ = 0;
};
Applied<RgaDelta, RgaClientDelta> apply_op(Rga& rga, const RgaOp& op, uint64_t now_ms = 1000);
std::vector<RgaClientDelta> join(Rga& rga, const RgaDelta& delta, uint64_t now_ms = 1000);

RgaInsert make_insert(Hlc id, std::optional<Hlc> origin, char32_t content);
RgaDelta delta_of(const RgaOp& op);

}  // namespace meridian::crdt::test
