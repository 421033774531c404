#include "simulation/network.h"

#include <utility>

#include "config/node_identity.h"

namespace meridian::simulation {

using replication::Channel;
using replication::Delivery;
using replication::SendStatus;

namespace {

constexpr size_t waiting_max = 64;
constexpr size_t recent_max = 200;
constexpr uint64_t busy_us = 3'000;

}  // namespace

Shape broker_shape() {
    Shape shape;
    shape.name = "broker";
    return shape;
}

Shape peers_shape() {
    Shape shape;
    shape.name = "peers";
    shape.request = true;
    shape.by_name = false;
    shape.tells_source = true;
    shape.echoes = false;
    shape.replies_to_broadcast = true;
    return shape;
}

Shape broadcast_shape() {
    Shape shape;
    shape.name = "broadcast";
    shape.unicast = false;
    return shape;
}

SimulatedTransport::SimulatedTransport(Network& network, uint64_t node_id)
    : network_(network), world_(network.world()), node_id_(node_id), lane_(network.world().make_lane()) {}

SimulatedTransport::~SimulatedTransport() {
    stop(0);
}

const std::string& SimulatedTransport::name() const {
    return network_.shape().name;
}
bool SimulatedTransport::has_broadcast() const {
    return network_.shape().broadcast;
}
bool SimulatedTransport::has_unicast() const {
    return network_.shape().unicast;
}
bool SimulatedTransport::has_request() const {
    return network_.shape().request;
}
bool SimulatedTransport::addresses_nodes_by_name() const {
    return network_.shape().by_name;
}
uint64_t SimulatedTransport::message_bytes_max() const {
    return network_.shape().message_bytes_max;
}
std::string SimulatedTransport::address() const {
    return network_.address_of(node_id_);
}

Result<void> SimulatedTransport::start(replication::TransportListener& listener) {
    listener_ = &listener;
    alive_ = std::make_shared<bool>(true);
    if (network_.nodes_.count(node_id_) != 0) network_.violation = "two transports of one node";
    network_.nodes_[node_id_] = this;
    if (network_.disconnected_.count(node_id_) == 0) {
        const uint64_t epoch = network_.next_epoch_++;
        world_.at(world_.monotonic_us() + network_.delay_us(), lane_, [this, epoch, alive = alive_] {
            if (*alive) listener_->on_up(epoch);
        });
    }
    return {};
}

void SimulatedTransport::stop(uint64_t) {
    if (!alive_ || !*alive_) return;
    *alive_ = false;
    network_.nodes_.erase(node_id_);
    for (auto it = network_.asked_.begin(); it != network_.asked_.end();)
        it = it->second.asker == node_id_ ? network_.asked_.erase(it) : std::next(it);
    waiting_.clear();
}

SendStatus SimulatedTransport::busy_or_ok() {
    if (!alive_ || !*alive_) return SendStatus::stopped;
    if (network_.disconnected_.count(node_id_) != 0) return SendStatus::unavailable;
    if (!world_.chance(network_.weather.busy)) return SendStatus::ok;
    world_.at(world_.monotonic_us() + busy_us, lane_, [this, alive = alive_] {
        if (*alive) listener_->on_writable();
    });
    return SendStatus::busy;
}

SendStatus SimulatedTransport::publish(Channel channel, std::string_view namespace_name, std::string_view bytes,
                                       Done done) {
    if (bytes.size() > message_bytes_max()) network_.violation = "a message that is too large was published";
    const SendStatus status = busy_or_ok();
    if (status != SendStatus::ok) return status;
    uint64_t receivers = 0;
    for (const auto& [node_id, transport] : network_.nodes_) {
        if (node_id == node_id_ && !network_.shape().echoes) continue;
        Message message{channel, std::string(namespace_name), std::string(bytes), node_id_, 0};
        if (network_.shape().replies_to_broadcast && channel == Channel::control) {
            message.reply_id = network_.next_reply_++;
            network_.broadcast_by_[message.reply_id] = node_id_;
        }
        network_.carry(node_id, std::move(message));
        ++receivers;
    }
    if (done) {
        world_.at(world_.monotonic_us() + network_.delay_us(), lane_,
                  [done = std::move(done), receivers, alive = alive_] {
                      if (*alive) done(SendStatus::ok, receivers);
                  });
    }
    return SendStatus::ok;
}

SendStatus SimulatedTransport::send(std::string_view target, std::string_view bytes, Done done) {
    if (!has_unicast()) return SendStatus::unsupported;
    if (bytes.size() > message_bytes_max()) network_.violation = "a message that is too large was sent";
    const SendStatus status = busy_or_ok();
    if (status != SendStatus::ok) return status;
    if (SimulatedTransport* other = network_.at(target))
        network_.carry(other->node_id_, {Channel::control, {}, std::string(bytes), node_id_, 0});
    if (done) {
        world_.at(world_.monotonic_us() + network_.delay_us(), lane_, [done = std::move(done), alive = alive_] {
            if (*alive) done(SendStatus::ok, 0);
        });
    }
    return SendStatus::ok;
}

SendStatus SimulatedTransport::request(Channel channel, std::string_view target, std::string_view bytes,
                                       uint64_t deadline_us, Reply reply) {
    if (!has_request()) return SendStatus::unsupported;
    if (bytes.size() > message_bytes_max()) network_.violation = "a request that is too large was sent";
    const SendStatus status = busy_or_ok();
    if (status != SendStatus::ok) return status;
    const uint64_t reply_id = network_.next_reply_++;
    network_.asked_[reply_id] = {node_id_, alive_, std::move(reply)};
    world_.at(deadline_us, lane_,
              [&network = network_, reply_id] { network.finish(reply_id, SendStatus::unavailable, {}); });
    if (SimulatedTransport* other = network_.at(target))
        network_.carry(other->node_id_, {channel, {}, std::string(bytes), node_id_, reply_id});
    return SendStatus::ok;
}

void SimulatedTransport::reply(uint64_t reply_id, std::string_view bytes) {
    if (bytes.size() > message_bytes_max()) network_.violation = "a reply that is too large was sent";
    const auto broadcast = network_.broadcast_by_.find(reply_id);
    if (broadcast != network_.broadcast_by_.end()) {
        const uint64_t asker = broadcast->second;
        network_.broadcast_by_.erase(broadcast);
        if (!bytes.empty()) network_.carry(asker, {Channel::control, {}, std::string(bytes), node_id_, 0});
        return;
    }
    const auto asked = network_.asked_.find(reply_id);
    if (asked == network_.asked_.end() || !network_.reaches(node_id_, asked->second.asker)) return;
    if (world_.chance(network_.weather.drop)) return;
    ++network_.messages;
    network_.bytes += bytes.size();
    world_.at(world_.monotonic_us() + network_.delay_us(), lane_,
              [&network = network_, reply_id, text = std::string(bytes)] {
                  network.finish(reply_id, text.empty() ? SendStatus::unsupported : SendStatus::ok, text);
              });
}

void SimulatedTransport::arrive(Message message) {
    if (paused_) {
        if (waiting_.size() < waiting_max) {
            waiting_.push_back(std::move(message));
        } else {
            listener_->on_gap(message.channel);
        }
        return;
    }
    const std::string source = network_.shape().tells_source ? network_.address_of(message.sender) : std::string();
    const Delivery delivery =
        listener_->on_message(message.channel, message.namespace_name, message.bytes, source, message.reply_id);
    if (delivery != Delivery::busy) return;
    paused_ = true;
    waiting_.push_front(std::move(message));
}

void SimulatedTransport::resume() {
    world_.at(world_.monotonic_us(), lane_, [this, alive = alive_] {
        if (*alive) take_waiting();
    });
}

void SimulatedTransport::take_waiting() {
    paused_ = false;
    while (!paused_ && !waiting_.empty()) {
        Message message = std::move(waiting_.front());
        waiting_.pop_front();
        arrive(std::move(message));
    }
}

bool Network::reaches(uint64_t from, uint64_t to) const {
    return disconnected_.count(from) == 0 && disconnected_.count(to) == 0 &&
           cut_.count({std::min(from, to), std::max(from, to)}) == 0;
}

void Network::carry(uint64_t to, SimulatedTransport::Message message) {
    ++messages;
    bytes += message.bytes.size();
    recent_.emplace_back(message.channel, message.bytes);
    if (recent_.size() > recent_max) recent_.pop_front();
    if (!reaches(message.sender, to) || world_.chance(weather.drop)) return;
    const int copies = message.reply_id == 0 && world_.chance(weather.repeat) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
        SimulatedTransport* receiver = nodes_.count(to) == 0 ? nullptr : nodes_[to];
        if (receiver == nullptr) return;
        world_.at(world_.monotonic_us() + delay_us(), receiver->lane_,
                  [receiver, message, alive = std::weak_ptr<bool>(receiver->alive_)] {
                      const std::shared_ptr<bool> still = alive.lock();
                      if (still && *still) receiver->arrive(message);
                  });
    }
}

