// One message on its way to one peer, and what became of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "meridian/plugin.h"

namespace meridian::transport_http {

struct Outcome {
    meridian_status status = MERIDIAN_OK;
    std::string text;   // explains a status other than MERIDIAN_OK
    std::string reply;  // of a request
};

struct Message {
    uint32_t channel = 0;                      // MERIDIAN_CHANNEL_*
    std::string namespace_name;                // of a delta
    std::shared_ptr<const std::string> bytes;  // shared by the peers that it goes to
    uint64_t request_id = 0;
    bool is_request = false;
    uint64_t deadline_us = 0;  // of a request
    uint64_t queued_at_us = 0;
    std::function<void(Outcome)> done;  // called once
};

// What links() tells of a peer; read by other threads.
struct PeerStatus {
    explicit PeerStatus(std::string at) : url(std::move(at)) {}
    const std::string url;
    std::atomic<uint32_t> state{MERIDIAN_LINK_CONNECTING};
    std::atomic<uint64_t> queued_messages{0};
    std::atomic<uint64_t> queued_bytes{0};
    std::mutex mutex;
    std::string error;  // under the mutex
};

}  // namespace meridian::transport_http
