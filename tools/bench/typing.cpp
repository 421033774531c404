// Texts that are typed: a text on each connection, a character or a deletion in each op. The typist writes on where he
// is, now and then takes back what he has just written, and now and then goes on elsewhere.
#include <random>

#include "bench/workload.h"
#include "loop/system_environment.h"
#include "wire/op_codec.h"

namespace meridian::load {
namespace {

constexpr size_t op_message_bytes = 120;        // about what an op takes; the loopback's cost hardly depends on it
constexpr size_t text_characters_max = 50'000;  // then a new text is begun
constexpr uint64_t deletions_per_100 = 10;
constexpr uint64_t jumps_per_1000 = 15;

class Typist {
public:
    Typist(uint64_t client_id, uint64_t seed) : random_(seed), client_id_(client_id), key_(fresh_key("rga:")) {}

    void append_next(std::string& out) {
        if (text_.size() >= text_characters_max) {
            text_.clear();
            cursor_ = 0;
            key_ = fresh_key("rga:");
        }
        if (random_() % 1000 < jumps_per_1000) cursor_ = random_() % (text_.size() + 1);
        const bool deletes = cursor_ > 0 && random_() % 100 < deletions_per_100;
        const crdt::Op op = deletes ? crdt::Op(crdt::RgaOp(erase())) : crdt::Op(crdt::RgaOp(insert()));
        out += op_frame(key_, wire::encode_op(op));
    }

private:
    crdt::RgaDelete erase() {
        crdt::RgaDelete op;
        op.id = text_[--cursor_];
        text_.erase(text_.begin() + static_cast<std::ptrdiff_t>(cursor_));
        return op;
    }
    crdt::RgaInsert insert() {
        crdt::RgaInsert op;
        op.id = next_id();
        if (cursor_ > 0) op.origin_id = text_[cursor_ - 1];
        op.content = U"etaoin shrdlu"[random_() % 13];
        text_.insert(text_.begin() + static_cast<std::ptrdiff_t>(cursor_++), op.id);
        return op;
    }
    // Greater than all before, and not ahead of the clock by more than a burst takes.
    crdt::Hlc next_id() {
        const uint64_t now_ms = server::SystemClock().wall_ms();
        if (now_ms > last_.wall_ms) {
            last_ = {now_ms, 0, client_id_};
        } else if (++last_.logical == 0) {
            ++last_.wall_ms;
        }
        return last_;
    }

    std::mt19937_64 random_;
    uint64_t client_id_;
    std::string key_;
    std::vector<crdt::Hlc> text_;  // ids of what is visible, in order
    size_t cursor_ = 0;
    crdt::Hlc last_;
};

}  // namespace

Result<std::vector<Measurement>> measure_typing(Context& context) {
    const size_t connections = context.options.connections;
    Sockets sockets;
    Result<void> opened = open_websockets(
        context, sockets, connections, [&](size_t index) { return own_namespace(context, "bench-typing", index); }, {});
    if (!opened) return opened.error();
    std::vector<Typist> typists;
    for (size_t i = 0; i < connections; ++i) typists.emplace_back(context.node.client_id_for(i + 1), i);
    std::vector<Measurement> measurements;
    for (const uint64_t in_flight : context.options.in_flight) {
        ClosedLoop loop(
            sockets, connections, in_flight, [&](size_t index, std::string& out) { typists[index].append_next(out); },
            [&](size_t index) { return count_acks(sockets, index); });
        Measurement measurement{"typing", {{"connections", connections}, {"in_flight", in_flight}}, {}};
        for (uint64_t round = 0; round < context.options.rounds; ++round) {
            context.progress.begin("typing, " + std::to_string(in_flight) + " in flight, round " +
                                   std::to_string(round + 1));
            Result<Figures> figures =
                measure_round(context, sockets, loop, context.node.process(), op_message_bytes, "op");
            if (!figures) return figures.error();
            measurement.rounds.push_back(std::move(figures).value());
        }
        measurements.push_back(std::move(measurement));
    }
    return measurements;
}

}  // namespace meridian::load
