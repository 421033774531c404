// The host that a plug-in under test is given: real time and randomness, a thread that runs timers, and an eye on how
// its services are used.
//
// Threads: as the table of meridian/plugin.h says. A host outlives its instance; the fixture keeps it until the process
// ends, so that a call that comes too late is counted instead of crashing.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "host_timers.h"
#include "meridian/plugin.h"

namespace meridian::plugin_test {

// True on threads of the kit. Completions must not come on one of them.
bool& on_host_thread();

uint64_t monotonic_us();

// Entries of a directory below /proc/self. A thread that was joined may be listed for a moment longer: waits for a
// count of at most `wanted`, but not for ever.
size_t settled_count(const std::string& directory, size_t wanted);

class Host {
public:
    enum class Phase { open, stopped, destroying, destroyed };

    Host();
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    const meridian_host* table() const { return &table_; }
    void enter(Phase phase) { phase_ = phase; }
    // No timer callback runs after this returns.
    void stop_timers() { timers_.stop(); }

    // What was wrong with the calls of the plug-in: names of metrics, levels, empty pointers.
    std::vector<std::string> misuse() const;
    // Calls made after `stop` had returned (those inside `destroy` aside), each by its name.
    std::vector<std::string> late_calls() const;

private:
    void note(const char* call, const std::string& wrong = {});

    meridian_host table_{};
    std::atomic<Phase> phase_{Phase::open};
    mutable std::mutex mutex_;
    std::vector<std::string> misuse_;  // guarded by mutex_, like the next
    std::vector<std::string> late_calls_;
    HostTimers timers_{[] { on_host_thread() = true; }};
};

}  // namespace meridian::plugin_test
