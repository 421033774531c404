// The configuration of an instance, checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "meridian/plugin.hpp"
#include "peer_url.h"

namespace meridian::transport_http {

struct Settings {
    // Throws abi::Failure that names the key and what is wrong with it.
    explicit Settings(const abi::Config& config);

    BindAddress bind;
    std::vector<PeerUrl> peers;
    std::string advertise_url;  // normal form, or empty
    bool authenticated;
    size_t message_bytes;
    size_t queue_messages;
    size_t queue_bytes;
    size_t batch_bytes;
    uint64_t connect_timeout_us;
    uint64_t request_timeout_us;
    uint64_t backoff_max_us;
    uint64_t probe_interval_us;
    size_t connections_max;
    size_t receive_bytes;
    uint64_t idle_timeout_us;
    uint64_t receive_timeout_us;
    uint64_t reply_timeout_us;
    uint64_t pull_timeout_us;
    uint64_t busy_timeout_us;
};

// What a request head may have; a pull message travels in it.
constexpr size_t head_bytes_max = 72 << 10;
constexpr size_t pull_bytes_max = 48 << 10;

}  // namespace meridian::transport_http
