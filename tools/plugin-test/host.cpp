#include "host.h"

#include <dirent.h>
#include <sys/random.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

namespace meridian::plugin_test {
namespace {

constexpr uint64_t log_text_bytes_max = 64 << 10;

bool metric_name_is_valid(const char* name) {
    return name != nullptr && name[0] != '\0' &&
           std::strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == std::strlen(name);
}

size_t count_in(const std::string& directory) {
    DIR* const opened = ::opendir(directory.c_str());
    if (opened == nullptr) return 0;
    size_t count = 0;
    while (::readdir(opened) != nullptr) ++count;
    ::closedir(opened);
    return count;
}

}  // namespace

bool& on_host_thread() {
    thread_local bool value = false;
    return value;
}

uint64_t monotonic_us() {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
            .count());
}

size_t settled_count(const std::string& directory, size_t wanted) {
    size_t count = count_in(directory);
    for (int i = 0; i < 200 && count > wanted; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        count = std::min(count, count_in(directory));
    }
    return count;
}

Host::Host() {
    table_.struct_size = sizeof table_;
    table_.context = this;
    table_.log = [](void* context, int32_t level, meridian_bytes text) {
        std::string wrong;
        if (level < MERIDIAN_LOG_DEBUG || level > MERIDIAN_LOG_ERROR)
            wrong = "log: level " + std::to_string(level) + ", expected MERIDIAN_LOG_DEBUG to MERIDIAN_LOG_ERROR";
        if (text.size != 0 && text.data == nullptr) wrong = "log: a text without data";
        if (text.size > log_text_bytes_max) wrong = "log: a text of " + std::to_string(text.size) + " bytes";
        static_cast<Host*>(context)->note("log", wrong);
    };
    table_.wall_ms = [](void* context) {
        static_cast<Host*>(context)->note("wall_ms");
        return static_cast<uint64_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
                .count());
    };
    table_.monotonic_us = [](void* context) {
        static_cast<Host*>(context)->note("monotonic_us");
        return monotonic_us();
    };
    table_.random = [](void* context, void* out, uint64_t size) {
        static_cast<Host*>(context)->note("random");
        auto* at = static_cast<unsigned char*>(out);
        while (size != 0) {
            const ssize_t got = ::getrandom(at, static_cast<size_t>(size), 0);
            if (got <= 0) continue;
            at += got;
            size -= static_cast<uint64_t>(got);
        }
    };
    table_.metric = [](void* context, int32_t kind, const char* name, double) {
        std::string wrong;
        if (kind < MERIDIAN_METRIC_COUNTER || kind > MERIDIAN_METRIC_HISTOGRAM)
            wrong = "metric: kind " + std::to_string(kind) + ", expected one of MERIDIAN_METRIC_*";
        if (!metric_name_is_valid(name))
            wrong = "metric: the name '" + std::string(name == nullptr ? "" : name) + "', expected [a-z0-9_]+";
        static_cast<Host*>(context)->note("metric", wrong);
    };
    table_.timer = [](void* context, uint64_t delay_us, void (*callback)(void*), void* cookie) {
        auto& host = *static_cast<Host*>(context);
        host.note("timer", callback == nullptr ? "timer: no callback" : "");
        if (callback != nullptr) host.timers_.add(delay_us, callback, cookie);
    };
    table_.get_extension = [](void* context, const char* name) -> const void* {
        static_cast<Host*>(context)->note("get_extension", name == nullptr ? "get_extension: no name" : "");
        return nullptr;
    };
}

void Host::note(const char* call, const std::string& wrong) {
    const Phase phase = phase_;
    const bool late = phase == Phase::stopped || phase == Phase::destroyed;
    if (wrong.empty() && !late) return;
    const std::lock_guard lock(mutex_);
    if (!wrong.empty()) misuse_.push_back(wrong);
    if (late) late_calls_.emplace_back(call);
}

std::vector<std::string> Host::misuse() const {
    const std::lock_guard lock(mutex_);
    return misuse_;
}

std::vector<std::string> Host::late_calls() const {
    const std::lock_guard lock(mutex_);
    return late_calls_;
}

}  // namespace meridian::plugin_test
