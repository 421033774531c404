// CPU and memory of the RGA: typing, deleting, many siblings, reverse delivery, snapshots.
//
// CPU is that of the process; memory is what the heap has handed out for the value (mallinfo2), beside memory_bytes(),
// the value's own estimate. Every op goes through check() and apply(), projection for clients included.
#include <malloc.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <random>
#include <vector>

#include "crdt/rga.h"
#include "wire/rga_codec.h"

namespace {

using namespace meridian;
using namespace meridian::crdt;

class NoStamps : public StampSource {
public:
    Hlc next_stamp() override { return {}; }
};

size_t heap_bytes() {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

double cpu_s() {
    return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

class Typist {
public:
    explicit Typist(Rga& rga) : rga_(rga) {}

    Hlc insert(const std::optional<Hlc>& origin) {
        const Hlc id{now_ms_ += 40 + random_() % 400, 0, 7};
        insert_as(id, origin);
        return id;
    }
    void insert_as(const Hlc& id, const std::optional<Hlc>& origin) {
        run(RgaInsert{id, origin, U'a' + static_cast<char32_t>(random_() % 26), false});
    }
    void erase(const Hlc& id) { run(RgaDelete{id, false}); }
    uint64_t random() { return random_(); }

private:
    void run(const RgaOp& op) {
        if (rga_.check(op, limits_)) {
            std::puts("an op was refused");
            std::exit(1);
        }
        NoStamps stamps;
        told_ += rga_.apply(op, ApplyContext{EntryStamp{Hlc{now_ms_, 0, 1}, 1}, stamps}).views.size();
    }

    Rga& rga_;
    Limits limits_;
    std::mt19937_64 random_{42};
    uint64_t now_ms_ = 1'700'000'000'000;
    size_t told_ = 0;
};

void report(const char* name, size_t edits, double cpu, size_t heap, const Rga& rga) {
    const auto elements = static_cast<double>(rga.sequence().elements() + rga.orphans().inserts());
    std::printf("%-34s %8zu edits %7.3f s CPU %7.2f us/edit %7.1f B/char (own estimate %6.1f)\n", name, edits, cpu,
                cpu * 1e6 / static_cast<double>(edits), static_cast<double>(heap) / elements,
                static_cast<double>(rga.memory_bytes()) / elements);
}

// Runs `work(Typist&)`, which gives the number of edits, on an empty value.
template <class Work>
Rga measure(const char* name, Work&& work) {
    const size_t heap_before = heap_bytes();
    Rga rga;
    Typist typist(rga);
    const double start = cpu_s();
    const size_t edits = work(typist);
    const double cpu = cpu_s() - start;
    report(name, edits, cpu, heap_bytes() - heap_before, rga);
    return rga;
}

void measure_codec(const char* name, const Rga& rga) {
    BinaryWriter out;
    double start = cpu_s();
    wire::encode_rga_state(out, rga);
    const double encode = cpu_s() - start;
    start = cpu_s();
    BinaryReader in(out.data());
    const auto decoded = wire::decode_rga_state(in);
    const double decode = cpu_s() - start;
    if (!decoded || !(*decoded == rga)) {
        std::puts("the snapshot did not come back");
        std::exit(1);
    }
    start = cpu_s();
    const Rga::Delta delta = rga.full_delta();
    const double full = cpu_s() - start;
    BinaryWriter delta_out;
    wire::encode_rga_delta(delta_out, delta);
    start = cpu_s();
    size_t ops = 0;
    for (const RgaClientDelta& view : rga.sync({})) ops += view.ops.size();
    const double sync = cpu_s() - start;
    std::printf(
        "%-34s encode %6.2f ms, decode %6.2f ms, %zu bytes (%.1f B/char); full delta %6.2f ms, %zu bytes; sync %6.2f "
        "ms, %zu ops\n",
        name, encode * 1e3, decode * 1e3, out.data().size(),
        static_cast<double>(out.data().size()) / static_cast<double>(rga.sequence().elements()), full * 1e3,
        delta_out.data().size(), sync * 1e3, ops);
}

}  // namespace

int main() {
    constexpr size_t edits = 250'000;
    constexpr size_t siblings = 100'000;

    const Rga typed = measure("typed in sequence", [](Typist& typist) {
        std::optional<Hlc> last;
        for (size_t i = 0; i < edits; ++i) last = typist.insert(last);
        return edits;
    });
    const Rga scattered = measure("random positions", [](Typist& typist) {
        std::vector<Hlc> ids;
        for (size_t i = 0; i < edits; ++i) {
            std::optional<Hlc> origin;
            if (!ids.empty()) origin = ids[typist.random() % ids.size()];
            ids.push_back(typist.insert(origin));
        }
        return edits;
    });
    const Rga mixed = measure("random positions, 30 % deletes", [](Typist& typist) {
        std::vector<Hlc> ids;
        for (size_t i = 0; i < edits; ++i) {
            if (!ids.empty() && typist.random() % 10 < 3) {
                const size_t at = typist.random() % ids.size();
                typist.erase(ids[at]);
                ids[at] = ids.back();
                ids.pop_back();
                continue;
            }
            std::optional<Hlc> origin;
            if (!ids.empty()) origin = ids[typist.random() % ids.size()];
            ids.push_back(typist.insert(origin));
        }
        return edits;
    });
    measure("typed, then deleted backwards", [](Typist& typist) {
        std::vector<Hlc> ids;
        for (size_t i = 0; i < edits / 2; ++i)
            ids.push_back(typist.insert(ids.empty() ? std::optional<Hlc>() : ids.back()));
        for (size_t i = ids.size(); i > 0; --i) typist.erase(ids[i - 1]);
        return edits;
    });
    const auto wide = [](const char* name, auto&& number) {
        measure(name, [&](Typist& typist) {
            const Hlc parent = typist.insert(std::nullopt);
            for (size_t i = 0; i < siblings; ++i) typist.insert_as(Hlc{1'800'000'000'000 + number(i), 0, 9}, parent);
            return siblings;
        });
    };
    wide("siblings, ascending ids", [](size_t i) { return i; });
    wide("siblings, descending ids", [](size_t i) { return siblings - i; });
    wide("siblings, random ids", [](size_t i) { return i * 77'773 % 100'003; });
    measure("reverse delivery", [](Typist& typist) {
        for (size_t i = siblings; i > 1; --i) typist.insert_as(Hlc{i * 150, 0, 9}, Hlc{(i - 1) * 150, 0, 9});
        typist.insert_as(Hlc{150, 0, 9}, std::nullopt);
        return siblings;
    });

    Rga large;
    Rga::Delta delta;
    std::optional<Hlc> origin;
    for (uint64_t i = 0; i < 1 << 20; ++i) {
        const Hlc id{1'700'000'000'000 + i / 60'000, static_cast<uint16_t>(i % 60'000), 7};
        delta.add(RgaElement{id, origin, U'x', false});
        origin = id;
    }
    NoStamps stamps;
    const double start = cpu_s();
    large.join(delta, JoinContext{0, stamps});
    std::printf("%-34s %.3f s CPU\n", "1 MiB of pasted text, joined", cpu_s() - start);

    measure_codec("snapshot, typed in sequence", typed);
    measure_codec("snapshot, random positions", scattered);
    measure_codec("snapshot, with deletes", mixed);
    measure_codec("snapshot, 1 MiB pasted", large);

    Rga packed = mixed;
    const double before = cpu_s();
    packed.compact({});
    std::printf("%-34s %.3f s CPU, %zu -> %zu bytes\n", "compaction, with deletes", cpu_s() - before,
                mixed.memory_bytes(), packed.memory_bytes());
    return 0;
}
