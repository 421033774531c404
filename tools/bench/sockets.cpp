#include "bench/sockets.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <Poco/Exception.h>
#include <Poco/Net/SocketAddress.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <deque>
#include <thread>

namespace meridian::load {
namespace {

constexpr size_t buffer_bytes = 256 << 10;
constexpr size_t upgrades_at_once = 128;
constexpr std::array<uint8_t, 4> mask = {0x37, 0xfa, 0x21, 0x3d};

volatile std::sig_atomic_t interrupted = 0;

}  // namespace

bool is_interrupted() {
    return interrupted != 0;
}

void interrupt_on_signals() {
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = 1; };
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(number, &action, nullptr);
}

uint64_t raise_descriptor_limit() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

Sockets::Sockets() : epoll_(::epoll_create1(EPOLL_CLOEXEC)), buffer_(buffer_bytes) {
    if (!epoll_.valid()) fail(std::string("epoll: ") + std::strerror(errno));
}

void Sockets::watch(size_t index, uint32_t events, int operation) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = index;
    if (::epoll_ctl(epoll_.get(), operation, peers_[index].socket.get(), &event) != 0)
        fail(std::string("epoll: ") + std::strerror(errno));
}

// Connects with a blocking call, which on this machine returns at once, and sends the request.
Result<void> Sockets::begin(const std::string& address, const std::string& request) {
    try {
        const Poco::Net::SocketAddress name(address);
        FileDescriptor socket(::socket(name.af(), SOCK_STREAM | SOCK_CLOEXEC, 0));
        const int on = 1;
        if (!socket.valid() || ::connect(socket.get(), name.addr(), name.length()) != 0 ||
            ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
            return Error{address + ": connection number " + std::to_string(peers_.size() + 1) + ": " +
                         std::strerror(errno)};
        peers_.push_back({std::move(socket), {}, {}, 0});
    } catch (const Poco::Exception& error) { return Error{address + ": " + error.displayText()}; }
    watch(peers_.size() - 1, EPOLLIN, EPOLL_CTL_ADD);
    if (!request.empty()) send(peers_.size() - 1, request);
    return {};
}

Result<void> Sockets::open(const std::string& address, size_t count,
                           const std::function<std::string(size_t index)>& upgrade,
                           const std::function<void(size_t)>& progress) {
    const size_t first = size();
    peers_.reserve(first + count);
    if (!upgrade) {
        for (size_t i = 0; i < count; ++i) {
            if (Result<void> begun = begin(address, {}); !begun) return begun;
        }
        return {};
    }
    std::deque<size_t> again;  // refused because of the rate of requests
    size_t opened = 0;
    const auto on_input = [&](size_t index) {
        read_stream(index, [&](std::string_view input) -> size_t {
            const size_t end = input.find("\r\n\r\n");
            if (end == std::string_view::npos) return 0;
            if (input.substr(0, 13) == "HTTP/1.1 101 ") {
                ++opened;
                return end + 4;
            }
            if (input.substr(0, 13) == "HTTP/1.1 429 ") {
                again.push_back(index);
            } else {
                fail("the upgrade was refused: " + std::string(input.substr(0, input.find('\r'))) + ": " +
                     std::string(input.substr(end + 4)));
            }
            return input.size();
        });
    };
    while (opened < count) {
        while (size() < first + count && size() - first - opened < upgrades_at_once + again.size()) {
            if (Result<void> begun = begin(address, upgrade(size())); !begun) return begun;
        }
        if (!again.empty()) {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            send(again.front(), upgrade(again.front()));
            again.pop_front();
        }
        const size_t before = opened;
        if (!wait_until(*this, "upgrades", 30, on_input, [&] { return opened > before || !again.empty(); }))
            return Error{failure_};
        progress(opened);
    }
    return {};
}

std::string_view Sockets::receive(size_t index) {
    Peer& peer = peers_[index];
    const size_t kept = peer.rest.size();
    std::memcpy(buffer_.data(), peer.rest.data(), kept);
    const ssize_t got = ::recv(peer.socket.get(), buffer_.data() + kept, buffer_.size() - kept, MSG_DONTWAIT);
    if (got > 0) return {buffer_.data(), kept + static_cast<size_t>(got)};
    if (got == 0) fail("the server closed connection number " + std::to_string(index + 1));
    if (got < 0 && errno != EAGAIN && errno != EINTR) {
        fail("connection number " + std::to_string(index + 1) + ": " + std::strerror(errno));
    }
    return {buffer_.data(), kept};
}

void Sockets::send(size_t index, std::string_view bytes) {
    Peer& peer = peers_[index];
    const bool waited = !peer.unsent.empty();
    if (waited) {
        peer.unsent.append(bytes);
        bytes = peer.unsent;
    }
    size_t sent = 0;
    while (sent < bytes.size()) {
        const ssize_t put =
            ::send(peer.socket.get(), bytes.data() + sent, bytes.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0 && errno != EAGAIN) {
            return fail("connection number " + std::to_string(index + 1) + ": " + std::strerror(errno));
        }
        if (put < 0) break;
        sent += static_cast<size_t>(put);
    }
    std::string rest(bytes.substr(sent));
    if (rest.empty() == waited) watch(index, rest.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    peer.unsent = std::move(rest);
}

void Sockets::take_control(size_t index, server::Opcode opcode, std::string_view payload) {
    if (opcode == server::Opcode::ping) {
        std::string pong;
        server::append_masked_message(pong, server::Opcode::pong, payload, mask);
        send(index, pong);
    } else if (opcode == server::Opcode::close) {
        const unsigned code = payload.size() < 2 ? 1005
                                                 : static_cast<unsigned>(static_cast<unsigned char>(payload[0])) << 8 |
                                                       static_cast<unsigned char>(payload[1]);
        fail("the server closed connection number " + std::to_string(index + 1) + " with " + std::to_string(code) +
             (payload.size() > 2 ? ": " + std::string(payload.substr(2)) : ""));
    }
}

}  // namespace meridian::load
