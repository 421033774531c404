#include "test_client.h"

#include <Poco/Net/SocketAddress.h>

#include <chrono>
#include <stdexcept>

#include "wire/op_codec.h"

namespace meridian::test {

uint64_t now_ms() {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count());
}

std::string token(const TokenOptions& options) {
    server::Claims claims;
    claims.namespace_name = options.namespace_name;
    claims.client_id = options.client_id;
    claims.expires_at_ms = now_ms() + options.ttl_ms;
    claims.permissions.admin = options.admin;
    for (const std::string& pattern : options.read)
        claims.permissions.read.push_back({pattern, server::op_mask_all, {}});
    for (const std::string& pattern : options.write)
        claims.permissions.write.push_back({pattern, server::op_mask_all, {}});
    claims.permissions.requests_per_second = 1'000'000;
    claims.client_key = options.client_key;
    return server::issue_token(claims, server::SigningKey::from_hex(signing_key_hex).value());
}

std::string counter_op(uint64_t amount, uint64_t client_id) {
    return wire::encode_op(crdt::GCounterOp{client_id, amount});
}

std::string register_op(const std::string& text, uint64_t wall_ms, uint64_t author) {
    return wire::encode_op(crdt::LwwRegisterOp{JsonValue::string(text), {wall_ms, 0, author}, author});
}

Poco::Net::StreamSocket connect_to(const std::string& address) {
    const bool local = address.rfind("unix:", 0) == 0;
    Poco::Net::StreamSocket socket{
        local ? Poco::Net::SocketAddress(Poco::Net::SocketAddress::UNIX_LOCAL, address.substr(5))
              : Poco::Net::SocketAddress(address)};
    socket.setReceiveTimeout(Poco::Timespan(20, 0));
    return socket;
}

std::string read_all(Poco::Net::StreamSocket& socket) {
    std::string out;
    char buffer[65536];
    for (int got = 0; (got = socket.receiveBytes(buffer, sizeof buffer)) > 0;)
        out.append(buffer, static_cast<size_t>(got));
    return out;
}

std::string raw_exchange(const std::string& address, const std::string& bytes) {
    Poco::Net::StreamSocket socket = connect_to(address);
    std::string_view rest = bytes;
    while (!rest.empty())
        rest.remove_prefix(static_cast<size_t>(socket.sendBytes(rest.data(), static_cast<int>(rest.size()))));
    socket.shutdownSend();
    return read_all(socket);
}

std::string raw_exchange(const ServerProcess& server, const std::string& bytes) {
    return raw_exchange(server.address(), bytes);
}

HttpReply http(const ServerProcess& server, const std::string& method, const std::string& path,
               const std::string& bearer, const std::string& body, const std::string& headers) {
    std::string request = method + " " + path + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n" + headers;
    if (!bearer.empty()) request += "Authorization: Bearer " + bearer + "\r\n";
    if (!body.empty()) request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    const std::string answer = raw_exchange(server, request + "\r\n" + body);
    const size_t end = answer.find("\r\n\r\n");
    if (end == std::string::npos || answer.rfind("HTTP/1.1 ", 0) != 0)
        throw std::runtime_error("no answer to " + method + " " + path + ": " + answer);
    return {std::stoi(answer.substr(9, 3)), answer.substr(0, end + 2), answer.substr(end + 4)};
}

client::WebSocketClient websocket(const ServerProcess& server, const std::string& bearer, const std::string& query) {
    auto connected =
        client::WebSocketClient::connect(server.address(), "/v1/namespaces/room/connect?token=" + bearer + query);
    if (!connected) throw std::runtime_error(connected.error().message);
    return std::move(connected).value();
}

void expect_nothing_more(client::WebSocketClient& socket) {
    socket.send(wire::Sync{"marker:nothing", std::string("\x81\xa7"
                                                         "entries\x80",
                                                         10)});
    const auto marker = expect<wire::ErrorMessage>(socket);
    if (marker.code != 404 && marker.code != 403) throw std::runtime_error("unexpected: " + describe(marker));
}

uint16_t expect_close(client::WebSocketClient& socket) {
    for (;;) {
        auto incoming = socket.receive(20'000);
        if (!incoming) throw std::runtime_error(incoming.error().message);
        if (!*incoming) throw std::runtime_error("no close frame came");
        if ((*incoming)->kind == server::WebSocketEvent::Kind::close) return (*incoming)->code;
    }
}

std::string describe(const wire::ServerMessage& message) {
    if (const auto* error = std::get_if<wire::ErrorMessage>(&message))
        return "Error " + std::to_string(error->code) + " " + error->message;
    if (const auto* delta = std::get_if<wire::DeltaMessage>(&message)) return "Delta of " + delta->crdt_id;
    return "message of kind " + std::to_string(message.index());
}

}  // namespace meridian::test
