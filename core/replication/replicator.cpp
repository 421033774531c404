#include "replication/replicator.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <variant>

#include "node/key_digest.h"
#include "replication/endpoint.h"
#include "replication/envelope.h"
#include "replication/greeter.h"
#include "replication/inbox.h"
#include "replication/legacy_log_server.h"
#include "replication/messenger.h"
#include "replication/peers.h"
#include "replication/publisher.h"
#include "replication/pull_server.h"
#include "replication/puller.h"
#include "replication/replay_window.h"
#include "replication/retention.h"
#include "replication/startup.h"
#include "replication/state_server.h"
#include "replication/state_transfer.h"

namespace meridian::replication {

namespace {

constexpr uint64_t stop_poll_us = 5'000;
// How much older than this process' time the first message of a sender may be: clocks differ, messages are late.
constexpr uint64_t message_age_max_ms = 600'000;

}  // namespace

class Replicator::Engine final : private EndpointEvents {
public:
    Engine(Lane& lane, Clock& clock, Random& random, node::ReplicationPort& port, Seal seal, ReplicationOptions options,
           std::vector<Transport*> transports, ReplicationEvents events);
    ~Engine() override { context_.port.set_listener(nullptr); }

    Result<void> start();
    void stop(uint64_t deadline_us, std::function<void()> done);
    void close(uint64_t deadline_us);
    void broadcast(Body body, uint64_t ReplicationCounters::*counter);
    ClusterStatus status();
    std::map<uint64_t, uint64_t> members();

private:
    // EndpointEvents
    void on_delivered(Delivered delivered) override;
    void on_up(Endpoint& endpoint) override;
    void on_gap(Endpoint& endpoint, Channel channel) override;
    void on_writable(Endpoint& endpoint) override { publisher_.resume(endpoint); }

    void on_envelope(const Delivered& delivered);
    void on_control(const Delivered& delivered);
    void on_legacy_log(const Delivered& delivered);
    void on_message(ReplyPath path, Message message);
    void on_hello(const ReplyPath& path, const Header& header, const Hello& hello);
    void on_announcement(Peer& peer, const Entries& entries);
    bool is_fresh(const Header& header);
    void on_own_message(const Header& header, const Body& body);
    void learn_addresses(Peer& peer, const ReplyPath& path, const Hello& hello);
    void count_refusal(RefusalReason reason);
    void skip_gap(const Origin& origin);
    void compare_states(Peer& peer);
    void look_for_amnesia(Peer& peer);
    void incarnation_began();
    void wait_until_published(uint64_t deadline_us, const std::function<void()>& done);
    bool converged() const;

