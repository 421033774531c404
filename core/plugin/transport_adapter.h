// A transport plug-in as core sees transports: the C ABI of meridian/plugin.h behind replication::Transport.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "plugin/host_services.h"
#include "plugin/loader.h"
#include "plugin/plugin_configuration.h"
#include "replication/transport.h"

namespace meridian::plugin {

// What a transport answers to a submit, and how calls end: CANCELLED is `stopped`, NOT_SUPPORTED `unsupported`, BUSY
// `busy`, everything else that is not OK `unavailable`. What the host should not have asked for (INVALID), and defects
// of the plug-in (INTERNAL), are logged the first time.
//
// From the call of stop() on, submits are `stopped`, links() and address() are empty; so they are before start().
class LoadedTransport : public replication::Transport {
public:
    // Gives the plug-in new values of its reloadable keys: all of them, changed or not. On an error, which is the
    // plug-in's own text, the old values stay. From one thread at a time, not together with start() or stop().
    virtual Result<void> reconfigure(const Configuration& reloadable) = 0;
};

// Who this node is.
struct TransportNode {
    uint64_t id = 0;
    std::string name;  // config::node_id_text(id)
};

// Makes an instance of the plug-in; it does nothing before start(). `instance_name` is the NAME of `[transport NAME]`.
// REQUIRES: plugin.descriptor is of a transport. Errors: the plug-in's own text, preceded by its name. `services` as in
// HostServices. The destructor stops the transport, with no time left, if that has not been done.
Result<std::unique_ptr<LoadedTransport>> open_transport(const LoadedPlugin& plugin, std::string instance_name,
                                                        const Configuration& configuration, HostServices services,
                                                        TransportNode node);

}  // namespace meridian::plugin
