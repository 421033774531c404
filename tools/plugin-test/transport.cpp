#include "transport.h"

#include <chrono>
#include <cstdio>
#include <set>
#include <utility>

#include "check.h"
#include "report.h"

namespace meridian::plugin_test {
namespace {

// Strings that are passed on as borrowed bytes; they are overwritten by scribble().
struct Borrowed {
    std::vector<std::string> texts;
    void scribble() {
        for (std::string& text : texts) std::fill(text.begin(), text.end(), '#');
    }
};

template <class TypedCall>
Borrowed& keep(TypedCall& call, std::vector<std::string> texts) {
    const auto borrowed = std::make_shared<Borrowed>(Borrowed{std::move(texts)});
    call.inputs = borrowed;
    call.overwrite = [raw = borrowed.get()] { raw->scribble(); };
    return *borrowed;
}

// Hashes: the messages themselves may be large.
struct Submitted {
    std::mutex mutex;
    std::set<size_t> hashes;
    std::set<size_t> requested;
};
Submitted& submitted() {
    static auto* value = new Submitted;  // never freed: deliveries may come until the process ends
    return *value;
}
size_t hash_of(const Message& message) {
    return std::hash<std::string>()(std::to_string(message.channel) + "/" +
                                    std::to_string(message.namespace_name.size()) + "/" + message.namespace_name +
                                    message.bytes);
}
void note_submitted(const Message& message, bool as_request = false) {
    const std::lock_guard lock(submitted().mutex);
    submitted().hashes.insert(hash_of(message));
    if (as_request) submitted().requested.insert(hash_of(message));
}

void keep_inbox(std::shared_ptr<Inbox> inbox) {
    static auto* value = new std::vector<std::shared_ptr<Inbox>>;  // the same
    static auto* mutex = new std::mutex;
    const std::lock_guard lock(*mutex);
    value->push_back(std::move(inbox));
}

std::string hexadecimal(uint64_t value) {
    char text[17];
    std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(value));
    return text;
}

}  // namespace

// One call of the sink.
class Inbox::Event {
public:
    Event(void* context, const char* function) : inbox(*static_cast<Inbox*>(context)), lock_(inbox.mutex_) {
        const std::string name = function;
        if (Call::in_submit()) {
            inbox.faults_.push_back(name + " was called inside a call of the host");
        } else if (on_host_thread()) {
            inbox.faults_.push_back(name + " was called on a thread of the host");
        }
        if (*inbox.stopped_) inbox.faults_.push_back(name + " was called after stop had returned");
    }
    ~Event() { inbox.wake_.notify_all(); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    Inbox& inbox;

private:
    std::unique_lock<std::recursive_mutex> lock_;
};

meridian_transport_sink Inbox::sink() {
    meridian_transport_sink out{};
    out.struct_size = sizeof out;
    out.context = this;
    out.deliver = deliver;
    out.gap = [](void* context, uint32_t channel) {
        const Event event(context, "gap");
        event.inbox.gaps_[channel] += 1;
    };
    out.up = [](void* context, uint64_t epoch) {
        const Event event(context, "up");
        event.inbox.epochs_.push_back(epoch);
    };
    out.down = [](void* context, meridian_bytes reason) {
        const Event event(context, "down");
        event.inbox.downs_.push_back(text_of(reason));
    };
    out.writable = [](void* context) {
        const Event event(context, "writable");
        event.inbox.writables_ += 1;
    };
    return out;
}

meridian_status Inbox::deliver(void* context, uint32_t channel, meridian_bytes namespace_name, meridian_bytes bytes,
                               meridian_bytes source, uint64_t reply_id) {
    const Event event(context, "deliver");
    Delivery delivery{{channel, text_of(namespace_name), text_of(bytes)}, text_of(source), reply_id, MERIDIAN_OK};
    if (event.inbox.answer_) delivery.answer = event.inbox.answer_(delivery);
    const meridian_status answer = delivery.answer;
    if (answer == MERIDIAN_OK && reply_id != 0 && !Transport::was_requested(delivery.message))
        event.inbox.unasked_.push_back(reply_id);
    if (!event.inbox.forgets_) event.inbox.deliveries_.push_back(std::move(delivery));
    return answer;
}

void Inbox::answer_with(std::function<meridian_status(const Delivery&)> answer) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
}

std::optional<uint64_t> Inbox::next_unasked() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return unasked_ended_ || !unasked_.empty(); });
    if (unasked_ended_) return std::nullopt;
    const uint64_t reply_id = unasked_.front();
    unasked_.pop_front();
    return reply_id;
}

