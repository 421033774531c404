// Which transports a node uses: the sections [transport NAME], then environment variables for plug-ins that have no
// section (REDIS_URL, MERIDIAN_CLUSTER_REDIS_URL: transport-redis; MERIDIAN_PEERS: transport-http), then what
// [cluster] transport leaves of them. None: a node alone. For the files of core/config only.
#pragma once

#include <string>

#include "base/result.h"
#include "config/settings.h"

namespace meridian::config {

inline constexpr size_t transports_max = 8;

// `where` begins the message if the name is refused; `source` is kept of one that is new.
Result<TransportEntry*> find_or_add_transport(Settings& settings, const std::string& name, std::string source,
                                              const std::string& where);
// The later of two layers wins. `plugin` is a key like the others here.
void set_transport_value(TransportEntry& transport, PluginEntry entry);

// To be called when all layers have been read.
Result<void> select_transports(Settings& settings, const Environment& environment);

}  // namespace meridian::config
