#include "store_bench.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>

#include "plugin/store_adapter.h"

namespace meridian::bench {

namespace {

class BenchHost : public Clock, public Random, public Lane {
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
    void post(Task) override { die("the store refused a call"); }
    void post_after(uint64_t, Task) override {}
};

BenchHost host;

}  // namespace

double seconds_since(Time::time_point start) {
    return std::chrono::duration<double>(Time::now() - start).count();
}

void die(const std::string& what) {
    std::fprintf(stderr, "%s\n", what.c_str());
    std::exit(1);
}

std::unique_ptr<node::Store> open_store(const std::string& directory) {
    static const auto plugin = plugin::load_plugin(STORE_KV_PATH, {}, plugin::Kind::store);
    if (!plugin) die(plugin.error().message);
    auto configuration = plugin::check_configuration(*plugin, "[store]", {{"directory", directory}},
                                                     [](const std::string&) { return std::optional<std::string>(); });
    if (!configuration) die(configuration.error().message);
    plugin::HostServices services;
    services.clock = &host;
    services.random = &host;
    services.lane = &host;
    services.log = [](plugin::LogLevel level, std::string_view text) {
        if (level >= plugin::LogLevel::information) {
            std::printf("    %.*s\n", static_cast<int>(text.size()), text.data());
        }
    };
    auto store = plugin::open_store(*plugin, *configuration, services);
    if (!store) die(store.error().message);
    return std::move(*store);
}

std::string make_directory(const std::string& parent) {
    std::string path = parent + "/meridian-bench-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) die("cannot make " + path);
    return path;
}

std::vector<float> run_writers(int threads, double seconds,
                               const std::function<void(int writer, Waiter& waiter)>& submit) {
    std::vector<std::thread> running;
    std::vector<std::vector<float>> taken(static_cast<size_t>(threads));
    const auto start = Time::now();
    for (int writer = 0; writer < threads; ++writer) {
        running.emplace_back([&, writer] {
            Waiter waiter;
            std::vector<float> mine;
            while (seconds_since(start) < seconds) {
                const auto begun = Time::now();
                submit(writer, waiter);
                waiter.wait();
                mine.push_back(static_cast<float>(seconds_since(begun)));
            }
            taken[static_cast<size_t>(writer)] = std::move(mine);
        });
    }
    for (std::thread& thread : running) thread.join();
    std::vector<float> all;
    for (const std::vector<float>& mine : taken) all.insert(all.end(), mine.begin(), mine.end());
    return all;
}

GroupCommitter::GroupCommitter(node::Store& store, uint64_t first_position, std::string payload)
    : store_(store), position_(first_position), payload_(std::move(payload)), thread_([this] { run(); }) {}

GroupCommitter::~GroupCommitter() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
        wake_.notify_one();
    }
    thread_.join();
}

void GroupCommitter::submit(int writer, Waiter& waiter) {
    const std::lock_guard lock(mutex_);
    waiting_.emplace_back(writer, &waiter);
    wake_.notify_one();
}

void GroupCommitter::run() {
    std::vector<std::pair<int, Waiter*>> committed;
    Waiter flight;
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
            if (waiting_.empty()) return;
            committed.swap(waiting_);
        }
        node::CommitGroup group;
        group.entries.resize(committed.size());
        for (size_t i = 0; i < committed.size(); ++i) {
            node::LogEntry& entry = group.entries[i];
            entry.position = position_++;
            entry.name = {"bench", "key-" + std::to_string(committed[i].first)};
            entry.payload = payload_;
        }
        store_.commit(std::move(group), [&flight](node::CommitResult result) {
            if (result.status != node::CommitStatus::durable) die(result.message);
            flight.finish();
        });
        flight.wait();
        for (const auto& [writer, waiter] : committed) waiter->finish();
        committed.clear();
    }
}

}  // namespace meridian::bench
