// What a backup costs those who write meanwhile: the time from submit to durable, without and with backups one after
// another, in turns.
//
//   backup-bench [DIRECTORY] [SECONDS]
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "store_bench.h"

namespace {

using namespace meridian::bench;
using meridian::node::CommitStatus;

constexpr int writers = 16;
constexpr uint64_t keys = 10'000;
constexpr int rounds = 5;
constexpr size_t state_bytes = 4096;

// Entries and snapshots of all keys, so that there is something to copy.
uint64_t fill(meridian::node::Store& store) {
    constexpr uint64_t keys_in_a_group = 500;
    uint64_t position = 1;
    Waiter waiter;
    for (uint64_t first = 0; first < keys; first += keys_in_a_group) {
        meridian::node::CommitGroup group;
        std::vector<meridian::node::SnapshotWrite> snapshots;
        for (uint64_t i = first; i < first + keys_in_a_group; ++i, ++position) {
            const meridian::node::KeyName name{"data", "key-" + std::to_string(i)};
            meridian::node::LogEntry entry;
            entry.position = position;
            entry.name = name;
            entry.payload = std::string(200, 'p');
            group.entries.push_back(std::move(entry));
            snapshots.push_back({name, position, 0, std::string(state_bytes, static_cast<char>('a' + i % 26))});
        }
        store.commit(std::move(group), [&](meridian::node::CommitResult result) {
            if (result.status != CommitStatus::durable) die(result.message);
            waiter.finish();
        });
        waiter.wait();
        store.checkpoint(std::move(snapshots), [&](const std::string& error) {
            if (!error.empty()) die(error);
            waiter.finish();
        });
        waiter.wait();
    }
    return position;
}

// What the writers have written so far goes to snapshots, and the log up to there: the next copy is no larger.
void empty_log(meridian::node::Store& store, uint64_t position) {
    std::vector<meridian::node::SnapshotWrite> snapshots;
    for (int writer = 0; writer < writers; ++writer)
        snapshots.push_back({{"bench", "key-" + std::to_string(writer)}, position, 0, "state"});
    Waiter waiter;
    store.retain_from(position);
    store.checkpoint(std::move(snapshots), [&](const std::string& error) {
        if (!error.empty()) die(error);
        waiter.finish();
    });
    waiter.wait();
}

struct Latency {
    size_t writes = 0;
    double p50_ms = 0, p99_ms = 0;
};

Latency measure(GroupCommitter& committer, double seconds) {
    auto taken = run_writers(writers, seconds, [&](int writer, Waiter& waiter) { committer.submit(writer, waiter); });
    std::sort(taken.begin(), taken.end());
    return {taken.size(), 1e3 * static_cast<double>(taken[taken.size() / 2]),
            1e3 * static_cast<double>(taken[taken.size() * 99 / 100])};
}

}  // namespace

int main(int argc, char** argv) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    const std::string base = make_directory(argc > 1 ? argv[1] : "/tmp");
    const double seconds = argc > 2 ? std::atof(argv[2]) : 3;
    auto store = open_store(base + "/store");
    std::printf(
        "%d writers, 200-byte records, %d rounds of 2 times %.0f s; the store gets %llu snapshots of %zu bytes\n",
        writers, rounds, seconds, static_cast<unsigned long long>(keys), state_bytes);
    const uint64_t position = fill(*store);
    std::vector<double> ratios;
    {
        GroupCommitter committer(*store, position, std::string(200, 'r'));
        for (int round = 0; round < rounds; ++round) {
            const Latency without = measure(committer, seconds);
            std::atomic<bool> stop{false};
            int backups = 0;
            std::thread copier([&] {
                Waiter waiter;
                while (!stop) {
                    const std::string target = base + "/backup";
                    store->backup(target, [&](const std::string& error) {
                        if (!error.empty()) die(error);
                        waiter.finish();
                    });
                    waiter.wait();
                    std::filesystem::remove_all(target);
                    ++backups;
                }
            });
            const Latency with = measure(committer, seconds);
            stop = true;
            copier.join();
            empty_log(*store, committer.last_position());
            ratios.push_back(with.p99_ms / without.p99_ms);
            std::printf(
                "  without: %6zu writes, p50 %.2f ms, p99 %.2f ms   with %d backups: %6zu writes, p50 %.2f ms, p99 "
                "%.2f ms   ratio of p99 %.2f\n",
                without.writes, without.p50_ms, without.p99_ms, backups, with.writes, with.p50_ms, with.p99_ms,
                ratios.back());
        }
    }
    std::sort(ratios.begin(), ratios.end());
    std::printf("median ratio of p99 %.2f, from %.2f to %.2f (target 2.00)\n", ratios[rounds / 2], ratios.front(),
                ratios.back());
    store->close();
    std::filesystem::remove_all(base);
    return 0;
}
