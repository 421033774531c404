// Looks up host names on threads of its own, so that a slow name server holds up nobody but those who wait for it. At
// most four lookups at a time; a lookup gives up after 2 s a name server.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "peer_url.h"

namespace meridian::transport_http {

struct LookUpResult {
    std::vector<SocketAddress> addresses;  // empty: not found, see problem
    std::string problem;
};

class Resolver {
public:
    using Done = std::function<void(LookUpResult)>;

    Resolver() = default;
    ~Resolver() { stop(); }
    // [any thread] `done` is called once on a thread of the resolver, or never if it is stopped before.
    void look_up(std::string host, uint16_t port, Done done);
    // Joins the threads: waits for the lookups that are under way.
    void stop();

private:
    struct Question {
        std::string host;
        uint16_t port;
        Done done;
    };
    void run();

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Question> questions_;
    std::vector<std::thread> threads_;
    size_t idle_ = 0;
    bool stopping_ = false;
};

}  // namespace meridian::transport_http
