#include "bench/cluster_nodes.h"

#include <Poco/Exception.h>
#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/SocketAddress.h>
#include <Poco/Net/StreamSocket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "bench/measure.h"
#include "bench/sockets.h"
#include "client/arguments.h"

namespace meridian::load {
namespace {

constexpr uint64_t converge_timeout_ns = 120'000'000'000;
constexpr uint64_t redis_timeout_ns = 10'000'000'000;

// Two loopback ports that were free a moment ago.
std::array<std::string, 2> free_addresses() {
    const Poco::Net::ServerSocket one(Poco::Net::SocketAddress("127.0.0.1", 0));
    const Poco::Net::ServerSocket other(Poco::Net::SocketAddress("127.0.0.1", 0));
    return {one.address().toString(), other.address().toString()};
}

Result<std::string> find_in_path(const std::string& name) {
    const std::string path = client::environment("PATH", "");
    for (size_t start = 0; start <= path.size();) {
        const size_t end = std::min(path.find(':', start), path.size());
        const std::string file = path.substr(start, end - start) + "/" + name;
        if (::access(file.c_str(), X_OK) == 0) return file;
        start = end + 1;
    }
    return Error{name + " is not in PATH: expected it for --transport redis"};
}

bool accepts(const std::string& address) {
    try {
        const Poco::Net::StreamSocket socket{Poco::Net::SocketAddress(address)};
        return true;
    } catch (const Poco::Exception&) { return false; }
}

}  // namespace

ClusterNodes::~ClusterNodes() {
    first_.reset();
    second_.reset();
    redis_.reset();
    std::error_code ignored;
    if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

Result<void> ClusterNodes::start_redis() {
    const Result<std::string> program = find_in_path("redis-server");
    if (!program) return program.error();
    directory_ = client::environment("TMPDIR", "/tmp") + "/meridian-bench-XXXXXX";
    if (::mkdtemp(directory_.data()) == nullptr) return Error{directory_ + ": " + std::strerror(errno)};
    redis_address_ = free_addresses()[0];
    Result<std::unique_ptr<Child>> redis =
        Child::start({*program, "--bind", "127.0.0.1", "--port", redis_address_.substr(redis_address_.find(':') + 1),
                      "--dir", directory_, "--logfile", directory_ + "/log", "--save", "", "--appendonly", "no"});
    if (!redis) return redis.error();
    redis_ = std::move(redis).value();
    for (const uint64_t end_ns = now_ns() + redis_timeout_ns; !accepts(redis_address_); ::usleep(10'000)) {
        if (now_ns() > end_ns || is_interrupted()) return Error{*program + " does not accept connections"};
    }
    return {};
}

Result<std::unique_ptr<ClusterNodes>> ClusterNodes::start(const Options& options) {
    std::unique_ptr<ClusterNodes> nodes(new ClusterNodes());
    if (options.transport == "redis") {
        if (Result<void> started = nodes->start_redis(); !started) return started.error();
    }
    const std::array<std::string, 2> internal = free_addresses();
    for (size_t i = 0; i < 2; ++i) {
        NodeOptions node = options.node;
        node.settings.insert(node.settings.begin(),
                             {"node.id=" + std::to_string(i + 1), "cluster.anti_entropy_interval_ms=1000"});
        if (options.transport == "redis") {
            node.settings.insert(node.settings.end(), {"transport.redis.plugin=transport-redis",
                                                       "transport.redis.url=redis://" + nodes->redis_address_});
        } else {
            node.settings.insert(node.settings.end(),
                                 {"transport.http.plugin=transport-http", "transport.http.bind=" + internal[i],
                                  "transport.http.peers=http://" + internal[1 - i]});
        }
        Result<std::unique_ptr<Node>> started = Node::open(node);
        if (!started) return started.error();
        (i == 0 ? nodes->first_ : nodes->second_) = std::move(started).value();
    }
    if (Result<void> converged = nodes->await_converged(); !converged) return converged.error();
    return nodes;
}

Result<void> ClusterNodes::await_converged() const {
    const uint64_t end_ns = now_ns() + converge_timeout_ns;
    for (const Node* node : {first_.get(), second_.get()}) {
        for (;;) {
            const Result<std::string> page = node->fetch("GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n");
            if (!page) return page.error();
            if (page->find("\nmeridian_cluster_converged 1\n") != std::string::npos &&
                page->find("\nmeridian_cluster_peers_alive 1\n") != std::string::npos)
                break;
            if (is_interrupted()) return Error{"interrupted"};
            if (now_ns() > end_ns) return Error{"the nodes do not converge"};
            ::usleep(20'000);
        }
    }
    return {};
}

}  // namespace meridian::load
