// Memory of WebSockets that have subscribed to a key and do nothing more. One round: what earlier connections left to
// be used again would be taken for the later ones' thrift.
#include <algorithm>

#include "bench/workload.h"

namespace meridian::load {
namespace {
// Opened before the first look, so that what the server allocates once is not counted.
constexpr size_t warm_up_max = 1000;
constexpr double settle_s = 1.5;  // more than a second after which the server starts to send to a silent client

void wait_idle(Sockets& sockets, double seconds) {
    const uint64_t end = now_ns() + static_cast<uint64_t>(seconds * 1e9);
    while (now_ns() < end && !sockets.failed()) {
        if (is_interrupted()) sockets.fail("interrupted");
        sockets.wait(
            100, [&](size_t index) { sockets.read_frames(index, [](server::Opcode, std::string_view, uint64_t) {}); });
    }
}

}  // namespace

Result<std::vector<Measurement>> measure_idle(Context& context) {
    if (!context.node.process()) return Error{"idle needs the server's process: --server-pid"};
    const Process process(*context.node.process());
    const size_t count = context.options.idle;
    const std::string room = context.node.namespace_for("bench-idle");
    const std::string key = fresh_key("gc:");
    Sockets sockets;
    const auto open = [&](size_t more) {
        Result<void> opened = open_websockets(
            context, sockets, more, [&](size_t) { return room; }, key);
        if (!opened) return opened;
        context.progress.begin("idle");
        wait_idle(sockets, settle_s);
        return sockets.failed() ? Result<void>(Error{sockets.failure()}) : opened;
    };
    if (Result<void> opened = open(std::min(count, warm_up_max)); !opened) return opened.error();
    const auto before = process.private_bytes();
    if (Result<void> opened = open(count); !opened) return opened.error();
    const auto after = process.private_bytes();
    if (!before || !after) return Error{"the memory of the server's process cannot be read: run as its user"};
    const double grown = static_cast<double>(*after) - static_cast<double>(*before);
    Measurement measurement{"idle", {{"connections", count}}, {}};
    measurement.rounds.push_back({{"server_memory_per_connection_bytes", grown / static_cast<double>(count)},
                                  {"server_memory_bytes", static_cast<double>(*after)}});
    return std::vector<Measurement>{std::move(measurement)};
}

}  // namespace meridian::load
