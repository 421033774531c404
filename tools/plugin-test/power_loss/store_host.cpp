#include "store_host.h"

#include <sys/random.h>

#include <cstdio>

namespace meridian::power_loss {

StoreHost::StoreHost() : thread_([this] { run(); }) {}

StoreHost::~StoreHost() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        wake_.notify_all();
    }
    thread_.join();
}

uint64_t StoreHost::wall_ms() const {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count());
}

uint64_t StoreHost::monotonic_us() const {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
            .count());
}

void StoreHost::fill(void* bytes, size_t size) {
    auto* at = static_cast<unsigned char*>(bytes);
    while (size > 0) {
        const ssize_t count = ::getrandom(at, size, 0);
        if (count <= 0) continue;
        at += count;
        size -= static_cast<size_t>(count);
    }
}

void StoreHost::post(Task task) {
    post_after(0, std::move(task));
}

void StoreHost::post_after(uint64_t delay_us, Task task) {
    const std::lock_guard lock(mutex_);
    tasks_.emplace(monotonic_us() + delay_us, std::move(task));
    wake_.notify_all();
}

void StoreHost::run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        const uint64_t now = monotonic_us();
        if (tasks_.empty()) {
            wake_.wait(lock);
        } else if (tasks_.begin()->first > now) {
            wake_.wait_for(lock, std::chrono::microseconds(tasks_.begin()->first - now));
        } else {
            const Task task = std::move(tasks_.begin()->second);
            tasks_.erase(tasks_.begin());
            lock.unlock();
            task();
            lock.lock();
        }
    }
}

Result<std::unique_ptr<plugin::LoadedStore>> StoreHost::open(const plugin::LoadedPlugin& plugin,
                                                             const std::vector<std::string>& config,
                                                             const std::string& directory) {
    std::map<std::string, std::string> section;
    for (const std::string& item : config) {
        const size_t equals = item.find('=');
        if (equals == std::string::npos) return Error{"configuration '" + item + "': expected KEY=VALUE"};
        std::string value = item.substr(equals + 1);
        for (size_t at = 0; (at = value.find("{dir}", at)) != std::string::npos; at += directory.size()) {
            value.replace(at, 5, directory);
        }
        section[item.substr(0, equals)] = value;
    }
    auto checked = plugin::check_configuration(plugin, "[store]", section, plugin::process_environment());
    if (!checked) return checked.error();
    plugin::HostServices services;
    services.clock = this;
    services.random = this;
    services.lane = this;
    services.log = [](plugin::LogLevel, std::string_view text) {
        std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
    };
    return plugin::open_store(plugin, *checked, services);
}

}  // namespace meridian::power_loss