void Inbox::end_unasked() {
    const std::lock_guard lock(mutex_);
    unasked_ended_ = true;
    wake_.notify_all();
}

std::vector<Delivery> Inbox::deliveries() const {
    const std::lock_guard lock(mutex_);
    return deliveries_;
}

size_t Inbox::count(const Message& message, meridian_status answer) const {
    const std::lock_guard lock(mutex_);
    size_t count = 0;
    for (const Delivery& delivery : deliveries_)
        count += delivery.answer == answer && delivery.message == message ? 1 : 0;
    return count;
}

std::vector<uint64_t> Inbox::epochs() const {
    const std::lock_guard lock(mutex_);
    return epochs_;
}

std::vector<std::string> Inbox::downs() const {
    const std::lock_guard lock(mutex_);
    return downs_;
}

uint64_t Inbox::gaps(uint32_t channel) const {
    const std::lock_guard lock(mutex_);
    const auto found = gaps_.find(channel);
    return found == gaps_.end() ? 0 : found->second;
}

uint64_t Inbox::writables() const {
    const std::lock_guard lock(mutex_);
    return writables_;
}

std::vector<std::string> Inbox::faults() const {
    const std::lock_guard lock(mutex_);
    return faults_;
}

bool Inbox::wait_for(const std::function<bool()>& condition, uint64_t timeout_ms) const {
    std::unique_lock lock(mutex_);
    return wake_.wait_for(lock, std::chrono::milliseconds(timeout_ms), condition);
}

void Inbox::wait_until(const std::string& what, const std::function<bool()>& condition) const {
    doing("waiting for " + what);
    std::unique_lock lock(mutex_);
    wake_.wait(lock, condition);
    lock.unlock();
    doing("the check, after " + what);
}

Transport::Transport(const meridian_plugin_descriptor& descriptor, std::shared_ptr<Host> host, void* instance,
                     uint64_t node_id)
    : descriptor_(&descriptor),
      host_(std::move(host)),
      instance_(instance),
      node_id_(node_id),
      node_name_(hexadecimal(node_id)),
      inbox_(std::make_shared<Inbox>(stopped_)) {
    keep_inbox(inbox_);
}

Transport::~Transport() {
    close();
}

Transport::Transport(Transport&& other) noexcept
    : descriptor_(other.descriptor_),
      host_(other.host_),
      instance_(std::exchange(other.instance_, nullptr)),
      node_id_(other.node_id_),
      node_name_(other.node_name_),
      stopped_(other.stopped_),
      inbox_(other.inbox_),
      answerer_(std::move(other.answerer_)),
      is_stopped_(other.is_stopped_) {}

Transport& Transport::operator=(Transport&& other) noexcept {
    if (this == &other) return *this;
    close();
    descriptor_ = other.descriptor_;
    host_ = other.host_;
    instance_ = std::exchange(other.instance_, nullptr);
    node_id_ = other.node_id_;
    node_name_ = other.node_name_;
    stopped_ = other.stopped_;
    inbox_ = other.inbox_;
    answerer_ = std::move(other.answerer_);
    is_stopped_ = other.is_stopped_;
    return *this;
}

FailedOpen Transport::try_start(uint32_t node_size, uint32_t sink_size) {
    doing("calling start");
    // All of it is borrowed, and is gone afterwards.
    std::string name = node_name_;
    meridian_transport_node node{node_size, 0, node_id_, c_bytes(name)};
    meridian_transport_sink sink = inbox_->sink();
    sink.struct_size = sink_size;
    char text[1024] = "";
    meridian_error error{sizeof error, sizeof text, text};
    FailedOpen out;
    out.status = functions().start(instance_, &node, &sink, &error);
    std::fill(name.begin(), name.end(), '#');
    std::memset(static_cast<void*>(&sink), 0x23, sizeof sink);
    std::memset(static_cast<void*>(&node), 0x23, sizeof node);
    require(std::memchr(text, '\0', sizeof text) != nullptr, "the text of a failed start is not terminated by NUL");
    out.text = text;
    if (out.status == MERIDIAN_OK && functions().reply != nullptr)
        answerer_ = std::make_unique<Answerer>(functions(), instance_, inbox_);
    return out;
}

void Transport::start() {
    const FailedOpen result = try_start();
    require(result.status == MERIDIAN_OK, "start failed: " + status_name(result.status) + ", " + result.text);
}

