// A store plug-in opened by this program: real time, real randomness, its log on standard error; and calls that wait.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/environment.h"
#include "plugin/store_adapter.h"

namespace meridian::power_loss {

// Threads: one of its own, which runs what is posted.
class StoreHost : public Clock, public Random, public Lane {
public:
    StoreHost();
    ~StoreHost() override;
    uint64_t wall_ms() const override;
    uint64_t monotonic_us() const override;
    void fill(void* bytes, size_t size) override;
    void post(Task task) override;
    void post_after(uint64_t delay_us, Task task) override;

    // `config`: KEY=VALUE, with `{dir}` for `directory`.
    Result<std::unique_ptr<plugin::LoadedStore>> open(const plugin::LoadedPlugin& plugin,
                                                      const std::vector<std::string>& config,
                                                      const std::string& directory);

private:
    void run();
    std::mutex mutex_;
    std::condition_variable wake_;
    std::multimap<uint64_t, Task> tasks_;  // guarded by mutex_, by the time at which they are due
    bool stopping_ = false;                // guarded by mutex_
    std::thread thread_;
};

// The value that a completion brings.
template <class T>
T wait_for(const std::function<void(std::function<void(T)>)>& submit) {
    struct State {
        std::mutex mutex;
        std::condition_variable wake;
        std::optional<T> value;
    };
    const auto state = std::make_shared<State>();
    submit([state](T value) {
        const std::lock_guard lock(state->mutex);
        state->value = std::move(value);
        state->wake.notify_one();
    });
    std::unique_lock lock(state->mutex);
    state->wake.wait(lock, [&] { return state->value.has_value(); });
    return std::move(*state->value);
}

}  // namespace meridian::power_loss
