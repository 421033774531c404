// The log of store-kv alone, against a bare group-commit loop in the same run; and recovery.
//
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

#include "plugin/store_adapter.h"

namespace {

using meridian::node::CommitStatus;
using Time = std::chrono::steady_clock;

constexpr int writers = 64;
constexpr size_t payload_size = 200;

double seconds_since(Time::time_point start) {
    return std::chrono::duration<double>(Time::now() - start).count();
}

// CPU time of this process: steadier than the clock on a machine that does other things.
double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

[[noreturn]] void die(const std::string& what) {
    std::fprintf(stderr, "%s\n", what.c_str());
    std::exit(1);
}

class BenchHost : public meridian::Clock, public meridian::Random, public meridian::Lane {
public:
    uint64_t wall_ms() const override {
        return static_cast<uint64_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
                .count());
    }
    uint64_t monotonic_us() const override {
        return static_cast<uint64_t>(
            std::chrono::duration_cast<std::chrono::microseconds>(Time::now().time_since_epoch()).count());
    }
    void fill(void* bytes, size_t size) override {
        std::random_device device;
        auto* at = static_cast<unsigned char*>(bytes);
        for (size_t i = 0; i < size; ++i) at[i] = static_cast<unsigned char>(device());
    }
    void post(meridian::Task) override { die("the store refused a call"); }
    void post_after(uint64_t, meridian::Task) override {}
};

BenchHost host;

std::unique_ptr<meridian::node::Store> open_store(const std::string& directory) {
    static const auto plugin = meridian::plugin::load_plugin(STORE_KV_PATH, {}, meridian::plugin::Kind::store);
    if (!plugin) die(plugin.error().message);
    auto configuration =
        meridian::plugin::check_configuration(*plugin, "[store]", {{"directory", directory}},
                                              [](const std::string&) { return std::optional<std::string>(); });
    if (!configuration) die(configuration.error().message);
    meridian::plugin::HostServices services;
    services.clock = &host;
    services.random = &host;
    services.lane = &host;
    services.log = [](meridian::plugin::LogLevel level, std::string_view text) {
        if (level >= meridian::plugin::LogLevel::information) {
            std::printf("    %.*s\n", static_cast<int>(text.size()), text.data());
        }
    };
    auto store = meridian::plugin::open_store(*plugin, *configuration, services);
    if (!store) die(store.error().message);
    return std::move(*store);
}

// One waiting writer.
struct Waiter {
    std::mutex mutex;
    std::condition_variable wake;
    bool done = false;
    void finish() {
        const std::lock_guard lock(mutex);
        done = true;
        wake.notify_one();
    }
    void wait() {
        std::unique_lock lock(mutex);
        wake.wait(lock, [this] { return done; });
        done = false;
    }
};

// `submit` begins one durable write and calls finish() of the waiter when it is done. Gives writes a second.
double run_writers(double seconds, const std::function<void(int writer, Waiter& waiter)>& submit) {
    std::vector<std::thread> threads;
    std::vector<uint64_t> counts(writers, 0);
    const auto start = Time::now();
    for (int w = 0; w < writers; ++w) {
        threads.emplace_back([&, w] {
            Waiter waiter;
            uint64_t count = 0;
            while (seconds_since(start) < seconds) {
                submit(w, waiter);
                waiter.wait();
                ++count;
            }
            counts[static_cast<size_t>(w)] = count;
        });
    }
    for (auto& thread : threads) thread.join();
    uint64_t sum = 0;
    for (const uint64_t count : counts) sum += count;
    return static_cast<double>(sum) / seconds_since(start);
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
    const double rate = run_writers(seconds, [&](int, Waiter& waiter) {
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
    std::mutex mutex;
    uint64_t position = 1;
    const std::string payload(payload_size, 'r');
    const double rate = run_writers(seconds, [&](int writer, Waiter& waiter) {
        meridian::node::CommitGroup group;
        group.entries.resize(1);
        group.entries[0].name = {"bench", "key-" + std::to_string(writer)};
        group.entries[0].payload = payload;
        const std::lock_guard lock(mutex);
        group.entries[0].position = position++;
        store->commit(std::move(group), [&waiter](meridian::node::CommitResult result) {
            if (result.status != CommitStatus::durable) die(result.message);
            waiter.finish();
        });
    });
    store->close();
    return rate;
}

void bench_commit(const std::string& base, double seconds) {
    std::printf("%d writers, %zu-byte payloads, %.1f s each, three rounds\n", writers, payload_size, seconds);
    std::vector<double> ratios;
    for (int round = 0; round < 3; ++round) {
        const double bare = bare_loop(base + "/bare.log", seconds);
        const double ours = store_loop(base + "/store-" + std::to_string(round), seconds);
        std::printf("  bare loop %8.0f/s   store-kv %8.0f/s   ratio %.2f\n", bare, ours, ours / bare);
        ratios.push_back(ours / bare);
    }
    std::sort(ratios.begin(), ratios.end());
    std::printf("median ratio %.2f (target 0.70)\n", ratios[1]);
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
    std::string base = std::string(argc > 2 ? argv[2] : "/tmp") + "/meridian-log-bench-XXXXXX";
    if (::mkdtemp(base.data()) == nullptr) die("cannot make " + base);
    if (what == "commit") {
        bench_commit(base, argc > 3 ? std::atof(argv[3]) : 3);
    } else if (what == "recovery") {
        bench_recovery(base);
    } else {
        std::filesystem::remove_all(base);
        die("usage: log-bench commit|recovery [DIRECTORY] [SECONDS]");
    }
    std::filesystem::remove_all(base);
    return 0;
}