void Transport::stop(uint64_t timeout_us) {
    if (is_stopped_ || instance_ == nullptr) return;
    is_stopped_ = true;
    answerer_.reset();
    doing("calling stop");
    descriptor_->stop(instance_, monotonic_us() + timeout_us);
    *stopped_ = true;
    host_->enter(Host::Phase::stopped);
    host_->stop_timers();
    doing("the check, after stop");
}

void Transport::close() {
    if (instance_ == nullptr) return;
    stop();
    doing("calling destroy");
    host_->enter(Host::Phase::destroying);
    descriptor_->destroy(std::exchange(instance_, nullptr));
    host_->enter(Host::Phase::destroyed);
    doing("the check, after destroy");
}

std::shared_ptr<PublishCall> Transport::submit_publish(Message message, Manner manner) {
    note_submitted(message);
    auto call = make_publish_call("publish");
    const auto& inputs = keep(*call, {std::move(message.namespace_name), std::move(message.bytes)});
    call->submit(
        [&] {
            return functions().publish(instance_, message.channel, c_bytes(inputs.texts[0]), c_bytes(inputs.texts[1]),
                                       &call->sink);
        },
        stopped_);
    if (manner.scribble) call->scribble();
    return call;
}

std::shared_ptr<PublishCall> Transport::submit_send(const std::string& target, const std::string& bytes,
                                                    Manner manner) {
    note_submitted({MERIDIAN_CHANNEL_CONTROL, "", bytes});
    auto call = make_publish_call("send");
    const auto& inputs = keep(*call, {target, bytes});
    call->submit(
        [&] { return functions().send(instance_, c_bytes(inputs.texts[0]), c_bytes(inputs.texts[1]), &call->sink); },
        stopped_);
    if (manner.scribble) call->scribble();
    return call;
}

std::shared_ptr<ReplyCall> Transport::submit_request(const std::string& target, Message message, uint64_t deadline_us,
                                                     uint64_t* request_id, Manner manner) {
    static std::atomic<uint64_t> next_id{1};
    note_submitted(message, true);
    auto call = make_reply_call("request");
    const auto& inputs = keep(*call, {target, std::move(message.bytes)});
    const uint64_t id = next_id.fetch_add(1);
    if (request_id != nullptr) *request_id = id;
    call->submit(
        [&] {
            return functions().request(instance_, id, message.channel, c_bytes(inputs.texts[0]),
                                       c_bytes(inputs.texts[1]), deadline_us, &call->sink);
        },
        stopped_);
    if (manner.scribble) call->scribble();
    return call;
}

void Transport::cancel(uint64_t request_id) {
    functions().cancel(instance_, request_id);
}

meridian_status Transport::reply(uint64_t reply_id, const std::string& bytes) {
    std::string copy = bytes;
    const meridian_status status = functions().reply(instance_, reply_id, c_bytes(copy));
    std::fill(copy.begin(), copy.end(), '#');
    return status;
}

void Transport::resume() {
    functions().resume(instance_);
}

std::vector<std::string> Transport::addresses() const {
    std::vector<std::string> out;
    functions().address(instance_, &out, [](void* context, meridian_bytes text) {
        static_cast<std::vector<std::string>*>(context)->push_back(text_of(text));
    });
    return out;
}

std::vector<TransportLink> Transport::links() const {
    std::vector<TransportLink> out;
    functions().links(instance_, &out, [](void* context, const meridian_transport_link* link) {
        static_cast<std::vector<TransportLink>*>(context)->push_back(
            {link->struct_size, link->state, text_of(link->address), text_of(link->error)});
    });
    return out;
}

FailedOpen Transport::reconfigure(const std::vector<std::pair<std::string, std::string>>& values) {
    doing("calling reconfigure");
    std::vector<meridian_config_value> c_values;
    for (const auto& [key, value] : values) c_values.push_back({key.c_str(), c_bytes(value)});
    const meridian_config config{sizeof config, static_cast<uint32_t>(c_values.size()), c_values.data()};
    char text[1024] = "";
    meridian_error error{sizeof error, sizeof text, text};
    FailedOpen out;
    out.status = descriptor_->reconfigure(instance_, &config, &error);
    out.text = text;
    return out;
}

bool Transport::was_submitted(const Message& message) {
    const std::lock_guard lock(submitted().mutex);
    return submitted().hashes.count(hash_of(message)) != 0;
}

bool Transport::was_requested(const Message& message) {
    const std::lock_guard lock(submitted().mutex);
    return submitted().requested.count(hash_of(message)) != 0;
}

}  // namespace meridian::plugin_test
