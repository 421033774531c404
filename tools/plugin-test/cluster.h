// Nodes of one cluster for the checks of transports. A transport promises nothing: what is to arrive is sent again
// until it does.
#pragma once

#include <string>
#include <vector>

#include "fixture.h"

namespace meridian::plugin_test {

// Two started nodes that have heard of each other. Ends the check as skipped if the transport has no broadcast.
struct Pair {
    explicit Pair(Fixture& fixture);
    Place place;
    Transport a;
    Transport b;
};

inline Message control(const std::string& bytes) {
    return {MERIDIAN_CHANNEL_CONTROL, {}, bytes};
}
inline Message delta(const std::string& namespace_name, const std::string& bytes) {
    return {MERIDIAN_CHANNEL_DELTA, namespace_name, bytes};
}
// Bytes that no other call has given, of at least this size.
std::string unique_bytes(size_t size = 0);

// Publishes until the submit is accepted, waiting while the transport is busy.
std::shared_ptr<PublishCall> publish(Transport& from, const Message& message, Manner manner = {});
// Publishes, again and again, until `to` has taken the message. REQUIRES: no message like it was published before.
Delivery carry(Transport& from, Transport& to, const Message& message, Manner manner = {});
// The same with send().
Delivery carry_to(Transport& from, const std::string& target, Transport& to, const std::string& bytes,
                  Manner manner = {});
// Requests, again and again, until the other side is asked, and gives the call that was taken. `to` does not answer.
struct Asked {
    std::shared_ptr<ReplyCall> call;
    uint64_t request_id = 0;
    Delivery delivery;
};
Asked ask(Transport& from, const std::string& target, Transport& to, const Message& message, uint64_t timeout_us,
          Manner manner = {});

// The check fails if something was delivered that nobody has published or sent.
void require_only_submitted(const Inbox& inbox);

// At which address `to` is reached; the check is skipped if the transport does not say.
std::string address_of(Transport& from, Transport& to);

// One call of every kind that is accepted, and some that are refused; completions are not waited for.
void submit_everything(Pair& pair);

}  // namespace meridian::plugin_test
