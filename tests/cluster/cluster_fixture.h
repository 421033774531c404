// Several real nodes and what they talk through, each on free loopback ports, each ended by its process id.
#pragma once

#include <cppunit/extensions/HelperMacros.h>
#include <cppunit/TestFixture.h>
#include <sodium.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/server_process.h"
#include "server/test_client.h"
#include "support/temporary_directory.h"
#include "transport-redis/redis_process.h"

namespace meridian::test {

enum class Through { redis, http, both };

class ClusterFixture : public CppUnit::TestFixture {
public:
    void setUp() override { CPPUNIT_ASSERT(sodium_init() >= 0); }
    void tearDown() override {
        nodes_.clear();
        redis_.reset();
    }

protected:
    struct Node {
        TemporaryDirectory data;
        std::vector<std::string> settings;
        std::vector<std::string> environment;  // all that it has
        std::unique_ptr<ServerProcess> process;
    };

    // `count` nodes with ids 1, 2, ...; anti-entropy once a second.
    void start_cluster(size_t count, Through through, const std::vector<std::string>& settings = {});
    // Another node of that cluster.
    Node& add_node(const std::vector<std::string>& settings = {}, const std::vector<std::string>& environment = {});
    void start(Node& node);
    void stop(Node& node, int signal);

    ServerProcess& server(size_t index) { return *nodes_.at(index)->process; }
    Node& node(size_t index) { return *nodes_.at(index); }
    size_t nodes() const { return nodes_.size(); }

    // Adds to a counter of namespace `room`; the status.
    int increment(size_t index, const std::string& key, uint64_t amount, uint64_t client_id = 42);
    // The total of a counter, or -1 if there is none.
    int64_t total(size_t index, const std::string& key);
    // A metric of one node, without the prefix.
    uint64_t metric(size_t index, const std::string& name);
    // Tries until it is so, for 60 s at most; the time is no part of what is tested.
    static void eventually(const std::string& what, const std::function<bool()>& is_so);
    // Every running node shows the total, and all say that they have converged.
    void all_show(const std::string& key, int64_t expected);
    void all_converge();
    ProgramResult control(size_t index, std::vector<std::string> words);

    // May be made before start_cluster, with settings of its own.
    std::unique_ptr<RedisProcess> redis_;
    // Further peers of every node that speaks HTTP: ",URL" each.
    std::string more_peers_;

private:
    Through through_ = Through::redis;
    std::vector<std::string> common_;
    std::vector<uint16_t> internal_ports_;
    std::vector<std::unique_ptr<Node>> nodes_;
};

}  // namespace meridian::test
