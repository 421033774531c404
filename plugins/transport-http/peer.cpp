#include "peer.h"

#include <algorithm>

namespace meridian::transport_http {
namespace {

constexpr uint64_t first_backoff_us = 250'000;
// A peer that was there for less is not asked again at once when it closes a connection.
constexpr uint64_t brief_us = 1'000'000;
// A side lane that is not used for so long gives up its connection.
constexpr uint64_t lane_idle_us = 30'000'000;

}  // namespace

Peer::Peer(Loop& loop, PeerEvents& events, PeerUrl url, bool configured)
    : loop_(loop),
      events_(events),
      url_(std::move(url)),
      configured_(configured),
      status_(std::make_shared<PeerStatus>(url_.text())),
      last_submit_us_(loop.now_us()),
      batch_bytes_(loop.settings.batch_bytes) {}

void Peer::open() {
    set_state(State::connecting);
    begin_connecting();
}

Lane& Peer::lane_of(const ClientConnection& connection) {
    return *std::find_if(lanes_.begin(), lanes_.end(),
                         [&](const Lane& lane) { return lane.connection.get() == &connection; });
}

bool Peer::is_idle() const {
    return std::all_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) { return lane.is_idle(); });
}

void Peer::set_state(State state) {
    state_ = state;
    if (state == State::connecting) {
        knows_batches_ = true;
        knows_control_ = true;
        reported_refusal_ = false;
        batch_bytes_ = loop_.settings.batch_bytes;
        // What was DOWN stays so until it answers.
        if (status_->state != MERIDIAN_LINK_DOWN) status_->state = MERIDIAN_LINK_CONNECTING;
    } else {
        status_->state = state == State::up ? MERIDIAN_LINK_UP : MERIDIAN_LINK_DOWN;
    }
}

uint64_t Peer::backoff_us(unsigned attempts) const {
    const uint64_t delay = std::min(first_backoff_us << std::min(attempts, 20U), loop_.settings.backoff_max_us);
    uint16_t random = 0;
    loop_.host.random(&random, sizeof random);
    return delay * 4 / 5 + delay * 2 / 5 * random / 65535;
}

void Peer::begin_connecting() {
    drop_connection(lanes_[deltas]);
    if (is_literal_address(url_.host)) {
        std::string problem;
        addresses_ = look_up(url_.host, url_.port, problem);
        connect(lanes_[deltas]);
        return;
    }
    looking_up_ = true;
    look_up_by_us_ = loop_.now_us() + loop_.settings.request_timeout_us;
    loop_.arm(look_up_by_us_);
    events_.look_up(*this, ++lookup_);
}

void Peer::on_looked_up(uint64_t lookup, LookUpResult result) {
    if (!looking_up_ || lookup != lookup_) return;
    looking_up_ = false;
    look_up_by_us_ = never_us;
    if (result.addresses.empty()) {
        fail(result.problem);
        return;
    }
    addresses_ = std::move(result.addresses);
    connect(lanes_[deltas]);
}

void Peer::connect(Lane& lane) {
    lane.last_used_us = loop_.now_us();
    ClientConnection::Owner& self = *this;
    lane.connection = std::make_unique<ClientConnection>(loop_, self, addresses_);
    lane.connection->connect();
}

void Peer::drop_connection(Lane& lane) {
    if (!lane.connection) return;
    lane.connection->close();
    loop_.poller.bury(std::move(lane.connection));
}

void Peer::on_connected(ClientConnection& connection) {
    Lane& lane = lane_of(connection);
    if (is_delta_lane(lane) && (state_ == State::connecting || lane.waiting.empty())) {
        probe();
    } else {
        pump(lane);
    }
}

void Peer::probe() {
    Lane& lane = lanes_[deltas];
    lane.probing = true;
    lane.last_used_us = loop_.now_us();
    lane.connection->send("POST /internal/cluster/deltas HTTP/1.1\r\nHost: " + url_.authority() +
                              "\r\nContent-Type: application/octet-stream\r\nContent-Length: 0\r\n\r\n",
                          nullptr, lane.last_used_us + loop_.settings.request_timeout_us);
}

void Peer::on_probe_answer(const Answer& answer) {
    lanes_[deltas].probing = false;
    if (answer.status >= 500) {
        fail("it answered " + std::to_string(answer.status));
        return;
    }
    knows_batches_ = answer.status / 100 == 2;
    if (state_ != State::up) {
        set_state(State::up);
        up_since_us_ = loop_.now_us();
        reachable_ = true;
        accepts_ = true;
        events_.on_peer_up(*this);
    }
    for (Lane& lane : lanes_) pump(lane);
}

void Peer::on_answer(ClientConnection& connection, Answer answer) {
    Lane& lane = lane_of(connection);
    if (!connection.is_open()) drop_connection(lane);
    lane.last_used_us = loop_.now_us();
    if (lane.probing) {
        on_probe_answer(answer);
        return;
    }
    lane.repeated = false;
    if (is_delta_lane(lane)) {
        on_delta_answer(lane, answer);
    } else {
        on_message_answer(lane, std::move(answer));
    }
    pump(lane);
}

