// The node on the real embedded store, without a network: a hot key, and recovery.
//
//   node-bench [hot] [recovery] [--records N] [--keys N] [--seconds N] [--plugin /absolute/store-kv.so] [--directory
//   DIR]
//
// Without a name both are run. The directory must not exist; it is removed afterwards.
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "loop/system_environment.h"
#include "loop/thread_lane.h"
#include "node/node.h"
#include "plugin/store_adapter.h"
#include "wire/op_codec.h"

namespace {

using namespace meridian;

struct Options {
    bool hot = false, recovery = false;
    uint64_t records = 1'000'000, keys = 10'000, seconds = 5;
    std::string plugin, directory;
};

[[noreturn]] void die(const std::string& message) {
    std::fprintf(stderr, "node-bench: %s\n", message.c_str());
    std::exit(1);
}

double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Stopwatch {
    explicit Stopwatch(const Clock& clock) : clock_(clock), wall_us_(clock.monotonic_us()), cpu_(cpu_seconds()) {}
    double wall() const { return 1e-6 * static_cast<double>(clock_.monotonic_us() - wall_us_); }
    double cpu() const { return cpu_seconds() - cpu_; }

private:
    const Clock& clock_;
    const uint64_t wall_us_;
    const double cpu_;
};

// A node with one shard on the store-kv in `directory`.
class RunningNode {
public:
    RunningNode(const Options& options, const node::NodeLimits& limits)
        : lane_(clock_), commit_lane_(clock_), host_lane_(clock_) {
        auto loaded = plugin::load_plugin(options.plugin, {}, plugin::Kind::store);
        if (!loaded) die(loaded.error().message);
        auto configuration = plugin::check_configuration(*loaded, "[store]", {{"directory", options.directory}},
                                                         [](const std::string&) { return std::nullopt; });
        if (!configuration) die(configuration.error().message);
        plugin::HostServices services;
        services.clock = &clock_;
        services.random = &random_;
        services.lane = &host_lane_;
        auto store = plugin::open_store(*loaded, *configuration, services);
        if (!store) die(store.error().message);
        store_ = *std::move(store);
        std::promise<std::string> ready;
        node_ = node::Node::open(
            {1, limits}, *store_, clock_, random_, {&lane_}, commit_lane_,
            [&](const Result<void>& result) { ready.set_value(result ? "" : result.error().message); });
        if (const std::string error = ready.get_future().get(); !error.empty()) die(error);
    }

    // `checkpoint`: as a clean stop; otherwise the log is left as a crash would leave it.
    void close(bool checkpoint) {
        if (checkpoint) {
            std::promise<void> stopped;
            node_->stop(clock_.monotonic_us() + 600'000'000, [&] { stopped.set_value(); });
            stopped.get_future().get();
        }
        lane_.stop();
        commit_lane_.stop();
        store_->close();
        host_lane_.stop();
        node_.reset();
        store_.reset();
    }

    // Keeps `in_flight` writes under way until `count` have been acknowledged or `until_us` has passed; the number
    // acknowledged.
    uint64_t drive(uint64_t count, uint64_t in_flight, uint64_t until_us,
                   std::function<node::WriteItem(uint64_t)> make) {
        auto state = std::make_shared<Drive>();
        state->count = count;
        state->until_us = until_us;
        state->make = std::move(make);
        auto future = state->finished.get_future();
        lane_.post([this, state, in_flight] {
            for (uint64_t i = 0; i < in_flight; ++i) next(state);
        });
        return future.get();
    }

    std::string value(const std::string& key) {
        std::promise<std::string> text;
        lane_.post([&] {
            node_->shard(0).read_value("bench", key, [&](node::ValueOutcome outcome) { text.set_value(outcome.text); });
        });
        return text.get_future().get();
    }

    // Reads every key; the number of those that exist.
    uint64_t read_all(uint64_t keys, const std::string& prefix) {
        auto found = std::make_shared<std::atomic<uint64_t>>(0);
        auto left = std::make_shared<std::atomic<uint64_t>>(keys);
        std::promise<void> done;
        lane_.post([&] {
            for (uint64_t i = 0; i < keys; ++i) {
                node_->shard(0).read_value("bench", prefix + std::to_string(i),
                                           [&, found, left](const node::ValueOutcome& outcome) {
                                               *found += outcome.status == node::Status::ok;
                                               if (--*left == 0) done.set_value();
                                           });
            }
        });
        done.get_future().get();
        return *found;
    }

    node::NodeStatistics statistics() const { return node_->statistics(); }
    const Clock& clock() const { return clock_; }

private:
    struct Drive {
        uint64_t started = 0, acknowledged = 0, open = 0, count = 0, until_us = 0;
        std::function<node::WriteItem(uint64_t)> make;
        bool settled = false;
        std::promise<uint64_t> finished;
    };

    void next(const std::shared_ptr<Drive>& drive) {
        if (drive->started == drive->count || clock_.monotonic_us() >= drive->until_us) {
            if (drive->open == 0 && !std::exchange(drive->settled, true))
                drive->finished.set_value(drive->acknowledged);
            return;
        }
        ++drive->open;
        node::WriteRequest request;
        request.namespace_name = "bench";
        request.client_id = 1;
        request.items.push_back(drive->make(drive->started++));
        node_->shard(0).write(std::move(request), [this, drive](const node::WriteOutcome& outcome) {
            if (outcome.status != node::Status::ok) die("write failed: " + outcome.text);
            ++drive->acknowledged;
            --drive->open;
            next(drive);
        });
    }

