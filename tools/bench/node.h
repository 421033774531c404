// The node that is measured: one that runs already, or one that is started for the measurement, with a data directory
// and a signing key of its own, and stopped after it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/token.h"
#include "base/file_descriptor.h"
#include "base/result.h"

namespace meridian::load {

// A child process that is ended with this value, and ends when this process does. Its standard error is read from here.
class Child {
public:
    // `command[0]` is a path. Its environment is empty.
    static Result<std::unique_ptr<Child>> start(const std::vector<std::string>& command);
    ~Child();  // SIGTERM, and SIGKILL when it has not ended after 10 s
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    pid_t id() const { return id_; }
    // Reads its standard error up to the word behind `mark`, which it returns. An error holds what was read, if it ends
    // first or does not say so in 60 s.
    Result<std::string> await_word(const std::string& mark);

private:
    Child(pid_t id, FileDescriptor log) : id_(id), log_(std::move(log)) {}
    pid_t id_;
    FileDescriptor log_;
};

struct NodeOptions {
    std::string url;          // empty: a node is started
    std::string token;        // for a running node; wins over the signing key
    std::string data_dir;     // of a running node: where its signing key is
    std::string signing_key;  // 64 hexadecimal digits
    std::string server;       // program to start; empty: looked for next to this program, then in PATH
    std::optional<pid_t> server_pid;
    std::vector<std::string> settings;  // SECTION.KEY=VALUE for the node that is started
};

class Node {
public:
    static Result<std::unique_ptr<Node>> open(const NodeOptions& options);
    ~Node();
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    // Of a node that was started: ends its process, and starts another on the same data.
    void stop() { child_.reset(); }
    Result<void> start_again() { return launch(); }

    const std::string& address() const { return address_; }  // host:port
    bool is_started() const { return child_ != nullptr; }
    std::optional<pid_t> process() const { return process_; }

    // Whether tokens for any namespace and client can be made; with a given token only its own namespace can be used.
    bool makes_tokens() const { return key_.has_value(); }
    // The namespace to use for `wanted`: itself, or that of the given token.
    std::string namespace_for(const std::string& wanted) const { return makes_tokens() ? wanted : token_namespace_; }
    // A token with every right there and no limit to the rate of requests, or the given one.
    std::string token(const std::string& namespace_name, uint64_t client_id) const;
    uint64_t client_id_for(uint64_t wanted) const { return makes_tokens() ? wanted : token_client_id_; }
    // The request that opens a WebSocket.
    std::string upgrade(const std::string& namespace_name, uint64_t client_id) const;
    // A GET request for a path below the namespace, to be sent on a connection that is kept.
    std::string get_request(const std::string& namespace_name, uint64_t client_id, const std::string& path) const;
    // The whole answer to one request on a connection of its own.
    Result<std::string> fetch(const std::string& request) const;

private:
    Node() = default;
    Result<void> use_running(const NodeOptions& options);
    Result<void> start(const NodeOptions& options);
    Result<void> launch();

    std::vector<std::string> command_;  // that starts it
    std::string address_;
    std::string directory_;  // of the node that was started
    std::unique_ptr<Child> child_;
    std::optional<pid_t> process_;
    std::optional<server::SigningKey> key_;
    std::string token_;
    std::string token_namespace_;
    uint64_t token_client_id_ = 0;
};

}  // namespace meridian::load
