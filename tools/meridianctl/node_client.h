// A node as meridianctl reaches it: the token, and requests over HTTP and WebSocket.
#pragma once

#include <string>

#include "auth/signing_key_file.h"
#include "base/result.h"
#include "client/arguments.h"
#include "client/websocket_client.h"
#include "loop/system_environment.h"

namespace meridian::ctl {

struct HttpAnswer {
    int status = 0;
    std::string body;
};

// What the node said no to, as an error.
Error refusal(const HttpAnswer& answer);

class NodeClient {
public:
    explicit NodeClient(client::Arguments arguments) : arguments_(std::move(arguments)) {}

    const client::Arguments& arguments() const { return arguments_; }
    const server::SystemClock& clock() const { return clock_; }
    server::SystemClock& clock() { return clock_; }
    server::SystemRandom& random() { return random_; }

    // The key of the data directory or of the environment.
    Result<server::LoadedSigningKey> signing_key();
    // `everything`: with every right, for an hour, for our own requests; else what the options say.
    Result<std::string> make_token(bool everything);

    // Finds or makes the token to use, and the namespace and client id that follow from it. To be called before what
    // is below. `default_namespace`: for a token that is made when no namespace is named.
    Result<void> prepare(const std::string& default_namespace = {});
    // Uses a token only if one is given.
    void prepare_without_token();

    uint64_t client_id() const { return client_id_; }
    // Percent-encoded, below the namespace.
    std::string path(const std::string& rest) const;
    std::string key_path(const std::string& key, const std::string& rest = {}) const;

    Result<HttpAnswer> request(const std::string& method, const std::string& target, const std::string& body = {},
                               int timeout_s = 30);
    Result<client::WebSocketClient> websocket(const std::string& query);

private:
    // host:port or unix:/path.
    Result<std::string> address() const;

    client::Arguments arguments_;
    server::SystemClock clock_;
    server::SystemRandom random_;
    std::string token_;
    std::string namespace_;
    uint64_t client_id_ = 0;
};

}  // namespace meridian::ctl