void Network::inject(uint64_t to, Channel channel, const std::string& text) {
    SimulatedTransport::Message message;
    message.channel = channel;
    message.namespace_name = "anything";
    message.bytes = text;
    message.sender = UINT64_MAX;
    carry(to, std::move(message));
}

void Network::finish(uint64_t reply_id, SendStatus status, std::string text) {
    const auto found = asked_.find(reply_id);
    if (found == asked_.end()) return;
    const Asked asked = std::move(found->second);
    asked_.erase(found);
    if (*asked.alive) asked.reply(status, std::move(text));
}

void Network::heal(bool tell) {
    cut_.clear();
    disconnected_.clear();
    if (!tell) return;
    for (const auto& [node_id, transport] : nodes_) {
        SimulatedTransport* told = transport;
        const uint64_t epoch = next_epoch_++;
        world_.at(world_.monotonic_us() + delay_us(), told->lane_, [told, epoch, alive = told->alive_] {
            if (*alive) told->listener_->on_up(epoch);
        });
    }
}

void Network::set_connected(uint64_t node_id, bool connected) {
    if (connected) {
        disconnected_.erase(node_id);
    } else {
        disconnected_.insert(node_id);
    }
    const auto found = nodes_.find(node_id);
    if (found == nodes_.end()) return;
    SimulatedTransport* told = found->second;
    const uint64_t epoch = next_epoch_++;
    world_.at(world_.monotonic_us(), told->lane_, [told, epoch, connected, alive = told->alive_] {
        if (!*alive) return;
        if (connected) {
            told->listener_->on_up(epoch);
        } else {
            told->listener_->on_down("simulated");
        }
    });
}

std::string Network::address_of(uint64_t node_id) const {
    return shape_.by_name ? config::node_id_text(node_id) : "address-of-" + std::to_string(node_id);
}

SimulatedTransport* Network::at(std::string_view address) {
    for (const auto& [node_id, transport] : nodes_) {
        if (address_of(node_id) == address) return transport;
    }
    return nullptr;
}

}  // namespace meridian::simulation
