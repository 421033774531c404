#include "connection.h"

#include <algorithm>
#include <limits>

namespace meridian::transport_redis {
namespace {

constexpr size_t input_bytes = 64 << 10;
// hiredis moves what it has buffered with each reply: small helpings keep that cheap.
constexpr size_t helping_bytes = 16 << 10;
// Reads before the other connection has its turn.
constexpr int reads_per_turn = 16;
constexpr int pings_unanswered_max = 2;
// Redis cuts, unless told otherwise, a subscriber with more than this to read.
constexpr size_t reply_bytes_min = 32 << 20;
constexpr size_t error_text_bytes_max = 300;

std::string milliseconds(uint64_t us) {
    return std::to_string(us / 1000) + " ms";
}

void replace_all(std::string& text, const std::string& what) {
    if (what.empty()) return;
    for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += 3) text.replace(at, what.size(), "***");
}

bool is_message(const Reply& reply) {
    return reply.kind() == Reply::Kind::array && (reply.text(1) == "message" || reply.text(1) == "pmessage");
}

}  // namespace

Connection::Connection(const ConnectionContext& context, Subscriptions subscriptions, ConnectionOwner& owner)
    : context_(context),
      options_(context.options),
      subscriptions_(std::move(subscriptions)),
      owner_(owner),
      backoff_(context.host, context.options),
      input_(input_bytes) {
    link_.address = options_.address();
}

void Connection::advance(uint64_t now_us, short events) {
    now_us_ = now_us;
    if (events != 0) {
        // TLS may have to read in order to write, and the other way round.
        if (endpoint_tls_ || (events & ~POLLOUT) != 0) readable_ = true;
        if (endpoint_tls_ || (events & ~POLLIN) != 0) writable_ = true;
    }
    while (step()) {}
}

// True: there may be more to do at once.
bool Connection::step() {
    switch (state_) {
        case State::waiting:
            return now_us_ >= due_us_ && begin_attempt();
        case State::looking_up:
            return look_up();
        case State::opening:
            return open();
        case State::greeting:
        case State::ready:
            return exchange();
    }
    return false;
}

// ---- where to ------------------------------------------------------------------------------------------------------

bool Connection::begin_attempt() {
    asking_sentinel_ = !options_.sentinels.empty();
    if (!asking_sentinel_) return aim_at(options_.server, options_.tls);
    sentinels_left_ = options_.sentinels.size() - 1;
    return aim_at(options_.sentinels[sentinel_], options_.sentinel_tls);
}

bool Connection::aim_at(const Endpoint& endpoint, bool tls) {
    endpoint_ = endpoint;
    endpoint_tls_ = tls;
    stream_.reset();
    due_us_ = now_us_ + options_.connect_timeout_us;
    state_ = State::looking_up;
    // A look-up that outlasted an earlier attempt is waited for again, so that there is never more than one.
    if (!lookup_ || !lookup_->pends_for(endpoint)) lookup_.emplace(endpoint, context_.wake);
    set_link(MERIDIAN_LINK_CONNECTING);
    return true;
}

bool Connection::look_up() {
    auto result = lookup_->result();
    if (!result) {
        if (now_us_ < due_us_) return false;
        fail_attempt("no answer to the look-up of the name within " + milliseconds(options_.connect_timeout_us));
        return true;
    }
    lookup_.reset();
    if (!*result) {
        fail_attempt(result->error().message);
        return true;
    }
    addresses_ = std::move(result->value());
    next_address_ = 0;
    return open_address();
}

bool Connection::open_address() {
    const std::string& name = options_.tls_options.host_name;
    stream_.emplace(addresses_[next_address_++], endpoint_tls_ ? context_.tls : Poco::Net::Context::Ptr(),
                    name.empty() ? endpoint_.host : name);
    due_us_ = now_us_ + options_.connect_timeout_us;
    state_ = State::opening;
    return true;
}

bool Connection::open() {
    std::string error;
    switch (stream_->establish()) {
        case Stream::State::ready:
            return greet();
        case Stream::State::failed:
            error = stream_->error();
            break;
        case Stream::State::blocked:
            if (now_us_ < due_us_) return false;
            error = (stream_->connected() ? "no end of the TLS handshake within " : "no connection within ") +
                    milliseconds(options_.connect_timeout_us);
    }
    if (!stream_->connected() && next_address_ < addresses_.size()) return open_address();
    fail_attempt(error);
    return true;
}

// ---- greeting ------------------------------------------------------------------------------------------------------

const Credentials& Connection::credentials() const {
    return asking_sentinel_ ? options_.sentinel_credentials : options_.credentials;
}

