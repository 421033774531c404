// The log of store-kv alone, against a bare group-commit loop in the same run; and recovery.
//
//   log-bench                                  both of
//   log-bench commit [DIRECTORY] [SECONDS]     64 writers, one 200-byte record each, waiting for its durability
//   log-bench recovery [DIRECTORY]             1,000,000 records over 10,000 keys: open, and read every key
//
// The bare loop is what group commit costs at the least: writers append to a buffer under a lock; one thread writes the
// buffer into a file of the same size, filled with zeros like the store's segments, calls fdatasync, and wakes them.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "store_bench.h"

namespace {

using namespace meridian::bench;
using meridian::node::CommitStatus;

constexpr int writers = 64;
constexpr size_t payload_size = 200;

// CPU time of this process: steadier than the clock on a machine that does other things.
double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Writes a second.
double rate_of(double seconds, const std::function<void(int writer, Waiter& waiter)>& submit) {
    const auto start = Time::now();
    const size_t count = run_writers(writers, seconds, submit).size();
    return static_cast<double>(count) / seconds_since(start);
}

double bare_loop(const std::string& path, double seconds) {
    constexpr size_t file_size = 64 << 20;
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0) die(path);
    const std::string zeros(1 << 20, '\0');
    for (size_t at = 0; at < file_size; at += zeros.size()) {
        if (::pwrite(file, zeros.data(), zeros.size(), static_cast<off_t>(at)) < 0) die("pwrite");
    }
    ::fsync(file);

    std::mutex mutex;
    std::condition_variable wake;
    std::string buffer;
    std::vector<Waiter*> waiting;
    bool stop = false;
    std::thread committer([&] {
        std::string writing;
        std::vector<Waiter*> committed;
        off_t offset = 0;
        for (;;) {
            {
                std::unique_lock lock(mutex);
                wake.wait(lock, [&] { return stop || !waiting.empty(); });
                if (waiting.empty()) return;
                writing.swap(buffer);
                committed.swap(waiting);
            }
            if (static_cast<size_t>(offset) + writing.size() > file_size) offset = 0;
            if (::pwrite(file, writing.data(), writing.size(), offset) < 0 || ::fdatasync(file) != 0) die("write");
            offset += static_cast<off_t>(writing.size());
            for (Waiter* waiter : committed) waiter->finish();
            writing.clear();
            committed.clear();
        }
    });
    const std::string record(payload_size, 'r');
    const double rate = rate_of(seconds, [&](int, Waiter& waiter) {
        const std::lock_guard lock(mutex);
        buffer += record;
        waiting.push_back(&waiter);
        wake.notify_one();
    });
    {
        const std::lock_guard lock(mutex);
        stop = true;
        wake.notify_one();
    }
    committer.join();
    ::close(file);
    std::filesystem::remove(path);
    return rate;
}

double store_loop(const std::string& directory, double seconds) {
    auto store = open_store(directory);
    std::this_thread::sleep_for(std::chrono::seconds(1));  // lets the store preallocate, like the bare loop
    double rate = 0;
    {
        GroupCommitter committer(*store, 1, std::string(payload_size, 'r'));
        rate = rate_of(seconds, [&](int writer, Waiter& waiter) { committer.submit(writer, waiter); });
    }
    store->close();
    return rate;
}

void bench_commit(const std::string& base, double seconds) {
    constexpr int rounds = 9;
    std::printf("%d writers, %zu-byte payloads, %.1f s each, %d rounds\n", writers, payload_size, seconds, rounds);
    std::vector<double> ratios;
    for (int round = 0; round < rounds; ++round) {
        // In turns, so that neither always comes behind what the other has left to write.
        double bare = 0;
        if (round % 2 == 0) bare = bare_loop(base + "/bare.log", seconds);
        const std::string directory = base + "/store-" + std::to_string(round);
        const double ours = store_loop(directory, seconds);
        std::filesystem::remove_all(directory);
        if (round % 2 != 0) bare = bare_loop(base + "/bare.log", seconds);
        std::printf("  bare loop %8.0f/s   store-kv %8.0f/s   ratio %.2f\n", bare, ours, ours / bare);
        ratios.push_back(ours / bare);
    }
    std::sort(ratios.begin(), ratios.end());
    std::printf("median ratio %.2f, from %.2f to %.2f (target 0.70)\n", ratios[rounds / 2], ratios.front(),
                ratios.back());
}

void bench_recovery(const std::string& base) {
    constexpr uint64_t records = 1'000'000;
    constexpr uint64_t keys = 10'000;
    constexpr uint64_t per_group = 1000;
    const std::string directory = base + "/recovery";
    std::mt19937_64 random(7);
    std::filesystem::path copy = base + "/recovery-copy";
    {
        auto store = open_store(directory);
        const std::string payload(payload_size, 'r');
        const auto start = Time::now();
        for (uint64_t position = 1; position <= records;) {
            meridian::node::CommitGroup group;
            for (uint64_t i = 0; i < per_group; ++i, ++position) {
                meridian::node::LogEntry entry;
                entry.position = position;
                entry.origin_sequence = position;
                entry.name = {"bench", "key-" + std::to_string(random() % keys)};
                entry.payload = payload;
                group.entries.push_back(std::move(entry));
            }
            Waiter waiter;
            store->commit(std::move(group), [&waiter](meridian::node::CommitResult result) {
                if (result.status != CommitStatus::durable) die(result.message);
                waiter.finish();
            });
            waiter.wait();
        }
        std::printf("wrote %llu records in groups of %llu in %.2f s\n", static_cast<unsigned long long>(records),
                    static_cast<unsigned long long>(per_group), seconds_since(start));
        // A copy of the open store is what a crash would leave.
        std::filesystem::copy(directory, copy, std::filesystem::copy_options::recursive);
        store->close();
    }
    const auto start = Time::now();
    const double cpu_start = cpu_seconds();
    auto store = open_store(copy);
    const double opened = seconds_since(start);
    const double cpu_opened = cpu_seconds() - cpu_start;
    uint64_t entries = 0;
    for (uint64_t first = 0; first < keys; first += 1000) {
        std::vector<meridian::node::KeyName> names;
        for (uint64_t i = first; i < first + 1000; ++i) names.push_back({"bench", "key-" + std::to_string(i)});
        Waiter waiter;
        store->read_keys(std::move(names), [&](std::vector<meridian::node::KeyRecord> found) {
            for (const auto& record : found) {
                if (!record.error.empty()) die(record.error);
                entries += record.tail.size();
            }
            waiter.finish();
        });
        waiter.wait();
    }
    const double all = seconds_since(start);
    const double cpu_all = cpu_seconds() - cpu_start;
    std::printf("recovery of %llu entries: open %.2f s (CPU %.2f s), reading all keys %.2f s (CPU %.2f s)\n",
                static_cast<unsigned long long>(entries), opened, cpu_opened, all - opened, cpu_all - cpu_opened);
    std::printf("together %.2f s (CPU %.2f s)\n", all, cpu_all);
    store->close();
}

}  // namespace

int main(int argc, char** argv) {
    const std::string what = argc > 1 ? argv[1] : "";
    if (!what.empty() && what != "commit" && what != "recovery") {
        die("usage: log-bench [commit|recovery] [DIRECTORY] [SECONDS]");
    }
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    const std::string base = make_directory(argc > 2 ? argv[2] : "/tmp");
    if (what != "recovery") bench_commit(base, argc > 3 ? std::atof(argv[3]) : 2);
    if (what != "commit") bench_recovery(base);
    std::filesystem::remove_all(base);
    return 0;
}
