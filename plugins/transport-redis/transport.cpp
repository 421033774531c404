#include "transport.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <limits>

namespace meridian::transport_redis {
namespace {

constexpr uint64_t metrics_interval_us = 1'000'000;
constexpr size_t namespace_bytes_max = 255;

Poco::Net::Context::Ptr tls_context(const Options& options) {
    if (!options.tls && (options.sentinels.empty() || !options.sentinel_tls)) return {};
    auto context = make_tls_context(options.tls_options);
    if (!context) {
        const TlsOptions& files = options.tls_options;
        std::string text = "TLS cannot be set up with ca_file '" + files.ca_file + "'";
        if (!files.certificate_file.empty())
            text += ", certificate_file '" + files.certificate_file + "', private_key_file '" + files.private_key_file +
                    "'";
        throw abi::Failure(MERIDIAN_INVALID, text + ": " + context.error().message + "; expected files in PEM format");
    }
    return *context;
}

}  // namespace

RedisTransport::RedisTransport(abi::Host host, const abi::Config& config)
    : host_(host),
      options_(Options::from(config)),
      context_{host, options_, tls_context(options_), wake_},
      publisher_(context_, *this) {}

RedisTransport::~RedisTransport() {
    stop(0);
}

void RedisTransport::start(const abi::NodeName& node, abi::TransportSink sink) {
    if (thread_.joinable() || subscriber_) throw abi::Failure(MERIDIAN_INVALID, "start: called a second time");
    if (node.text.empty()) throw abi::Failure(MERIDIAN_INVALID, "start: the node's name is empty");
    node_name_ = node.text;
    sink_ = sink;
    publisher_.set_sink(sink);
    subscriber_.emplace(context_, node_name_, sink, static_cast<LinkOwner&>(*this));
    // Signals are the host's; and TLS writes must not raise SIGPIPE.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        thread_ = std::thread([this] { run(); });
    } catch (const std::system_error& error) {
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
        subscriber_.reset();
        throw abi::Failure(MERIDIAN_IO, std::string("start: no thread: ") + error.what());
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void RedisTransport::stop(uint64_t deadline_us) {
    publisher_.refuse();
    if (!thread_.joinable()) return;
    stop_deadline_us_ = deadline_us;
    stopping_ = true;
    wake_->wake();
    thread_.join();
}

meridian_status RedisTransport::publish(uint32_t channel, std::string_view namespace_name, std::string_view bytes,
                                        abi::PublishSink done) {
    if (bytes.size() > options_.message_bytes_max) return MERIDIAN_INVALID;
    if (channel == MERIDIAN_CHANNEL_DELTA) {
        if (namespace_name.empty() || namespace_name.size() > namespace_bytes_max) return MERIDIAN_INVALID;
        return publisher_.submit(delta_prefix, namespace_name, bytes, true, done);
    }
    if (channel != MERIDIAN_CHANNEL_CONTROL || !namespace_name.empty()) return MERIDIAN_INVALID;
    return publisher_.submit(all_channel, {}, bytes, true, done);
}

meridian_status RedisTransport::send(std::string_view target, std::string_view bytes, abi::PublishSink done) {
    if (bytes.size() > options_.message_bytes_max) return MERIDIAN_INVALID;
    return publisher_.submit(node_prefix, target, bytes, false, done);
}

void RedisTransport::resume() {
    if (subscriber_) subscriber_->resume();
}

void RedisTransport::links(const LinkFunction& link) const {
    const LinkStatus out = publisher_.link();
    const Publisher::Queued queued = publisher_.queued();
    link(out.state, out.address + " (publisher)", out.error, queued.messages, queued.bytes);
    if (!subscriber_) return;
    const LinkStatus in = subscriber_->link();
    link(in.state, in.address + " (subscriber)", in.error, subscriber_->queued_messages(), subscriber_->queued_bytes());
}

// ---- the I/O thread ------------------------------------------------------------------------------------------------

void RedisTransport::run() {
    ::pthread_setname_np(::pthread_self(), "redis");
    while (!stopping_ || (publisher_.ready() && !publisher_.idle() && host_.monotonic_us() < stop_deadline_us_)) {
        try {
            turn();
            wait();
        } catch (const std::exception& exception) { begin_anew(exception.what()); }
    }
    subscriber_->close();
    publisher_.cancel();
    tell_metrics(true);
}

// After a lack of memory, or a defect.
void RedisTransport::begin_anew(const char* why) noexcept {
    host_.log(MERIDIAN_LOG_ERROR, "Redis: both connections are made again after an error:");
    host_.log(MERIDIAN_LOG_ERROR, why);
    try {
        publisher_.fail(host_.monotonic_us(), why);
        subscriber_->fail(host_.monotonic_us(), why);
    } catch (const std::exception&) {
        // Still no memory. Both are closed, or will be found broken.
        host_.log(MERIDIAN_LOG_ERROR, why);
    }
}

void RedisTransport::turn() {
    const uint64_t now = host_.monotonic_us();
    // What was received may answer what is published next, and our own subscription is counted there.
    subscriber_->advance(now, std::exchange(subscriber_events_, short{0}));
    publisher_.advance(now, std::exchange(publisher_events_, short{0}), subscriber_->ready());
    tell_state();
    tell_metrics(false);
}

void RedisTransport::wait() {
    uint64_t due = std::min({publisher_.due_us(), subscriber_->due_us(), metrics_at_us_});
    if (stopping_) due = std::min<uint64_t>(due, stop_deadline_us_);
    const uint64_t now = host_.monotonic_us();
    // Rounded up, so that it is due when poll returns.
    const uint64_t wait_ms = due <= now ? 0 : std::min<uint64_t>((due - now + 999) / 1000, 60'000);
    std::array<pollfd, 3> descriptors = {pollfd{wake_->descriptor(), POLLIN, 0}, publisher_.wanted(),
                                         subscriber_->wanted()};
    ::poll(descriptors.data(), descriptors.size(), static_cast<int>(wait_ms));
    if (descriptors[0].revents != 0) wake_->clear();
    publisher_events_ = descriptors[1].revents;
    subscriber_events_ = descriptors[2].revents;
}

void RedisTransport::link_lost(bool was_ready, const std::string& reason) {
    if (was_ready) reconnects_.add();
    const bool first = told_ != Told::down;
    if (first || reason != reason_) host_.log(MERIDIAN_LOG_WARNING, "Redis: " + reason + "; trying again");
    reason_ = reason;
    if (first) {
        told_ = Told::down;
        sink_->down(reason);
    }
}

void RedisTransport::tell_state() {
    if (told_ == Told::up || !publisher_.ready() || !subscriber_->ready()) return;
    told_ = Told::up;
    reason_.clear();
    host_.log(MERIDIAN_LOG_INFORMATION,
              "Redis: connected to " + publisher_.link().address + ", epoch " + std::to_string(epoch_ + 1));
    sink_->up(++epoch_);
    if (subscriber_->take_resubscribed()) {
        sink_->gap(MERIDIAN_CHANNEL_DELTA);
        sink_->gap(MERIDIAN_CHANNEL_CONTROL);
    }
}

void RedisTransport::tell_metrics(bool now) {
    const uint64_t now_us = host_.monotonic_us();
    if (!now && now_us < metrics_at_us_) return;
    metrics_at_us_ = now_us + metrics_interval_us;
    connected_gauge_.tell(host_, told_ == Told::up ? 1 : 0);
    reconnects_.tell(host_);
    publisher_.tell_metrics();
    subscriber_->tell_metrics();
}

}  // namespace meridian::transport_redis
