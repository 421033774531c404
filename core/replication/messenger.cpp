#include "replication/messenger.h"

#include <algorithm>
#include <utility>

#include "config/node_identity.h"

namespace meridian::replication {

namespace {

// A transport that answers of itself completes at its deadline; ours is a little later, for those that forget.
constexpr uint64_t grace_us = 500'000;

bool is_pull(const Body& body) {
    return std::holds_alternative<Pull>(body);
}

}  // namespace

Messenger::Messenger(Context& context, Peers& peers, std::vector<std::unique_ptr<Endpoint>>& endpoints)
    : context_(context), peers_(peers), endpoints_(endpoints), next_request_(context.random_below(1ULL << 48) + 1) {}

void Messenger::broadcast(Endpoint& endpoint, Body body) {
    const std::string bytes = context_.encode({context_.header(), std::move(body)});
    ++context_.counters.messages_sent;
    if (endpoint.transport().publish(Channel::control, {}, bytes, {}) != SendStatus::ok)
        ++context_.counters.sends_failed;
}

void Messenger::broadcast_everywhere(Body body) {
    const std::string bytes = context_.encode({context_.header(), std::move(body)});
    for (const auto& endpoint : endpoints_) {
        if (!endpoint->up() || !endpoint->transport().has_broadcast()) continue;
        ++context_.counters.messages_sent;
        if (endpoint->transport().publish(Channel::control, {}, bytes, {}) != SendStatus::ok)
            ++context_.counters.sends_failed;
    }
}

std::optional<std::string> Messenger::address_at(const Endpoint& endpoint, const Origin& node) const {
    if (endpoint.transport().addresses_nodes_by_name()) return config::node_id_text(node.node_id);
    const Peer* peer = peers_.find(node.node_id);
    if (peer == nullptr) return std::nullopt;
    const auto found = peer->addresses.find(endpoint.index());
    if (found == peer->addresses.end() || found->second.empty()) return std::nullopt;
    return found->second;
}

Endpoint* Messenger::endpoint_to(const Peer& peer) const {
    Endpoint* best = nullptr;
    uint64_t best_rank = 0;
    for (const auto& endpoint : endpoints_) {
        const Transport& transport = endpoint->transport();
        if (!endpoint->up()) continue;
        const bool heard = peer.message_bytes_max.count(endpoint->index()) != 0;
        const bool addressed = address_at(*endpoint, peer.origin).has_value();
        uint64_t rank = 0;
        if (addressed && transport.has_request()) {
            rank = 3;
        } else if (addressed && transport.has_unicast()) {
            rank = 2;
        } else if (transport.has_broadcast()) {
            rank = 1;
        }
        if (rank == 0) continue;
        // One through which it was heard at all, then one through which it was heard last.
        rank += (heard ? 8 : 0) + (peer.answered && endpoint->index() == peer.endpoint ? 4 : 0);
        if (rank > best_rank) {
            best = endpoint.get();
            best_rank = rank;
        }
    }
    return best;
}

bool Messenger::deliver(Endpoint& endpoint, const Origin& to, const std::string& source, const std::string& bytes) {
    ++context_.counters.messages_sent;
    Transport& transport = endpoint.transport();
    SendStatus status = SendStatus::unsupported;
    if (transport.has_unicast()) {
        std::string address = source;
        if (address.empty()) address = address_at(endpoint, to).value_or("");
        if (!address.empty()) status = transport.send(address, bytes, {});
    }
    if (status == SendStatus::unsupported && transport.has_broadcast())
        status = transport.publish(Channel::control, {}, bytes, {});
    if (status != SendStatus::ok) ++context_.counters.sends_failed;
    return status == SendStatus::ok;
}

void Messenger::send(const Peer& peer, Body body) {
    if (Endpoint* endpoint = endpoint_to(peer)) send(*endpoint, peer.origin, {}, std::move(body));
}

void Messenger::send(Endpoint& endpoint, const Origin& to, const std::string& source, Body body) {
    Header header = context_.header();
    header.to = to;
    deliver(endpoint, to, source, context_.encode({std::move(header), std::move(body)}));
}

void Messenger::request(const Peer& peer, Body body, Answer answer) {
    const uint64_t request_id = next_request_++;
    const Origin to = peer.origin;
    outstanding_[request_id] = {to, std::move(answer)};
    Endpoint* endpoint = endpoint_to(peer);
    if (endpoint == nullptr) return fail_later(request_id, "no transport reaches node " + to_text(to));

    Header header = context_.header();
    header.to = to;
    header.request_id = request_id;
    const Channel channel = is_pull(body) ? Channel::pull : Channel::control;
    const std::string bytes = context_.encode({std::move(header), std::move(body)});
    const uint64_t timeout_us = context_.options.request_timeout_ms * 1000;
    context_.post_after(timeout_us + grace_us, [this, request_id] { finish(request_id, Error{"no answer in time"}); });

    Transport& transport = endpoint->transport();
    const std::optional<std::string> address = address_at(*endpoint, to);
    if (!transport.has_request() || !address) {
        if (!deliver(*endpoint, to, {}, bytes)) fail_later(request_id, "transport did not take the request");
        return;
    }
    ++context_.counters.messages_sent;
    const SendStatus status =
        transport.request(channel, *address, bytes, context_.now_us() + timeout_us,
                          context_.here([this, request_id, to](SendStatus outcome, const std::string& reply) {
                              if (outcome != SendStatus::ok)
                                  return finish(request_id, Error{"the transport could not carry it out"});
                              Result<std::variant<Message, UnknownKind>> message = decode_message(reply, context_.seal);
                              if (!message)
                                  return finish(request_id, Error{"unusable answer: " + message.error().message});
                              Message* known = std::get_if<Message>(&*message);
                              if (known == nullptr || known->header.from.node_id != to.node_id ||
                                  known->header.request_id != request_id || !known->header.is_reply) {
                                  return finish(request_id, Error{"the answer is not one to the request"});
                              }
                              finish(request_id, std::move(*known));
                          }));
    if (status != SendStatus::ok) {
        ++context_.counters.sends_failed;
        fail_later(request_id, "transport did not take the request");
    }
}

void Messenger::fail_later(uint64_t request_id, std::string why) {
    context_.post([this, request_id, why = std::move(why)] { finish(request_id, Error{why}); });
}

void Messenger::finish(uint64_t request_id, Result<Message> result) {
    const auto found = outstanding_.find(request_id);
    if (found == outstanding_.end()) return;
    const Answer answer = std::move(found->second.answer);
    outstanding_.erase(found);
    answer(std::move(result));
}

void Messenger::answered(Message message) {
    const auto found = outstanding_.find(message.header.request_id);
    if (found == outstanding_.end() || found->second.peer.node_id != message.header.from.node_id) return;
    const uint64_t request_id = found->first;
    finish(request_id, std::move(message));
}

void Messenger::reply(const ReplyPath& path, Body body) {
    Header header = context_.header();
    header.to = path.to;
    header.request_id = path.request_id;
    header.is_reply = true;
    const std::string bytes = context_.encode({std::move(header), std::move(body)});
    if (path.reply_id != 0) {
        ++context_.counters.messages_sent;
        path.endpoint->transport().reply(path.reply_id, bytes);
    } else {
        deliver(*path.endpoint, path.to, path.source, bytes);
    }
}

void Messenger::reply_nothing(const ReplyPath& path) {
    if (path.reply_id != 0) path.endpoint->transport().reply(path.reply_id, {});
}

size_t Messenger::message_bytes_max(const Peer& peer) const {
    const Endpoint* endpoint = endpoint_to(peer);
    if (endpoint == nullptr) return 0;
    uint64_t limit = endpoint->transport().message_bytes_max();
    const auto theirs = peer.message_bytes_max.find(endpoint->index());
    if (theirs != peer.message_bytes_max.end() && theirs->second != 0) limit = std::min(limit, theirs->second);
    return limit;
}

size_t Messenger::message_bytes_max(const ReplyPath& path) const {
    uint64_t limit = path.endpoint->transport().message_bytes_max();
    const Peer* peer = peers_.find(path.to.node_id);
    if (peer != nullptr) {
        const auto theirs = peer->message_bytes_max.find(path.endpoint->index());
        if (theirs != peer->message_bytes_max.end() && theirs->second != 0) limit = std::min(limit, theirs->second);
    }
    return limit;
}

}  // namespace meridian::replication
