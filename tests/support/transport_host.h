// The host of a transport plug-in under test: real time and randomness, timers, and a sink that keeps what it is told.
// TransportInstance is one instance of the plug-in, made, started, stopped and destroyed as the core does it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plugin-test/host_timers.h"
#include "plugin/loader.h"

namespace meridian::test {

struct Delivery {
    uint32_t channel = 0;
    std::string namespace_name;
    std::string bytes;
    std::string source;
    uint64_t reply_id = 0;
};

// `done` of publish or send; `id` was chosen by the test.
struct Completion {
    uint64_t id = 0;
    meridian_status status = MERIDIAN_OK;
    std::string message;
    uint64_t receivers = 0;
};

// All that the plug-in has told, in the order in which it came.
struct Seen {
    std::vector<Delivery> deliveries;  // those that were taken
    size_t refused = 0;                // answered MERIDIAN_BUSY
    std::vector<uint32_t> gaps;
    std::vector<uint64_t> ups;
    std::vector<std::string> downs;
    size_t writables = 0;
    std::vector<Completion> completions;
    std::vector<std::string> calls;         // "up 1", "down", "gap 2", "writable", "deliver", "done 7"
    std::vector<std::string> log;           // "warning: text"
    std::map<std::string, double> metrics;  // sum of a counter, last value of the others

    size_t logged(std::string_view text) const;
};

// Must outlive its instances.
class TransportHost {
public:
    TransportHost();
    TransportHost(const TransportHost&) = delete;
    TransportHost& operator=(const TransportHost&) = delete;

    const meridian_host* table() const { return &table_; }
    const meridian_transport_sink* sink() const { return &sink_; }

    // How deliver answers from now on. At first everything is taken.
    void answer(std::function<meridian_status(const Delivery&)> function);
    // Waits until `condition` holds of what was seen; false after a long time.
    bool wait_until(const std::function<bool(const Seen&)>& condition);
    Seen seen() const;
    static uint64_t monotonic_us();
    // The plug-in's clock: real time, and what advance_clock has added. Tests of time limits need neither wait nor fear
    // a slow machine. Who waits for a time does not notice by itself; any call that wakes it helps (`resume`).
    uint64_t now_us() const { return monotonic_us() + advance_us_; }
    void advance_clock(uint64_t us) { advance_us_ += us; }
    // A sink whose `done` is kept under this id.
    meridian_publish_sink publish_sink(uint64_t id);
    // Frees a sink that a refused call has not kept.
    static void discard(const meridian_publish_sink& sink) { delete static_cast<Pending*>(sink.context); }

private:
    struct Pending {
        TransportHost* host;
        uint64_t id;
    };

    void note(std::string call, const std::function<void(Seen&)>& change);

    meridian_host table_{};
    meridian_transport_sink sink_{};
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::function<meridian_status(const Delivery&)> answer_;
    Seen seen_;
    std::atomic<uint64_t> advance_us_{0};
    plugin_test::HostTimers timers_;
};

// One connection or peer as the plug-in shows it.
struct TransportLink {
    uint32_t state = 0;
    std::string address;
    std::string error;
    uint64_t queued_messages = 0;
    uint64_t queued_bytes = 0;
};

using TransportSection = std::map<std::string, std::string>;

class TransportInstance {
public:
    // Checks the section as the core does, and creates; throws std::runtime_error with the text of a refusal.
    // `environment` is all that the plug-in's keys see.
    TransportInstance(const plugin::LoadedPlugin& plugin, TransportHost& host, const TransportSection& section,
                      const std::map<std::string, std::string>& environment = {});
    // Stops it at once if that has not happened.
    ~TransportInstance();
    TransportInstance(const TransportInstance&) = delete;
    TransportInstance& operator=(const TransportInstance&) = delete;

    // Throws std::runtime_error with the text of a refusal.
    void start(const std::string& node_name, uint64_t node_id = 1);
    void stop(uint64_t patience_us = 5'000'000);
    meridian_status publish(uint32_t channel, const std::string& namespace_name, const std::string& bytes, uint64_t id);
    meridian_status send(const std::string& target, const std::string& bytes, uint64_t id);
    void resume() { functions().resume(instance_); }
    std::vector<TransportLink> links() const;
    std::string address() const;

    // For what has no wrapper here.
    const meridian_transport_functions& functions() const { return *plugin_.descriptor->transport; }
    void* instance() const { return instance_; }

private:
    plugin::LoadedPlugin plugin_;
    TransportHost& host_;
    void* instance_ = nullptr;
    bool stopped_ = false;
};

}  // namespace meridian::test
