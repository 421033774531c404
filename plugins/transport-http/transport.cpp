#include "transport.h"

#include <algorithm>

#include "thread_signals.h"

namespace meridian::transport_http {
namespace {

std::shared_ptr<const std::string> copy(std::string_view bytes) {
    return std::make_shared<const std::string>(bytes);
}

}  // namespace

HttpTransport::HttpTransport(abi::Host host, const abi::Config& config)
    : host_(host),
      settings_(config),
      loop_(host, settings_),
      mailbox_(loop_.poller, settings_.queue_messages, std::max(settings_.queue_bytes, settings_.message_bytes)) {}

void HttpTransport::start(const abi::NodeName&, abi::TransportSink sink) {
    if (server_) throw abi::Failure(MERIDIAN_INVALID, "start: it was started before");
    sink_ = std::make_unique<abi::TransportSink>(sink);
    auto server = std::make_unique<Server>(loop_, sink);
    server->listen();
    server_ = std::move(server);
    const BindAddress& bind = settings_.bind;
    PeerUrl own;
    own.host = bind.host;
    own.port = server_->port();
    address_ = settings_.advertise_url;
    if (address_.empty() && !bind.wildcard()) address_ = own.text();
    host_.log(MERIDIAN_LOG_INFORMATION, "listening for other nodes at " +
                                            std::string(bind.wildcard() ? "all addresses, port " : "") +
                                            (bind.wildcard() ? std::to_string(own.port) : own.authority()) + "; " +
                                            std::to_string(settings_.peers.size()) + " peers");
    if (bind.wildcard() && !settings_.authenticated) {
        host_.log(MERIDIAN_LOG_WARNING,
                  "bind: messages of other nodes are taken at all addresses and are not signed: set a cluster secret, "
                  "or bind to an address that only nodes reach");
    }
    for (const PeerUrl& url : settings_.peers) {
        add_peer(url, true);
        configured_.push_back(peers_.at(url.text()).get());
    }
    const SignalsBlocked blocked;
    thread_ = std::thread([this] { run(); });
}

void HttpTransport::stop(uint64_t deadline_us) {
    stop_deadline_us_ = deadline_us;
    mailbox_.close();
    if (thread_.joinable()) thread_.join();
    loop_.resolver.stop();
}

std::string HttpTransport::address() const {
    return address_;
}

void HttpTransport::run() {
    for (Peer* peer : configured_) peer->open();
    for (;;) {
        run_tasks();
        const uint64_t now = loop_.now_us();
        if (now >= loop_.next_check_us) loop_.next_check_us = check_deadlines(now);
        if (mailbox_.is_closed() && is_done(now)) break;
        uint64_t next = loop_.next_check_us;
        if (mailbox_.is_closed()) next = std::min<uint64_t>(next, stop_deadline_us_);
        const uint64_t later = loop_.now_us();
        loop_.poller.wait(next > later ? next - later : 0);
    }
    run_tasks();
    for (const auto& [address, peer] : peers_) peer->close(MERIDIAN_CANCELLED, "the node stops");
    server_->close();
}

void HttpTransport::run_tasks() {
    std::vector<Mailbox::Task> tasks;
    const bool was_refused = mailbox_.take(tasks);
    for (const Mailbox::Task& task : tasks) task();
    if (was_refused) sink_->writable();
    buried_peers_.clear();
}

uint64_t HttpTransport::check_deadlines(uint64_t now_us) {
    // What is armed meanwhile is kept.
    loop_.next_check_us = never_us;
    uint64_t next = server_->on_time(now_us);
    for (const auto& [address, peer] : peers_) next = std::min(next, peer->on_time(now_us));
    return std::min({next, forget_idle_peers(now_us), loop_.next_check_us});
}

bool HttpTransport::is_done(uint64_t now_us) {
    server_->close();
    return now_us >= stop_deadline_us_ ||
           std::all_of(peers_.begin(), peers_.end(), [](const auto& entry) { return entry.second->is_idle(); });
}

meridian_status HttpTransport::publish(uint32_t channel, std::string_view namespace_name, std::string_view bytes,
                                       abi::PublishSink sink) {
    if (channel != MERIDIAN_CHANNEL_DELTA && channel != MERIDIAN_CHANNEL_CONTROL) return MERIDIAN_INVALID;
    if (bytes.size() > settings_.message_bytes || namespace_name.size() > 255 || !server_) return MERIDIAN_INVALID;
    if (channel != MERIDIAN_CHANNEL_DELTA) namespace_name = {};
    return mailbox_.submit(bytes.size(), [this, channel, name = std::string(namespace_name), message = copy(bytes),
                                          sink] { broadcast(channel, name, message, sink); });
}

void HttpTransport::broadcast(uint32_t channel, const std::string& namespace_name,
                              std::shared_ptr<const std::string> bytes, abi::PublishSink sink) {
    if (configured_.empty()) return sink.done(MERIDIAN_OK);
    const auto publication = std::make_shared<Publication>(sink, configured_.size());
    for (Peer* peer : configured_) {
        Message message;
        message.channel = channel;
        message.namespace_name = namespace_name;
        message.bytes = bytes;
        message.done = [publication](Outcome outcome) {
            if (outcome.status == MERIDIAN_OK)
                ++publication->receivers;
            else
                publication->last_failure = std::move(outcome);
            if (--publication->missing != 0) return;
            const Outcome& failure = publication->last_failure;
            const bool taken = publication->receivers != 0;
            publication->sink.done(taken ? MERIDIAN_OK : failure.status, taken ? std::string_view() : failure.text,
                                   publication->receivers);
        };
        peer->submit(std::move(message));
    }
}

meridian_status HttpTransport::send(std::string_view target, std::string_view bytes, abi::PublishSink sink) {
    std::string problem;
    const auto url = parse_peer_url(target, problem);
    if (!url || bytes.size() > settings_.message_bytes || !server_) return MERIDIAN_INVALID;
    return mailbox_.submit(bytes.size(), [this, to = *url, bytes_copy = copy(bytes), sink] {
        Peer* peer = peer_at(to);
        if (peer == nullptr) return sink.done(MERIDIAN_UNAVAILABLE, "there are too many peers besides the configured");
        Message message;
        message.channel = MERIDIAN_CHANNEL_CONTROL;
        message.bytes = bytes_copy;
        message.done = [sink](const Outcome& outcome) {
            sink.done(outcome.status, outcome.text, outcome.status == MERIDIAN_OK ? 1 : 0);
        };
        peer->submit(std::move(message));
    });
}

meridian_status HttpTransport::request(uint64_t request_id, uint32_t channel, std::string_view target,
                                       std::string_view bytes, uint64_t deadline_us, abi::ReplySink sink) {
    if (channel != MERIDIAN_CHANNEL_CONTROL && channel != MERIDIAN_CHANNEL_PULL) return MERIDIAN_INVALID;
    const size_t most =
        channel == MERIDIAN_CHANNEL_PULL ? std::min(pull_bytes_max, settings_.message_bytes) : settings_.message_bytes;
    std::string problem;
    const auto url = parse_peer_url(target, problem);
    if (!url || bytes.size() > most || !server_) return MERIDIAN_INVALID;
    return mailbox_.submit(bytes.size(), [this, request_id, channel, to = *url, message = copy(bytes), deadline_us,
                                          sink] { ask(request_id, channel, to, message, deadline_us, sink); });
}

void HttpTransport::ask(uint64_t request_id, uint32_t channel, const PeerUrl& url,
                        std::shared_ptr<const std::string> bytes, uint64_t deadline_us, abi::ReplySink sink) {
    if (requests_.count(request_id) != 0)
        return sink.failed(MERIDIAN_INVALID, "request id " + std::to_string(request_id) + " is in use");
    Peer* peer = peer_at(url);
    if (peer == nullptr) return sink.failed(MERIDIAN_UNAVAILABLE, "there are too many peers besides the configured");
    requests_[request_id] = peer;
    Message message;
    message.channel = channel;
    message.bytes = std::move(bytes);
    message.request_id = request_id;
    message.is_request = true;
    message.deadline_us = deadline_us;
    message.done = [this, request_id, sink](const Outcome& outcome) {
        requests_.erase(request_id);
        if (outcome.status == MERIDIAN_OK)
            sink.reply(outcome.reply);
        else
            sink.failed(outcome.status, outcome.text);
    };
    peer->submit(std::move(message));
}

void HttpTransport::cancel(uint64_t request_id) {
    mailbox_.post([this, request_id] {
        const auto found = requests_.find(request_id);
        if (found != requests_.end()) found->second->cancel(request_id);
    });
}

meridian_status HttpTransport::reply(uint64_t reply_id, std::string_view bytes) {
    if (!server_) return MERIDIAN_INVALID;
    if (mailbox_.is_closed()) return MERIDIAN_CANCELLED;
    const bool is_too_large = bytes.size() > settings_.message_bytes;
    const auto connection_id = server_->take_reply(reply_id);
    if (!connection_id) return MERIDIAN_INVALID;
    // One that is too large is as good as none, and the connection must not wait for it.
    mailbox_.post(
        [this, id = *connection_id, answer = std::string(is_too_large ? std::string_view() : bytes)]() mutable {
            server_->answer(id, std::move(answer));
        });
    return is_too_large ? MERIDIAN_INVALID : MERIDIAN_OK;
}

void HttpTransport::resume() {
    mailbox_.post([this] { server_->resume(); });
}

}  // namespace meridian::transport_http
