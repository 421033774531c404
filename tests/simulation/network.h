// Simulated transports: nodes that exchange bytes over a network with delays, losses, repetitions and partitions, in
// virtual time. The same code stands for a broker (broadcast and unicast by node name, echoes to the sender) and for
// peers that ask each other (addresses, native requests), as Shape says.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "replication/transport.h"
#include "simulation/world.h"

namespace meridian::simulation {

struct Shape {
    std::string name = "net";
    bool broadcast = true;
    bool unicast = true;
    bool request = false;
    bool by_name = true;                // addresses are node names, else "node-N" which must be learnt
    bool tells_source = false;          // delivered messages name the address of their sender
    bool echoes = true;                 // a broadcast comes back to its sender
    bool replies_to_broadcast = false;  // a broadcast control message can be answered, as over HTTP
    uint64_t message_bytes_max = 512 << 10;
};

// The shapes that real transports have.
Shape broker_shape();     // broadcast and unicast by name, as over a message broker
Shape peers_shape();      // requests to addresses, answers to broadcasts, as over HTTP
Shape broadcast_shape();  // nothing but broadcast

struct Weather {
    double drop = 0;
    double repeat = 0;
    double busy = 0;  // a publish or send is not taken
    uint64_t delay_min_us = 100;
    uint64_t delay_max_us = 2'000;  // messages overtake each other within it
};

class Network;

class SimulatedTransport final : public replication::Transport {
public:
    SimulatedTransport(Network& network, uint64_t node_id);
    ~SimulatedTransport() override;

    uint64_t node_id() const { return node_id_; }
    SimulatedLane& lane() { return lane_; }

    const std::string& name() const override;
    bool has_broadcast() const override;
    bool has_unicast() const override;
    bool has_request() const override;
    bool counts_receivers() const override { return false; }
    bool addresses_nodes_by_name() const override;
    uint64_t message_bytes_max() const override;
    std::string address() const override;
    std::vector<replication::Link> links() const override { return {}; }
    Result<void> start(replication::TransportListener& listener) override;
    replication::SendStatus publish(replication::Channel channel, std::string_view namespace_name,
                                    std::string_view bytes, Done done) override;
    replication::SendStatus send(std::string_view target, std::string_view bytes, Done done) override;
    replication::SendStatus request(replication::Channel channel, std::string_view target, std::string_view bytes,
                                    uint64_t deadline_us, Reply reply) override;
    void reply(uint64_t reply_id, std::string_view bytes) override;
    void resume() override;
    void stop(uint64_t deadline_us) override;

private:
    friend class Network;
    struct Message {
        replication::Channel channel = replication::Channel::control;
        std::string namespace_name;
        std::string bytes;
        uint64_t sender = 0;
        uint64_t reply_id = 0;
    };
    void arrive(Message message);
    void take_waiting();
    replication::SendStatus busy_or_ok();

    Network& network_;
    World& world_;
    const uint64_t node_id_;
    SimulatedLane& lane_;
    replication::TransportListener* listener_ = nullptr;
    std::shared_ptr<bool> alive_;  // of the time from start() to stop()
    std::deque<Message> waiting_;  // the listener was busy
    bool paused_ = false;
};

class Network {
public:
    Network(World& world, Shape shape) : world_(world), shape_(std::move(shape)) {}

    World& world() { return world_; }
    const Shape& shape() const { return shape_; }
    Weather weather;

    // Cuts the two off from each other. Silent: nobody is told. heal() tells everybody that the network is up again.
    void cut(uint64_t left, uint64_t right) { cut_.insert({std::min(left, right), std::max(left, right)}); }
    void heal(bool tell = true);
    // The node's connection to the network is lost or comes back; it is told.
    void set_connected(uint64_t node_id, bool connected);
    // Bytes from nowhere.
    void inject(uint64_t to, replication::Channel channel, const std::string& bytes);
    // The last messages, for replays.
    const std::deque<std::pair<replication::Channel, std::string>>& recent() const { return recent_; }

    uint64_t messages = 0;  // handed to the network, each receiver counts
    uint64_t bytes = 0;
    // What breaks the rules of a transport; empty if nothing did.
    std::string violation;

private:
    friend class SimulatedTransport;
    struct Asked {
        uint64_t asker;
        std::shared_ptr<bool> alive;
        replication::Transport::Reply reply;
    };
    bool reaches(uint64_t from, uint64_t to) const;
    void carry(uint64_t to, SimulatedTransport::Message message);
    uint64_t delay_us() { return weather.delay_min_us + world_.below(weather.delay_max_us - weather.delay_min_us + 1); }
    std::string address_of(uint64_t node_id) const;
    SimulatedTransport* at(std::string_view address);
    void finish(uint64_t reply_id, replication::SendStatus status, std::string bytes);

    World& world_;
    const Shape shape_;
    std::map<uint64_t, SimulatedTransport*> nodes_;
    std::set<uint64_t> disconnected_;
    std::set<std::pair<uint64_t, uint64_t>> cut_;
    std::map<uint64_t, Asked> asked_;            // by reply id
    std::map<uint64_t, uint64_t> broadcast_by_;  // by reply id: who may get an answer to a broadcast
    uint64_t next_reply_ = 1;
    uint64_t next_epoch_ = 1;
    std::deque<std::pair<replication::Channel, std::string>> recent_;
};

}  // namespace meridian::simulation
