// meridianctl: makes and reads tokens, reads and writes keys, watches a namespace, looks after a node.
#include <sodium.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <set>

#include "api/token_api.h"
#include "base/json_writer.h"
#include "config/settings.h"
#include "meridianctl/cluster.h"
#include "meridianctl/json_bridge.h"
#include "meridianctl/node_client.h"
#include "meridianctl/ops.h"
#include "meridianctl/status.h"
#include "protocol/percent.h"
#include "restore.h"
#include "server_version.h"
#include "wire/client_delta_codec.h"
#include "wire/op_codec.h"

namespace meridian::ctl {
namespace {

using client::Arguments;
using client::parse_duration_ms;
using Words = std::vector<std::string>;

constexpr int backup_timeout_s = 24 * 3600;
constexpr uint64_t batch_timeout_ms = 30'000;

const client::OptionNames option_names = {
    {"url", "token", "namespace", "data-dir", "client", "ttl", "read", "write", "idempotency-key", "config"},
    {"admin", "help", "version"}};

struct Command {
    const char* name;
    size_t operands_min;
    size_t operands_max;
    const char* usage;  // a line or more of the help, which name it
};

const Command commands[] = {
    {"status", 0, 0,
     "  status                              whether the node is ready, and what it does; exit status 0 if it is\n"},
    {"token", 1, 2,
     "  token issue                         make a token with the node's signing key\n"
     "  token inspect TOKEN                 show what a token says, and whether the signing key made it\n"},
    {"get", 1, 1, "  get KEY                             the value as JSON\n"},
    {"op", 1, SIZE_MAX, nullptr},
    {"watch", 0, SIZE_MAX,
     "  watch [KEY...]                      print the state of the keys, then every change (of these keys, or of "
     "all),\n"
     "                                      a JSON line each\n"},
    {"cluster", 1, 2,
     "  cluster status                      how the node sees its cluster; exit status 0 if it is ready and no alarm "
     "holds\n"
     "  cluster namespaces                  keys of each namespace and a digest of them, equal on nodes that hold the "
     "same\n"
     "  cluster diff URL                    the keys that this node and the one at URL hold differently; exit status 0 "
     "if\n"
     "                                      there are none\n"},
    {"backup", 0, 1,
     "  backup [NAME]                       make a backup of the running node, on its machine; prints where it is\n"},
    {"restore", 1, 1,
     "  restore DIRECTORY                   put a backup in the place of the store of a node that does not run\n"},
};

const char* const options_help =
    "  --url URL                the node: http://host:port or unix:/path; default MERIDIAN_URL, or "
    "http://127.0.0.1:3000\n"
    "  --token TOKEN            default MERIDIAN_TOKEN; without either one is made with the signing key\n"
    "  --namespace NAME         default: that of the token\n"
    "  --data-dir DIRECTORY     where the signing key is; default MERIDIAN_DATA_DIR, or ./data; MERIDIAN_SIGNING_KEY "
    "wins\n"
    "  --client ID              client id of a token that is made; default 1\n"
    "  --ttl TIME               of a token that is made, or of the key that is written: 90s, 15m, 24h, 30d\n"
    "  --read GLOB --write GLOB what a token that is issued grants; may be given several times\n"
    "  --admin                  the token may issue tokens and end sessions; without --read and --write it also grants "
    "every\n"
    "                           key\n"
    "  --idempotency-key TEXT   makes a write safe to repeat\n"
    "  --config FILE            for restore: the node's configuration; may be given several times\n";

const Command* find_command(const std::string& name) {
    const auto found =
        std::find_if(std::begin(commands), std::end(commands), [&](const Command& each) { return name == each.name; });
    return found == std::end(commands) ? nullptr : found;
}

std::string usage_of(const Command& command) {
    if (command.usage != nullptr) return command.usage;
    return op_help() + "                                      (the word op may be left out)\n";
}

// Of one command, or of all.
std::string help(const Command* only) {
    std::string text = "usage: meridianctl [option...] command\n\ncommands\n";
    for (const Command& command : commands) {
        if (only == nullptr || only == &command) text += usage_of(command);
    }
    return text + "\noptions\n" + options_help;
}

class Control {
public:
    explicit Control(Arguments arguments) : node_(std::move(arguments)) {}

