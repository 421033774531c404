// A blocking WebSocket client of the server's protocol, for tools and tests. One thread.
#pragma once

#include <Poco/Net/StreamSocket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "protocol/websocket_codec.h"
#include "wire/client_message.h"

namespace meridian::client {

// Connects within 10 s to host:port, [IPv6 address]:port or unix:/path. Throws Poco exceptions.
Poco::Net::StreamSocket connect_socket(const std::string& address);
// What `Host` says to a node at such an address.
std::string host_header(const std::string& address);

class WebSocketClient {
public:
    // `address` is host:port or unix:/path; `target` the path with its query; `headers` whole lines with CRLF, may be
    // empty. An error carries the status line and body of a refused upgrade.
    static Result<WebSocketClient> connect(const std::string& address, const std::string& target,
                                           const std::string& headers = {});

    void send(const wire::ClientMessage& message) {
        send_frame(server::Opcode::binary, wire::encode_client_message(message));
    }
    void send_frame(server::Opcode opcode, std::string_view payload);
    // Bytes as they are, for tests of what is malformed.
    void send_raw(std::string_view bytes);

    struct Incoming {
        server::WebSocketEvent::Kind kind =
            server::WebSocketEvent::Kind::need_more;  // binary, text, ping, pong or close
        std::string payload;
        uint16_t code = 0;
    };
    // The next frame, or nothing if none came in time. Pings are answered and not given. An error if the connection
    // ended without a close frame or the server broke the protocol.
    Result<std::optional<Incoming>> receive(uint64_t timeout_ms);
    // The next server message; other frames but close are passed over.
    Result<std::optional<wire::ServerMessage>> receive_message(uint64_t timeout_ms);

    Poco::Net::StreamSocket& socket() { return socket_; }

private:
    explicit WebSocketClient(Poco::Net::StreamSocket socket)
        : socket_(std::move(socket)), reader_(server::WebSocketReader::Role::client, 256 << 20) {}

    Poco::Net::StreamSocket socket_;
    std::string input_;
    server::WebSocketReader reader_;
};

}  // namespace meridian::client