bool Connection::greet() {
    // Others may send larger messages than we do. What is beside a message fits into the second part.
    reader_.emplace(std::max<size_t>(options_.message_bytes_max, reply_bytes_min) + input_bytes);
    output_.clear();
    steps_.clear();
    readable_ = writable_ = true;
    const auto say = [&](Step step, std::initializer_list<std::string_view> words) {
        append_command(output_.back(), words);
        steps_.push_back(step);
    };
    if (const Credentials& who = credentials(); !who.password.empty()) {
        if (who.username.empty()) {
            say(Step::auth, {"AUTH", who.password});
        } else {
            say(Step::auth, {"AUTH", who.username, who.password});
        }
    }
    if (asking_sentinel_) {
        say(Step::master_address, {"SENTINEL", "get-master-addr-by-name", options_.sentinel_master});
    } else {
        if (options_.database != 0) say(Step::select, {"SELECT", std::to_string(options_.database)});
        // Sentinels may name a server that has just been made a replica.
        if (!options_.sentinels.empty()) say(Step::role, {"ROLE"});
        if (subscriptions_.empty()) {
            say(Step::ping, {"PING"});
        } else {
            say(Step::subscribe, {"PSUBSCRIBE", subscriptions_.pattern});
            for (const std::string& channel : subscriptions_.channels) say(Step::subscribe, {"SUBSCRIBE", channel});
        }
    }
    due_us_ = now_us_ + options_.command_timeout_us;
    state_ = State::greeting;
    return true;
}

// Text for a person if the reply is not what the step expects.
std::string Connection::wrong_in(Step step, const Reply& reply) const {
    const std::string found = redacted(reply.is_error() ? reply.text() : "an unexpected reply");
    switch (step) {
        case Step::auth:
            if (reply.text() == "OK") return {};
            return (credentials().username.empty() ? "AUTH with a password and no user"
                                                   : "AUTH as user '" + credentials().username + "'") +
                   " was refused: " + found;
        case Step::select:
            if (reply.text() == "OK") return {};
            return "SELECT " + std::to_string(options_.database) + " was refused: " + found;
        case Step::role:
            if (reply.is_error()) return "ROLE was refused: " + found;
            if (reply.text(1) == "master") return {};
            return "its role is '" + std::string(reply.text(1)) + "', expected 'master'";
        case Step::ping:
            return reply.text() == "PONG" ? std::string() : "PING was refused: " + found;
        case Step::master_address:
            if (reply.is_error()) return "the sentinel refused: " + found;
            if (reply.size() == 3) return {};
            return "the sentinel knows no master of the name '" + options_.sentinel_master + "'";
        case Step::subscribe:
            if (reply.text(1) == "subscribe" || reply.text(1) == "psubscribe") return {};
            return "subscribing was refused: " + found;
    }
    return {};
}

bool Connection::greeted_by(const Reply& reply) {
    if (is_message(reply)) return owner_.connection_reply(reply);
    const Step step = steps_.front();
    if (const std::string wrong = wrong_in(step, reply); !wrong.empty()) {
        fail_attempt(wrong);
        return false;
    }
    if (step == Step::master_address) {
        const bool bracketed = reply.text(1).find(':') != std::string_view::npos;
        const std::string host = (bracketed ? "[" : "") + std::string(reply.text(1)) + (bracketed ? "]" : "");
        const auto master = parse_endpoint(host + ":" + std::string(reply.text(2)), default_port);
        if (!master) {
            fail_attempt("the sentinel gave an address that cannot be used: " + master.error().message);
            return false;
        }
        asking_sentinel_ = false;
        aim_at(*master, options_.tls);
        return false;
    }
    steps_.pop_front();
    return !steps_.empty() || greeting_complete();
}

bool Connection::greeting_complete() {
    state_ = State::ready;
    ready_since_us_ = now_us_;
    ping_at_us_ = now_us_ + options_.ping_interval_us;
    pings_unanswered_ = 0;
    commands_sent_ = replies_seen_ = 0;
    pings_.clear();
    set_link(MERIDIAN_LINK_UP);
    owner_.connection_ready(now_us_);
    return true;
}

// ---- bytes ---------------------------------------------------------------------------------------------------------

bool Connection::exchange() {
    const State before = state_;
    // First what Redis has to say: it may explain why writing fails.
    if (!read_input() || !write_output()) return true;
    if (state_ == State::ready) {
        check_pings();
        if (state_ != State::ready) return true;
        if (!written() && writable_ && !write_output()) return true;
    } else if (now_us_ >= due_us_) {
        fail_attempt("no reply within " + milliseconds(options_.command_timeout_us));
        return true;
    }
    return before != state_;
}

// False: the connection has been given up.
bool Connection::write_output() {
    while (!written() && writable_) {
        const std::string_view next = output_.front();
        const Stream::Moved moved = stream_->write(next.data(), next.size());
        if (moved.state == Stream::State::failed) {
            fail_attempt(stream_->error());
            return false;
        }
        if (moved.state == Stream::State::blocked) {
            writable_ = false;
        } else {
            output_.written(moved.bytes);
        }
    }
    return true;
}

