// What replication costs: two nodes that tell each other everything, in turns with one that is alone.
#include <unistd.h>

#include <algorithm>

#include "bench/bare_exchange.h"
#include "bench/cluster_nodes.h"
#include "bench/workload.h"
#include "client/arguments.h"

namespace meridian::load {
namespace {

constexpr size_t op_message_bytes = 66;
constexpr uint64_t delivery_pause_ns = 10'000'000;  // 100 writes a second
constexpr int idle_windows = 6;

std::optional<double> cpu_us(const Node& node) {
    const auto cpu_ns = Process(*node.process()).cpu_ns();
    return cpu_ns ? std::optional(static_cast<double>(*cpu_ns) / 1e3) : std::nullopt;
}

// Connections to one node, each with a counter in a namespace of its own.
struct Writers {
    Writers(Context& of, const Node& node) : context{node, of.options, of.progress} {}

    Result<void> open(size_t count) {
        for (size_t i = 0; i < count; ++i)
            frames.push_back(op_frame(fresh_key("gc:"), count_op(context.node.client_id_for(i + 1))));
        return open_websockets(context, sockets, count,
                               [&](size_t index) { return own_namespace(context, "bench-cluster", index); }, {});
    }
    ClosedLoop loop(size_t in_flight) {
        return ClosedLoop(
            sockets, frames.size(), in_flight, [this](size_t index, std::string& out) { out += frames[index]; },
            [this](size_t index) { return count_acks(sockets, index); });
    }

