// The configuration, checked as far as the host cannot.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "meridian/plugin.hpp"

namespace meridian::store_pg {

struct Settings {
    std::map<std::string, std::string> connection;  // libpq's keywords and values
    std::string schema;
    bool shared = false;
    std::string node_id;  // empty: none was given
    uint64_t log_bytes_max = 0;
    size_t read_connections = 0;
    uint64_t connect_timeout_ms = 0;
    uint64_t unavailable_after_ms = 0;
    uint64_t lock_timeout_ms = 0;
    uint64_t statement_timeout_ms = 0;
    uint64_t idle_transaction_timeout_ms = 0;
    uint64_t poll_interval_ms = 0;

    // Throws Failure(MERIDIAN_INVALID); its text has nothing of url or password.
    static Settings from(const abi::Config& config);

    // "database 'd' on host:port as role 'r'", for people.
    std::string server() const;
    // `text` without the password, should the server or libpq have repeated it.
    std::string without_secrets(std::string text) const;
};

}  // namespace meridian::store_pg
