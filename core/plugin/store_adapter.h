// A store plug-in as the node sees stores: the C ABI of meridian/plugin.h behind node::Store.
#pragma once

#include <memory>

#include "base/result.h"
#include "node/store.h"
#include "plugin/host_services.h"
#include "plugin/loader.h"
#include "plugin/plugin_configuration.h"

namespace meridian::plugin {

class LoadedStore : public node::Store {
public:
    // Gives the plug-in new values of its reloadable keys: all of them, changed or not. On an error, which is the
    // plug-in's own text, the old values stay. From one thread at a time, until close().
    virtual Result<void> reconfigure(const Configuration& reloadable) = 0;
};

// Makes an instance of the plug-in; blocks while it opens and recovers. REQUIRES: plugin.descriptor is of a store.
// Errors: the plug-in's own text, preceded by its name. `services` as in HostServices. close() of the store gives
// outstanding calls `stop_timeout_us` before the plug-in may cancel reads; commits are always carried out.
Result<std::unique_ptr<LoadedStore>> open_store(const LoadedPlugin& plugin, const Configuration& configuration,
                                                HostServices services, uint64_t stop_timeout_us = 10'000'000);

}  // namespace meridian::plugin
