// What the tests of transport-http share: a node (an instance of the plug-in with its host), clients that speak raw
// bytes to it.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/file_descriptor.h"
#include "support/transport_host.h"

namespace meridian::test {

const plugin::LoadedPlugin& transport_http();

// A port of 127.0.0.1 that nothing listens at now.
uint16_t free_port();
std::string url_of(uint16_t port);

// How a request ended.
struct Reply {
    uint64_t id = 0;
    meridian_status status = MERIDIAN_OK;
    std::string message;
    std::string bytes;
};

// A started instance at a port of 127.0.0.1, unless the section says otherwise. What is delivered with a reply_id is
// answered on a thread of its own, by `answers`; nothing: it is left unanswered.
class Node {
public:
    using Answers = std::function<std::optional<std::string>(const Delivery&)>;

    Node() : Node(TransportSection(), 0) {}
    Node(std::initializer_list<TransportSection::value_type> section) : Node(TransportSection(section), 0) {}
    Node(TransportSection section, uint16_t port);
    ~Node();
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    TransportHost& host() { return host_; }
    TransportInstance& operator*() { return *instance_; }
    TransportInstance* operator->() { return instance_.get(); }
    uint16_t port() const { return port_; }
    std::string url() const { return url_of(port_); }

    void set_answers(Answers answers);
    // How deliver answers from now on.
    void set_status(meridian_status status);
    meridian_status request(uint64_t id, uint32_t channel, const std::string& target, const std::string& bytes,
                            uint64_t deadline_us);
    void cancel(uint64_t id) { instance_->functions().cancel(instance_->instance(), id); }
    meridian_status reply(uint64_t reply_id, const std::string& bytes);
    // Waits for the end of this request.
    Reply reply_of(uint64_t id);
    bool has_reply(uint64_t id) const;
    // Waits for the end of publish or send.
    Completion done(uint64_t id);
    // Waits until it knows that so many peers are there.
    void wait_for_ups(size_t count);
    // Bytes of what was delivered on a channel, in order.
    std::vector<std::string> delivered(uint32_t channel) const;
    // The same, once there are so many.
    std::vector<std::string> delivered(uint32_t channel, size_t count);
    // Of the peer at that address.
    TransportLink link(const std::string& url) const;

private:
    meridian_status on_delivery(const Delivery& delivery);
    void answer();

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Delivery> to_answer_;
    Answers answers_;
    meridian_status status_ = MERIDIAN_OK;
    std::vector<Reply> replies_;
    bool stopping_ = false;

    TransportHost host_;
    std::unique_ptr<TransportInstance> instance_;
    uint16_t port_ = 0;
    std::thread answering_;
};

struct HttpAnswer {
    int status = 0;
    std::string head;
    std::string body;
};

// A connection that sends what it is told.
class RawClient {
public:
    explicit RawClient(uint16_t port, const std::string& address = "127.0.0.1");
    void send(const std::string& bytes);
    // The next answer; fails the test if the connection ends before it does.
    HttpAnswer answer();
    HttpAnswer exchange(const std::string& bytes) {
        send(bytes);
        return answer();
    }
    // Waits for the end; false if bytes come first.
    bool ends();
    // No bytes have come, and the connection is there.
    bool is_quiet();

private:
    FileDescriptor fd_;
    std::string input_;
};

// Waits until `condition` holds, for what nobody tells of; false after a long time.
bool eventually(const std::function<bool()>& condition);

std::string post(const std::string& route, const std::string& body, const std::string& headers = {});
std::string get(const std::string& target);

}  // namespace meridian::test
