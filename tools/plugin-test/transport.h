// A transport under test: the C functions with values instead of structs, and an inbox for what it calls by itself.
//
// Threads: the submits from any; start(), stop() and close() from one.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "answerer.h"
#include "call.h"
#include "host.h"
#include "store.h"

namespace meridian::plugin_test {

struct Message {
    uint32_t channel = MERIDIAN_CHANNEL_CONTROL;
    std::string namespace_name;  // of MERIDIAN_CHANNEL_DELTA
    std::string bytes;
    friend bool operator==(const Message&, const Message&) = default;
};

struct Delivery {
    Message message;
    std::string source;
    uint64_t reply_id = 0;
    meridian_status answer = MERIDIAN_OK;
};

// What a transport has called of its sink. Kept until the process ends, so that calls which come too late find it.
class Inbox {
public:
    explicit Inbox(std::shared_ptr<const std::atomic<bool>> stopped) : stopped_(std::move(stopped)) {}

    meridian_transport_sink sink();
    // How deliver is answered from now on; empty: MERIDIAN_OK. Called under a lock: it must not call the transport.
    void answer_with(std::function<meridian_status(const Delivery&)> answer);
    // Keeps nothing of what is delivered; for floods.
    void forget_deliveries() { forgets_ = true; }

    std::vector<Delivery> deliveries() const;
    // How often this message was delivered, with this answer.
    size_t count(const Message& message, meridian_status answer = MERIDIAN_OK) const;
    std::vector<uint64_t> epochs() const;
    std::vector<std::string> downs() const;
    uint64_t gaps(uint32_t channel) const;
    uint64_t writables() const;
    // How it broke the rules for callbacks: each a sentence.
    std::vector<std::string> faults() const;

    // The reply_id of a message that was taken and that nobody sent as a request; waits for one. None: end_unasked()
    // was called. For Answerer.
    std::optional<uint64_t> next_unasked();
    void end_unasked();

    // Until the condition holds, which is tried after every call; false if it does not within `timeout_ms`.
    bool wait_for(const std::function<bool()>& condition, uint64_t timeout_ms) const;
    // The same for as long as the check may take; `what` is said if it takes longer.
    void wait_until(const std::string& what, const std::function<bool()>& condition) const;

private:
    class Event;
    static meridian_status deliver(void* context, uint32_t channel, meridian_bytes namespace_name, meridian_bytes bytes,
                                   meridian_bytes source, uint64_t reply_id);

    const std::shared_ptr<const std::atomic<bool>> stopped_;
    std::atomic<bool> forgets_{false};
    mutable std::recursive_mutex mutex_;
    mutable std::condition_variable_any wake_;
    std::function<meridian_status(const Delivery&)> answer_;  // guarded by mutex_, like what follows
    std::vector<Delivery> deliveries_;
    std::vector<uint64_t> epochs_;
    std::vector<std::string> downs_;
    std::map<uint32_t, uint64_t> gaps_;
    uint64_t writables_ = 0;
    std::deque<uint64_t> unasked_;
    bool unasked_ended_ = false;
    std::vector<std::string> faults_;
};

struct TransportLink {
    uint32_t struct_size = 0;
    uint32_t state = 0;
    std::string address;
    std::string error;
};

class Transport {
public:
    // `instance` was made by descriptor.create with this host.
    Transport(const meridian_plugin_descriptor& descriptor, std::shared_ptr<Host> host, void* instance,
              uint64_t node_id);
    // Closes it.
    ~Transport();
    Transport(Transport&& other) noexcept;
    Transport& operator=(Transport&& other) noexcept;

    void* instance() const { return instance_; }
    const meridian_transport_functions& functions() const { return *descriptor_->transport; }
    bool has(uint32_t capability) const { return (descriptor_->capabilities & capability) != 0; }
    Host& host() { return *host_; }
    Inbox& inbox() { return *inbox_; }
    const Inbox& inbox() const { return *inbox_; }
    const std::string& node_name() const { return node_name_; }

    // The sizes are those of the structs that are passed.
    FailedOpen try_start(uint32_t node_size = sizeof(meridian_transport_node),
                         uint32_t sink_size = sizeof(meridian_transport_sink));
    // The check fails if the transport does not start.
    void start();
    // Nothing that a transport has begun need be waited for.
    void stop(uint64_t timeout_us = 2'000'000);
    // Stops if that has not been done, and destroys.
    void close();

    std::shared_ptr<PublishCall> submit_publish(Message message, Manner manner = {});
    std::shared_ptr<PublishCall> submit_send(const std::string& target, const std::string& bytes, Manner manner = {});
    // The identity of the request is *request_id afterwards.
    std::shared_ptr<ReplyCall> submit_request(const std::string& target, Message message, uint64_t deadline_us,
                                              uint64_t* request_id = nullptr, Manner manner = {});
    void cancel(uint64_t request_id);
    meridian_status reply(uint64_t reply_id, const std::string& bytes);
    void resume();

    uint64_t message_bytes_max() const { return functions().message_bytes_max(instance_); }
    // Each call of `text` inside one call of address.
    std::vector<std::string> addresses() const;
    std::vector<TransportLink> links() const;
    FailedOpen reconfigure(const std::vector<std::pair<std::string, std::string>>& values);

    // Every message that any transport of this process was given.
    static bool was_submitted(const Message& message);
    // Whether such a message was given to `request`.
    static bool was_requested(const Message& message);

private:
    const meridian_plugin_descriptor* descriptor_;
    std::shared_ptr<Host> host_;
    void* instance_;  // null after close() or a move
    uint64_t node_id_;
    std::string node_name_;
    std::shared_ptr<std::atomic<bool>> stopped_ = std::make_shared<std::atomic<bool>>(false);
    std::shared_ptr<Inbox> inbox_;
    std::unique_ptr<Answerer> answerer_;  // while it is started
    bool is_stopped_ = false;
};

}  // namespace meridian::plugin_test
