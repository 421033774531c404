// The id of this node: configured, or derived from the host name and the public port so that a restart keeps it
// (cluster-and-storage.md section 3). Pure functions, except host_name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace meridian::config {

struct Settings;

// FNV-1a 64 over the host name followed by the port, low byte first.
uint64_t derive_node_id(std::string_view host, uint16_t port);

// What follows the last ':' of a bind address if it is a port number, else 3000.
uint16_t port_of_bind(std::string_view bind);

// HOSTNAME if it is in the environment, even empty; else the kernel's host name; else "localhost".
std::string host_name();

// The configured id, else the derived one.
uint64_t node_id_of(const Settings& settings);

// As printed in logs and used on the wire between nodes: lower-case hexadecimal without leading zeros.
std::string node_id_text(uint64_t node_id);

}  // namespace meridian::config
