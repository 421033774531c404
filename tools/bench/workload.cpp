#include "bench/workload.h"

#include <unistd.h>

#include <algorithm>

#include "wire/client_message.h"
#include "wire/op_codec.h"

namespace meridian::load {
namespace {
constexpr std::array<uint8_t, 4> message_mask = {0x9c, 0x41, 0xe8, 0x57};

std::string frame_of(const wire::ClientMessage& message) {
    std::string frame;
    server::append_masked_message(frame, server::Opcode::binary, wire::encode_client_message(message), message_mask);
    return frame;
}

}  // namespace

std::string fresh_key(const std::string& prefix) {
    return prefix + "bench-" + std::to_string(::getpid()) + "-" + std::to_string(now_ns());
}

std::string subscribe_frame(const std::string& key) {
    return frame_of(wire::Subscribe{key});
}

std::string op_frame(const std::string& key, const std::string& op_bytes) {
    wire::OpMessage message;
    message.crdt_id = key;
    message.op_bytes = op_bytes;
    return frame_of(message);
}

std::string count_op(uint64_t client_id) {
    return wire::encode_op(crdt::GCounterOp{client_id, 1});
}

Answer classify(Sockets& sockets, std::string_view payload) {
    // A map with one member, whose name is a short string: {"Ack": ...}, {"Delta": ...}, {"Error": ...}.
    if (payload.empty()) return Answer::delta;  // only a delta is that large
    const std::string_view name = payload.substr(1, 3);
    if (name ==
        "\xa3"
        "Ac")
        return Answer::ack;
    if (name ==
        "\xa5"
        "De")
        return Answer::delta;
    if (name ==
        "\xa8"
        "Ba")
        return Answer::batch_ack;
    if (name ==
        "\xa5"
        "Er") {
        const Result<wire::ServerMessage> message = wire::decode_server_message(payload);
        const auto* error = message ? std::get_if<wire::ErrorMessage>(&*message) : nullptr;
        sockets.fail("the node says " + (error == nullptr ? "something unintelligible"
                                                          : std::to_string(error->code) + ": " + error->message));
    }
    return Answer::other;
}

size_t count_acks(Sockets& sockets, size_t index) {
    size_t acks = 0;
    sockets.read_frames(index, [&](server::Opcode, std::string_view payload, uint64_t) {
        if (classify(sockets, payload) == Answer::ack) ++acks;
    });
    return acks;
}

std::string own_namespace(const Context& context, const std::string& name, size_t index) {
    return context.node.namespace_for(name + "-" + std::to_string(index));
}

Result<void> open_websockets(Context& context, Sockets& sockets, size_t count,
                             const std::function<std::string(size_t index)>& namespace_of, const std::string& key,
                             uint64_t first_client_id) {
    const size_t first = sockets.size();
    context.progress.begin("connecting");
    Result<void> opened = sockets.open(
        context.node.address(), count,
        [&](size_t index) { return context.node.upgrade(namespace_of(index), first_client_id + index); },
        [&](size_t open) { context.progress.update(static_cast<double>(open) / static_cast<double>(count)); });
    if (!opened || key.empty()) return opened;
    const std::string frame = subscribe_frame(key);
    for (size_t i = 0; i < count; ++i) sockets.send(first + i, frame);
    size_t subscribed = 0;
    const auto on_input = [&](size_t index) {
        sockets.read_frames(index, [&](server::Opcode, std::string_view payload, uint64_t) {
            if (classify(sockets, payload) == Answer::ack) ++subscribed;
        });
    };
    if (!wait_until(sockets, "subscriptions", answer_timeout_s, on_input, [&] { return subscribed == count; }))
        return Error{sockets.failure()};
    return {};
}

Window::Window(std::optional<pid_t> process, size_t message_bytes, double loopback_ns)
    : message_bytes_(message_bytes), loopback_ns_(loopback_ns) {
    if (process) process_.emplace(*process);
    if (process_) server_cpu_ns_ = process_->cpu_ns().value_or(0);
    if (process_) thread_cpu_ns_ = process_->thread_cpu_ns();
    own_cpu_ns_ = own_cpu_ns();
    start_ns_ = now_ns();
}

Result<Window> Window::begin(std::optional<pid_t> process, size_t message_bytes) {
    const Result<double> loopback_ns = loopback_pair_ns(message_bytes);
    if (!loopback_ns) return loopback_ns.error();
    return Window(process, message_bytes, *loopback_ns);
}

Result<void> Window::end(uint64_t count, const std::string& thing, Figures& figures) {
    const double elapsed_s = seconds();
    const auto things = static_cast<double>(std::max<uint64_t>(count, 1));
    const double own_us = static_cast<double>(own_cpu_ns() - own_cpu_ns_) / 1e3;
    std::optional<uint64_t> server_cpu_ns;
    if (process_ && !(server_cpu_ns = process_->cpu_ns())) return Error{"the server has ended"};
    uint64_t busiest_thread_ns = 0;
    if (process_) {
        for (const auto& [thread, cpu_ns] : process_->thread_cpu_ns())
            busiest_thread_ns = std::max(busiest_thread_ns, cpu_ns - thread_cpu_ns_[thread]);
    }
    const Result<double> loopback_ns = loopback_pair_ns(message_bytes_);
    if (!loopback_ns) return loopback_ns.error();
    const double loopback_us = (*loopback_ns + loopback_ns_) / 2e3;
    figures.emplace_back(thing + "s_per_second", static_cast<double>(count) / elapsed_s);
    if (server_cpu_ns) {
        const double cost_us = static_cast<double>(*server_cpu_ns - server_cpu_ns_) / 1e3 / things;
        figures.emplace_back("server_cpu_per_" + thing + "_us", cost_us);
        figures.emplace_back("server_cpu_per_" + thing + "_loopbacks", cost_us / loopback_us);
        figures.emplace_back("server_busiest_thread_per_" + thing + "_us",
                             static_cast<double>(busiest_thread_ns) / 1e3 / things);
    }
    figures.emplace_back("generator_cpu_per_" + thing + "_us", own_us / things);
    figures.emplace_back("loopback_us", loopback_us);
    return {};
}

ClosedLoop::ClosedLoop(Sockets& sockets, size_t connections, size_t in_flight,
                       std::function<void(size_t, std::string&)> append, std::function<size_t(size_t)> read)
    : sockets_(sockets),
      connections_(connections),
      in_flight_(in_flight),
      append_(std::move(append)),
      read_(std::move(read)),
      sent_ns_(connections * in_flight),
      sent_(connections),
      answered_(connections) {}

void ClosedLoop::request(size_t index, size_t count) {
    out_.clear();
    const uint64_t now = now_ns();
    for (size_t i = 0; i < count; ++i) {
        append_(index, out_);
        sent_ns_[index * in_flight_ + sent_[index]++ % in_flight_] = now;
    }
    requests_ += count;
    sockets_.send(index, out_);
}

void ClosedLoop::on_input(size_t index, bool ask_again) {
    const size_t count = read_(index);
    if (count == 0) return;
    if (answered_[index] + count > sent_[index]) return sockets_.fail("the server answered more than it was asked");
    const uint64_t now = now_ns();
    for (size_t i = 0; i < count; ++i)
        latency_.record(now - sent_ns_[index * in_flight_ + answered_[index]++ % in_flight_]);
    answers_ += count;
    if (ask_again) request(index, count);
}

void ClosedLoop::run(double seconds, Progress& progress, double progress_from, double progress_to) {
    for (size_t index = 0; index < connections_; ++index)
        request(index, in_flight_ - static_cast<size_t>(sent_[index] - answered_[index]));
    const uint64_t start = now_ns();
    const auto length = static_cast<uint64_t>(seconds * 1e9);
    for (uint64_t elapsed = 0; elapsed < length && !sockets_.failed(); elapsed = now_ns() - start) {
        if (is_interrupted()) sockets_.fail("interrupted");
        progress.update(progress_from +
                        (progress_to - progress_from) * static_cast<double>(elapsed) / static_cast<double>(length));
        sockets_.wait(100, [this](size_t index) { on_input(index, true); });
    }
}

void ClosedLoop::drain() {
    wait_until(
        sockets_, "answers", answer_timeout_s, [this](size_t index) { on_input(index, false); },
        [this] { return answers_ == requests_; });
}

Result<Figures> measure_round(Context& context, Sockets& sockets, ClosedLoop& loop, std::optional<pid_t> process,
                              size_t message_bytes, const std::string& thing) {
    const auto seconds = static_cast<double>(context.options.seconds);
    const double warm_part = warm_up_s / (warm_up_s + seconds);
    loop.run(warm_up_s, context.progress, 0, warm_part);
    loop.drain();
    Result<Window> window = Window::begin(process, message_bytes);
    if (!window) return window.error();
    const uint64_t before = loop.answers();
    loop.latency() = {};
    loop.run(seconds, context.progress, warm_part, 1);
    Figures figures;
    const uint64_t answered = loop.answers() - before;
    if (Result<void> ended = window->end(answered, thing, figures); !ended) return ended.error();
    add_latency(figures, thing, loop.latency());
    loop.drain();
    if (sockets.failed()) return Error{sockets.failure()};
    return figures;
}

}  // namespace meridian::load
