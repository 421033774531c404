// A peer that is told how to misbehave: an HTTP server that answers with bytes which the test chooses.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/file_descriptor.h"

namespace meridian::test {

struct FakeRequest {
    std::string line;  // "POST /internal/cluster/delta"
    std::string body;
};

class FakePeer {
public:
    // The raw bytes of an answer; empty: close the connection; nothing: never answer.
    using Behaviour = std::function<std::optional<std::string>(const FakeRequest&)>;

    explicit FakePeer(Behaviour behaviour, uint16_t port = 0);
    ~FakePeer();
    FakePeer(const FakePeer&) = delete;
    FakePeer& operator=(const FakePeer&) = delete;

    uint16_t port() const { return port_; }
    std::string url() const;
    void set_behaviour(Behaviour behaviour);
    // All requests; probes (empty batches) are left out.
    std::vector<FakeRequest> requests() const;
    std::vector<FakeRequest> requests(size_t count);
    size_t connections() const { return connections_; }

private:
    void accept_all();
    void serve(int fd);

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    Behaviour behaviour_;
    std::vector<FakeRequest> requests_;
    std::vector<FileDescriptor> sockets_;
    std::vector<std::thread> threads_;
    FileDescriptor listener_;
    uint16_t port_ = 0;
    std::atomic<size_t> connections_{0};
    bool stopping_ = false;
    std::thread accepting_;
};

std::string http_answer(int status, const std::string& body = {}, const std::string& headers = {});
// As a node of the older implementation: deltas one by one, nothing else.
std::optional<std::string> older_node(const FakeRequest& request);
// Takes everything.
std::optional<std::string> good_node(const FakeRequest& request);
bool is_probe(const FakeRequest& request);

}  // namespace meridian::test