    Context context;
    Sockets sockets;
    std::vector<std::string> frames;
};

// Ops at a fixed rate, on the connections in turn; the time from each to its ack.
Result<Histogram> paced_acks(Writers& writers, double ops_per_second, double seconds) {
    Histogram latency;
    std::vector<std::vector<uint64_t>> sent_ns(writers.frames.size());
    std::vector<size_t> answered(writers.frames.size());
    uint64_t sent = 0, acked = 0;
    const auto on_input = [&](size_t index) {
        const uint64_t now = now_ns();
        for (size_t acks = count_acks(writers.sockets, index); acks > 0; --acks, ++acked)
            latency.record(now - sent_ns[index][answered[index]++]);
    };
    const uint64_t start_ns = now_ns();
    const auto total = static_cast<uint64_t>(ops_per_second * seconds);
    while (sent < total && !writers.sockets.failed()) {
        if (is_interrupted()) writers.sockets.fail("interrupted");
        const auto due = static_cast<uint64_t>(static_cast<double>(now_ns() - start_ns) / 1e9 * ops_per_second);
        for (; sent < std::min(due, total); ++sent) {
            const size_t index = sent % writers.frames.size();
            sent_ns[index].push_back(now_ns());
            writers.sockets.send(index, writers.frames[index]);
        }
        writers.sockets.wait(1, on_input);
        writers.context.progress.update(static_cast<double>(sent) / static_cast<double>(total));
    }
    wait_until(writers.sockets, "acks", answer_timeout_s, on_input, [&] { return acked == sent; });
    if (writers.sockets.failed()) return Error{writers.sockets.failure()};
    return latency;
}

double quantile_ms(const Histogram& latency, double part) {
    return static_cast<double>(latency.quantile_ns(part)) / 1e6;
}

// The median and slow acks of a node that replicates and of one that does not, at half of what the latter takes.
Result<Measurement> measure_acks(Context& context, ClusterNodes& nodes, Writers& alone, Writers& clustered) {
    ClosedLoop loop = alone.loop(1);
    context.progress.begin("cluster, how much a node alone takes");
    loop.run(1, context.progress, 0, 0.3);
    const uint64_t before = loop.answers();
    const uint64_t start_ns = now_ns();
    loop.run(2, context.progress, 0.3, 1);
    const double rate =
        static_cast<double>(loop.answers() - before) / (static_cast<double>(now_ns() - start_ns) / 1e9) / 2;
    loop.drain();
    Measurement measurement{"cluster_acks", {{"connections", alone.frames.size()}}, {}};
    const auto seconds = static_cast<double>(context.options.seconds);
    for (uint64_t round = 0; round < context.options.rounds; ++round) {
        context.progress.begin("cluster, acks, round " + std::to_string(round + 1));
        const Result<Histogram> of_one = paced_acks(alone, rate, seconds);
        if (!of_one) return of_one.error();
        const Result<Histogram> of_two = paced_acks(clustered, rate, seconds);
        if (!of_two) return of_two.error();
        if (Result<void> level = nodes.await_converged(); !level) return level.error();
        const double one_ms = quantile_ms(*of_one, 0.5), two_ms = quantile_ms(*of_two, 0.5);
        measurement.rounds.push_back({{"ops_per_second", rate},
                                      {"alone_p50_ms", one_ms},
                                      {"clustered_p50_ms", two_ms},
                                      {"alone_p99_ms", quantile_ms(*of_one, 0.99)},
                                      {"clustered_p99_ms", quantile_ms(*of_two, 0.99)},
                                      {"p50_ratio", two_ms / one_ms}});
    }
    return measurement;
}

// CPU of an op on the node that takes it, with and without a peer, and of its entry on the peer.
Result<Measurement> measure_replicated_ops(Context& context, ClusterNodes& nodes, Writers& alone, Writers& clustered,
                                           uint64_t in_flight) {
    Measurement measurement{"cluster_ops", {{"connections", alone.frames.size()}, {"in_flight", in_flight}}, {}};
    const auto figure = [](const Figures& figures, const std::string& wanted) {
        for (const auto& [name, value] : figures) {
            if (name == wanted) return value;
        }
        return 0.0;
    };
    for (uint64_t round = 0; round < context.options.rounds; ++round) {
        context.progress.begin("cluster, ops, round " + std::to_string(round + 1));
        ClosedLoop one = alone.loop(in_flight);
        const Result<Figures> of_one =
            measure_round(context, alone.sockets, one, alone.context.node.process(), op_message_bytes, "op");
        if (!of_one) return of_one.error();
        const auto peer_before = cpu_us(nodes.second());
        ClosedLoop two = clustered.loop(in_flight);
        const Result<Figures> of_two =
            measure_round(context, clustered.sockets, two, nodes.first().process(), op_message_bytes, "op");
        if (!of_two) return of_two.error();
        if (Result<void> level = nodes.await_converged(); !level) return level.error();
        const auto peer_after = cpu_us(nodes.second());
        if (!peer_before || !peer_after) return Error{"the second node has ended"};
        const double one_us = figure(*of_one, "server_cpu_per_op_us"), two_us = figure(*of_two, "server_cpu_per_op_us");
        const double entry_us = (*peer_after - *peer_before) / static_cast<double>(two.answers());
        measurement.rounds.push_back({{"alone_ops_per_second", figure(*of_one, "ops_per_second")},
                                      {"clustered_ops_per_second", figure(*of_two, "ops_per_second")},
                                      {"alone_cpu_per_op_us", one_us},
                                      {"clustered_cpu_per_op_us", two_us},
                                      {"peer_cpu_per_entry_us", entry_us},
                                      {"cpu_ratio", two_us / one_us},
                                      {"peer_cpu_ratio", entry_us / two_us}});
    }
    return measurement;
}

// From a write on one node to a subscriber of the other, in turns with the least that this can take.
Result<Measurement> measure_delivery(Context& context, ClusterNodes& nodes) {
    Context first{nodes.first(), context.options, context.progress};
    Context second{nodes.second(), context.options, context.progress};
    const std::string key = fresh_key("gc:");
    const auto one_namespace = [](size_t) { return std::string("bench-delivery"); };
    Sockets writer, subscriber;
    if (Result<void> opened = open_websockets(first, writer, 1, one_namespace, {}); !opened) return opened.error();
    if (Result<void> opened = open_websockets(second, subscriber, 1, one_namespace, key, 2); !opened)
        return opened.error();
    const Result<std::unique_ptr<BareExchange>> bare =
        BareExchange::open(nodes.redis(), client::environment("TMPDIR", "/tmp"));
    if (!bare) return bare.error();
    const std::string frame = op_frame(key, count_op(1));
    Measurement measurement{"cluster_delivery", {}, {}};
    for (uint64_t round = 0; round < context.options.rounds; ++round) {
        context.progress.begin("cluster, delivery, round " + std::to_string(round + 1));
        Histogram delivered, least;
        const uint64_t start_ns = now_ns(), length_ns = context.options.seconds * 1'000'000'000;
        uint64_t next_ns = start_ns;
        while (now_ns() < start_ns + length_ns) {
            size_t deltas = 0;
            const uint64_t sent_ns = now_ns();
            writer.send(0, frame);
            wait_until(
                subscriber, "a delta", answer_timeout_s,
                [&](size_t index) {
                    subscriber.read_frames(index, [&](server::Opcode, std::string_view payload, uint64_t) {
                        deltas += classify(subscriber, payload) == Answer::delta;
                    });
                },
                [&] { return deltas > 0; });
            if (subscriber.failed()) return Error{subscriber.failure()};
            delivered.record(now_ns() - sent_ns);
            writer.wait(0, [&](size_t index) { count_acks(writer, index); });
            if (writer.failed()) return Error{writer.failure()};
            const Result<uint64_t> least_ns = (*bare)->measure_ns();
            if (!least_ns) return least_ns.error();
            least.record(*least_ns);
            next_ns += delivery_pause_ns;
            if (const uint64_t now = now_ns(); now < next_ns) ::usleep(static_cast<useconds_t>((next_ns - now) / 1000));
            context.progress.update(static_cast<double>(now_ns() - start_ns) / static_cast<double>(length_ns));
        }
        Figures figures;
        add_latency(figures, "delivery", delivered);
        add_latency(figures, "least", least);
        figures.emplace_back("p50_ratio", quantile_ms(delivered, 0.5) / quantile_ms(least, 0.5));
        figures.emplace_back("p99_ratio", quantile_ms(delivered, 0.99) / quantile_ms(least, 0.99));
        measurement.rounds.push_back(std::move(figures));
    }
    return measurement;
}

// CPU of both nodes while nobody does anything: the least of several windows, since checkpoints go on after a load.
Result<Figures> measure_idle_cpu(Context& context, ClusterNodes& nodes) {
    if (Result<void> level = nodes.await_converged(); !level) return level.error();
    context.progress.begin("cluster, idle");
    const auto idle_seconds = static_cast<double>(context.options.seconds);
    double least_us = 0;
    for (int window = 0; window < idle_windows; ++window) {
        const auto before_first = cpu_us(nodes.first()), before_second = cpu_us(nodes.second());
        for (int i = 0; i < 10; ++i) {
            if (is_interrupted()) return Error{"interrupted"};
            ::usleep(static_cast<useconds_t>(idle_seconds * 1e6 / 10));
            context.progress.update((window + i / 10.0) / idle_windows);
        }
        const auto after_first = cpu_us(nodes.first()), after_second = cpu_us(nodes.second());
        if (!before_first || !before_second || !after_first || !after_second) return Error{"a node has ended"};
        const double cost_us = (*after_first - *before_first + *after_second - *before_second) / idle_seconds;
        least_us = window == 0 ? cost_us : std::min(least_us, cost_us);
    }
    return Figures{{"cpu_per_second_us", least_us}};
}

// A node that was away while the other took entries on keys of its own: its CPU until it serves, and its memory.
Result<Measurement> measure_catch_up(Context& context, ClusterNodes& nodes) {
    Context first{nodes.first(), context.options, context.progress};
    const uint64_t entries = context.options.entries;
    Measurement measurement{"cluster_catch_up", {{"entries", entries}}, {}};
    for (uint64_t round = 0; round < context.options.rounds; ++round) {
        // What a start costs by itself.
        if (Result<void> level = nodes.await_converged(); !level) return level.error();
        nodes.second().stop();
        if (Result<void> started = nodes.second().start_again(); !started) return started.error();
        const auto start_us = cpu_us(nodes.second());
        if (Result<void> level = nodes.await_converged(); !level) return level.error();
        nodes.second().stop();
        context.progress.begin("cluster, entries to miss, round " + std::to_string(round + 1));
        Sockets sockets;
        const size_t connections = context.options.connections;
        const Result<void> opened = open_websockets(
            first, sockets, connections, [&](size_t index) { return own_namespace(first, "bench-missed", index); }, {});
        if (!opened) return opened.error();
        std::vector<uint64_t> numbers(connections);
        ClosedLoop loop(
            sockets, connections, 64,
            [&](size_t index, std::string& out) {
                out += op_frame("gc:" + std::to_string(round) + "-" + std::to_string(numbers[index]++),
                                count_op(first.node.client_id_for(index + 1)));
            },
            [&](size_t index) { return count_acks(sockets, index); });
        while (loop.answers() < entries && !sockets.failed()) loop.run(0.1, context.progress, 0, 1);
        loop.drain();
        if (sockets.failed()) return Error{sockets.failure()};
        context.progress.begin("cluster, catching up, round " + std::to_string(round + 1));
        const uint64_t begun_ns = now_ns();
        if (Result<void> started = nodes.second().start_again(); !started) return started.error();
        const double seconds = static_cast<double>(now_ns() - begun_ns) / 1e9;
        const auto level_us = cpu_us(nodes.second());
        const auto memory = Process(*nodes.second().process()).private_bytes();
        if (!start_us || !level_us) return Error{"the second node has ended"};
        const auto count = static_cast<double>(loop.answers());
        measurement.rounds.push_back({{"entries", count},
                                      {"seconds", seconds},
                                      {"receiver_cpu_per_entry_us", (*level_us - *start_us) / count},
                                      {"entries_per_second_of_receiver_cpu", count / (*level_us - *start_us) * 1e6},
                                      {"receiver_memory_mib", static_cast<double>(memory.value_or(0)) / (1 << 20)}});
    }
    return measurement;
}

}  // namespace

Result<std::vector<Measurement>> measure_cluster(Context& context) {
    context.progress.begin("cluster, starting");
    const Result<std::unique_ptr<ClusterNodes>> nodes = ClusterNodes::start(context.options);
    if (!nodes) return nodes.error();
    std::vector<Measurement> measurements;
    const auto take = [&](Result<Measurement> measurement) -> Result<void> {
        if (!measurement) return measurement.error();
        measurements.push_back(std::move(measurement).value());
        return {};
    };
    Measurement idle{"cluster_idle", {}, {}};
    const auto look_at_idle = [&]() -> Result<void> {
        Result<Figures> figures = measure_idle_cpu(context, **nodes);
        if (!figures) return figures.error();
        idle.rounds.push_back(std::move(figures).value());
        return {};
    };
    if (Result<void> looked = look_at_idle(); !looked) return looked.error();
    if (Result<void> done = take(measure_delivery(context, **nodes)); !done) return done.error();
    {
        Writers alone(context, context.node), clustered(context, (*nodes)->first());
        for (Writers* writers : {&alone, &clustered}) {
            if (Result<void> opened = writers->open(context.options.connections); !opened) return opened.error();
        }
        if (Result<void> done = take(measure_acks(context, **nodes, alone, clustered)); !done) return done.error();
        for (const uint64_t in_flight : context.options.in_flight) {
            if (Result<void> done = take(measure_replicated_ops(context, **nodes, alone, clustered, in_flight)); !done)
                return done.error();
        }
    }
    if (Result<void> done = take(measure_catch_up(context, **nodes)); !done) return done.error();
    const Figures with_few_keys = idle.rounds.front();
    idle.rounds.clear();
    if (Result<void> looked = look_at_idle(); !looked) return looked.error();
    idle.rounds.front().insert(idle.rounds.front().begin(),
                               {"cpu_per_second_with_few_keys_us", with_few_keys.front().second});
    measurements.push_back(std::move(idle));
    return measurements;
}

}  // namespace meridian::load
