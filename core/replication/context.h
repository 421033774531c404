// What the parts of one Replicator share: the lane and the time, the node, the counters, the alarms.
//
// Threads: one lane. Whatever runs on it holds `mutex` (post, post_after and here see to it), so that status() can read
// the parts from any thread. A task that comes after the Context is gone does nothing; it must be destroyed on the lane
// or after the lane has stopped.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>

#include "base/environment.h"
#include "node/replication_port.h"
#include "replication/cluster_status.h"
#include "replication/message.h"
#include "replication/options.h"
#include "replication/seal.h"

namespace meridian::replication {

// A message's number is the millisecond in which it was sent, and which one of that millisecond it was.
inline constexpr unsigned message_number_bits = 16;

// What an entry costs in memory besides its texts and bytes.
inline constexpr size_t entry_memory_bytes = 160;

class Context {
public:
    Context(Lane& lane, Clock& clock, Random& random, node::ReplicationPort& port, Seal seal,
            ReplicationOptions options);

    // Any thread.
    void post(Task task);
    void post_after(uint64_t delay_us, Task task);
    // A function, for any thread, that runs `f` on the lane with what it is called with.
    template <class F>
    auto here(F f) {
        return [lane = &lane_, gate = std::weak_ptr<Gate>(gate_), f = std::make_shared<F>(std::move(f))](auto... args) {
            auto held = std::make_shared<std::tuple<decltype(args)...>>(std::move(args)...);
            lane->post([gate, f, held] {
                const std::shared_ptr<Gate> open = gate.lock();
                if (!open) return;
                const std::lock_guard<std::mutex> guard(open->mutex);
                std::apply(*f, std::move(*held));
            });
        };
    }
    std::mutex& mutex() { return gate_->mutex; }

    uint64_t now_us() const { return clock_.monotonic_us(); }
    uint64_t wall_ms() const { return clock_.wall_ms(); }
    // Between (1 - part) and (1 + part) times the value.
    uint64_t jittered(uint64_t value, double part);
    uint64_t random_below(uint64_t bound) { return bound == 0 ? 0 : random_.next_u64() % bound; }
    // 0.5 s, doubled by each failure, at most a third of the interval, with jitter.
    uint64_t backoff_us(uint32_t failures);
    uint64_t hello_period_us() const;

    // The header of a new message of this node.
    Header header();
    std::string encode(Message message) const { return encode_message(message, seal); }

    void alarm(AlarmKind kind, const std::string& subject, const std::string& text);
    void clear_alarm(AlarmKind kind, const std::string& subject);

    node::ReplicationPort& port;
    const Seal seal;
    const ReplicationOptions options;
    std::string nonce;  // of this process
    Origin self;        // changes when a new incarnation begins
    ReplicationCounters counters;
    std::function<void(const Alarm&)> on_alarm;  // one that did not hold before; may be null
    std::map<std::pair<AlarmKind, std::string>, Alarm> alarms;
    bool ready = false;
    bool stopping = false;

private:
    struct Gate {
        std::mutex mutex;
    };
    Lane& lane_;
    Clock& clock_;
    Random& random_;
    uint64_t next_number_;
    std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
};

std::string to_text(const Origin& origin);

}  // namespace meridian::replication
