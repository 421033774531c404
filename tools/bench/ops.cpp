// Durable ops from connections with a namespace each, in turns with the bare server.
#include "bench/bare_server.h"
#include "bench/workload.h"
#include "client/arguments.h"

namespace meridian::load {
namespace {

constexpr size_t op_message_bytes =
    66;  // about what an op or its delta takes; the loopback's cost hardly depends on it

double rate_of(const Figures& figures) {
    return figures.front().second;
}

}  // namespace

Result<std::vector<Measurement>> measure_ops(Context& context) {
    const size_t connections = context.options.connections;
    Result<std::unique_ptr<BareServer>> bare = BareServer::start(client::environment("TMPDIR", "/tmp"));
    if (!bare) return bare.error();
    Sockets node_sockets;
    Result<void> opened = open_websockets(context, node_sockets, connections,
                                          [&](size_t index) { return own_namespace(context, "bench-ops", index); }, {});
    if (!opened) return opened.error();
    Sockets bare_sockets;
    opened = bare_sockets.open((*bare)->address(), connections,
                               [](size_t) { return std::string("GET / HTTP/1.1\r\n\r\n"); }, [](size_t) {});
    if (!opened) return opened.error();

    std::vector<std::string> frames;
    for (size_t i = 0; i < connections; ++i)
        frames.push_back(op_frame(fresh_key("gc:"), count_op(context.node.client_id_for(i + 1))));
    const auto append = [&](size_t index, std::string& out) { out += frames[index]; };
    std::vector<Measurement> measurements;
    for (const uint64_t in_flight : context.options.in_flight) {
        ClosedLoop bare_loop(bare_sockets, connections, in_flight, append, [&](size_t index) {
            size_t answers = 0;
            bare_sockets.read_frames(index, [&](server::Opcode, std::string_view, uint64_t) { ++answers; });
            return answers;
        });
        ClosedLoop node_loop(node_sockets, connections, in_flight, append,
                             [&](size_t index) { return count_acks(node_sockets, index); });
        Measurement measurement{"ops", {{"connections", connections}, {"in_flight", in_flight}}, {}};
        for (uint64_t round = 0; round < context.options.rounds; ++round) {
            const std::string what =
                "ops, " + std::to_string(in_flight) + " in flight, round " + std::to_string(round + 1);
            context.progress.begin(what + ", bare server");
            const Result<Figures> least =
                measure_round(context, bare_sockets, bare_loop, (*bare)->process(), op_message_bytes, "op");
            if (!least) return Error{"bare server: " + least.error().message};
            context.progress.begin(what);
            Result<Figures> figures =
                measure_round(context, node_sockets, node_loop, context.node.process(), op_message_bytes, "op");
            if (!figures) return figures.error();
            figures->emplace_back("bare_server_ops_per_second", rate_of(*least));
            figures->emplace_back("part_of_bare_server", rate_of(*figures) / rate_of(*least));
            measurement.rounds.push_back(std::move(figures).value());
        }
        measurements.push_back(std::move(measurement));
    }
    return measurements;
}

}  // namespace meridian::load
