#include "client/websocket_client.h"

#include <Poco/Exception.h>
#include <Poco/Net/NetException.h>
#include <Poco/Net/SocketAddress.h>
#include <sodium.h>

#include <array>
#include <chrono>

namespace meridian::client {
namespace {

using Clock = std::chrono::steady_clock;

Poco::Timespan rest_until(Clock::time_point deadline) {
    const auto rest = std::chrono::duration_cast<std::chrono::microseconds>(deadline - Clock::now()).count();
    return Poco::Timespan(rest > 0 ? rest : 0);
}

bool is_unix(const std::string& address) {
    return address.rfind("unix:", 0) == 0;
}

// Appends what arrives before the deadline; false on timeout. Throws Poco exceptions.
bool read_some(Poco::Net::StreamSocket& socket, std::string& input, Clock::time_point deadline) {
    if (!socket.poll(rest_until(deadline), Poco::Net::Socket::SELECT_READ)) return false;
    std::array<char, 65536> buffer{};
    const int got = socket.receiveBytes(buffer.data(), static_cast<int>(buffer.size()));
    if (got <= 0) throw Poco::Net::ConnectionResetException("the connection ended");
    input.append(buffer.data(), static_cast<size_t>(got));
    return true;
}

}  // namespace

Poco::Net::StreamSocket connect_socket(const std::string& address) {
    using Poco::Net::SocketAddress;
    Poco::Net::StreamSocket socket;
    socket.connect(
        is_unix(address) ? SocketAddress(SocketAddress::UNIX_LOCAL, address.substr(5)) : SocketAddress(address),
        Poco::Timespan(10, 0));
    if (!is_unix(address)) socket.setNoDelay(true);
    return socket;
}

std::string host_header(const std::string& address) {
    return is_unix(address) ? "localhost" : address;
}

Result<WebSocketClient> WebSocketClient::connect(const std::string& address, const std::string& target,
                                                 const std::string& headers) {
    try {
        Poco::Net::StreamSocket socket = connect_socket(address);
        std::array<unsigned char, 16> nonce{};
        randombytes_buf(nonce.data(), nonce.size());
        char key[sodium_base64_ENCODED_LEN(16, sodium_base64_VARIANT_ORIGINAL)];
        sodium_bin2base64(key, sizeof key, nonce.data(), nonce.size(), sodium_base64_VARIANT_ORIGINAL);
        WebSocketClient client(std::move(socket));
        client.send_raw(
            "GET " + target + " HTTP/1.1\r\nHost: " + host_header(address) +
            "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key +
            "\r\n" + headers + "\r\n");
        const auto deadline = Clock::now() + std::chrono::seconds(10);
        size_t end = std::string::npos;
        while ((end = client.input_.find("\r\n\r\n")) == std::string::npos) {
            if (client.input_.size() > 65536 || !read_some(client.socket_, client.input_, deadline))
                return Error{"no answer to the upgrade"};
        }
        if (client.input_.rfind("HTTP/1.1 101 ", 0) != 0) {
            const std::string status = client.input_.substr(0, client.input_.find('\r'));
            return Error{"upgrade refused: " + status + " " + client.input_.substr(end + 4)};
        }
        client.input_.erase(0, end + 4);
        return client;
    } catch (const Poco::Exception& error) { return Error{address + ": " + error.displayText()}; }
}

void WebSocketClient::send_raw(std::string_view bytes) {
    while (!bytes.empty()) {
        const int sent = socket_.sendBytes(bytes.data(), static_cast<int>(bytes.size()));
        bytes.remove_prefix(static_cast<size_t>(sent));
    }
}

void WebSocketClient::send_frame(server::Opcode opcode, std::string_view payload) {
    std::array<uint8_t, 4> mask{};
    randombytes_buf(mask.data(), mask.size());
    std::string frame;
    server::append_masked_message(frame, opcode, payload, mask);
    send_raw(frame);
}

Result<std::optional<WebSocketClient::Incoming>> WebSocketClient::receive(uint64_t timeout_ms) {
    using Kind = server::WebSocketEvent::Kind;
    const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
    try {
        for (;;) {
            const server::WebSocketEvent event = reader_.next(input_.data(), input_.size());
            if (event.kind == Kind::need_more) {
                if (!read_some(socket_, input_, deadline)) return std::optional<Incoming>();
                continue;
            }
            if (event.kind == Kind::error) return Error{std::string("the server broke the protocol: ") + event.problem};
            Incoming incoming{event.kind, std::string(event.payload), event.code};
            input_.erase(0, event.consumed);
            if (event.kind == Kind::ping) send_frame(server::Opcode::pong, incoming.payload);
            if (event.kind == Kind::ping || event.kind == Kind::continued) continue;
            return std::optional<Incoming>(std::move(incoming));
        }
    } catch (const Poco::Exception& error) { return Error{error.displayText()}; }
}

Result<std::optional<wire::ServerMessage>> WebSocketClient::receive_message(uint64_t timeout_ms) {
    using Kind = server::WebSocketEvent::Kind;
    for (;;) {
        Result<std::optional<Incoming>> incoming = receive(timeout_ms);
        if (!incoming) return incoming.error();
        if (!*incoming) return std::optional<wire::ServerMessage>();
        if ((*incoming)->kind == Kind::close) {
            return Error{"closed with " + std::to_string((*incoming)->code) +
                         ((*incoming)->payload.empty() ? "" : ": " + (*incoming)->payload)};
        }
        if ((*incoming)->kind != Kind::binary) continue;
        Result<wire::ServerMessage> message = wire::decode_server_message((*incoming)->payload);
        if (!message) return message.error();
        return std::optional<wire::ServerMessage>(std::move(message).value());
    }
}

}  // namespace meridian::client
