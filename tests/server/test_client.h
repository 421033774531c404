// What the integration tests speak to the server with: tokens, ops, HTTP, WebSocket.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "auth/token.h"
#include "client/websocket_client.h"
#include "crdt/op.h"
#include "server_process.h"

namespace meridian::test {

struct HttpReply {
    int status = 0;
    std::string head;
    std::string body;
};

struct TokenOptions {
    uint64_t client_id = 42;
    std::vector<std::string> read = {"*"};
    std::vector<std::string> write = {"*"};
    bool admin = false;
    uint64_t ttl_ms = 3'600'000;
    std::optional<server::PublicKey> client_key = {};
    std::string namespace_name = "room";
};

uint64_t now_ms();
// The key that every test server is given; its hexadecimal form is `signing_key_hex`.
inline const std::string signing_key_hex(64, '4');
std::string token(const TokenOptions& options = {});

std::string counter_op(uint64_t amount, uint64_t client_id = 42);
std::string register_op(const std::string& text, uint64_t wall_ms, uint64_t author = 42);

// One request on a connection of its own. `headers`: whole lines.
HttpReply http(const ServerProcess& server, const std::string& method, const std::string& path,
               const std::string& bearer, const std::string& body = {}, const std::string& headers = {});
// A connection to a node's address, unix:/path too, that gives up reading after 20 s.
Poco::Net::StreamSocket connect_to(const std::string& address);
// What comes until the other side ends the connection.
std::string read_all(Poco::Net::StreamSocket& socket);
// Sends bytes as they are, shuts the sending side, returns everything that comes back.
std::string raw_exchange(const ServerProcess& server, const std::string& bytes);
std::string raw_exchange(const std::string& address, const std::string& bytes);

client::WebSocketClient websocket(const ServerProcess& server, const std::string& bearer,
                                  const std::string& query = {});

// The next message, which must be of type T. Fails the test otherwise, or if none comes in 20 s.
template <class T>
T expect(client::WebSocketClient& socket);
// Nothing but what has been read arrives before the answer to a marker that is sent now.
void expect_nothing_more(client::WebSocketClient& socket);
// The close frame's code; other frames before it are passed over.
uint16_t expect_close(client::WebSocketClient& socket);

std::string describe(const wire::ServerMessage& message);

template <class T>
T expect(client::WebSocketClient& socket) {
    auto message = socket.receive_message(20'000);
    if (!message) throw std::runtime_error(message.error().message);
    if (!*message) throw std::runtime_error("no message came");
    if (auto* wanted = std::get_if<T>(&**message)) return std::move(*wanted);
    throw std::runtime_error("unexpected message: " + describe(**message));
}

}  // namespace meridian::test
