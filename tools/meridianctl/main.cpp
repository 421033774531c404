// meridianctl: makes and reads tokens, reads and writes keys, watches a namespace.
#include <Poco/Exception.h>
#include <Poco/Net/HTTPClientSession.h>
#include <Poco/Net/HTTPRequest.h>
#include <Poco/Net/HTTPResponse.h>
#include <Poco/StreamCopier.h>
#include <Poco/URI.h>
#include <sodium.h>

#include <cstdlib>
#include <iostream>
#include <set>

#include "api/token_api.h"
#include "auth/signing_key_file.h"
#include "base/json_writer.h"
#include "client/arguments.h"
#include "client/websocket_client.h"
#include "config/settings.h"
#include "loop/system_environment.h"
#include "meridianctl/json_bridge.h"
#include "meridianctl/ops.h"
#include "protocol/http_head.h"
#include "restore.h"
#include "server_version.h"
#include "wire/client_delta_codec.h"
#include "wire/op_codec.h"

namespace meridian::ctl {
namespace {

using client::Arguments;
using client::environment;
using client::parse_duration_ms;
using client::parse_number;

const client::OptionNames option_names = {
    {"url", "token", "namespace", "data-dir", "client", "ttl", "read", "write", "idempotency-key", "config"},
    {"admin", "help", "version"}};
constexpr uint64_t own_token_ttl_ms = 3'600'000;
constexpr int backup_timeout_s = 24 * 3600;

std::string help() {
    return "usage: meridianctl [option...] command\n"
           "\n"
           "commands\n"
           "  token issue              make a token with the node's signing key\n"
           "  token inspect TOKEN      show what a token says, and whether the signing key made it\n"
           "  get KEY                  the value as JSON\n" +
           op_help() +
           "  backup [NAME]            make a backup of the running node, on its machine; prints where it is\n"
           "  restore DIRECTORY        put a backup in the place of the store of a node that does not run\n"
           "  watch [KEY...]           print the state of the keys, then every change (of these keys, or of all), a "
           "JSON line each\n"
           "\n"
           "options\n"
           "  --url URL                the node; default http://127.0.0.1:3000\n"
           "  --token TOKEN            default: environment variable MERIDIAN_TOKEN; without either one is made with "
           "the signing key\n"
           "  --namespace NAME         default: that of the token\n"
           "  --config FILE            for restore: the node's configuration; may be given several times\n"
           "  --data-dir DIRECTORY     where the signing key is; default ./data, or MERIDIAN_DATA_DIR; "
           "MERIDIAN_SIGNING_KEY wins\n"
           "  --client ID              client id of a token that is made; default 1\n"
           "  --ttl TIME               of a token that is made, or of the key that is written: 90s, 15m, 24h, 30d\n"
           "  --read GLOB --write GLOB what a token that is issued grants; may be given several times\n"
           "  --admin                  the token may issue tokens and end sessions; without --read and --write it also "
           "grants every key\n"
           "  --idempotency-key TEXT   makes a write safe to repeat\n";
}

class Control {
public:
    explicit Control(Arguments arguments) : arguments_(std::move(arguments)) {}

    Result<void> run() {
        const std::vector<std::string>& words = arguments_.words;
        const std::string& command = words[0];
        if (command == "token" && words.size() == 2 && words[1] == "issue") return issue();
        if (command == "token" && words.size() == 3 && words[1] == "inspect") return inspect(words[2]);
        if (command == "get" && words.size() == 2) return get(words[1]);
        if (command == "backup" && words.size() <= 2) return backup(words.size() == 2 ? words[1] : "");
        if (command == "restore" && words.size() == 2) return restore(words[1]);
        if (command == "watch") return watch({words.begin() + 1, words.end()});
        if (is_op_verb(command)) return write(words);
        std::string line;
        for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
        return Error{"'" + line + "': unknown command or wrong operands; see meridianctl --help"};
    }

private:
    struct HttpAnswer {
        int status = 0;
        std::string content_type;
        std::string body;
    };

    std::string data_directory() const {
        return arguments_.get("data-dir", environment("MERIDIAN_DATA_DIR", "./data"));
    }
    Result<server::LoadedSigningKey> signing_key() {
        return server::load_signing_key(environment("MERIDIAN_SIGNING_KEY", ""), data_directory(), false, random_);
    }

