// A transport as replication sees it. Implementations: the adapter to transport plug-ins (plugin/transport_adapter.h)
// and the simulated network of the tests. It carries bytes and promises nothing: what is lost, repeated or late is
// repaired by hello and pull. See meridian/plugin.h for what a channel, an address and an epoch are.
//
// Threads: the functions of Transport may be called on any thread and do not block, start() and stop() aside. Those of
// TransportListener are called on threads of the transport, never inside a call of Transport; they must not block and
// do no more than check and post. Ownership: what a call is given is borrowed until it returns.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace meridian::replication {

enum class Channel : uint8_t { delta = 1, control = 2, pull = 3, legacy_log = 4 };

enum class SendStatus : uint8_t {
    ok,
    busy,         // nothing was done; on_writable() follows
    unavailable,  // nobody can be reached, or not in time
    unsupported,  // this transport, or the other side, does not have the function or channel
    stopped,
};

// What a transport says of a delivered message.
enum class Delivery : uint8_t { taken, busy, invalid };

class TransportListener {
public:
    virtual ~TransportListener() = default;
    // `namespace_name`: of Channel::delta. `source`: address of the sender, empty if unknown. `reply_id`: 0, or to be
    // answered by Transport::reply() once if the answer is `taken`.
    virtual Delivery on_message(Channel channel, std::string_view namespace_name, std::string_view bytes,
                                std::string_view source, uint64_t reply_id) = 0;
    virtual void on_gap(Channel channel) = 0;
    virtual void on_up(uint64_t epoch) = 0;
    virtual void on_down(std::string_view reason) = 0;
    virtual void on_writable() = 0;
};

enum class LinkState : uint8_t { connecting = 1, up = 2, down = 3 };

// One connection or peer, for people.
struct Link {
    LinkState state = LinkState::connecting;
    std::string address;
    std::string error;
    uint64_t queued_messages = 0;
    uint64_t queued_bytes = 0;
};

class Transport {
public:
    virtual ~Transport() = default;

    // The name of the instance, as in `[transport NAME]`.
    virtual const std::string& name() const = 0;
    virtual bool has_broadcast() const = 0;
    virtual bool has_unicast() const = 0;
    virtual bool has_request() const = 0;
    virtual bool counts_receivers() const = 0;
    // Addresses are the names of nodes (config/node_identity.h).
    virtual bool addresses_nodes_by_name() const = 0;
    virtual uint64_t message_bytes_max() const = 0;
    // At which others reach this node; empty if unknown.
    virtual std::string address() const = 0;
    virtual std::vector<Link> links() const = 0;

    // Blocks while a listening socket is opened. `listener` is called until stop() has returned.
    virtual Result<void> start(TransportListener& listener) = 0;

    // `done`: the backend has taken it, or not. It may be empty. Not called if the answer is not `ok`.
    using Done = std::function<void(SendStatus status, uint64_t receivers)>;
    virtual SendStatus publish(Channel channel, std::string_view namespace_name, std::string_view bytes, Done done) = 0;
    virtual SendStatus send(std::string_view target, std::string_view bytes, Done done) = 0;
    using Reply = std::function<void(SendStatus status, std::string bytes)>;
    // Completes exactly once if the answer is `ok`, at the latest soon after the monotonic deadline.
    virtual SendStatus request(Channel channel, std::string_view target, std::string_view bytes, uint64_t deadline_us,
                               Reply reply) = 0;
    virtual void reply(uint64_t reply_id, std::string_view bytes) = 0;
    // After Delivery::busy: read on.
    virtual void resume() = 0;

    // Blocks; no callback runs after it.
    virtual void stop(uint64_t deadline_us) = 0;
};

}  // namespace meridian::replication
