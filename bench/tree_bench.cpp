// CPU time and memory of the tree: 100,000 moves on 10,000 nodes that arrive up to 1,000 places out of order, with the
// projection of every op; the same for deep trees; the whole state through the codec. Usage: tree-bench [moves [nodes
// [places]]]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/binary.h"
#include "base/json_writer.h"
#include "crdt/tree.h"
#include "wire/tree_codec.h"

namespace {

using namespace meridian;
using namespace meridian::crdt;

double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

class CountingStamps : public StampSource {
public:
    Hlc next_stamp() override { return {1'900'000'000'000, 0, ++count}; }
    uint64_t count = 0;
};

Hlc node_id(size_t index) {
    return {1'700'000'000'000 + index, 0, 1 + index % 7};
}
std::optional<Hlc> parent_id(size_t index, size_t nodes) {
    if (index >= nodes) return std::nullopt;
    return node_id(index);
}

struct Workload {
    const char* name;
    bool chain;  // each node is created under the one before, else under a random older one
    size_t places;
    std::function<std::pair<size_t, size_t>(std::mt19937_64&)> draw;  // node and new parent; `nodes` is the top
};

void run(const Workload& work, size_t moves, size_t nodes) {
    std::mt19937_64 random(42);
    CountingStamps stamps;
    Tree tree;
    const double add_start = cpu_seconds();
    for (size_t i = 0; i < nodes; ++i) {
        std::optional<Hlc> parent;
        if (i > 0) parent = node_id(work.chain ? i - 1 : random() % i);
        tree.apply(TreeAddNode{node_id(i), parent, "a" + std::to_string(random() % 1000), "value", false},
                   {EntryStamp{}, stamps});
    }
    const double add_seconds = cpu_seconds() - add_start;
    const size_t node_bytes = tree.memory_bytes();

    std::vector<std::pair<uint64_t, TreeMoveNode>> arrivals;
    for (size_t i = 0; i < moves; ++i) {
        const auto [node, parent] = work.draw(random);
        const uint64_t place = i + (work.places == 0 ? 0 : random() % work.places);
        arrivals.push_back({place, TreeMoveNode{{1'800'000'000'000 + i, 0, 1 + i % 7},
                                                node_id(node),
                                                parent_id(parent, nodes),
                                                "b" + std::to_string(random() % 100000),
                                                false,
                                                false}});
    }
    std::stable_sort(arrivals.begin(), arrivals.end(),
                     [](const auto& left, const auto& right) { return left.first < right.first; });

    size_t ops_told = 0;
    size_t skipped = 0;
    const double move_start = cpu_seconds();
    for (const auto& arrival : arrivals) {
        const auto applied = tree.apply(arrival.second, {EntryStamp{}, stamps});
        for (const auto& view : applied.views) ops_told += view.ops.size();
        skipped += applied.conflict ? 1 : 0;
    }
    const double move_seconds = cpu_seconds() - move_start;
    tree.compact({});
    const size_t moved_bytes = tree.memory_bytes();
    std::printf(
        "%-44s adds %6.3f s, moves %7.3f s (%6.2f us each); skipped %zu, ops told %zu; bytes per node %zu, per move "
        "%zu\n",
        work.name, add_seconds, move_seconds, move_seconds * 1e6 / static_cast<double>(moves), skipped, ops_told,
        node_bytes / nodes, moved_bytes > node_bytes ? (moved_bytes - node_bytes) / moves : 0);

    const double encode_start = cpu_seconds();
    BinaryWriter out;
    wire::encode_tree_state(out, tree);
    const double decode_start = cpu_seconds();
    BinaryReader in(out.data());
    const auto decoded = wire::decode_tree_state(in);
    const double value_start = cpu_seconds();
    JsonWriter writer;
    tree.write_value(writer, 0);
    const double sync_start = cpu_seconds();
    const auto sync = tree.sync({});
    const double end = cpu_seconds();
    std::printf("%-44s state %zu bytes, encode %.3f s, decode %.3f s (%s); value %.3f s; sync %.3f s, %zu pieces\n", "",
                out.data().size(), decode_start - encode_start, value_start - decode_start,
                decoded.ok() && *decoded == tree ? "equal" : "NOT EQUAL", sync_start - value_start, end - sync_start,
                sync.size());
}

}  // namespace

int main(int argc, char** argv) {
    const size_t moves = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 100'000;
    const size_t nodes = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 10'000;
    const size_t places = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1'000;
    if (moves == 0 || nodes < 4) {
        std::fprintf(stderr, "usage: tree-bench [moves (at least 1) [nodes (at least 4) [places]]]\n");
        return 2;
    }
    const auto anywhere = [nodes](std::mt19937_64& random) {
        return std::pair<size_t, size_t>(random() % nodes, random() % (nodes + 1));
    };
    const auto forward = [nodes](std::mt19937_64& random) {
        const size_t node = 1 + random() % (nodes - 1);
        return std::pair<size_t, size_t>(node, random() % node);
    };
    // Keeps the chain deep: an inner node moves to its own neighbourhood.
    const auto near_by = [nodes](std::mt19937_64& random) {
        const size_t node = 3 + random() % (nodes - 3);
        return std::pair<size_t, size_t>(node, node - 1 - random() % 3);
    };
    const auto leaf = [nodes](std::mt19937_64& random) {
        return std::pair<size_t, size_t>(nodes - 1, nodes - 2 - random() % 2);
    };
    const std::vector<Workload> works = {
        {"random tree, in order", false, 0, anywhere},
        {"random tree, out of order (the target)", false, places, anywhere},
        {"random tree, to older nodes, out of order", false, places, forward},
        {"chain, anywhere, out of order", true, places, anywhere},
        {"chain kept deep, in order", true, 0, near_by},
        {"chain, its leaf, out of order", true, places, leaf},
    };
    for (const Workload& work : works) run(work, moves, nodes);
    // Here every redone move may have to be checked again over the whole depth: fewer moves.
    const size_t fewer = moves / 100 == 0 ? 1 : moves / 100;
    std::printf("the worst case, %zu moves only:\n", fewer);
    run({"chain kept deep, out of order", true, places, near_by}, fewer, nodes);
    return 0;
}
