// GET of a small key on connections that are kept, one request after another on each.
#include <algorithm>
#include <charconv>

#include "bench/workload.h"

namespace meridian::load {
namespace {

// Size of the answer that `input` begins with; 0 if it is not complete.
size_t answer_size(Sockets& sockets, std::string_view input) {
    const size_t end = input.find("\r\n\r\n");
    if (end == std::string_view::npos) return 0;
    const std::string_view head = input.substr(0, end);
    if (head.substr(0, 13) != "HTTP/1.1 200 ") {
        sockets.fail("the node answered " + std::string(head.substr(0, head.find('\r'))) +
                     (head.substr(9, 3) == "429" ? ": the token's limit of requests is in the way" : ""));
        return 0;
    }
    constexpr std::string_view name = "content-length: ";
    const size_t at = head.find(name);
    size_t length = 0;
    if (at == std::string_view::npos ||
        std::from_chars(head.data() + at + name.size(), head.data() + head.size(), length).ec != std::errc()) {
        sockets.fail("the node answered without content-length");
        return 0;
    }
    const size_t size = end + 4 + length;
    return size <= input.size() ? size : 0;
}

}  // namespace

Result<std::vector<Measurement>> measure_rest_read(Context& context) {
    const size_t connections = context.options.connections;
    const std::string room = context.node.namespace_for("bench-rest");
    const std::string key = fresh_key("gc:");
    Sockets writer;
    Result<void> opened = open_websockets(
        context, writer, 1, [&](size_t) { return room; }, key);
    if (!opened) return opened.error();
    writer.send(0, op_frame(key, count_op(context.node.client_id_for(1))));
    bool written = false;
    const auto on_input = [&](size_t index) {
        writer.read_frames(index, [&](server::Opcode, std::string_view payload, uint64_t) {
            if (classify(writer, payload) == Answer::ack) written = true;
        });
    };
    if (!wait_until(writer, "a write", answer_timeout_s, on_input, [&] { return written; }))
        return Error{writer.failure()};

    Sockets sockets;
    opened = sockets.open(context.node.address(), connections, nullptr, [](size_t) {});
    if (!opened) return opened.error();
    std::vector<std::string> requests;
    for (size_t i = 0; i < connections; ++i) requests.push_back(context.node.get_request(room, i + 1, "/crdts/" + key));
    size_t answer_bytes = 66;
    ClosedLoop loop(
        sockets, connections, 1, [&](size_t index, std::string& out) { out += requests[index]; },
        [&](size_t index) {
            size_t answers = 0;
            sockets.read_stream(index, [&](std::string_view input) {
                const size_t size = answer_size(sockets, input);
                if (size > 0) {
                    ++answers;
                    answer_bytes = size;
                }
                return size;
            });
            return answers;
        });
    Measurement measurement{"rest-read", {{"connections", connections}}, {}};
    loop.run(warm_up_s, context.progress, 0, 0);  // to see how large an answer is
    loop.drain();
    for (uint64_t round = 0; round < context.options.rounds; ++round) {
        context.progress.begin("rest-read, round " + std::to_string(round + 1));
        Result<Figures> figures = measure_round(context, sockets, loop, context.node.process(), answer_bytes, "read");
        if (!figures) return figures.error();
        measurement.rounds.push_back(std::move(figures).value());
    }
    return std::vector<Measurement>{std::move(measurement)};
}

}  // namespace meridian::load
