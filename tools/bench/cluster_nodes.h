// Two nodes of a cluster, started for the measurement on this machine, with the Redis between them if there is one.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "bench/node.h"
#include "bench/options.h"

namespace meridian::load {

class ClusterNodes {
public:
    // Waits until they say that they have converged. Settings of the options hold for both.
    static Result<std::unique_ptr<ClusterNodes>> start(const Options& options);
    ~ClusterNodes();
    ClusterNodes(const ClusterNodes&) = delete;
    ClusterNodes& operator=(const ClusterNodes&) = delete;

    Node& first() { return *first_; }
    Node& second() { return *second_; }
    // host:port of the Redis; empty if they talk HTTP.
    const std::string& redis() const { return redis_address_; }
    // Until both hold the same, for 120 s at most.
    Result<void> await_converged() const;

private:
    ClusterNodes() = default;
    Result<void> start_redis();

    std::string directory_;  // of Redis
    std::string redis_address_;
    std::unique_ptr<Child> redis_;
    std::unique_ptr<Node> first_;
    std::unique_ptr<Node> second_;
};

}  // namespace meridian::load
