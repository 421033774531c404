#include "replication/startup.h"

#include <utility>

namespace meridian::replication {

Startup::Startup(Context& context, Peers& peers, Inbox& inbox, Events events)
    : context_(context), peers_(peers), inbox_(inbox), events_(std::move(events)) {}

void Startup::start() {
    context_.post_after(context_.options.startup_answers_ms * 1000, [this] {
        answers_due_ = true;
        look();
    });
    context_.post_after(context_.options.startup_catchup_ms * 1000, [this] {
        catchup_over_ = true;
        target_.clear();
        if (state_ == State::level) look();
    });
}

void Startup::look() {
    if (state_ == State::answers) {
        const bool all_answered = !peers_.all().empty() && peers_.all_members_heard();
        if (answers_due_ || all_answered) decide();
    }
    if (state_ != State::level) return;
    for (const auto& [origin, sequence] : target_) {
        if (origin != context_.self && inbox_.durable(origin) < sequence) return;
    }
    state_ = State::ready;
    context_.ready = true;
    events_.ready();
}

bool Startup::somebody_is_ahead() const {
    const uint64_t head = inbox_.durable(context_.self);
    for (const auto& [node_id, peer] : peers_.all()) {
        if (peer.highest(context_.self) > head) return true;
    }
    return false;
}

void Startup::decide() {
    if (!peers_.all_members_heard() || somebody_is_ahead()) {
        begin_incarnation(0);
    } else {
        catch_up();
    }
}

void Startup::amnesia() {
    if (deciding() || new_incarnation_) return;
    const bool was_ready = state_ == State::ready;
    begin_incarnation(0);
    if (was_ready) state_ = State::ready;
}

void Startup::begin_incarnation(uint32_t failures) {
    if (state_ != State::ready) state_ = State::incarnation;
    new_incarnation_ = true;
    context_.port.begin_incarnation(context_.here([this, failures](Result<void> result) {
        if (!result) {
            // Without one nothing may be written: the node does not become ready.
            context_.post_after(context_.backoff_us(failures + 1),
                                [this, failures] { begin_incarnation(failures + 1); });
            return;
        }
        context_.self = context_.port.self();
        events_.incarnation();
        if (state_ == State::incarnation) catch_up();
    }));
}

void Startup::catch_up() {
    state_ = State::level;
    for (const auto& [node_id, peer] : peers_.all()) {
        if (!catchup_over_ && peers_.alive(peer)) node::merge_into(target_, peer.vector);
    }
    look();
}

}  // namespace meridian::replication
