// make_key_corpus OPS_DIRECTORY DELTAS_DIRECTORY SNAPSHOTS_DIRECTORY
//
// Applies every op file of the first directory, in the order of their names, to one key for each type, and writes the
// core delta of each op and, at the end, a snapshot of each key, plus each snapshot with a deadline.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <vector>

#include "wire/key_codec.h"
#include "wire/op_codec.h"

using namespace meridian;

namespace {

class CountingStamps : public crdt::StampSource {
public:
    crdt::Hlc next_stamp() override { return {++wall_ms_, 0, 1}; }

private:
    uint64_t wall_ms_ = 1'700'000'000'000;
};

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_file(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::cerr << "usage: make_key_corpus OPS_DIRECTORY DELTAS_DIRECTORY SNAPSHOTS_DIRECTORY\n";
        return 2;
    }
    std::vector<std::filesystem::path> ops;
    for (const auto& entry : std::filesystem::directory_iterator(argv[1])) ops.push_back(entry.path());
    std::sort(ops.begin(), ops.end());

    CountingStamps stamps;
    std::map<crdt::Type, crdt::Key> keys;
    for (const std::filesystem::path& path : ops) {
        const Result<crdt::Op> op = wire::decode_op(read_file(path));
        if (!op) continue;
        crdt::Key& key = keys[crdt::type_of(*op)];
        const crdt::Hlc stamp = stamps.next_stamp();
        if (key.check(*op, crdt::Limits{}, stamp.wall_ms)) continue;
        const crdt::KeyApplied applied = key.apply(*op, std::nullopt, {{stamp, 1}, stamps});
        if (!applied.changed) continue;
        write_file(std::filesystem::path(argv[2]) / path.filename(), wire::encode_key_delta(applied.delta));
    }
    for (const auto& [type, key] : keys) {
        const std::string name(crdt::query_name(type));
        write_file(std::filesystem::path(argv[3]) / name, wire::encode_snapshot(key));
        const crdt::Expiry expiry{1'800'000'000'000, {stamps.next_stamp(), 2}};
        write_file(std::filesystem::path(argv[3]) / (name + "-expiring"),
                   wire::encode_snapshot(crdt::Key::restore(key.generation() + 300, expiry, key.value())));
    }
    return 0;
}
