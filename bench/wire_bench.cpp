// Time to decode and encode what crosses the wire on every operation. Prints nanoseconds for each.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "wire/client_delta_codec.h"
#include "wire/client_message.h"
#include "wire/op_codec.h"

using namespace meridian;

namespace {

// Keeps a result alive without the cost of using it.
template <class T>
void keep(const T& value) {
    asm volatile("" : : "g"(&value) : "memory");
}

// The best of five rounds, for the machine may be busy.
template <class Work>
void measure(const char* name, size_t bytes, Work work) {
    constexpr int rounds = 5;
    constexpr auto round_ms_min = std::chrono::milliseconds(40);
    double best_ns = 1e18;
    for (int round = 0; round < rounds; ++round) {
        uint64_t count = 0;
        const auto start = std::chrono::steady_clock::now();
        auto elapsed = std::chrono::steady_clock::duration{};
        do {
            for (int i = 0; i < 100; ++i) work();
            count += 100;
            elapsed = std::chrono::steady_clock::now() - start;
        } while (elapsed < round_ms_min);
        const double ns = std::chrono::duration<double, std::nano>(elapsed).count() / static_cast<double>(count);
        best_ns = std::min(best_ns, ns);
    }
    std::printf("%-36s %6zu bytes %9.0f ns\n", name, bytes, best_ns);
}

void measure_op(const char* name, const crdt::Op& op) {
    const std::string bytes = wire::encode_op(op);
    measure((std::string("decode_op ") + name).c_str(), bytes.size(), [&] { keep(wire::decode_op(bytes)); });
    measure((std::string("encode_op ") + name).c_str(), bytes.size(), [&] { keep(wire::encode_op(op)); });
}

JsonValue object_of(size_t members) {
    std::string bytes;
    bytes += '\xde';
    bytes += static_cast<char>(members >> 8);
    bytes += static_cast<char>(members);
    for (size_t i = 0; i < members; ++i) {
        char name[16];
        std::snprintf(name, sizeof name, "\xa8key%05zu", i);
        bytes += name;
        bytes += "\xaasome value";
    }
    return *wire::decode_json_value(bytes);
}

}  // namespace

int main() {
    const crdt::Hlc stamp{1'700'000'000'000, 1, 42};
    const crdt::Hlc other{1'700'000'000'000, 0, 42};
    measure_op("GCounter", crdt::GCounterOp{42, 5});
    measure_op("ORSet Add", crdt::OrSetOp(crdt::OrSetAdd{JsonValue::string("apple"), crdt::Tag{{1}}, 42, 7}));
    measure_op("LwwRegister, small value", crdt::LwwRegisterOp{JsonValue::string("hello"), stamp, 42});
    measure_op("LwwRegister, 1000 members", crdt::LwwRegisterOp{object_of(1000), stamp, 42});
    measure_op("RGA Insert", crdt::RgaOp(crdt::RgaInsert{stamp, other, U'x', false}));
    measure_op("Tree MoveNode", crdt::TreeOp(crdt::TreeMoveNode{stamp, other, other, "a0", false, false}));

    const crdt::GCounterClientDelta delta{{{42, 5}}};
    measure("encode_client_delta GCounter", 0,
            [&] { keep(wire::encode_client_delta(delta, wire::KeyForm::integer_keys)); });
    wire::OpMessage op_message;
    op_message.crdt_id = "gc:views";
    op_message.op_bytes = wire::encode_op(crdt::GCounterOp{42, 5});
    op_message.client_seq = 7;
    const std::string frame = wire::encode_client_message(op_message);
    measure("decode_client_message Op", frame.size(), [&] { keep(wire::decode_client_message(frame)); });
    measure("encode_server_message Ack", 0, [&] { keep(wire::encode_server_message(wire::Ack{100, 7})); });
    std::string out;
    measure("append_delta_message", 0, [&] {
        out.clear();
        wire::append_delta_message(out, "gc:views", op_message.op_bytes);
        keep(out);
    });
    const JsonValue value = object_of(1000);
    measure("JSON text, 1000 members", value.msgpack().size(), [&] { keep(value.to_text()); });
    return 0;
}
