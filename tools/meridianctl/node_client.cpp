#include "meridianctl/node_client.h"

#include <Poco/Exception.h>
#include <Poco/Net/HTTPClientSession.h>
#include <Poco/Net/HTTPRequest.h>
#include <Poco/Net/HTTPResponse.h>
#include <Poco/StreamCopier.h>
#include <Poco/URI.h>

#include "protocol/percent.h"

namespace meridian::ctl {

using client::environment;
using client::parse_duration_ms;
using client::parse_number;

namespace {
constexpr uint64_t own_token_ttl_ms = 3'600'000;
}

Error refusal(const HttpAnswer& answer) {
    return Error{"the node answered " + std::to_string(answer.status) +
                 (answer.body.empty() ? "" : ": " + answer.body)};
}

Result<server::LoadedSigningKey> NodeClient::signing_key() {
    const std::string directory = arguments_.get("data-dir", environment("MERIDIAN_DATA_DIR", "./data"));
    return server::load_signing_key(environment("MERIDIAN_SIGNING_KEY", ""), directory, false, random_);
}

Result<std::string> NodeClient::make_token(bool everything) {
    const Result<server::LoadedSigningKey> key = signing_key();
    if (!key) return Error{"no signing key to make a token with: " + key.error().message};
    server::Claims claims;
    claims.namespace_name = arguments_.get("namespace", namespace_);
    if (claims.namespace_name.empty()) return Error{"--namespace is missing: expected the namespace, [a-z0-9_-]{1,64}"};
    if (!server::is_valid_namespace(claims.namespace_name)) {
        return Error{"--namespace '" + claims.namespace_name + "': expected [a-z0-9_-]{1,64}"};
    }
    const Result<uint64_t> client_id = parse_number("--client", arguments_.get("client", "1"));
    if (!client_id) return client_id.error();
    claims.client_id = *client_id;
    // --ttl of a write is the key's, not the token's.
    const Result<uint64_t> ttl =
        everything ? Result<uint64_t>(own_token_ttl_ms) : parse_duration_ms(arguments_.get("ttl", "1h"));
    if (!ttl) return ttl.error();
    const uint64_t now_ms = clock_.wall_ms();
    claims.expires_at_ms = *ttl > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + *ttl;
    claims.permissions.version = 1;
    claims.permissions.admin = everything || arguments_.has("admin");
    const bool all = everything || (arguments_.has("admin") && !arguments_.has("read") && !arguments_.has("write"));
    const auto patterns = [&](const char* option) {
        std::vector<server::Rule> rules;
        for (const std::string& pattern : all ? std::vector<std::string>{"*"} : arguments_.all(option))
            rules.push_back({pattern, server::op_mask_all, {}});
        return rules;
    };
    claims.permissions.read = patterns("read");
    claims.permissions.write = patterns("write");
    return server::issue_token(claims, key->key);
}

Result<void> NodeClient::prepare(const std::string& default_namespace) {
    namespace_ = default_namespace;
    token_ = arguments_.get("token", environment("MERIDIAN_TOKEN", ""));
    if (token_.empty()) {
        Result<std::string> made = make_token(true);
        if (!made) return made.error();
        token_ = *made;
    }
    const auto payload = server::base64url_decode(token_.substr(0, token_.find('.')));
    const Result<server::Claims> claims = payload ? server::decode_claims(*payload) : Error{"not base64url"};
    if (!claims) return Error{"the token: " + claims.error().message};
    namespace_ = arguments_.get("namespace", claims->namespace_name);
    client_id_ = claims->client_id;
    return {};
}

Result<std::string> NodeClient::address() const {
    const std::string url = arguments_.get("url", environment("MERIDIAN_URL", "http://127.0.0.1:3000"));
    if (url.rfind("unix:/", 0) == 0) return url;
    try {
        const Poco::URI uri(url);
        // The library gives an IPv6 address without its brackets.
        const bool ipv6 = uri.getHost().find(':') != std::string::npos && uri.getHost().front() != '[';
        const std::string host = ipv6 ? "[" + uri.getHost() + "]" : uri.getHost();
        if (uri.getScheme() == "http" && !host.empty()) return host + ":" + std::to_string(uri.getPort());
    } catch (const Poco::Exception&) {
        // Reported below.
    }
    return Error{(arguments_.has("url") ? "--url '" : "MERIDIAN_URL '") + url +
                 "': expected http://host:port or unix:/path"};
}

std::string NodeClient::path(const std::string& rest) const {
    return "/v1/namespaces/" + server::percent_encode(namespace_) + rest;
}

Result<HttpAnswer> NodeClient::request(const std::string& method, const std::string& target, const std::string& body,
                                       int timeout_s) {
    const Result<std::string> node = address();
    if (!node) return node.error();
    try {
        Poco::Net::StreamSocket socket = client::connect_socket(*node);
        socket.setReceiveTimeout(Poco::Timespan(timeout_s, 0));
        socket.setSendTimeout(Poco::Timespan(timeout_s, 0));
        Poco::Net::HTTPClientSession session(socket);
        Poco::Net::HTTPRequest request(method, target, Poco::Net::HTTPMessage::HTTP_1_1);
        request.setHost(client::host_header(*node));
        if (!token_.empty()) request.set("Authorization", "Bearer " + token_);
        if (arguments_.has("idempotency-key")) request.set("Idempotency-Key", arguments_.get("idempotency-key", ""));
        if (!body.empty()) {
            request.setContentType("application/msgpack");
            request.setContentLength64(static_cast<Poco::Int64>(body.size()));
        }
        session.sendRequest(request) << body;
        Poco::Net::HTTPResponse response;
        std::istream& stream = session.receiveResponse(response);
        HttpAnswer answer;
        answer.status = response.getStatus();
        Poco::StreamCopier::copyToString(stream, answer.body);
        return answer;
    } catch (const Poco::Exception& error) { return Error{*node + ": " + error.displayText()}; }
}

void NodeClient::prepare_without_token() {
    token_ = arguments_.get("token", environment("MERIDIAN_TOKEN", ""));
}

std::string NodeClient::key_path(const std::string& key, const std::string& rest) const {
    return path("/crdts/" + server::percent_encode(key) + rest);
}

Result<client::WebSocketClient> NodeClient::websocket(const std::string& query) {
    const Result<std::string> node = address();
    if (!node) return node.error();
    return client::WebSocketClient::connect(*node, path("/connect?" + query + "token=") + token_);
}

}  // namespace meridian::ctl
