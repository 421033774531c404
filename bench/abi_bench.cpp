// The cost of a call into a plug-in, against virtual calls that do the same work, within the program and into a shared
// object: all through pointers that the compiler knows nothing of. The work is one store to memory: an addition there
// would be as slow as the memory's round trip, and that differs from address to address. Rounds of all take turns; the
// best round of each counts.
#include "abi_bench.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "plugin/loader.h"

using namespace meridian;

namespace {

constexpr int rounds = 20;
constexpr uint64_t calls = 5'000'000;

template <class Call>
double nanoseconds_per_call(Call call) {
    const auto start = std::chrono::steady_clock::now();
    for (uint64_t i = 0; i < calls; ++i) call(i);
    const auto elapsed = std::chrono::steady_clock::now() - start;
    return std::chrono::duration<double, std::nano>(elapsed).count() / static_cast<double>(calls);
}

}  // namespace

int main() {
    const auto loaded = plugin::load_plugin(ABI_BENCH_STORE_PATH, {}, plugin::Kind::store);
    if (!loaded) {
        std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
        return 1;
    }
    const meridian_store_functions* store = loaded->descriptor->store;
    const meridian_host host{};
    const meridian_config config{sizeof config, 0, nullptr};
    void* instance = nullptr;
    if (loaded->descriptor->create(&host, &config, &instance, nullptr) != MERIDIAN_OK) return 1;
    const auto near_cell = make_cell_in_program();
    const auto far_cell = make_cell_in_library();

    double near_ns = 1e9;
    double far_ns = 1e9;
    double abi_ns = 1e9;
    for (int round = 0; round < rounds; ++round) {
        near_ns = std::min(near_ns, nanoseconds_per_call([&](uint64_t i) { near_cell->set(i); }));
        far_ns = std::min(far_ns, nanoseconds_per_call([&](uint64_t i) { far_cell->set(i); }));
        abi_ns = std::min(abi_ns, nanoseconds_per_call([&](uint64_t i) { store->retain_from(instance, i); }));
    }
    meridian_store_usage usage{};
    usage.struct_size = sizeof usage;
    store->usage(instance, &usage);
    if (usage.log_bytes != near_cell->get() || usage.log_bytes != far_cell->get()) {
        std::fprintf(stderr, "the calls did different work\n");
        return 1;
    }
    loaded->descriptor->stop(instance, 0);
    loaded->descriptor->destroy(instance);
    std::printf("virtual call, within the program        %6.2f ns\n", near_ns);
    std::printf("virtual call, into a shared object      %6.2f ns\n", far_ns);
    std::printf("call through the ABI                    %6.2f ns, %.2f and %.2f of these\n", abi_ns, abi_ns / near_ns,
                abi_ns / far_ns);
    return 0;
}