    Result<void> run() {
        Words words = node_.arguments().words;
        if (is_op_verb(words[0])) words.insert(words.begin(), "op");
        const Command* command = find_command(words[0]);
        if (command == nullptr) {
            Words names = op_verbs();
            for (const Command& each : commands) names.emplace_back(each.name);
            return Error{client::unknown_name("command", words[0], names)};
        }
        const std::string name = words[0];
        words.erase(words.begin());
        if (words.size() < command->operands_min || words.size() > command->operands_max)
            return Error{name + ": found " + std::to_string(words.size()) + " operands, expected:\n" +
                         usage_of(*command)};
        if (name == "status") return show_status(node_);
        if (name == "token") return token(words);
        if (name == "get") return get(words[0]);
        if (name == "op") return write(words);
        if (name == "watch") return watch(words);
        if (name == "cluster") return cluster(words);
        if (name == "backup") return backup(words.empty() ? "" : words[0]);
        return restore(words[0]);
    }

private:
    Result<void> token(const Words& words) {
        if (words[0] == "issue" && words.size() == 1) return issue();
        if (words[0] == "inspect" && words.size() == 2) return inspect(words[1]);
        return Error{"token " + words[0] + ": expected:\n" + usage_of(*find_command("token"))};
    }

    Result<void> issue() {
        const Result<std::string> token = node_.make_token(false);
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
        if (const Result<server::LoadedSigningKey> key = node_.signing_key()) {
            const server::TokenVerdict verdict = server::verify_token(token, key->key.public_key());
            std::cout << (verdict.claims ? "signature: made with this signing key\n"
                                         : "signature: " + verdict.refusal.message + "\n");
        } else {
            std::cout << "signature: not checked, no signing key here\n";
        }
        const uint64_t now_ms = node_.clock().wall_ms();
        std::cout << (now_ms >= claims->expires_at_ms
                          ? "expired"
                          : "expires in " + std::to_string((claims->expires_at_ms - now_ms) / 1000) + " s")
                  << "\n";
        return {};
    }

    Result<void> get(const std::string& key) {
        if (Result<void> prepared = node_.prepare(); !prepared) return prepared;
        const Result<HttpAnswer> answer = node_.request("GET", node_.key_path(key));
        if (!answer) return answer.error();
        if (answer->status != 200) return refusal(*answer);
        std::cout << answer->body << "\n";
        return {};
    }

    Result<void> cluster(const Words& words) {
        const bool diff = words[0] == "diff" && words.size() == 2;
        const bool namespaces = words[0] == "namespaces" && words.size() == 1;
        if (!diff && !namespaces && (words[0] != "status" || words.size() != 1))
            return Error{"cluster " + words[0] + ": expected:\n" + usage_of(*find_command("cluster"))};
        // Any namespace will do: the token says only who asks.
        if (Result<void> prepared = node_.prepare("cluster"); !prepared) return prepared;
        if (namespaces) return show_namespaces(node_);
        if (!diff) return show_cluster(node_);
        Arguments arguments = node_.arguments();
        arguments.options["url"] = {words[1]};
        NodeClient other(std::move(arguments));
        if (Result<void> prepared = other.prepare("cluster"); !prepared) return prepared;
        return show_differences(node_, other);
    }

    Result<void> backup(const std::string& name) {
        // Any namespace will do: the token says only who asks.
        if (Result<void> prepared = node_.prepare("backup"); !prepared) return prepared;
        const Result<HttpAnswer> answer = node_.request(
            "POST", "/v1/backup" + (name.empty() ? "" : "?name=" + server::percent_encode(name)), {}, backup_timeout_s);
        if (!answer) return answer.error();
        if (answer->status != 200) return refusal(*answer);
        std::cout << answer->body << "\n";
        return {};
    }

    Result<void> restore(const std::string& directory) {
        config::SettingsSources sources;
        sources.files = node_.arguments().all("config");
        if (node_.arguments().has("data-dir"))
            sources.options.emplace_back("server.data_dir", node_.arguments().get("data-dir", ""));
        sources.environment = [](const std::string& name) -> std::optional<std::string> {
            const char* value = std::getenv(name.c_str());
            if (value == nullptr) return std::nullopt;
            return value;
        };
        const Result<config::Settings> settings = config::load_settings(sources);
        if (!settings) return settings.error();
        const Result<std::string> restored =
            server::restore_backup(*settings, directory, node_.clock(), node_.random());
        if (!restored) return restored.error();
        std::cout << "restored to " << *restored << ", with a new incarnation\n";
        return {};
    }