void Peer::on_lost(ClientConnection& connection, Loss loss, const std::string& why) {
    Lane& lane = lane_of(connection);
    loop_.poller.bury(std::move(lane.connection));
    if (!is_delta_lane(lane)) {
        lose_side_lane(lane, loss, why);
        return;
    }
    const bool ended = loss == Loss::stale || loss == Loss::closed;
    if (state_ == State::up && ended && !lane.repeated && loop_.now_us() - up_since_us_ >= brief_us) {
        // Perhaps it was only restarted: what waits is sent when it answers again.
        lane.repeated = loss == Loss::stale && !lane.probing;
        lane.probing = false;
        lane.put_back();
        set_state(State::connecting);
        begin_connecting();
        return;
    }
    fail(why);
}

void Peer::lose_side_lane(Lane& lane, Loss loss, const std::string& why) {
    if (loss == Loss::stale && !lane.repeated) {
        lane.repeated = true;
        lane.put_back();
    } else if (lane.under_way.empty() && loss != Loss::closed) {  // it could not connect
        std::deque<Message> waiting;
        waiting.swap(lane.waiting);
        lane.waiting_bytes = 0;
        for (Message& message : waiting) complete(std::move(message), {MERIDIAN_UNAVAILABLE, failure(why), {}});
    } else {
        lane.repeated = false;
        complete_under_way(lane, loss == Loss::timeout ? MERIDIAN_TIMEOUT : MERIDIAN_UNAVAILABLE, why);
    }
    pump(lane);
}

void Peer::fail(const std::string& why) {
    const uint64_t now = loop_.now_us();
    if (reachable_ && now - up_since_us_ >= loop_.settings.backoff_max_us) failures_ = 0;
    set_state(State::down);
    accepts_ = false;
    {
        const std::lock_guard lock(status_->mutex);
        status_->error = why;
    }
    looking_up_ = false;
    look_up_by_us_ = never_us;
    retry_at_us_ = now + backoff_us(failures_++);
    loop_.arm(retry_at_us_);
    fail_everything(MERIDIAN_UNAVAILABLE, why);
    const bool is_news = reachable_ || failures_ == 1;
    reachable_ = false;
    if (is_news) events_.on_peer_down(*this, why);
}

void Peer::fail_everything(meridian_status status, const std::string& why) {
    for (Lane& lane : lanes_) {
        drop_connection(lane);
        lane.put_back();
        lane.probing = false;
        lane.repeated = false;
        lane.hold_until_us = 0;
        lane.busy_answers = 0;
        std::deque<Message> waiting;
        waiting.swap(lane.waiting);
        lane.waiting_bytes = 0;
        for (Message& message : waiting) complete(std::move(message), {status, failure(why), {}});
    }
}

void Peer::close(meridian_status status, const std::string& why) {
    set_state(State::down);
    reachable_ = false;
    accepts_ = false;
    retry_at_us_ = never_us;
    looking_up_ = false;
    look_up_by_us_ = never_us;
    fail_everything(status, why);
}

uint64_t Peer::expire_requests(Lane& lane, uint64_t now_us) {
    uint64_t next = never_us;
    for (size_t i = 0; i < lane.waiting.size();) {
        Message& message = lane.waiting[i];
        if (!message.is_request || message.deadline_us > now_us) {
            if (message.is_request) next = std::min(next, message.deadline_us);
            ++i;
            continue;
        }
        Message expired = std::move(message);
        lane.waiting.erase(lane.waiting.begin() + static_cast<std::ptrdiff_t>(i));
        lane.waiting_bytes -= expired.bytes->size();
        complete(std::move(expired), {MERIDIAN_TIMEOUT, failure("no answer in time"), {}});
    }
    return next;
}

uint64_t Peer::on_time(uint64_t now_us) {
    if (now_us >= retry_at_us_) {
        retry_at_us_ = never_us;
        open();
    }
    if (now_us >= look_up_by_us_) fail("its name was not looked up in time");
    Lane& main = lanes_[deltas];
    if (state_ == State::up && main.is_idle() && !main.probing && !looking_up_ &&
        now_us >= main.last_used_us + loop_.settings.probe_interval_us) {
        if (!main.connection) {
            begin_connecting();
        } else if (main.connection->is_ready()) {
            probe();
        }
    }
    uint64_t next = std::min(retry_at_us_, look_up_by_us_);
    if (state_ == State::up) {
        const uint64_t due = main.last_used_us + loop_.settings.probe_interval_us;
        // A busy lane is asked again in a while; it is not due before it has been idle.
        next = std::min(next, std::max(due, now_us + loop_.settings.probe_interval_us / 4 + 1));
    }
    for (Lane& lane : lanes_) {
        next = std::min(next, expire_requests(lane, now_us));
        if (lane.connection) next = std::min(next, lane.connection->on_time(now_us));
        if (lane.hold_until_us != 0 && now_us >= lane.hold_until_us) {
            lane.hold_until_us = 0;
            pump(lane);
        }
        if (lane.hold_until_us != 0) next = std::min(next, lane.hold_until_us);
        if (!is_delta_lane(lane) && lane.connection && lane.connection->is_ready() && lane.is_idle()) {
            const uint64_t due = lane.last_used_us + lane_idle_us;
            if (now_us >= due)
                drop_connection(lane);
            else
                next = std::min(next, due);
        }
    }
    return next;
}

}  // namespace meridian::transport_http