// False: the connection has been given up, or leads elsewhere now.
bool Connection::read_input() {
    for (int reads = 0; readable_ && reads < reads_per_turn; ++reads) {
        const Stream::Moved moved = stream_->read(input_.data(), input_.size());
        if (moved.state == Stream::State::failed) {
            fail_attempt(stream_->error());
            return false;
        }
        if (moved.state == Stream::State::blocked) {
            readable_ = false;
            return true;
        }
        pings_unanswered_ = 0;
        for (size_t at = 0; at < moved.bytes;) {
            const size_t helping = std::min(helping_bytes, moved.bytes - at);
            bool fed = reader_->feed(input_.data() + at, helping);
            at += helping;
            ReplyReader::Outcome outcome = ReplyReader::Outcome::broken;
            while (fed && (outcome = reader_->next()) == ReplyReader::Outcome::reply) {
                if (!take_reply(reader_->reply())) return false;
            }
            if (outcome == ReplyReader::Outcome::broken) {
                fail_attempt("not a reply of Redis: " + reader_->error());
                return false;
            }
        }
    }
    return true;
}

bool Connection::take_reply(const Reply& reply) {
    if (state_ == State::greeting) return greeted_by(reply);
    bool possible = true;
    if (!subscriptions_.empty()) {
        // Here replies to PING come as arrays; an error can only be such a reply.
        if (is_message(reply)) possible = owner_.connection_reply(reply);
    } else if (!pings_.empty() && pings_.front() == replies_seen_) {
        pings_.pop_front();
        ++replies_seen_;
    } else {
        possible = replies_seen_ < commands_sent_ && owner_.connection_reply(reply);
        ++replies_seen_;
    }
    if (possible) return true;
    fail_attempt("a reply to nothing that was asked");
    return false;
}

void Connection::check_pings() {
    if (now_us_ < ping_at_us_) return;
    if (pings_unanswered_ >= pings_unanswered_max) {
        fail_attempt("no reply to " + std::to_string(pings_unanswered_max) + " PINGs, one every " +
                     milliseconds(options_.ping_interval_us));
        return;
    }
    ++pings_unanswered_;
    ping_at_us_ = now_us_ + options_.ping_interval_us;
    if (subscriptions_.empty()) pings_.push_back(commands_sent_);
    ++commands_sent_;
    append_command(output_.back(), {"PING"});
}

void Connection::send(Output& commands, uint64_t count) {
    output_.swap(commands);
    commands_sent_ += count;
}

// ---- the end -------------------------------------------------------------------------------------------------------

void Connection::fail_attempt(const std::string& what) {
    if (asking_sentinel_) {
        sentinel_ = (sentinel_ + 1) % options_.sentinels.size();
        if (sentinels_left_ != 0) {
            --sentinels_left_;
            aim_at(options_.sentinels[sentinel_], options_.sentinel_tls);
            return;
        }
    }
    fail(now_us_, (asking_sentinel_ ? "sentinel " : "") + endpoint_.text() + ": " + what);
}

void Connection::fail(uint64_t now_us, const std::string& reason) {
    now_us_ = now_us;
    const bool was_ready = state_ == State::ready;
    const uint64_t delay = backoff_.next_delay_us(was_ready, now_us - ready_since_us_);
    close();
    due_us_ = now_us + delay;
    set_link(MERIDIAN_LINK_DOWN, &reason);
    owner_.connection_lost(reason);
}

void Connection::close() {
    state_ = State::waiting;
    due_us_ = std::numeric_limits<uint64_t>::max();
    stream_.reset();
    output_.clear();
}

pollfd Connection::wanted() const {
    if (!stream_ || state_ == State::looking_up) return {-1, 0, 0};
    return {stream_->descriptor(), stream_->events(!written()), 0};
}

uint64_t Connection::due_us() const {
    if (state_ != State::ready) return readable_ && state_ == State::greeting ? 0 : due_us_;
    return readable_ ? 0 : ping_at_us_;
}

std::string Connection::redacted(std::string_view text) const {
    std::string out(text.substr(0, error_text_bytes_max));
    // Redis repeats the words of a command that it does not know.
    replace_all(out, options_.credentials.password);
    replace_all(out, options_.sentinel_credentials.password);
    return out;
}

void Connection::set_link(uint32_t state, const std::string* error) {
    const std::lock_guard lock(link_mutex_);
    link_.state = state;
    if (error != nullptr) link_.error = *error;
    if (state == MERIDIAN_LINK_UP && !endpoint_.host.empty())
        link_.address = (endpoint_tls_ ? "rediss://" : "redis://") + endpoint_.text();
}

LinkStatus Connection::link() const {
    const std::lock_guard lock(link_mutex_);
    return link_;
}

}  // namespace meridian::transport_redis
