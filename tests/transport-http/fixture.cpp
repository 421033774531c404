#include "fixture.h"

#include <arpa/inet.h>
#include <cppunit/TestAssert.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "meridian/plugin.hpp"
#include "plugin/loader.h"

#ifndef TRANSPORT_HTTP_PATH
#error "TRANSPORT_HTTP_PATH must name the plug-in of this build"
#endif

namespace meridian::test {
namespace {
constexpr auto patience = std::chrono::seconds(60);
}

const plugin::LoadedPlugin& transport_http() {
    static const plugin::LoadedPlugin loaded = [] {
        auto result = plugin::load_plugin(TRANSPORT_HTTP_PATH, {}, plugin::Kind::transport);
        if (!result) CPPUNIT_FAIL(result.error().message);
        return *result;
    }();
    return loaded;
}

uint16_t free_port() {
    const FileDescriptor fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    CPPUNIT_ASSERT(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
    getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
}

std::string url_of(uint16_t port) {
    return "http://127.0.0.1:" + std::to_string(port);
}

Node::Node(TransportSection section, uint16_t port) {
    host_.answer([this](const Delivery& delivery) { return on_delivery(delivery); });
    section.try_emplace("bind", "127.0.0.1:" + std::to_string(port));
    section.try_emplace("reconnect_delay_max", "100ms");
    section.try_emplace("connect_timeout", "30s");
    section.try_emplace("request_timeout", "60s");
    section.try_emplace("reply_timeout", "60s");
    section.try_emplace("pull_timeout", "60s");
    section.try_emplace("probe_interval", "600s");
    instance_ = std::make_unique<TransportInstance>(transport_http(), host_, section);
    instance_->start("1");
    const std::string address = instance_->address();
    const size_t colon = address.rfind(':');
    port_ =
        port != 0 || colon == std::string::npos ? port : static_cast<uint16_t>(std::stoi(address.substr(colon + 1)));
    answering_ = std::thread([this] { answer(); });
}

Node::~Node() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        changed_.notify_all();
    }
    answering_.join();
    instance_.reset();
}

meridian_status Node::on_delivery(const Delivery& delivery) {
    const std::lock_guard lock(mutex_);
    if (status_ == MERIDIAN_OK && delivery.reply_id != 0) {
        to_answer_.push_back(delivery);
        changed_.notify_all();
    }
    return status_;
}

void Node::answer() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return stopping_ || (answers_ && !to_answer_.empty()); });
        if (stopping_) return;
        const Delivery delivery = to_answer_.front();
        to_answer_.pop_front();
        const Answers answers = answers_;
        lock.unlock();
        if (const auto bytes = answers(delivery)) reply(delivery.reply_id, *bytes);
        lock.lock();
    }
}

void Node::set_answers(Answers answers) {
    const std::lock_guard lock(mutex_);
    answers_ = std::move(answers);
    changed_.notify_all();
}

void Node::set_status(meridian_status status) {
    const std::lock_guard lock(mutex_);
    status_ = status;
}

meridian_status Node::reply(uint64_t reply_id, const std::string& bytes) {
    return instance_->functions().reply(instance_->instance(), reply_id, abi::bytes(bytes));
}

meridian_status Node::request(uint64_t id, uint32_t channel, const std::string& target, const std::string& bytes,
                              uint64_t deadline_us) {
    struct Pending {
        Node* node;
        uint64_t id;
    };
    meridian_reply_sink sink{};
    sink.struct_size = sizeof sink;
    sink.context = new Pending{this, id};
    sink.done = [](void* context, meridian_status status, meridian_bytes message, meridian_bytes answer) {
        const std::unique_ptr<Pending> pending(static_cast<Pending*>(context));
        const std::lock_guard lock(pending->node->mutex_);
        pending->node->replies_.push_back(
            {pending->id, status, std::string(abi::view(message)), std::string(abi::view(answer))});
        pending->node->changed_.notify_all();
    };
    const meridian_status status = instance_->functions().request(
        instance_->instance(), id, channel, abi::bytes(target), abi::bytes(bytes), deadline_us, &sink);
    if (status != MERIDIAN_OK) delete static_cast<Pending*>(sink.context);
    return status;
}

