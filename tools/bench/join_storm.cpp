// Many clients subscribe at once to a key with a large state, while other rooms have traffic. What that traffic suffers
// is measured on a thread of its own, so that a generator that is busy with states does not add to it. The clients that
// subscribe stand for machines of their own: they read when neither the node nor that thread wants the processor.
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <thread>

#include "bench/workload.h"
#include "loop/system_environment.h"
#include "loop/time_slices.h"
#include "wire/client_message.h"
#include "wire/op_codec.h"

namespace meridian::load {
namespace {

constexpr size_t probe_rooms = 8;  // so that every loop of the node has some
constexpr uint64_t probe_interval_ns = 1'000'000;
constexpr size_t elements_per_batch = 1000;
constexpr size_t element_bytes = 44;
constexpr size_t element_wire_bytes = element_bytes + 24;  // with quotes, tag and headers

// Ops at fixed times, in turn on a connection of each room; the time from when an op was due to its ack.
class Probe {
public:
    Probe(const Context& context, Sockets& sockets) : sockets_(sockets), due_(probe_rooms) {
        for (size_t i = 0; i < probe_rooms; ++i)
            frames_.push_back(op_frame(fresh_key("gc:"), count_op(context.node.client_id_for(i + 1))));
    }
    // Runs until `stop`, and then until all is acked.
    void run(const std::atomic<bool>& stop) {
        latency_ = {};
        const auto on_input = [this](size_t index) {
            for (size_t acks = count_acks(sockets_, index); acks > 0; --acks) {
                latency_.record(now_ns() - due_[index].front());
                due_[index].erase(due_[index].begin());
                --waiting_;
            }
        };
        uint64_t next_ns = now_ns();
        for (size_t turn = 0; !stop && !sockets_.failed(); ++turn, next_ns += probe_interval_ns) {
            for (uint64_t now = now_ns(); now < next_ns; now = now_ns())
                sockets_.wait(static_cast<int>((next_ns - now + 999'999) / 1'000'000), on_input);
            due_[turn % probe_rooms].push_back(next_ns);
            ++waiting_;
            sockets_.send(turn % probe_rooms, frames_[turn % probe_rooms]);
        }
        wait_until(sockets_, "acks", answer_timeout_s, on_input, [this] { return waiting_ == 0; });
    }
    const Histogram& latency() const { return latency_; }

private:
    Sockets& sockets_;
    std::vector<std::string> frames_;
    std::vector<std::vector<uint64_t>> due_;  // of the ops that are not acked, for each room
    size_t waiting_ = 0;
    Histogram latency_;
};

std::string batch_frame(const std::string& key, size_t first, size_t count) {
    server::SystemRandom random;
    wire::BatchOp batch;
    for (size_t i = first; i < first + count; ++i) {
        std::string element = "element " + std::to_string(i) + " ";
        element.resize(element_bytes, '.');
        crdt::OrSetAdd add;
        add.element = JsonValue::string(element);
        random.fill(add.tag.data(), add.tag.size());
        batch.ops.push_back({key, wire::encode_op(crdt::OrSetOp(add)), {}, {}});
    }
    std::string frame;
    server::append_masked_message(frame, server::Opcode::binary, wire::encode_client_message(batch), {1, 2, 3, 4});
    return frame;
}

Result<void> fill(Context& context, const std::string& room, const std::string& key) {
    Sockets sockets;
    Result<void> opened = open_websockets(context, sockets, 1, [&](size_t) { return room; }, {});
    if (!opened) return opened;
    const size_t elements = context.options.state_bytes / element_wire_bytes + 1;
    for (size_t first = 0; first < elements; first += elements_per_batch) {
        sockets.send(0, batch_frame(key, first, std::min(elements - first, elements_per_batch)));
        bool done = false;
        const auto on_input = [&](size_t index) {
            sockets.read_frames(index, [&](server::Opcode, std::string_view payload, uint64_t) {
                if (classify(sockets, payload) == Answer::batch_ack) done = true;
            });
        };
        if (!wait_until(sockets, "a batch", answer_timeout_s, on_input, [&] { return done; }))
            return Error{sockets.failure()};
    }
    return {};
}

// How many states the node has made ready for clients, by its metrics; absent if it does not say.
std::optional<uint64_t> states_made(const Context& context) {
    const Result<std::string> page = context.node.fetch("GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n");
    constexpr std::string_view name = "\nmeridian_states_built_total ";
    const size_t at = page ? page->find(name) : std::string::npos;
    uint64_t value = 0;
    if (at == std::string::npos) return std::nullopt;
    std::from_chars(page->data() + at + name.size(), page->data() + page->size(), value);
    return value;
}

struct Storm {
    double seconds = 0;
    double state_bytes = 0;
    double server_cpu_ns = 0;
};

// All subscribe at once; ends when all have the state.
Result<Storm> storm(Context& context, Sockets& sockets, const std::string& key) {
    const size_t joins = sockets.size();
    const std::optional<pid_t> id = context.node.process();
    const auto cpu_ns = [&] { return id ? Process(*id).cpu_ns().value_or(0) : 0; };
    size_t joined = 0;
    const auto on_input = [&](size_t index) {
        sockets.read_frames(index, [&](server::Opcode, std::string_view payload, uint64_t) {
            if (classify(sockets, payload) == Answer::ack) ++joined;
        });
        context.progress.update(static_cast<double>(joined) / static_cast<double>(joins));
    };
    const std::string frame = subscribe_frame(key);
    const uint64_t start = now_ns();
    const uint64_t cpu_start = cpu_ns();
    const uint64_t bytes_start = sockets.received_bytes();
    for (size_t i = 0; i < joins; ++i) sockets.send(i, frame);
    if (!wait_until(sockets, "states", answer_timeout_s, on_input, [&] { return joined == joins; }))
        return Error{sockets.failure()};
    Storm result;
    result.seconds = static_cast<double>(now_ns() - start) / 1e9;
    result.server_cpu_ns = static_cast<double>(cpu_ns() - cpu_start);
    result.state_bytes = static_cast<double>(sockets.received_bytes() - bytes_start) / static_cast<double>(joins);
    return result;
}

// Of this thread, for good: it runs while nobody else has anything to do.
void yield_to_all() {
    const sched_param parameters{};
    ::sched_setscheduler(0, SCHED_IDLE, &parameters);
}

// The probe beside what `work` does, each on its own thread.
template <class Work>
void probe_during(Probe& probe, Work work) {
    std::atomic<bool> stop{false};
    std::thread probing([&] {
        server::prefer_short_time_slices();
        probe.run(stop);
    });
    std::thread working([&] {
        yield_to_all();
        work();
    });
    working.join();
    stop = true;
    probing.join();
}

Result<Figures> measure_once(Context& context, Probe& probe, Sockets& probe_sockets, const std::string& room,
                             const std::string& key) {
    Sockets joiners;
    Result<void> opened = open_websockets(context, joiners, context.options.joins, [&](size_t) { return room; }, {});
    if (!opened) return opened.error();
    context.progress.begin("join-storm, without");
    const uint64_t calm_end_ns = now_ns() + context.options.seconds * 1'000'000'000;
    probe_during(probe, [&] {
        while (now_ns() < calm_end_ns && !is_interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    });
    const Histogram calm = probe.latency();
    const Result<Window> loopback = Window::begin(context.node.process(), element_bytes);
    if (!loopback) return loopback.error();
    context.progress.begin("join-storm");
    const auto states_before = states_made(context);
    Result<Storm> result = Error{"not run"};
    probe_during(probe, [&] { result = storm(context, joiners, key); });
    if (!result) return result.error();
    if (probe_sockets.failed()) return Error{"another room: " + probe_sockets.failure()};
    const auto joins = static_cast<double>(context.options.joins);
    Figures figures = {{"joins_per_second", joins / result->seconds},
                       {"state_bytes", result->state_bytes},
                       {"storm_seconds", result->seconds}};
    if (context.node.process()) figures.emplace_back("server_cpu_per_join_us", result->server_cpu_ns / 1e3 / joins);
    const auto states_after = states_made(context);
    if (states_before && states_after)
        figures.emplace_back("states_built", static_cast<double>(*states_after - *states_before));
    add_latency(figures, "other_rooms_calm", calm);
    add_latency(figures, "other_rooms_storm", probe.latency());
    figures.emplace_back("p99_storm_by_calm", static_cast<double>(probe.latency().quantile_ns(0.99)) /
                                                  static_cast<double>(std::max<uint64_t>(calm.quantile_ns(0.99), 1)));
    return figures;
}

}  // namespace

Result<std::vector<Measurement>> measure_join_storm(Context& context) {
    const std::string room = context.node.namespace_for("bench-storm");
    const std::string key = fresh_key("or:");
    context.progress.begin("join-storm, filling the key");
    if (Result<void> filled = fill(context, room, key); !filled) return filled.error();
    Sockets probe_sockets;
    Result<void> opened =
        open_websockets(context, probe_sockets, probe_rooms,
                        [&](size_t index) { return own_namespace(context, "bench-probe", index); }, {});
    if (!opened) return opened.error();
    Probe probe(context, probe_sockets);
    Measurement measurement{
        "join-storm", {{"joins", context.options.joins}, {"wanted_state_bytes", context.options.state_bytes}}, {}};
    for (uint64_t round = 0; round < context.options.rounds; ++round) {
        Result<Figures> figures = measure_once(context, probe, probe_sockets, room, key);
        if (!figures) return figures.error();
        measurement.rounds.push_back(std::move(figures).value());
    }
    return std::vector<Measurement>{std::move(measurement)};
}

}  // namespace meridian::load
