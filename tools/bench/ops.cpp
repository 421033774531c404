// Durable ops from connections with a namespace each, in turns with bare servers: one that answers with an Ack only,
// and one that also sends as many bytes as the delta that the protocol echoes.
#include <array>

#include "bench/bare_server.h"
#include "bench/workload.h"
#include "client/arguments.h"
#include "wire/client_delta_codec.h"
#include "wire/client_message.h"

namespace meridian::load {
namespace {

constexpr size_t op_message_bytes =
    66;  // about what an op or its delta takes; the loopback's cost hardly depends on it

double rate_of(const Figures& figures) {
    return figures.front().second;
}

std::string frame_of(const wire::ServerMessage& message) {
    std::string frame;
    server::append_message(frame, server::Opcode::binary, wire::encode_server_message(message));
    return frame;
}

struct Bare {
    std::string name;  // of its figures
    std::unique_ptr<BareServer> server;
    Sockets sockets;
};

Result<void> open_bare(Bare& bare, size_t connections, const std::string& answer) {
    Result<std::unique_ptr<BareServer>> server = BareServer::start(client::environment("TMPDIR", "/tmp"), answer);
    if (!server) return server.error();
    bare.server = std::move(server).value();
    return bare.sockets.open(
        bare.server->address(), connections, [](size_t) { return std::string("GET / HTTP/1.1\r\n\r\n"); },
        [](size_t) {});
}

}  // namespace

Result<std::vector<Measurement>> measure_ops(Context& context) {
    const size_t connections = context.options.connections;
    const std::string key = fresh_key("gc:");
    const wire::Ack ack{100'000, {}};
    const crdt::GCounterClientDelta delta{{{context.node.client_id_for(1), ack.seq}}};
    std::array<Bare, 2> bare_servers;
    bare_servers[0].name = "bare_server";
    bare_servers[1].name = "echoing_bare_server";
    Result<void> opened = open_bare(bare_servers[0], connections, frame_of(ack));
    if (opened) {
        const std::string echo =
            frame_of(wire::DeltaMessage{key, wire::encode_client_delta(delta, wire::KeyForm::integer_keys)});
        opened = open_bare(bare_servers[1], connections, echo + frame_of(ack));
    }
    if (!opened) return opened.error();
    Sockets node_sockets;
    opened = open_websockets(context, node_sockets, connections,
                             [&](size_t index) { return own_namespace(context, "bench-ops", index); }, {});
    if (!opened) return opened.error();
    std::vector<std::string> frames;
    for (size_t i = 0; i < connections; ++i)
        frames.push_back(op_frame(fresh_key("gc:"), count_op(context.node.client_id_for(i + 1))));
    const auto append = [&](size_t index, std::string& out) { out += frames[index]; };
    std::vector<Measurement> measurements;
    for (const uint64_t in_flight : context.options.in_flight) {
        std::vector<ClosedLoop> bare_loops;
        for (Bare& bare : bare_servers) {
            bare_loops.emplace_back(bare.sockets, connections, in_flight, append,
                                    [&bare](size_t index) { return count_acks(bare.sockets, index); });
        }
        ClosedLoop node_loop(node_sockets, connections, in_flight, append,
                             [&](size_t index) { return count_acks(node_sockets, index); });
        Measurement measurement{"ops", {{"connections", connections}, {"in_flight", in_flight}}, {}};
        for (uint64_t round = 0; round < context.options.rounds; ++round) {
            const std::string what =
                "ops, " + std::to_string(in_flight) + " in flight, round " + std::to_string(round + 1);
            Figures comparison;
            std::vector<double> rates;
            for (size_t i = 0; i < bare_servers.size(); ++i) {
                Bare& bare = bare_servers[i];
                context.progress.begin(what + ", " + bare.name);
                const Result<Figures> least =
                    measure_round(context, bare.sockets, bare_loops[i], bare.server->process(), op_message_bytes, "op");
                if (!least) return Error{bare.name + ": " + least.error().message};
                rates.push_back(rate_of(*least));
                for (const auto& [name, value] : *least) {
                    if (name == "ops_per_second") comparison.emplace_back(bare.name + "_ops_per_second", value);
                    if (name == "server_cpu_per_op_us") comparison.emplace_back(bare.name + "_cpu_per_op_us", value);
                }
            }
            context.progress.begin(what);
            Result<Figures> figures =
                measure_round(context, node_sockets, node_loop, context.node.process(), op_message_bytes, "op");
            if (!figures) return figures.error();
            figures->insert(figures->end(), comparison.begin(), comparison.end());
            for (size_t i = 0; i < rates.size(); ++i)
                figures->emplace_back("part_of_" + bare_servers[i].name, rate_of(*figures) / rates[i]);
            measurement.rounds.push_back(std::move(figures).value());
        }
        measurements.push_back(std::move(measurement));
    }
    return measurements;
}

}  // namespace meridian::load
