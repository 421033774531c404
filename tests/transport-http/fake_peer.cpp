#include "fake_peer.h"

#include <cppunit/TestAssert.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <chrono>

namespace meridian::test {

FakePeer::FakePeer(Behaviour behaviour, uint16_t port)
    : behaviour_(std::move(behaviour)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    socklen_t size = sizeof address;
    CPPUNIT_ASSERT(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
    CPPUNIT_ASSERT(::listen(listener_.get(), 64) == 0);
    getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    accepting_ = std::thread([this] { accept_all(); });
}

FakePeer::~FakePeer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    accepting_.join();
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        for (const FileDescriptor& socket : sockets_) ::shutdown(socket.get(), SHUT_RDWR);
        changed_.notify_all();
    }
    for (std::thread& thread : threads_) thread.join();
}

std::string FakePeer::url() const {
    return "http://127.0.0.1:" + std::to_string(port_);
}

void FakePeer::accept_all() {
    for (;;) {
        FileDescriptor fd(::accept(listener_.get(), nullptr, nullptr));
        if (!fd.valid()) return;
        ++connections_;
        const std::lock_guard lock(mutex_);
        const int number = fd.get();
        sockets_.push_back(std::move(fd));
        threads_.emplace_back([this, number] { serve(number); });
    }
}

void FakePeer::serve(int fd) {
    std::string input;
    std::array<char, 65536> buffer;
    for (;;) {
        const size_t end = input.find("\r\n\r\n");
        size_t length = 0;
        if (end != std::string::npos) {
            const size_t header = input.find("Content-Length: ");
            if (header < end) length = std::stoul(input.substr(header + 16));
        }
        if (end == std::string::npos || input.size() < end + 4 + length) {
            const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
            if (got <= 0) return;
            input.append(buffer.data(), static_cast<size_t>(got));
            continue;
        }
        FakeRequest request{input.substr(0, input.find(" HTTP/1.1")), input.substr(end + 4, length)};
        input.erase(0, end + 4 + length);
        Behaviour behaviour;
        {
            const std::lock_guard lock(mutex_);
            if (!is_probe(request)) requests_.push_back(request);
            behaviour = behaviour_;
            changed_.notify_all();
        }
        const auto answer = behaviour(request);
        if (!answer) continue;
        ::send(fd, answer->data(), answer->size(), MSG_NOSIGNAL);
        // What does not say how long it is, is all that comes.
        if (answer->find("Content-Length") == std::string::npos || answer->find("Cut") != std::string::npos) {
            ::shutdown(fd, SHUT_RDWR);
            return;
        }
    }
}

void FakePeer::set_behaviour(Behaviour behaviour) {
    const std::lock_guard lock(mutex_);
    behaviour_ = std::move(behaviour);
}

std::vector<FakeRequest> FakePeer::requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
}

std::vector<FakeRequest> FakePeer::requests(size_t count) {
    std::unique_lock lock(mutex_);
    CPPUNIT_ASSERT(changed_.wait_for(lock, std::chrono::seconds(60), [&] { return requests_.size() >= count; }));
    return requests_;
}

std::string http_answer(int status, const std::string& body, const std::string& headers) {
    return "HTTP/1.1 " + std::to_string(status) + " Text\r\n" + headers +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

bool is_probe(const FakeRequest& request) {
    return request.line == "POST /internal/cluster/deltas" && request.body.empty();
}

std::optional<std::string> older_node(const FakeRequest& request) {
    if (request.line == "POST /internal/cluster/delta") return http_answer(200);
    if (request.line.find("GET /internal/cluster/wal") == 0) return http_answer(400, "missing field `from_seq`");
    return http_answer(404);
}

std::optional<std::string> good_node(const FakeRequest&) {
    return http_answer(200);
}

}  // namespace meridian::test
