// What the section of the configuration says, checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "meridian/plugin.hpp"
#include "redis_url.h"

namespace meridian::transport_redis {

// How to say who we are. Empty password: not at all.
struct Credentials {
    std::string username;
    std::string password;
};

struct TlsOptions {
    std::string ca_file;  // empty: the authorities that the system trusts
    std::string certificate_file;
    std::string private_key_file;
    std::string host_name;  // that the certificate must have; empty: the host that is connected to
};

struct Options {
    Endpoint server;  // unused with sentinels
    bool tls = false;
    Credentials credentials;
    int64_t database = 0;

    std::vector<Endpoint> sentinels;  // not empty: they say where the server is
    std::string sentinel_master;
    bool sentinel_tls = false;
    Credentials sentinel_credentials;

    TlsOptions tls_options;

    uint64_t connect_timeout_us = 0;
    uint64_t command_timeout_us = 0;
    uint64_t ping_interval_us = 0;
    uint64_t reconnect_delay_us = 0;  // at most reconnect_delay_max_us
    uint64_t reconnect_delay_max_us = 0;
    uint64_t stable_after_us = 0;

    uint64_t message_bytes_max = 0;
    uint64_t publish_queue_messages_max = 0;
    uint64_t publish_queue_bytes_max = 0;
    uint64_t receive_queue_messages_max = 0;
    uint64_t receive_queue_bytes_max = 0;

    // Throws abi::Failure, whose text names key, value (unless it is secret) and expectation.
    static Options from(const abi::Config& config);

    // Of the server, for people: "redis://host:port", "unix:/path", "sentinel master NAME".
    std::string address() const;
};

}  // namespace meridian::transport_redis
