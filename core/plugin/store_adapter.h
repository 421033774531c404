// A store plug-in as the node sees stores: the C ABI of meridian/plugin.h behind node::Store.
#pragma once

#include <memory>

#include "base/result.h"
#include "node/store.h"
#include "plugin/host_services.h"
#include "plugin/loader.h"
#include "plugin/plugin_configuration.h"

namespace meridian::plugin {

// Makes an instance of the plug-in; blocks while it opens and recovers. REQUIRES: plugin.descriptor is of a store.
// Errors: the plug-in's own text, preceded by its name. `services` as in HostServices. close() of the store gives
// outstanding calls `stop_timeout_us` before the plug-in may cancel reads; commits are always carried out.
Result<std::unique_ptr<node::Store>> open_store(const LoadedPlugin& plugin, const Configuration& configuration,
                                                HostServices services, uint64_t stop_timeout_us = 10'000'000);

}  // namespace meridian::plugin
