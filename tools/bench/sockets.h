// The sockets of a load generator: one epoll instance, many connections to one server, on one thread.
//
// Made to cost little for what is received: a read takes what the socket has into one buffer that all connections
// share, and of a WebSocket frame only the header is looked at. What a frame holds is up to the caller, who is given a
// view of it while it is small; a payload larger than `payload_shown_max` is counted and thrown away.
//
// Errors: the first thing that goes wrong with any connection is kept in failure(); wait() then returns at once. Pings
// of the server are answered.
#pragma once

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "bench/measure.h"
#include "protocol/websocket_codec.h"

namespace meridian::load {

// Set by SIGINT and SIGTERM: everything that waits ends soon.
bool is_interrupted();
void interrupt_on_signals();

// Asks for as many descriptors as this process may have, and says how many those are.
uint64_t raise_descriptor_limit();

inline constexpr size_t payload_shown_max = 64 << 10;

class Sockets {
public:
    Sockets();
    Sockets(const Sockets&) = delete;
    Sockets& operator=(const Sockets&) = delete;

    size_t size() const { return peers_.size(); }
    const std::string& failure() const { return failure_; }
    bool failed() const { return !failure_.empty(); }
    void fail(std::string reason) {
        if (failure_.empty()) failure_ = std::move(reason);
    }

    // Opens connections number size() to size() + count - 1. `address` is host:port. `upgrade` makes the request that
    // turns connection `index` into a WebSocket; if it is null they stay plain. A refusal because of the rate of
    // requests (429) is tried again. `progress` is told how many are open.
    Result<void> open(const std::string& address, size_t count, const std::function<std::string(size_t index)>& upgrade,
                      const std::function<void(size_t)>& progress);

    // Sends, or keeps what the socket does not take at once and sends it in a later wait().
    void send(size_t index, std::string_view bytes);

    // Waits up to `timeout_ms` for input and calls on_input(index) for each connection that has some.
    template <class OnInput>
    void wait(int timeout_ms, OnInput on_input) {
        if (failed()) return;
        const int count = ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), timeout_ms);
        for (int i = 0; i < count && !failed(); ++i) {
            const size_t index = events_[static_cast<size_t>(i)].data.u64;
            if ((events_[static_cast<size_t>(i)].events & EPOLLOUT) != 0) send(index, {});
            if ((events_[static_cast<size_t>(i)].events & ~static_cast<uint32_t>(EPOLLOUT)) != 0) on_input(index);
        }
    }

    // Reads once and calls on_frame(opcode, payload, payload_size) for each complete frame. `payload` is empty for a
    // payload that is thrown away.
    template <class OnFrame>
    void read_frames(size_t index, OnFrame on_frame) {
        Peer& peer = peers_[index];
        std::string_view input = receive(index);
        received_bytes_ += input.size() - peer.rest.size();
        while (!input.empty()) {
            if (peer.skip > 0) {
                const size_t skipped = std::min<uint64_t>(peer.skip, input.size());
                peer.skip -= skipped;
                input.remove_prefix(skipped);
                continue;
            }
            const Header header = parse_header(input);
            if (header.size == 0) break;
            const std::string_view behind = input.substr(header.size);
            if (header.payload_size > payload_shown_max) {
                peer.skip = header.payload_size;
                input = behind;
                on_frame(header.opcode, std::string_view(), header.payload_size);
                continue;
            }
            if (behind.size() < header.payload_size) break;
            const std::string_view payload = behind.substr(0, header.payload_size);
            input = behind.substr(header.payload_size);
            if (header.opcode >= server::Opcode::close) {
                take_control(index, header.opcode, payload);
            } else {
                on_frame(header.opcode, payload, header.payload_size);
            }
        }
        keep(peer, input);
    }

    // Reads once and calls `consume(input)`, which returns how many bytes it is done with, until that is 0.
    template <class Consume>
    void read_stream(size_t index, Consume consume) {
        std::string_view input = receive(index);
        received_bytes_ += input.size() - peers_[index].rest.size();
        for (size_t taken = 1; taken > 0 && !input.empty();) {
            taken = consume(input);
            input.remove_prefix(taken);
        }
        keep(peers_[index], input);
    }

    uint64_t received_bytes() const { return received_bytes_; }

private:
    struct Peer {
        FileDescriptor socket;
        std::string rest;    // the beginning of a frame whose end has not come yet
        std::string unsent;  // what the socket did not take
        uint64_t skip = 0;   // bytes of a payload that is being thrown away
    };
    struct Header {
        size_t size = 0;  // 0: not complete
        uint64_t payload_size = 0;
        server::Opcode opcode = server::Opcode::binary;
    };

    static Header parse_header(std::string_view input) {
        if (input.size() < 2) return {};
        Header header;
        header.opcode = static_cast<server::Opcode>(input[0] & 15);
        header.payload_size = static_cast<unsigned char>(input[1]) & 127;
        const size_t more = header.payload_size == 126 ? 2 : header.payload_size == 127 ? 8 : 0;
        if (input.size() < 2 + more) return {};
        header.size = 2 + more;
        if (more == 0) return header;
        header.payload_size = 0;
        for (size_t i = 2; i < header.size; ++i)
            header.payload_size = header.payload_size << 8 | static_cast<unsigned char>(input[i]);
        return header;
    }

    // What the last read left, and what there is now.
    std::string_view receive(size_t index);
    void keep(Peer& peer, std::string_view rest) {
        if (rest.empty() && peer.rest.empty()) return;
        peer.rest.assign(rest);
    }
    void take_control(size_t index, server::Opcode opcode, std::string_view payload);
    Result<void> begin(const std::string& address, const std::string& request);
    void watch(size_t index, uint32_t events, int operation);

    FileDescriptor epoll_;
    std::array<epoll_event, 512> events_{};
    std::vector<Peer> peers_;
    std::vector<char> buffer_;
    std::string failure_;
    uint64_t received_bytes_ = 0;
};

// Waits until `done()`, the end of `timeout_s`, a failure or a signal. False in the last three cases, with failure()
// set; `what` is what was waited for.
template <class OnInput, class Done>
bool wait_until(Sockets& sockets, const std::string& what, unsigned timeout_s, OnInput on_input, Done done) {
    const uint64_t end_ns = now_ns() + timeout_s * 1'000'000'000ULL;
    while (!done()) {
        if (now_ns() > end_ns) sockets.fail("waited " + std::to_string(timeout_s) + " s in vain for " + what);
        if (is_interrupted()) sockets.fail("interrupted");
        if (sockets.failed()) return false;
        sockets.wait(100, on_input);
    }
    return true;
}

}  // namespace meridian::load
