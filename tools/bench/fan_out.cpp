// One writer and many subscribers of one room. An op is in flight until every subscriber has its delta, so that as many
// deltas as there are ops in flight can reach a subscriber in one write, and no more.
#include <algorithm>

#include "bench/workload.h"
#include "wire/client_delta_codec.h"
#include "wire/client_message.h"

namespace meridian::load {
namespace {

constexpr size_t sampled_max = 64;  // subscribers whose deltas are timed and read
constexpr size_t ring_size = 2048;  // a power of two above the most ops in flight

class FanOut {
public:
    FanOut(Context& context, Sockets& sockets, size_t members, std::string key, uint64_t client_id)
        : context_(context),
          sockets_(sockets),
          writer_(members - 1),
          key_(std::move(key)),
          client_id_(client_id),
          frame_(op_frame(key_, count_op(client_id))),
          sample_every_(std::max<size_t>(members / sampled_max, 1)),
          seen_(members),
          sent_ns_(ring_size),
          missing_(ring_size) {}

    Result<Figures> measure(size_t in_flight) {
        const auto seconds = static_cast<double>(context_.options.seconds);
        const double warm_part = warm_up_s / (warm_up_s + seconds);
        run(in_flight, warm_up_s, 0, warm_part);
        Result<Window> window = Window::begin(context_.node.process(), frame_bytes_);
        if (!window) return window.error();
        const uint64_t before = delivered_;
        latency_ = {};
        run(in_flight, seconds, warm_part, 1);
        if (sockets_.failed()) return Error{sockets_.failure()};
        Figures figures;
        if (Result<void> ended = window->end(delivered_ - before, "delivery", figures); !ended) return ended.error();
        figures.front().first = "deliveries_per_second";
        add_latency(figures, "delivery", latency_);
        return figures;
    }

private:
    // Keeps ops in flight for that time, and waits for the last deltas.
    void run(size_t in_flight, double seconds, double progress_from, double progress_to) {
        const uint64_t start = now_ns();
        const auto length = static_cast<uint64_t>(seconds * 1e9);
        for (uint64_t elapsed = 0; elapsed < length && !sockets_.failed(); elapsed = now_ns() - start) {
            if (is_interrupted()) sockets_.fail("interrupted");
            context_.progress.update(progress_from + (progress_to - progress_from) * static_cast<double>(elapsed) /
                                                         static_cast<double>(length));
            write(in_flight - static_cast<size_t>(sent_ - completed_));
            sockets_.wait(100, [this](size_t index) { read(index); });
        }
        wait_until(
            sockets_, "deltas", answer_timeout_s, [this](size_t index) { read(index); },
            [this] { return completed_ == sent_; });
    }

    void write(size_t count) {
        if (count == 0) return;
        const uint64_t now = now_ns();
        std::string frames;
        for (size_t i = 0; i < count; ++i, ++sent_) {
            frames += frame_;
            sent_ns_[sent_ % ring_size] = now;
            missing_[sent_ % ring_size] = seen_.size();
        }
        sockets_.send(writer_, frames);
    }

    void read(size_t index) {
        sockets_.read_frames(index, [this, index](server::Opcode, std::string_view payload, uint64_t) {
            if (classify(sockets_, payload) != Answer::delta) return;
            const uint64_t op = seen_[index]++;
            if (op >= sent_) return sockets_.fail("more deltas than ops: the namespace must be quiet");
            if (index % sample_every_ == 0) {
                latency_.record(now_ns() - sent_ns_[op % ring_size]);
                check(payload, op + 1);
            }
            ++delivered_;
            if (--missing_[op % ring_size] == 0) ++completed_;
        });
    }

    // The counter's total says which op a delta is of.
    void check(std::string_view payload, uint64_t expected) {
        frame_bytes_ = payload.size() + 2;
        const auto message = wire::decode_server_message(payload);
        const auto* delta = message ? std::get_if<wire::DeltaMessage>(&*message) : nullptr;
        if (delta == nullptr || delta->crdt_id != key_)
            return sockets_.fail("a delta of another key arrived: the namespace must be quiet");
        const auto decoded = wire::decode_client_delta(crdt::Type::gcounter, delta->delta_bytes);
        uint64_t total = 0;
        if (decoded) {
            for (const auto& counter : std::get<crdt::GCounterClientDelta>(*decoded).counters) total += counter.second;
        }
        if (total != expected) {
            sockets_.fail("a subscriber was told of total " + std::to_string(total) + " where " +
                          std::to_string(expected) + " was next: a delta was lost or repeated");
        }
    }

    Context& context_;
    Sockets& sockets_;
    size_t writer_;
    std::string key_;
    uint64_t client_id_;
    std::string frame_;
    size_t sample_every_;
    std::vector<uint64_t> seen_;     // deltas of each member
    std::vector<uint64_t> sent_ns_;  // of the ops in flight, a ring
    std::vector<size_t> missing_;    // members that do not have the op's delta yet, a ring
    uint64_t sent_ = 0;
    uint64_t completed_ = 0;
    uint64_t delivered_ = 0;
    size_t frame_bytes_ = 66;  // what a delta takes on the wire, once one was seen
    Histogram latency_;
};

}  // namespace

Result<std::vector<Measurement>> measure_fan_out(Context& context) {
    const size_t subscribers = context.options.subscribers;
    const std::string room = context.node.namespace_for("bench-fan-out");
    const std::string key = fresh_key("gc:");
    Sockets sockets;
    const size_t members = subscribers + 1;  // the writer is told as well
    Result<void> opened = open_websockets(
        context, sockets, members, [&](size_t) { return room; }, key);
    if (!opened) return opened.error();
    FanOut fan_out(context, sockets, members, key, context.node.client_id_for(members));
    std::vector<Measurement> measurements;
    for (const uint64_t in_flight : context.options.in_flight) {
        Measurement measurement{"fan-out", {{"subscribers", subscribers}, {"in_flight", in_flight}}, {}};
        for (uint64_t round = 0; round < context.options.rounds; ++round) {
            context.progress.begin("fan-out, " + std::to_string(in_flight) + " in flight, round " +
                                   std::to_string(round + 1));
            Result<Figures> figures = fan_out.measure(in_flight);
            if (!figures) return figures.error();
            measurement.rounds.push_back(std::move(figures).value());
        }
        measurements.push_back(std::move(measurement));
    }
    return measurements;
}

}  // namespace meridian::load
