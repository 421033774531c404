// What a long list of free pages costs a checkpoint of store-kv: each transaction reads the list before it begins.
//
//   free-list-bench [DIRECTORY] [PAGES]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "snapshot_db.h"
#include "store_bench.h"

namespace {

using namespace meridian::bench;
using meridian::store_kv::SnapshotDb;

constexpr size_t large_bytes = 4 << 20;
constexpr size_t row_bytes = 4000;
constexpr uint64_t slice_bytes_least = 256 << 10;  // as store_checkpoint.cpp has them
constexpr uint64_t slice_bytes_most = 16 << 20;

uint64_t next_position = 1;

// One transaction with these rows; gives the seconds until it had begun, and until it was durable.
std::pair<double, double> write(SnapshotDb& db, uint64_t first, uint64_t count, const std::string& state) {
    const auto start = Time::now();
    auto transaction = db.write();
    if (!transaction) die(transaction.error().message);
    const double begun = seconds_since(start);
    for (uint64_t i = first; i < first + count; ++i) {
        const auto put = transaction->put_snapshot("key-" + std::to_string(i), next_position++, 0, state);
        if (!put || !put->written) die("a row was not written");
    }
    if (const auto put = transaction->put_state({}); !put) die(put.error().message);
    if (const auto done = transaction->commit(); !done) die(done.error().message);
    return {begun, seconds_since(start)};
}

}  // namespace

int main(int argc, char** argv) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    const std::string base = make_directory(argc > 1 ? argv[1] : "/tmp");
    const uint64_t pages = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 250'000;
    if (const auto made = SnapshotDb::create(base, uint64_t{64} << 30, {}); !made) die(made.error().message);
    auto db = SnapshotDb::open(base, uint64_t{64} << 30);
    if (!db) die(db.error().message);
    const uint64_t rows = pages * 4096 / large_bytes;
    std::printf("making %llu free pages\n", static_cast<unsigned long long>(pages));
    for (uint64_t i = 0; i < rows; i += 8) write(**db, i, 8, std::string(large_bytes, 'x'));
    for (uint64_t i = 0; i < rows; i += 8) write(**db, i, 8, "small");
    constexpr size_t rounds = 15;
    std::vector<double> begins;
    std::vector<double> wholes;
    uint64_t slice = 0;
    for (size_t round = 0; round < rounds; ++round) {
        slice = std::clamp((*db)->free_list_bytes(), slice_bytes_least, slice_bytes_most);
        const auto [begun, whole] = write(**db, rows, slice / row_bytes, std::string(row_bytes, 'y'));
        begins.push_back(1e3 * begun);
        wholes.push_back(1e3 * whole);
    }
    std::sort(begins.begin(), begins.end());
    std::sort(wholes.begin(), wholes.end());
    std::printf(
        "the list has %llu bytes; a transaction of %llu KiB begins after %.1f ms and is durable after %.1f ms (medians "
        "of %zu)\n",
        static_cast<unsigned long long>((*db)->free_list_bytes()), static_cast<unsigned long long>(slice >> 10),
        begins[rounds / 2], wholes[rounds / 2], rounds);
    db->reset();
    std::filesystem::remove_all(base);
    return 0;
}
