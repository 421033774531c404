// A transport between instances of one process that keeps the contract of plugin.h, but for the one defect that its
// configuration key `defect` names. For the tests of the conformance kit only.
//
// Threads: one sends, and ends requests whose time is up; one delivers. Locks: the hub's before an instance's.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "meridian/transport.hpp"

namespace meridian::plugin_kit {

class BrokenTransport;

// The instances that reach each other: those with the same directory.
struct Hub {
    std::mutex mutex;
    std::map<std::string, BrokenTransport*> nodes;  // guarded by mutex, like the next one
    std::set<std::string> left;
};

class BrokenTransport {
public:
    BrokenTransport(abi::Host host, const abi::Config& config);
    ~BrokenTransport();
    BrokenTransport(const BrokenTransport&) = delete;
    BrokenTransport& operator=(const BrokenTransport&) = delete;

    void reconfigure(const abi::Config& config);
    void start(const abi::NodeName& node, abi::TransportSink sink);
    void stop(uint64_t deadline_us);
    uint64_t message_bytes_max() const noexcept { return message_max; }
    std::string address() const { return is("other-address") ? "somewhere" : self_; }
    template <class Link>
    void links(Link link) const {
        const bool up = is_reachable_ && !is("no-link-is-up");
        link(up ? MERIDIAN_LINK_UP : MERIDIAN_LINK_DOWN, is("links-without-address") ? "" : "hub", "", 0, 0);
    }
    meridian_status publish(uint32_t channel, std::string_view namespace_name, std::string_view message,
                            abi::PublishSink sink);
    meridian_status send(std::string_view target, std::string_view message, abi::PublishSink sink);
    meridian_status request(uint64_t id, uint32_t channel, std::string_view target, std::string_view message,
                            uint64_t deadline_us, abi::ReplySink sink);
    void cancel(uint64_t id);
    meridian_status reply(uint64_t reply_id, std::string_view message);
    void resume();

    bool is(const char* defect) const { return defect_ == defect; }
    static constexpr uint64_t message_max = 256 << 10;

private:
    enum class Kind { publish, send, request, reply };
    struct Outgoing {
        Kind kind;
        uint32_t channel;
        std::string target;
        std::string namespace_name;
        std::string bytes;
        std::string_view borrowed;  // for the defect
        uint64_t request_id = 0;
        std::optional<abi::PublishSink> sink = {};
    };
    struct Arriving {
        uint32_t channel;  // 0: a node has come
        std::string namespace_name;
        std::string bytes;
        std::string source;
        uint64_t request_id = 0;
    };
    struct Pending {
        abi::ReplySink sink;
        uint64_t deadline_us;
    };
    struct Asker {
        std::string name;
        uint64_t request_id;
    };

    void take_port(int64_t port);
    meridian_status submit(Outgoing outgoing);
    void send_all();
    void end_late_requests(std::unique_lock<std::mutex>& lock);
    void end_all(std::unique_lock<std::mutex>& lock);
    void transmit(Outgoing& outgoing);
    uint64_t pass_on(const Outgoing& outgoing);
    void complete(const abi::PublishSink& sink, meridian_status status, uint64_t receivers);
    void on_a_timer(std::function<void()> call);
    void fail_request(uint64_t id, meridian_status status);
    // REQUIRES: the hub is locked.
    void arrive(Arriving arriving);
    void take_reply(uint64_t request_id, const std::string& bytes);
    void deliver_all();
    meridian_status deliver(const Arriving& arriving);

    const abi::Host host_;
    std::string defect_;
    std::atomic<bool> is_reachable_;
    const int64_t port_;
    const std::shared_ptr<Hub> hub_;
    std::string self_;
    std::optional<abi::TransportSink> sink_;
    std::vector<int> files_;
    std::mutex mutex_;  // guards what follows
    std::condition_variable send_, deliver_;
    bool stopping_ = false;
    bool was_full_ = false;
    bool is_deaf_ = false;
    std::deque<Outgoing> outgoing_;
    std::optional<Outgoing> kept_back_;
    uint64_t outgoing_bytes_ = 0;
    std::map<uint64_t, Pending> pending_;  // own requests
    std::deque<Arriving> arriving_;
    uint64_t arriving_bytes_ = 0;
    uint64_t arrived_bytes_ = 0;  // ever
    bool has_gap_ = false;
    bool busy_ = false;
    uint64_t resumes_ = 0;
    std::map<uint64_t, Asker> askers_;  // by reply_id
    uint64_t next_reply_id_ = 1;
    uint64_t epoch_ = 0;
    std::atomic<uint64_t> completed_{0};
    std::atomic<int> inside_{0};
    std::thread sender_, deliverer_;
    std::atomic<bool> stopped_{false};
    std::atomic<int> timers_{0};
    std::mutex timer_mutex_;
    std::deque<std::function<void()>> timer_calls_;  // guarded by timer_mutex_
};

}  // namespace meridian::plugin_kit
