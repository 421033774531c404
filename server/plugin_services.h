// What this server lends each of its plug-ins: its clock, randomness, log and metrics.
#pragma once

#include <string>

#include "base/environment.h"
#include "metrics/plugin_metrics.h"
#include "plugin/host_services.h"

namespace meridian::server {

// `from` names the plug-in in the log, `instance` in the metrics. Everything given outlives the plug-in.
plugin::HostServices plugin_services(Clock& clock, Random& random, Lane& lane, PluginMetrics& metrics, std::string from,
                                     std::string instance);

}  // namespace meridian::server
