#include "broken_transport.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace meridian::plugin_kit {
namespace {

constexpr uint64_t queue_bytes_max = 16 << 20;
constexpr uint64_t queue_messages_max = 1000;

std::shared_ptr<Hub> hub_of(const std::string& directory) {
    static std::mutex mutex;
    static std::map<std::string, std::weak_ptr<Hub>> hubs;
    const std::lock_guard lock(mutex);
    auto hub = hubs[directory].lock();
    if (!hub) hubs[directory] = hub = std::make_shared<Hub>();
    return hub;
}

}  // namespace

BrokenTransport::BrokenTransport(abi::Host host, const abi::Config& config)
    : host_(host),
      defect_(config.text("defect")),
      is_reachable_(config.boolean("reachable")),
      port_(config.integer("port")),
      hub_(hub_of(is("one-cluster") ? "" : std::string(config.text("directory")))) {
    if (is("leaks-file")) static_cast<void>(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

BrokenTransport::~BrokenTransport() {
    for (const int file : files_) ::close(file);
}

void BrokenTransport::reconfigure(const abi::Config&) {
    if (is("reconfigure-disconnects")) is_reachable_ = false;
}

void BrokenTransport::take_port(int64_t port) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    name.sin_port = htons(static_cast<uint16_t>(port));
    files_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const bool bound = ::bind(files_.back(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
    if (!bound && !is("ignores-a-taken-port")) throw abi::Failure(MERIDIAN_IN_USE, "the port is taken");
}

void BrokenTransport::start(const abi::NodeName& node, abi::TransportSink sink) {
    if (port_ != 0) take_port(port_);
    self_ = node.text;
    sink_.emplace(sink);
    {
        const std::lock_guard lock(hub_->mutex);
        for (const auto& [name, other] : hub_->nodes) other->arrive({0, {}, {}, {}, 0});
        if (is_reachable_) hub_->nodes[self_] = this;
        if (is("calls-inside-start")) sink_->up(1);
    }
    arriving_.push_front({0, {}, {}, {}, 0});
    sender_ = std::thread([this] { send_all(); });
    deliverer_ = std::thread([this] { deliver_all(); });
}

void BrokenTransport::stop(uint64_t) {
    if (is("needs-start") && !sink_) std::abort();
    {
        const std::lock_guard lock(hub_->mutex);
        const auto found = hub_->nodes.find(self_);
        if (found != hub_->nodes.end() && found->second == this) {
            hub_->nodes.erase(found);
            hub_->left.insert(self_);
        }
    }
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        send_.notify_all();
        deliver_.notify_all();
    }
    if (deliverer_.joinable()) deliverer_.join();
    if (sender_.joinable()) sender_.join();
    while (timers_ != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    stopped_ = true;
}

meridian_status BrokenTransport::publish(uint32_t channel, std::string_view namespace_name, std::string_view message,
                                         abi::PublishSink sink) {
    const bool known = channel == MERIDIAN_CHANNEL_DELTA || channel == MERIDIAN_CHANNEL_CONTROL;
    if (!known && !is("any-channel")) return MERIDIAN_INVALID;
    if (is("delivers-inside-publish")) sink_->deliver(channel, namespace_name, message, self_);
    return submit({Kind::publish, channel, "", std::string(namespace_name), std::string(message), message, 0, sink});
}

meridian_status BrokenTransport::send(std::string_view target, std::string_view message, abi::PublishSink sink) {
    const Kind kind = is("sends-to-all") ? Kind::publish : Kind::send;
    return submit({kind, MERIDIAN_CHANNEL_CONTROL, std::string(target), "", std::string(message), message, 0, sink});
}

meridian_status BrokenTransport::request(uint64_t id, uint32_t channel, std::string_view target,
                                         std::string_view message, uint64_t deadline_us, abi::ReplySink sink) {
    if (channel != MERIDIAN_CHANNEL_CONTROL && channel != MERIDIAN_CHANNEL_PULL && !is("any-channel"))
        return MERIDIAN_INVALID;
    {
        const std::lock_guard lock(mutex_);
        if (is("no-deadline")) deadline_us = UINT64_MAX;
        if (is("early-deadline")) deadline_us = 1;
        pending_.emplace(id, Pending{sink, deadline_us});
    }
    const meridian_status status =
        submit({Kind::request, channel, std::string(target), "", std::string(message), message, id, std::nullopt});
    const std::lock_guard lock(mutex_);
    if (status != MERIDIAN_OK) pending_.erase(id);
    send_.notify_all();
    return status;
}

void BrokenTransport::cancel(uint64_t id) {
    if (is("no-cancel")) return;
    // The sending thread ends it.
    const std::lock_guard lock(mutex_);
    const auto found = pending_.find(id);
    if (found == pending_.end()) return;
    found->second.deadline_us = 0;
    send_.notify_all();
}

meridian_status BrokenTransport::reply(uint64_t reply_id, std::string_view message) {
    Asker asker;
    {
        const std::lock_guard lock(mutex_);
        const auto found =
            askers_.find(is("answers-the-oldest") && !askers_.empty() ? askers_.begin()->first : reply_id);
        if (found == askers_.end()) return is("any-reply") ? MERIDIAN_OK : MERIDIAN_INVALID;
        if (message.size() > message_max) return MERIDIAN_INVALID;
        asker = found->second;
        askers_.erase(found);
    }
    std::string bytes(message);
    if (is("replies-end-at-nul")) bytes.resize(std::min(bytes.size(), bytes.find('\0')));
    if (is("short-replies")) bytes.resize(std::min<size_t>(bytes.size(), 100'000));
    return submit({Kind::reply, 0, asker.name, "", std::move(bytes), message, asker.request_id, std::nullopt});
}

void BrokenTransport::resume() {
    if (stopped_ && is("calls-host-after-stop")) host_.log(MERIDIAN_LOG_INFORMATION, "still here");
    if (stopped_ && is("calls-the-sink-after-stop")) sink_->up(1'000'000);
    const std::lock_guard lock(mutex_);
    busy_ = false;
    resumes_ += 1;
    deliver_.notify_all();
}

meridian_status BrokenTransport::submit(Outgoing outgoing) {
    const int others = inside_.fetch_add(1);
    if (is("one-caller-only")) {
        if (others != 0) std::abort();
        std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    inside_.fetch_sub(1);
    if (outgoing.bytes.size() > message_max && !is("accepts-too-large")) {
        if (is("completes-what-it-refuses") && outgoing.sink) outgoing.sink->done(MERIDIAN_INVALID);
        return MERIDIAN_INVALID;
    }
    const std::lock_guard lock(mutex_);
    if (stopping_) {
        if (is("loses-calls-while-stopping")) return MERIDIAN_OK;
        return is("wrong-status-after-stop") ? MERIDIAN_UNAVAILABLE : MERIDIAN_CANCELLED;
    }
    const bool full = outgoing_.size() >= queue_messages_max || outgoing_bytes_ >= queue_bytes_max;
    if (full && !is("never-busy")) {
        was_full_ = true;
        return MERIDIAN_BUSY;
    }
    if (is("completes-inside-the-submit") && outgoing.sink) {
        std::exchange(outgoing.sink, std::nullopt)->done(MERIDIAN_OK);
    }
    outgoing_bytes_ += outgoing.bytes.size();
    outgoing_.push_back(std::move(outgoing));
    send_.notify_all();
    return MERIDIAN_OK;
}

void BrokenTransport::send_all() {
    // So that something is queued when the defect is to show, however slowly it is submitted.
    const bool is_slow = is("never-busy") || is("no-writable") || is("loses-calls-at-stop");
    std::unique_lock lock(mutex_);
    if (!is_reachable_ && !is("silent-when-unreachable")) {
        lock.unlock();
        if (is("up-when-unreachable")) sink_->up(1);
        sink_->down("there is no hub");
        lock.lock();
    }
    while (!stopping_) {
        end_late_requests(lock);
        if (stopping_) break;
        if (outgoing_.empty()) {
            uint64_t next_us = host_.monotonic_us() + 1'000'000;
            for (const auto& [id, pending] : pending_) next_us = std::min(next_us, pending.deadline_us);
            const uint64_t now_us = host_.monotonic_us();
            if (next_us > now_us) send_.wait_for(lock, std::chrono::microseconds(next_us - now_us));
            continue;
        }
        Outgoing outgoing = std::move(outgoing_.front());
        outgoing_.pop_front();
        outgoing_bytes_ -= outgoing.bytes.size();
        const bool tell = was_full_ && !is("no-writable") && outgoing_.size() <= queue_messages_max / 2;
        if (tell) was_full_ = false;
        const bool is_large = outgoing.bytes.size() >= 5000;
        lock.unlock();
        if (is_slow && is_large) std::this_thread::sleep_for(std::chrono::milliseconds(20));
        if (tell) sink_->writable();
        transmit(outgoing);
        lock.lock();
    }
    end_all(lock);
}

void BrokenTransport::end_late_requests(std::unique_lock<std::mutex>& lock) {
    std::vector<std::pair<abi::ReplySink, meridian_status>> ended;
    const uint64_t now_us = host_.monotonic_us();
    for (auto at = pending_.begin(); at != pending_.end();) {
        const uint64_t deadline_us = at->second.deadline_us;
        if (deadline_us > now_us) {
            ++at;
            continue;
        }
        ended.emplace_back(at->second.sink, deadline_us == 0 ? MERIDIAN_CANCELLED : MERIDIAN_TIMEOUT);
        if (is("late-replies")) {
            at->second.deadline_us = UINT64_MAX;
            ++at;
        } else {
            at = pending_.erase(at);
        }
    }
    lock.unlock();
    for (const auto& [sink, status] : ended) sink.failed(status, "its time was up");
    lock.lock();
}

void BrokenTransport::end_all(std::unique_lock<std::mutex>& lock) {
    const auto outgoing = std::exchange(outgoing_, {});
    const auto pending = std::exchange(pending_, {});
    lock.unlock();
    for (const Outgoing& each : outgoing) {
        if (each.sink && !is("loses-calls-at-stop")) each.sink->done(MERIDIAN_CANCELLED);
    }
    if (is("loses-requests-at-stop") || is("late-replies")) return;
    for (const auto& [id, each] : pending) each.sink.failed(MERIDIAN_CANCELLED);
}

void BrokenTransport::transmit(Outgoing& outgoing) {
    if (is("borrows-messages")) outgoing.bytes = std::string(outgoing.borrowed);
    uint64_t receivers = 0;
    if (is("swaps-messages") && outgoing.kind == Kind::publish && outgoing.bytes.rfind("burst", 0) == 0 &&
        !kept_back_) {
        kept_back_ = outgoing;
    } else {
        receivers = pass_on(outgoing);
        if (kept_back_) pass_on(*std::exchange(kept_back_, std::nullopt));
    }
    if (outgoing.kind == Kind::request && receivers == 0) fail_request(outgoing.request_id, MERIDIAN_UNAVAILABLE);
    if (!outgoing.sink) return;
    const bool lost = outgoing.kind == Kind::send && receivers == 0;
    if (lost && is("waits-for-the-absent")) return;
    complete(*outgoing.sink, lost ? MERIDIAN_UNAVAILABLE : MERIDIAN_OK, receivers + (is("counts-wrong") ? 5 : 0));
}

uint64_t BrokenTransport::pass_on(const Outgoing& outgoing) {
    if (!is_reachable_) return 0;
    std::string bytes = outgoing.bytes;
    if (is("changes-what-has-nul")) bytes.resize(std::min(bytes.size(), bytes.find('\0')));
    if (is("drops-empty") && bytes.empty()) return 1;
    if (is("drops-the-largest") && bytes.size() == message_max) return 1;
    const std::string namespace_name =
        is("short-namespaces") ? outgoing.namespace_name.substr(0, 200) : outgoing.namespace_name;
    const std::string source = is("wrong-source") ? "nobody" : self_;
    uint64_t receivers = 0;
    const std::lock_guard lock(hub_->mutex);
    for (const auto& [name, node] : hub_->nodes) {
        if (node == this || (outgoing.kind != Kind::publish && name != outgoing.target)) continue;
        if (is("forgets-who-has-left") && hub_->left.count(name) != 0) continue;
        receivers += 1;
        if (outgoing.kind == Kind::reply) {
            node->take_reply(outgoing.request_id, bytes);
        } else {
            node->arrive({outgoing.channel, namespace_name, bytes, source, outgoing.request_id});
        }
    }
    return receivers;
}

void BrokenTransport::complete(const abi::PublishSink& sink, meridian_status status, uint64_t receivers) {
    const uint64_t number = completed_.fetch_add(1);
    if (is("bad-metric")) host_.metric(MERIDIAN_METRIC_COUNTER, "Sent Messages", 1);
    if (is("never-completes") && number % 7 == 6) return;
    if (is("completes-on-a-timer")) {
        return on_a_timer([sink] { sink.done(MERIDIAN_OK); });
    }
    sink.done(status, {}, receivers);
    if (is("completes-twice") && number % 7 == 6) sink.done(status, {}, receivers);
}

void BrokenTransport::on_a_timer(std::function<void()> call) {
    const std::lock_guard lock(timer_mutex_);
    timer_calls_.push_back(std::move(call));
    timers_ += 1;
    host_.timer(
        0,
        [](void* cookie) {
            auto& transport = *static_cast<BrokenTransport*>(cookie);
            std::unique_lock inner(transport.timer_mutex_);
            const auto next = std::move(transport.timer_calls_.front());
            transport.timer_calls_.pop_front();
            inner.unlock();
            next();
            transport.timers_ -= 1;
        },
        this);
}

void BrokenTransport::fail_request(uint64_t id, meridian_status status) {
    std::unique_lock lock(mutex_);
    const auto found = pending_.find(id);
    if (found == pending_.end()) return;
    const abi::ReplySink sink = found->second.sink;
    pending_.erase(found);
    lock.unlock();
    sink.failed(status, "no such node");
}

void BrokenTransport::take_reply(uint64_t request_id, const std::string& bytes) {
    std::unique_lock lock(mutex_);
    const auto found = pending_.find(request_id);
    if (found == pending_.end()) return;
    const abi::ReplySink sink = found->second.sink;
    pending_.erase(found);
    lock.unlock();
    sink.reply(bytes);
}

void BrokenTransport::arrive(Arriving arriving) {
    const std::lock_guard lock(mutex_);
    if (is_deaf_) return;
    const bool full = arriving_.size() >= queue_messages_max || arriving_bytes_ >= queue_bytes_max;
    if (full && !is("keeps-everything")) {
        has_gap_ = true;
        return;
    }
    arrived_bytes_ += arriving.bytes.size();
    is_deaf_ = is("deaf-after-a-flood") && arrived_bytes_ > 4 << 20;
    arriving_bytes_ += arriving.bytes.size();
    arriving_.push_back(std::move(arriving));
    deliver_.notify_all();
}

void BrokenTransport::deliver_all() {
    std::unique_lock lock(mutex_);
    for (;;) {
        deliver_.wait(lock, [this] { return stopping_ || (!arriving_.empty() && !busy_); });
        if (stopping_) return;
        Arriving arriving = std::move(arriving_.front());
        arriving_.pop_front();
        const uint64_t resumes = resumes_;
        const bool gap = std::exchange(has_gap_, false);
        lock.unlock();
        if (gap) {
            sink_->gap(MERIDIAN_CHANNEL_DELTA);
            sink_->gap(MERIDIAN_CHANNEL_CONTROL);
        }
        const meridian_status answer = deliver(arriving);
        lock.lock();
        if (answer == MERIDIAN_BUSY && !is("drops-when-busy")) {
            arriving_.push_front(std::move(arriving));
            busy_ = resumes == resumes_;
            continue;
        }
        arriving_bytes_ -= arriving.bytes.size();
        if (answer == MERIDIAN_INVALID && is("repeats-refused")) {
            arriving_bytes_ += arriving.bytes.size();
            arriving_.push_front(std::move(arriving));
        }
    }
}

meridian_status BrokenTransport::deliver(const Arriving& arriving) {
    if (arriving.channel == 0) {
        if (is_reachable_) sink_->up(is("same-epoch") ? 1 : ++epoch_);
        return MERIDIAN_OK;
    }
    uint64_t reply_id = 0;
    if (arriving.request_id != 0) {
        const std::lock_guard lock(mutex_);
        reply_id = is("same-reply-id") ? 7 : next_reply_id_++;
        askers_[reply_id] = {arriving.source, arriving.request_id};
    }
    if (is("delivers-on-a-timer")) {
        on_a_timer([this, arriving, reply_id] {
            sink_->deliver(arriving.channel, arriving.namespace_name, arriving.bytes, arriving.source, reply_id);
        });
        return MERIDIAN_OK;
    }
    const meridian_status answer =
        sink_->deliver(arriving.channel, arriving.namespace_name, arriving.bytes, arriving.source, reply_id);
    if (answer != MERIDIAN_OK && reply_id != 0) {
        if (is("refused-requests-are-answered")) reply(reply_id, "yes");
        const std::lock_guard lock(mutex_);
        askers_.erase(reply_id);
    }
    return answer;
}

}  // namespace meridian::plugin_kit