Reply Node::reply_of(uint64_t id) {
    std::unique_lock lock(mutex_);
    const auto find = [&] {
        return std::find_if(replies_.begin(), replies_.end(), [&](const Reply& reply) { return reply.id == id; });
    };
    CPPUNIT_ASSERT(changed_.wait_for(lock, patience, [&] { return find() != replies_.end(); }));
    return *find();
}

bool Node::has_reply(uint64_t id) const {
    const std::lock_guard lock(mutex_);
    return std::any_of(replies_.begin(), replies_.end(), [&](const Reply& reply) { return reply.id == id; });
}

Completion Node::done(uint64_t id) {
    Completion out;
    CPPUNIT_ASSERT(host_.wait_until([&](const Seen& seen) {
        const auto found = std::find_if(seen.completions.begin(), seen.completions.end(),
                                        [&](const Completion& completion) { return completion.id == id; });
        if (found == seen.completions.end()) return false;
        out = *found;
        return true;
    }));
    return out;
}

void Node::wait_for_ups(size_t count) {
    CPPUNIT_ASSERT(host_.wait_until([&](const Seen& seen) { return seen.ups.size() >= count; }));
}

std::vector<std::string> Node::delivered(uint32_t channel) const {
    std::vector<std::string> out;
    for (const Delivery& delivery : host_.seen().deliveries) {
        if (delivery.channel == channel) out.push_back(delivery.bytes);
    }
    return out;
}

std::vector<std::string> Node::delivered(uint32_t channel, size_t count) {
    CPPUNIT_ASSERT(host_.wait_until([&](const Seen& seen) {
        const auto number = std::count_if(seen.deliveries.begin(), seen.deliveries.end(),
                                          [&](const Delivery& delivery) { return delivery.channel == channel; });
        return static_cast<size_t>(number) >= count;
    }));
    return delivered(channel);
}

TransportLink Node::link(const std::string& url) const {
    for (const TransportLink& link : instance_->links()) {
        if (link.address == url) return link;
    }
    return {};
}

RawClient::RawClient(uint16_t port, const std::string& address)
    : fd_(::socket(address.find(':') == std::string::npos ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval limit{60, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(port);
    const bool is_in6 = inet_pton(AF_INET6, address.c_str(), &in6.sin6_addr) == 1;
    if (!is_in6) inet_pton(AF_INET, address.c_str(), &in.sin_addr);
    const auto* to = is_in6 ? reinterpret_cast<const sockaddr*>(&in6) : reinterpret_cast<const sockaddr*>(&in);
    CPPUNIT_ASSERT(::connect(fd_.get(), to, is_in6 ? sizeof in6 : sizeof in) == 0);
}

void RawClient::send(const std::string& bytes) {
    size_t sent = 0;
    while (sent < bytes.size()) {
        const ssize_t now = ::send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        if (now <= 0) return;  // refused before its end; answer() tells how
        sent += static_cast<size_t>(now);
    }
}

HttpAnswer RawClient::answer() {
    std::array<char, 4096> buffer;
    for (;;) {
        const size_t end = input_.find("\r\n\r\n");
        if (end != std::string::npos) {
            HttpAnswer out;
            out.head = input_.substr(0, end + 4);
            out.status = std::stoi(out.head.substr(9, 3));
            const size_t length = out.head.find("Content-Length: ");
            const size_t size = length == std::string::npos ? 0 : std::stoul(out.head.substr(length + 16));
            if (input_.size() >= end + 4 + size) {
                out.body = input_.substr(end + 4, size);
                input_.erase(0, end + 4 + size);
                return out;
            }
        }
        const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
        CPPUNIT_ASSERT_MESSAGE("no whole answer: " + input_, got > 0);
        input_.append(buffer.data(), static_cast<size_t>(got));
    }
}

bool RawClient::ends() {
    char byte;
    const ssize_t got = ::recv(fd_.get(), &byte, 1, 0);
    return got == 0 || (got < 0 && errno == ECONNRESET);
}

bool RawClient::is_quiet() {
    char byte;
    return ::recv(fd_.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

bool eventually(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

std::string post(const std::string& route, const std::string& body, const std::string& headers) {
    return "POST /internal/cluster/" + route +
           " HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers + "\r\n" +
           body;
}

std::string get(const std::string& target) {
    return "GET " + target + " HTTP/1.1\r\nHost: test\r\n\r\n";
}

}  // namespace meridian::test