    Result<std::optional<crdt::ClientDelta>> state_of(crdt::Type type, const std::string& key) {
        const Result<HttpAnswer> answer = node_.request("GET", node_.key_path(key, "/sync"));
        if (!answer) return answer.error();
        if (answer->status == 204 || answer->status == 404) return std::optional<crdt::ClientDelta>();
        if (answer->status != 200) return refusal(*answer);
        Result<crdt::ClientDelta> state = wire::decode_client_delta(type, answer->body);
        if (!state) return Error{key + ": not of the type that this op is for: " + state.error().message};
        return std::optional<crdt::ClientDelta>(std::move(state).value());
    }

    Result<void> write(const Words& words) {
        if (!is_op_verb(words[0])) return Error{client::unknown_name("op", words[0], op_verbs())};
        if (Result<void> prepared = node_.prepare(); !prepared) return prepared;
        OpContext context;
        context.client_id = node_.client_id();
        context.now_ms = node_.clock().wall_ms();
        node_.random().fill(context.new_tag.data(), context.new_tag.size());
        context.state_of = [this](crdt::Type type, const std::string& key) { return state_of(type, key); };
        const Result<std::vector<crdt::Op>> ops = ops_from_words(words, context);
        if (!ops) return ops.error();
        return ops->size() == 1 ? write_one(words[1], ops->front()) : write_batch(words[1], *ops);
    }

    Result<std::optional<uint64_t>> ttl_ms() const {
        if (!node_.arguments().has("ttl")) return std::optional<uint64_t>();
        const Result<uint64_t> ttl = parse_duration_ms(node_.arguments().get("ttl", ""));
        if (!ttl) return ttl.error();
        return std::optional<uint64_t>(*ttl);
    }

    Result<void> write_one(const std::string& key, const crdt::Op& op) {
        const Result<std::optional<uint64_t>> ttl = ttl_ms();
        if (!ttl) return ttl.error();
        const std::string query = *ttl ? "?ttl_ms=" + std::to_string(**ttl) : "";
        const Result<HttpAnswer> answer =
            node_.request("POST", node_.key_path(key, "/ops") + query, wire::encode_op(op));
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

    // All or nothing; only WebSockets have batches.
    Result<void> write_batch(const std::string& key, const std::vector<crdt::Op>& ops) {
        const Result<std::optional<uint64_t>> ttl = ttl_ms();
        if (!ttl) return ttl.error();
        if (ops.empty()) {
            std::cout << "nothing changed\n";
            return {};
        }
        if (node_.arguments().has("idempotency-key"))
            return Error{"--idempotency-key is for a single op, and this makes " + std::to_string(ops.size())};
        Result<client::WebSocketClient> socket = node_.websocket("keys=string&");
        if (!socket) return socket.error();
        wire::BatchOp batch;
        for (const crdt::Op& op : ops) batch.ops.push_back({key, wire::encode_op(op), *ttl, {}});
        socket->send(batch);
        for (;;) {
            const auto message = socket->receive_message(batch_timeout_ms);
            if (!message) return message.error();
            if (!*message) return Error{"no answer in " + std::to_string(batch_timeout_ms / 1000) + " s"};
            if (const auto* error = std::get_if<wire::ErrorMessage>(&**message))
                return Error{"the node answered " + std::to_string(error->code) + ": " + error->message};
            if (const auto* done = std::get_if<wire::BatchAck>(&**message)) {
                std::cout << "changed " << done->count << " characters\n";
                return {};
            }
        }
    }

    Result<void> watch(const std::vector<std::string>& keys) {
        if (Result<void> prepared = node_.prepare(); !prepared) return prepared;
        Result<client::WebSocketClient> connected = node_.websocket("keys=string&");
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

    NodeClient node_;
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
        std::string word = arguments->words.empty() ? "" : arguments->words[0];
        if (is_op_verb(word)) word = "op";
        (arguments->has("help") ? std::cout : std::cerr) << help(find_command(word));
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