    server::SystemClock clock_;
    server::SystemRandom random_;
    server::ThreadLane lane_, commit_lane_, host_lane_;
    std::unique_ptr<node::Store> store_;
    std::unique_ptr<node::Node> node_;
};

node::WriteItem item_of(std::string key, crdt::Op op) {
    node::WriteItem item;
    item.key = std::move(key);
    item.op_bytes = wire::encode_op(op);
    item.op = std::move(op);
    return item;
}

void hot_key(const Options& options) {
    RunningNode node(options, {});
    // A text of 1 MiB, typed in sequence; then typing goes on.
    constexpr uint64_t base_ms = 1'700'000'000'000;
    const auto type = [](uint64_t i) {
        crdt::RgaInsert insert;
        insert.id = {base_ms + i, 0, 1};
        if (i != 0) insert.origin_id = crdt::Hlc{base_ms + i - 1, 0, 1};
        insert.content = static_cast<char32_t>('a' + i % 26);
        return item_of("rga:hot", crdt::RgaOp{insert});
    };
    constexpr uint64_t prefill = 1 << 20;
    node.drive(prefill, 1024, UINT64_MAX, type);
    const node::NodeStatistics before = node.statistics();
    const Stopwatch watch(node.clock());
    const uint64_t until_us = node.clock().monotonic_us() + options.seconds * 1'000'000;
    const uint64_t done = node.drive(UINT64_MAX, 64, until_us, [&](uint64_t i) { return type(prefill + i); });
    const double wall = watch.wall(), cpu = watch.cpu();
    const node::NodeStatistics after = node.statistics();
    std::printf("hot key: %llu durable ops on one text of 1 MiB in %.2f s = %.0f ops/s, 64 in flight, %.1f us CPU/op\n",
                static_cast<unsigned long long>(done), wall, static_cast<double>(done) / wall,
                1e6 * cpu / static_cast<double>(done));
    std::printf("hot key: %llu snapshots of it, %.1f snapshot bytes/op; %.1f log bytes/op; %.1f ops/group\n",
                static_cast<unsigned long long>(after.checkpoints - before.checkpoints),
                static_cast<double>(after.checkpoint_bytes - before.checkpoint_bytes) / static_cast<double>(done),
                static_cast<double>(after.bytes_committed - before.bytes_committed) / static_cast<double>(done),
                static_cast<double>(done) / static_cast<double>(after.groups_committed - before.groups_committed));
    node.close(true);
}

void recovery(const Options& options) {
    node::NodeLimits limits;
    limits.checkpoint_interval_ms = UINT32_MAX;
    limits.checkpoint_log_bytes = UINT64_MAX;
    limits.log_backlog_bytes_max = UINT64_MAX;
    server::SystemClock clock;
    {
        RunningNode node(options, limits);
        node.drive(options.records, 1024, UINT64_MAX, [&](uint64_t i) {
            return item_of("gc:" + std::to_string(i % options.keys), crdt::GCounterOp{i % 7, 1});
        });
        node.close(false);
    }
    const auto reopen = [&](const char* what, bool checkpoint) {
        const Stopwatch watch(clock);
        RunningNode node(options, limits);
        const double opened = watch.wall();
        const std::string first = node.value("gc:0");
        const double served = watch.wall();
        const uint64_t found = node.read_all(options.keys, "gc:");
        std::printf(
            "recovery, %s: open %.3f s, first key served after %.3f s, all %llu of %llu keys read after %.3f s, CPU "
            "%.3f s\n",
            what, opened, served, static_cast<unsigned long long>(found), static_cast<unsigned long long>(options.keys),
            watch.wall(), watch.cpu());
        if (found != options.keys) die("keys are missing");
        node.close(checkpoint);
    };
    std::printf("recovery: %llu log records over %llu keys\n", static_cast<unsigned long long>(options.records),
                static_cast<unsigned long long>(options.keys));
    reopen("no checkpoint", true);
    reopen("all keys checkpointed", true);
}

Options parse(int argc, char** argv) {
    Options options;
    options.plugin = STORE_KV_PATH;
    options.directory =
        (std::filesystem::temp_directory_path() / ("node-bench." + std::to_string(::getpid()))).string();
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        const auto value = [&]() -> std::string {
            if (i + 1 >= argc) die(argument + " needs a value");
            return argv[++i];
        };
        if (argument == "hot")
            options.hot = true;
        else if (argument == "recovery")
            options.recovery = true;
        else if (argument == "--records")
            options.records = std::stoull(value());
        else if (argument == "--keys")
            options.keys = std::stoull(value());
        else if (argument == "--seconds")
            options.seconds = std::stoull(value());
        else if (argument == "--plugin")
            options.plugin = value();
        else if (argument == "--directory")
            options.directory = value();
        else
            die("unknown argument '" + argument + "'");
    }
    if (!options.hot && !options.recovery) options.hot = options.recovery = true;
    return options;
}

void run(const Options& options, void (*part)(const Options&)) {
    if (std::filesystem::exists(options.directory)) die(options.directory + " exists already");
    part(options);
    std::filesystem::remove_all(options.directory);
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = parse(argc, argv);
    if (options.hot) run(options, hot_key);
    if (options.recovery) run(options, recovery);
    return 0;
}
