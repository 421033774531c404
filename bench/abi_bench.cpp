// The cost of a call into a plug-in, against a virtual call that does the same work: both through pointers that the
// compiler knows nothing of. Rounds of both take turns; the best round of each counts, and their ratio.
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
    const auto counter = make_counter();

    double virtual_ns = 1e9;
    double abi_ns = 1e9;
    for (int round = 0; round < rounds; ++round) {
        virtual_ns = std::min(virtual_ns, nanoseconds_per_call([&](uint64_t i) { counter->add(i); }));
        abi_ns = std::min(abi_ns, nanoseconds_per_call([&](uint64_t i) { store->retain_from(instance, i); }));
    }
    meridian_store_usage usage{};
    usage.struct_size = sizeof usage;
    store->usage(instance, &usage);
    if (usage.log_bytes != counter->sum()) {
        std::fprintf(stderr, "the two did different work\n");
        return 1;
    }
    loaded->descriptor->stop(instance, 0);
    loaded->descriptor->destroy(instance);
    std::printf("virtual call          %6.2f ns\n", virtual_ns);
    std::printf("call through the ABI  %6.2f ns\n", abi_ns);
    std::printf("ratio                 %6.2f\n", abi_ns / virtual_ns);
    return 0;
}