    Context context_;
    ReplicationEvents events_;
    std::vector<std::unique_ptr<Endpoint>> endpoints_;
    Peers peers_;
    Messenger messenger_;
    Inbox inbox_;
    Publisher publisher_;
    Puller puller_;
    PullServer pull_server_;
    LegacyLogServer legacy_log_;
    StateServer state_server_;
    StateTransfer transfer_;
    Greeter greeter_;
    Startup startup_;
    Retention retention_;
    ReplayWindow replay_;
    bool written_ = false;  // an own entry has become durable since start()
    size_t started_ = 0;
    uint64_t began_wall_ms_ = 0;
    const uint64_t opened_head_ = inbox_.durable(context_.self);
    const Origin first_self_ = context_.self;  // what it said before a new incarnation may still come back
};

Replicator::Engine::Engine(Lane& lane, Clock& clock, Random& random, node::ReplicationPort& port, Seal seal,
                           ReplicationOptions options, std::vector<Transport*> transports, ReplicationEvents events)
    : context_(lane, clock, random, port, std::move(seal), std::move(options)),
      events_(std::move(events)),
      peers_(context_),
      messenger_(context_, peers_, endpoints_),
      inbox_(context_,
             {[this](const Origin& origin) { puller_.gap(origin); }, [this](const Origin&) { startup_.look(); },
              [this](const Origin& origin) {
                  if (Peer* peer = peers_.find(origin.node_id)) compare_states(*peer);
              },
              [this](bool room) {
                  for (const auto& endpoint : endpoints_) endpoint->set_inbox_full(!room);
                  if (room) puller_.pump();
              }}),
      publisher_(context_, endpoints_,
                 [this](const std::vector<node::CommittedEntry>& entries) {
                     written_ = true;
                     inbox_.own_committed(entries);
                 }),
      puller_(context_, peers_, messenger_, inbox_,
              {[this](Peer& peer) { transfer_.start(peer); }, [this](const Origin& origin) { skip_gap(origin); }}),
      pull_server_(context_, messenger_),
      legacy_log_(context_),
      state_server_(context_, messenger_, node::digest_key(context_.seal.cluster_id())),
      transfer_(context_, peers_, messenger_, inbox_, node::digest_key(context_.seal.cluster_id()),
                [this] { puller_.pump(); }),
      greeter_(context_, peers_, messenger_, inbox_, endpoints_),
      startup_(context_, peers_, inbox_,
               {[this] { incarnation_began(); },
                [this] {
                    inbox_.ready();
                    greeter_.greet_everywhere(false);
                    if (events_.ready) events_.ready();
                }}),
      retention_(context_, peers_) {
    context_.on_alarm = events_.alarm;
    for (Transport* transport : transports)
        endpoints_.push_back(
            std::make_unique<Endpoint>(context_, *transport, endpoints_.size(), static_cast<EndpointEvents&>(*this)));
}

Result<void> Replicator::Engine::start() {
    began_wall_ms_ = context_.wall_ms();
    context_.port.set_listener(&publisher_);
    for (const auto& endpoint : endpoints_) {
        Result<void> started = endpoint->transport().start(*endpoint);
        if (!started) {
            close(context_.now_us());
            return Error{"transport " + endpoint->transport().name() + ": " + started.error().message};
        }
        ++started_;
    }
    context_.post([this] {
        startup_.start();
        greeter_.start();
        retention_.start();
    });
    return {};
}

void Replicator::Engine::stop(uint64_t deadline_us, std::function<void()> done) {
    context_.post([this, deadline_us, done = std::move(done)] {
        context_.stopping = true;
        wait_until_published(deadline_us, done);
    });
}

void Replicator::Engine::wait_until_published(uint64_t deadline_us, const std::function<void()>& done) {
    if (publisher_.idle() || context_.now_us() >= deadline_us) {
        // Behind the last entries, so that who hears it knows how far they go.
        greeter_.leave();
        return done();
    }
    context_.post_after(stop_poll_us, [this, deadline_us, done] { wait_until_published(deadline_us, done); });
}

void Replicator::Engine::close(uint64_t deadline_us) {
    context_.port.set_listener(nullptr);
    for (const auto& endpoint : endpoints_) endpoint->close();
    for (; started_ > 0; --started_) endpoints_[started_ - 1]->transport().stop(deadline_us);
}

void Replicator::Engine::broadcast(Body body, uint64_t ReplicationCounters::*counter) {
    context_.post([this, counter, body = std::move(body)]() mutable {
        ++(context_.counters.*counter);
        messenger_.broadcast_everywhere(std::move(body));
    });
}

void Replicator::Engine::on_up(Endpoint& endpoint) {
    greeter_.greet(endpoint, true);
    publisher_.resume(endpoint);
}

void Replicator::Engine::on_gap(Endpoint& endpoint, Channel) {
    greeter_.greet(endpoint, true);
}

void Replicator::Engine::on_delivered(Delivered delivered) {
    switch (delivered.channel) {
        case Channel::delta:
            return on_envelope(delivered);
        case Channel::control:
        case Channel::pull:
            return on_control(delivered);
        case Channel::legacy_log:
            return on_legacy_log(delivered);
    }
}

void Replicator::Engine::count_refusal(RefusalReason reason) {
    switch (reason) {
        case RefusalReason::foreign_cluster:
            ++context_.counters.dropped_foreign;
            break;
        case RefusalReason::bad_mac:
        case RefusalReason::not_signed:
            ++context_.counters.dropped_forged;
            break;
        case RefusalReason::too_new:
            ++context_.counters.dropped_unknown;
            break;
        case RefusalReason::malformed:
            ++context_.counters.dropped_invalid;
            break;
    }
}

void Replicator::Engine::on_envelope(const Delivered& delivered) {
    ++context_.counters.envelopes_received;
    if (delivered.reply_id != 0) delivered.endpoint->transport().reply(delivered.reply_id, {});
    RefusalReason reason = RefusalReason::malformed;
    Result<Envelope> envelope = decode_envelope(delivered.bytes, context_.seal, &reason);
    if (!envelope) return count_refusal(reason);
    if (!envelope->numbered) {
        if (envelope->origin_node_id == context_.self.node_id) {
            ++context_.counters.dropped_own;
            return;
        }
        ++context_.counters.legacy_deltas;
        if (events_.legacy_delta) {
            events_.legacy_delta(std::move(envelope->namespace_name), std::move(envelope->key),
                                 std::move(envelope->delta_bytes));
        }
        return;
    }
    const Origin origin = envelope->origin();
    const uint64_t sequence = envelope->numbered->sequence;
    // What an origin publishes is durable there.
    Peer* peer = peers_.find(origin.node_id);
    if (peer != nullptr && peer->origin == origin) node::merge_into(peer->vector, {{origin, sequence}});
    inbox_.add({origin,
                sequence,
                envelope->numbered->wall_ms,
                {std::move(envelope->namespace_name), std::move(envelope->key)},
                std::move(envelope->numbered->payload)},
               Inbox::From::live);
}

void Replicator::Engine::on_control(const Delivered& delivered) {
    ++context_.counters.messages_received;
    RefusalReason reason = RefusalReason::malformed;
    ReplyPath path{delivered.endpoint, delivered.reply_id, {}, 0, delivered.source};
    Result<std::variant<Message, UnknownKind>> decoded = decode_message(delivered.bytes, context_.seal, &reason);
    if (!decoded) {
        count_refusal(reason);
        return messenger_.reply_nothing(path);
    }
    Message* message = std::get_if<Message>(&*decoded);
    if (message == nullptr) {
        ++context_.counters.dropped_unknown;
        return messenger_.reply_nothing(path);
    }
    on_message(std::move(path), std::move(*message));
}

void Replicator::Engine::on_message(ReplyPath path, Message message) {
    const Header header = message.header;
    path.to = header.from;
    path.request_id = header.request_id;
    if (header.from == context_.self || header.from == first_self_) {
        on_own_message(header, message.body);
        return messenger_.reply_nothing(path);
    }
    if (header.to && header.to->node_id != context_.self.node_id) {
        ++context_.counters.dropped_not_for_us;
        return messenger_.reply_nothing(path);
    }
    if (!is_fresh(header)) return messenger_.reply_nothing(path);
    Peer* peer = peers_.sender(header.from);
    if (peer == nullptr) {
        ++context_.counters.dropped_replayed;
        return messenger_.reply_nothing(path);
    }
    if (!path.source.empty()) peer->addresses[path.endpoint->index()] = path.source;
    const uint64_t met = peers_.met();
    // Its hello may be lost: what it is given here it may hold for long.
    peers_.heard(header.from.node_id, context_.wall_ms());
    if (peers_.met() != met && events_.met) events_.met();

    if (const Hello* hello = std::get_if<Hello>(&message.body)) return on_hello(path, header, *hello);
    if (header.is_reply) {
        messenger_.answered(std::move(message));
        return messenger_.reply_nothing(path);
    }
    if (Pull* pull = std::get_if<Pull>(&message.body)) return pull_server_.serve(path, std::move(*pull));
    if (TreeRequest* tree = std::get_if<TreeRequest>(&message.body)) return state_server_.serve(path, *tree);
    if (KeysRequest* keys = std::get_if<KeysRequest>(&message.body)) return state_server_.serve(path, std::move(*keys));
    if (StatesRequest* states = std::get_if<StatesRequest>(&message.body))
        return state_server_.serve(path, std::move(*states));
    messenger_.reply_nothing(path);
    if (const Awareness* awareness = std::get_if<Awareness>(&message.body)) {
        ++context_.counters.awareness_received;
        if (events_.awareness) events_.awareness(*awareness);
        return;
    }
    if (const RevokeSessions* order = std::get_if<RevokeSessions>(&message.body)) {
        ++context_.counters.revocations_received;
        if (events_.revoke_sessions) events_.revoke_sessions(*order);
        return;
    }
    if (const Entries* entries = std::get_if<Entries>(&message.body)) return on_announcement(*peer, *entries);
}

bool Replicator::Engine::is_fresh(const Header& header) {
    const uint64_t now_ms = context_.wall_ms();
    const uint64_t floor_ms = now_ms > message_age_max_ms ? now_ms - message_age_max_ms : 0;
    switch (replay_.take(header.from, header.number, floor_ms << message_number_bits)) {
        case Freshness::fresh:
            return true;
        case Freshness::repeated:
            break;
        case Freshness::too_old:
            context_.alarm(AlarmKind::clock_offset, to_text(header.from),
                           "a message of node " + to_text(header.from) +
                               " is older than all that can be told apart: "
                               "it was recorded, or the clock of that node is far behind");
            break;
    }
    ++context_.counters.dropped_replayed;
    return false;
}

void Replicator::Engine::on_own_message(const Header& header, const Body& body) {
    ++context_.counters.dropped_own;
    const Hello* hello = std::get_if<Hello>(&body);
    if (hello == nullptr || hello->nonce == context_.nonce) return;
    // An earlier process of this node may have said it just before it ended.
    if (header.wall_ms <= began_wall_ms_ + 1'000 || hello->leaving) return;
    context_.alarm(AlarmKind::node_id_collision, to_text(header.from),
                   "another process is running with the id of this node, " + to_text(header.from) +
                       "; give each node an id of its own");
}

void Replicator::Engine::on_hello(const ReplyPath& path, const Header& header, const Hello& hello) {
    Peer* peer = peers_.find(header.from.node_id);
    const uint64_t met = peers_.met();
    const bool is_new = peers_.hello(*peer, header, hello, path.endpoint->index());
    if (peers_.met() != met && events_.met) events_.met();
    learn_addresses(*peer, path, hello);
    retention_.sample(peer->origin, header.wall_ms, node::held(hello.vector, peer->origin));
    if (header.from.node_id == context_.self.node_id && !hello.leaving && header.wall_ms > began_wall_ms_ + 1'000) {
        context_.alarm(AlarmKind::node_id_collision, to_text(header.from),
                       "another process is running with the id of this node, as " + to_text(header.from) +
                           "; give each node an id of its own");
    }
    if (path.reply_id != 0) {
        greeter_.answer(path, true);
    } else if (!context_.stopping && !hello.leaving &&
               (hello.wants_reply || (is_new && !header.is_reply && !header.to))) {
        greeter_.answer(path, false);
    }
    look_for_amnesia(*peer);
    startup_.look();
    puller_.heard(*peer, is_new || !context_.ready);
    puller_.pump();
}

void Replicator::Engine::look_for_amnesia(Peer& peer) {
    const uint64_t head = inbox_.durable(context_.self);
    const uint64_t theirs = peer.highest(context_.self);
    if (theirs <= head) return;
    context_.alarm(AlarmKind::amnesia, to_text(context_.self),
                   "node " + to_text(peer.origin) + " holds entries of this node up to " + std::to_string(theirs) +
                       ", the node itself up to " + std::to_string(head) +
                       ": its store has lost writes; they are fetched from peers, and it begins a new incarnation");
    startup_.amnesia();
    // Numbers that were given out again hide what they stood for before.
    if (written_) compare_states(peer);
}

// Numbers do not tell what is missing: the states do.
void Replicator::Engine::compare_states(Peer& peer) {
    if (peer.compared_us != 0 && peer.compared_us + context_.options.interval_ms * 1000 > context_.now_us()) return;
    peer.compared_us = context_.now_us();
    transfer_.start(peer);
}

void Replicator::Engine::skip_gap(const Origin& origin) {
    const uint64_t from = inbox_.received(origin) + 1;
    const auto last = std::make_shared<uint64_t>(0);
    *last = inbox_.release_held(origin, [this, origin, last] {
        context_.port.raise_vector({{origin, *last}}, context_.here([this](const Result<void>& raised) {
            if (raised) inbox_.raised();
        }));
    });
    if (*last == 0) return;
    ++context_.counters.origins_skipped;
    context_.alarm(AlarmKind::gap_skipped, to_text(origin),
                   "entries of origin " + to_text(origin) + " from " + std::to_string(from) +
                       " on were lost: no node has had them for as long as retention lasts; those up to " +
                       std::to_string(*last) + " that are here are kept");
}

void Replicator::Engine::incarnation_began() {
    inbox_.self_changed();
    // What was written since the start may have numbers that had been given out before the store lost them.
    if (written_) puller_.check_again(first_self_, opened_head_);
    for (const auto& [node_id, peer] : peers_.all()) puller_.heard(peer, true);
    greeter_.greet_everywhere(true);
}

void Replicator::Engine::learn_addresses(Peer& peer, const ReplyPath& path, const Hello& hello) {
    for (const auto& endpoint : endpoints_) {
        const std::string& name = endpoint->transport().name();
        const auto found = std::find_if(hello.addresses.begin(), hello.addresses.end(),
                                        [&name](const auto& address) { return address.first == name; });
        if (found == hello.addresses.end()) continue;
        // Where a message really came from says more.
        if (endpoint.get() == path.endpoint && !path.source.empty()) continue;
        peer.addresses[endpoint->index()] = found->second;
    }
}

void Replicator::Engine::on_announcement(Peer& peer, const Entries& entries) {
    for (const node::RemoteEntry& entry : entries.entries) {
        // A node announces its own entries.
        if (entry.origin != peer.origin) continue;
        node::merge_into(peer.vector, {{entry.origin, entry.sequence}});
        if (entry.sequence > inbox_.received(entry.origin)) puller_.heard(entry.origin, false);
    }
    puller_.pump();
}

void Replicator::Engine::on_legacy_log(const Delivered& delivered) {
    if (delivered.reply_id == 0) return;
    uint64_t from = 0;
    const char* end = delivered.bytes.data() + delivered.bytes.size();
    const auto [parsed, error] = std::from_chars(delivered.bytes.data(), end, from);
    legacy_log_.serve(*delivered.endpoint, delivered.reply_id,
                      error == std::errc() && parsed == end ? std::optional(from) : std::nullopt);
}

bool Replicator::Engine::converged() const {
    if (!context_.ready || puller_.wanted() != 0) return false;
    const VersionVector own = context_.port.vector();
    for (const auto& [node_id, peer] : peers_.all()) {
        if (peers_.alive(peer) && !(node::covers(own, peer.vector) && node::covers(peer.vector, own))) return false;
    }
    return true;
}

ClusterStatus Replicator::Engine::status() {
    ClusterStatus status;
    {
        const std::lock_guard<std::mutex> guard(context_.mutex());
        const VersionVector own = context_.port.vector();
        status.self = context_.self;
        status.ready = context_.ready;
        status.converged = converged();
        for (const auto& [node_id, peer] : peers_.all()) {
            if (!peer.answered) continue;
            PeerStatus shown;
            shown.origin = peer.origin;
            shown.state = peers_.state(peer);
            shown.ready = peer.ready;
            shown.heard_ms_ago = (context_.now_us() - peer.heard_us) / 1000;
            shown.transport = endpoints_[peer.endpoint]->transport().name();
            for (const auto& [origin, sequence] : peer.vector) {
                const uint64_t held = node::held(own, origin);
                if (sequence > held) shown.we_lack += sequence - held;
            }
            for (const auto& [origin, sequence] : own) {
                const uint64_t held = node::held(peer.vector, origin);
                if (sequence > held) shown.it_lacks += sequence - held;
            }
            shown.clock_offset_ms = peer.clock_offset_ms;
            shown.vector = peer.vector;
            shown.pulling = peer.pulling;
            status.peers.push_back(std::move(shown));
        }
        for (const Origin& origin : inbox_.origins()) {
            OriginStatus shown;
            shown.origin = origin;
            shown.held = inbox_.durable(origin);
            shown.highest = puller_.highest_known(origin);
            shown.waiting = inbox_.waiting(origin);
            shown.pulling = puller_.pulling(origin);
            shown.stopped = inbox_.stopped(origin);
            status.origins.push_back(shown);
        }
        for (const auto& endpoint : endpoints_) {
            TransportStatus shown;
            shown.name = endpoint->transport().name();
            shown.up = endpoint->up();
            shown.epoch = endpoint->epoch();
            shown.down_reason = endpoint->down_reason();
            shown.waiting_entries = publisher_.waiting(*endpoint);
            status.transports.push_back(std::move(shown));
        }
        status.pulls_outstanding = puller_.outstanding();
        status.transferring = transfer_.running();
        status.merge_backlog_bytes = inbox_.backlog_bytes();
        status.covered_before_wall_ms = retention_.covered_before_wall_ms();
        for (const auto& [key, alarm] : context_.alarms) status.alarms.push_back(alarm);
        status.counters = context_.counters;
    }
    for (size_t i = 0; i < endpoints_.size(); ++i) status.transports[i].links = endpoints_[i]->transport().links();
    return status;
}

std::map<uint64_t, uint64_t> Replicator::Engine::members() {
    const std::lock_guard<std::mutex> guard(context_.mutex());
    return peers_.remembered();
}

Replicator::Replicator(Lane& lane, Clock& clock, Random& random, node::ReplicationPort& port, Seal seal,
                       ReplicationOptions options, std::vector<Transport*> transports, ReplicationEvents events)
    : engine_(std::make_unique<Engine>(lane, clock, random, port, std::move(seal), std::move(options),
                                       std::move(transports), std::move(events))) {}
Replicator::~Replicator() = default;

Result<void> Replicator::start() {
    return engine_->start();
}
void Replicator::stop(uint64_t deadline_us, std::function<void()> done) {
    engine_->stop(deadline_us, std::move(done));
}
void Replicator::close(uint64_t deadline_us) {
    engine_->close(deadline_us);
}

void Replicator::publish_awareness(Awareness awareness) {
    engine_->broadcast(std::move(awareness), &ReplicationCounters::awareness_sent);
}
void Replicator::revoke_sessions(RevokeSessions order) {
    engine_->broadcast(std::move(order), &ReplicationCounters::revocations_sent);
}

ClusterStatus Replicator::status() const {
    return engine_->status();
}
std::map<uint64_t, uint64_t> Replicator::members() const {
    return engine_->members();
}

}  // namespace meridian::replication