    Result<std::string> make_token(bool everything) {
        const Result<server::LoadedSigningKey> key = signing_key();
        if (!key) return Error{"no signing key to make a token with: " + key.error().message};
        server::Claims claims;
        claims.namespace_name = arguments_.get("namespace", "");
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

    Result<void> issue() {
        const Result<std::string> token = make_token(false);
        if (!token) return token.error();
        std::cout << *token << "\n";
        return {};
    }

    Result<void> inspect(const std::string& token) {
        const auto payload = server::base64url_decode(token.substr(0, token.find('.')));
        if (!payload) return Error{"the token's claims are not base64url"};
        const Result<server::Claims> claims = server::decode_claims(*payload);
        if (!claims) return Error{"the token's claims: " + claims.error().message};
        std::cout << server::describe_claims(*claims) << "\n";
        if (const Result<server::LoadedSigningKey> key = signing_key()) {
            const server::TokenVerdict verdict = server::verify_token(token, key->key.public_key());
            std::cout << (verdict.claims ? "signature: made with this signing key\n"
                                         : "signature: " + verdict.refusal.message + "\n");
        } else {
            std::cout << "signature: not checked, no signing key here\n";
        }
        const uint64_t now_ms = clock_.wall_ms();
        std::cout << (now_ms >= claims->expires_at_ms
                          ? "expired"
                          : "expires in " + std::to_string((claims->expires_at_ms - now_ms) / 1000) + " s")
                  << "\n";
        return {};
    }

    // The token to use, and the namespace and client id that follow from it.
    Result<void> prepare() {
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

    Result<Poco::URI> url() const {
        try {
            Poco::URI uri(arguments_.get("url", environment("MERIDIAN_URL", "http://127.0.0.1:3000")));
            if (uri.getScheme() == "http" && !uri.getHost().empty()) return uri;
        } catch (const Poco::Exception&) {
            // Reported below.
        }
        return Error{"--url '" + arguments_.get("url", "") + "': expected http://host:port"};
    }

    std::string path(const std::string& rest) const {
        return "/v1/namespaces/" + server::percent_encode(namespace_) + rest;
    }

    Result<HttpAnswer> request(const std::string& method, const std::string& target, const std::string& body = {},
                               int timeout_s = 30) {
        const Result<Poco::URI> node = url();
        if (!node) return node.error();
        try {
            Poco::Net::HTTPClientSession session(node->getHost(), node->getPort());
            session.setTimeout(Poco::Timespan(timeout_s, 0));
            Poco::Net::HTTPRequest request(method, target, Poco::Net::HTTPMessage::HTTP_1_1);
            request.set("Authorization", "Bearer " + token_);
            if (arguments_.has("idempotency-key"))
                request.set("Idempotency-Key", arguments_.get("idempotency-key", ""));
            if (!body.empty()) {
                request.setContentType("application/msgpack");
                request.setContentLength64(static_cast<Poco::Int64>(body.size()));
            }
            session.sendRequest(request) << body;
            Poco::Net::HTTPResponse response;
            std::istream& stream = session.receiveResponse(response);
            HttpAnswer answer;
            answer.status = response.getStatus();
            answer.content_type = response.getContentType();
            Poco::StreamCopier::copyToString(stream, answer.body);
            return answer;
        } catch (const Poco::Exception& error) { return Error{node->toString() + ": " + error.displayText()}; }
    }

    static Error refusal(const HttpAnswer& answer) {
        return Error{"the node answered " + std::to_string(answer.status) + ": " + answer.body};
    }

    Result<void> get(const std::string& key) {
        if (Result<void> prepared = prepare(); !prepared) return prepared;
        const Result<HttpAnswer> answer = request("GET", path("/crdts/" + server::percent_encode(key)));
        if (!answer) return answer.error();
        if (answer->status != 200) return refusal(*answer);
        std::cout << answer->body << "\n";
        return {};
    }

    Result<void> backup(const std::string& name) {
        // Any namespace will do: the token says only who asks.
        if (!arguments_.has("namespace")) arguments_.options["namespace"] = {"backup"};
        if (Result<void> prepared = prepare(); !prepared) return prepared;
        const Result<HttpAnswer> answer = request(
            "POST", "/v1/backup" + (name.empty() ? "" : "?name=" + server::percent_encode(name)), {}, backup_timeout_s);
        if (!answer) return answer.error();
        if (answer->status != 200) return refusal(*answer);
        std::cout << answer->body << "\n";
        return {};
    }

    Result<void> restore(const std::string& directory) {
        config::SettingsSources sources;
        sources.files = arguments_.all("config");
        if (arguments_.has("data-dir")) sources.options.emplace_back("server.data_dir", arguments_.get("data-dir", ""));
        sources.environment = [](const std::string& name) -> std::optional<std::string> {
            const char* value = std::getenv(name.c_str());
            if (value == nullptr) return std::nullopt;
            return value;
        };
        const Result<config::Settings> settings = config::load_settings(sources);
        if (!settings) return settings.error();
        const Result<std::string> restored = server::restore_backup(*settings, directory, clock_, random_);
        if (!restored) return restored.error();
        std::cout << "restored to " << *restored << ", with a new incarnation\n";
        return {};
    }

    Result<std::vector<crdt::Tag>> tags_of(const std::string& key, const std::string& element) {
        const Result<HttpAnswer> answer = request("GET", path("/crdts/" + server::percent_encode(key) + "/sync"));
        if (!answer) return answer.error();
        if (answer->status == 204) return std::vector<crdt::Tag>();
        if (answer->status != 200) return refusal(*answer);
        const Result<crdt::ClientDelta> state = wire::decode_client_delta(crdt::Type::orset, answer->body);
        if (!state) return Error{key + ": not a set: " + state.error().message};
        for (const auto& held : std::get<crdt::OrSetClientDelta>(*state).adds) {
            if (held.first == element) return held.second;
        }
        return Error{key + ": holds no " + element};
    }

    Result<void> write(const std::vector<std::string>& words) {
        if (Result<void> prepared = prepare(); !prepared) return prepared;
        OpContext context;
        context.client_id = client_id_;
        context.now_ms = clock_.wall_ms();
        random_.fill(context.new_tag.data(), context.new_tag.size());
        context.tags_of = [this](const std::string& key, const std::string& element) { return tags_of(key, element); };
        const Result<crdt::Op> op = op_from_words(words, context);
        if (!op) return op.error();
        std::string target = path("/crdts/" + server::percent_encode(words[1]) + "/ops");
        if (arguments_.has("ttl")) {
            const Result<uint64_t> ttl_ms = parse_duration_ms(arguments_.get("ttl", ""));
            if (!ttl_ms) return ttl_ms.error();
            target += "?ttl_ms=" + std::to_string(*ttl_ms);
        }
        const Result<HttpAnswer> answer = request("POST", target, wire::encode_op(*op));
        if (!answer) return answer.error();
        if (answer->status == 204) {
            std::cout << "nothing changed\n";
            return {};
        }
        if (answer->status != 200) return refusal(*answer);
        const Result<std::string> text = text_from_msgpack(answer->body);
        if (!text) return text.error();
        std::cout << *text << "\n";
        return {};
    }

    Result<void> watch(const std::vector<std::string>& keys) {
        if (Result<void> prepared = prepare(); !prepared) return prepared;
        const Result<Poco::URI> node = url();
        if (!node) return node.error();
        const std::string address = node->getHost() + ":" + std::to_string(node->getPort());
        Result<client::WebSocketClient> connected =
            client::WebSocketClient::connect(address, path("/connect?keys=string&token=") + token_);
        if (!connected) return connected.error();
        client::WebSocketClient& socket = *connected;
        for (const std::string& key : keys) socket.send(wire::Subscribe{key});
        const std::set<std::string> wanted(keys.begin(), keys.end());
        for (;;) {
            const auto message = socket.receive_message(3'600'000);
            if (!message) return message.error();
            if (!*message) continue;
            if (const auto* delta = std::get_if<wire::DeltaMessage>(&**message)) {
                if (!wanted.empty() && wanted.count(delta->crdt_id) == 0) continue;
                if (Result<void> shown = show(*delta); !shown) return shown;
            } else if (const auto* error = std::get_if<wire::ErrorMessage>(&**message)) {
                std::cerr << "meridianctl: the node says " << error->code << ": " << error->message << "\n";
            }
        }
    }

    static Result<void> show(const wire::DeltaMessage& delta) {
        const Result<std::string> text = text_from_msgpack(delta.delta_bytes);
        if (!text) return text.error();
        JsonWriter json;
        json.begin_object();
        json.key("key");
        json.string(delta.crdt_id);
        json.key("delta");
        json.raw(*text);
        json.end_object();
        std::cout << json.text() << std::endl;  // a line each, at once, also into a pipe
        return {};
    }

    Arguments arguments_;
    server::SystemClock clock_;
    server::SystemRandom random_;
    std::string token_;
    std::string namespace_;
    uint64_t client_id_ = 0;
};

int fail(const Error& error) {
    std::cerr << "meridianctl: " << error.message << "\n";
    return 1;
}

int run(int argc, char** argv) {
    if (sodium_init() < 0) return fail(Error{"the cryptographic library does not start"});
    Result<Arguments> arguments = client::parse_arguments(argc, argv, option_names);
    if (!arguments) return fail(arguments.error());
    if (arguments->has("version")) {
        std::cout << "meridianctl " << MERIDIAN_VERSION << "\n";
        return 0;
    }
    if (arguments->has("help") || arguments->words.empty()) {
        (arguments->has("help") ? std::cout : std::cerr) << help();
        return arguments->has("help") ? 0 : 1;
    }
    const Result<void> done = Control(std::move(arguments).value()).run();
    return done ? 0 : fail(done.error());
}

}  // namespace
}  // namespace meridian::ctl

int main(int argc, char** argv) {
    try {
        return meridian::ctl::run(argc, argv);
    } catch (const std::exception& error) { return meridian::ctl::fail(meridian::Error{error.what()}); }
}
