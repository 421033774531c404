#include "cluster_fixture.h"

#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/SocketAddress.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

namespace meridian::test {

namespace {

constexpr size_t nodes_max = 4;

// Ports that were free a moment ago. Held together while they are chosen, so that they differ.
std::vector<uint16_t> free_ports(size_t count) {
    std::vector<Poco::Net::ServerSocket> sockets;
    std::vector<uint16_t> ports;
    for (size_t i = 0; i < count; ++i) {
        sockets.emplace_back(Poco::Net::SocketAddress("127.0.0.1", 0));
        ports.push_back(sockets.back().address().port());
    }
    return ports;
}

}  // namespace

void ClusterFixture::start_cluster(size_t count, Through through, const std::vector<std::string>& settings) {
    through_ = through;
    common_ = settings;
    if (through != Through::http && !redis_) redis_ = std::make_unique<RedisProcess>();
    internal_ports_ = free_ports(nodes_max);
    for (size_t i = 0; i < count; ++i) add_node();
    all_converge();
}

ClusterFixture::Node& ClusterFixture::add_node(const std::vector<std::string>& settings,
                                               const std::vector<std::string>& environment) {
    const size_t index = nodes_.size();
    CPPUNIT_ASSERT(index < nodes_max);
    nodes_.push_back(std::make_unique<Node>());
    Node& node = *nodes_.back();
    node.settings = {"server.signing_key=" + signing_key_hex, "node.id=" + std::to_string(index + 1),
                     "cluster.anti_entropy_interval_ms=1000", "server.loops=2"};
    if (through_ != Through::http) {
        node.settings.insert(node.settings.end(),
                             {"transport.redis.plugin=transport-redis", "transport.redis.url=" + redis_->url()});
    }
    if (through_ != Through::redis) {
        std::string peers;
        for (size_t i = 0; i < nodes_max; ++i) {
            if (i != index)
                peers += (peers.empty() ? "" : ",") + ("http://127.0.0.1:" + std::to_string(internal_ports_[i]));
        }
        node.settings.insert(node.settings.end(),
                             {"transport.http.plugin=transport-http", "transport.http.peers=" + peers + more_peers_,
                              "transport.http.bind=127.0.0.1:" + std::to_string(internal_ports_[index])});
    }
    node.settings.insert(node.settings.end(), common_.begin(), common_.end());
    node.settings.insert(node.settings.end(), settings.begin(), settings.end());
    node.environment = environment;
    start(node);
    return node;
}

void ClusterFixture::start(Node& node) {
    node.process = std::make_unique<ServerProcess>(node.data.path(), node.settings, node.environment);
}

void ClusterFixture::stop(Node& node, int signal) {
    node.process->signal(signal);
    const int status = node.process->wait();
    CPPUNIT_ASSERT_EQUAL_MESSAGE(node.process->log(), signal == SIGKILL ? 128 + SIGKILL : 0, status);
    node.process.reset();
}

int ClusterFixture::increment(size_t index, const std::string& key, uint64_t amount, uint64_t client_id) {
    return http(server(index), "POST", "/v1/namespaces/room/crdts/" + key + "/ops", token({.client_id = client_id}),
                counter_op(amount, client_id))
        .status;
}

int64_t ClusterFixture::total(size_t index, const std::string& key) {
    const HttpReply reply = http(server(index), "GET", "/v1/namespaces/room/crdts/" + key, token());
    const size_t at = reply.body.find("\"total\":");
    return reply.status == 200 && at != std::string::npos ? std::atoll(reply.body.c_str() + at + 8) : -1;
}

uint64_t ClusterFixture::metric(size_t index, const std::string& name) {
    const std::string page = http(server(index), "GET", "/metrics", "").body;
    const std::string mark = "\nmeridian_" + name + " ";
    const size_t at = page.find(mark);
    CPPUNIT_ASSERT_MESSAGE(name + " in " + page, at != std::string::npos);
    return std::strtoull(page.c_str() + at + mark.size(), nullptr, 10);
}

void ClusterFixture::eventually(const std::string& what, const std::function<bool()>& is_so) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!is_so()) {
        CPPUNIT_ASSERT_MESSAGE(what, std::chrono::steady_clock::now() < deadline);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

void ClusterFixture::all_show(const std::string& key, int64_t expected) {
    for (size_t i = 0; i < nodes_.size(); ++i) {
        if (!nodes_[i]->process) continue;
        eventually("node " + std::to_string(i + 1) + " shows " + key + " as " + std::to_string(expected),
                   [&] { return total(i, key) == expected; });
    }
}

void ClusterFixture::all_converge() {
    for (size_t i = 0; i < nodes_.size(); ++i) {
        if (!nodes_[i]->process) continue;
        eventually("node " + std::to_string(i + 1) + " says that it has converged",
                   [&] { return http(server(i), "GET", "/health/converged", "").status == 200; });
    }
}

ProgramResult ClusterFixture::control(size_t index, std::vector<std::string> words) {
    std::vector<std::string> command{MERIDIANCTL, "--url", "http://" + server(index).address()};
    command.insert(command.end(), words.begin(), words.end());
    return run_program(command, {"MERIDIAN_SIGNING_KEY=" + signing_key_hex});
}

}  // namespace meridian::test
