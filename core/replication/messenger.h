// Control messages to peers over whatever transports there are: to all, to one, questions and their answers. Over a
// transport without requests of its own a question is a message with a request id, and the answer is matched by it;
// over one that only broadcasts it is addressed by `to`.
//
// Best effort: a message that a transport does not take is counted and gone; whoever sends repeats in its own time.
//
// Threads: the lane. Limits: a question that is not answered within request_timeout_ms is answered by an Error.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "replication/endpoint.h"
#include "replication/peers.h"

namespace meridian::replication {

// What a message costs besides its lists, at most; and after how long a peer may come again that was refused.
inline constexpr size_t message_overhead_bytes = 512;
inline constexpr uint64_t busy_retry_ms = 300;

// To whom, and how, a question is to be answered.
struct ReplyPath {
    Endpoint* endpoint = nullptr;
    uint64_t reply_id = 0;  // of the transport; 0: the answer is a message of its own
    Origin to;
    uint64_t request_id = 0;
    std::string source;  // the transport's word for the sender, empty if it has none
};

class Messenger {
public:
    using Answer = std::function<void(Result<Message>)>;

    Messenger(Context& context, Peers& peers, std::vector<std::unique_ptr<Endpoint>>& endpoints);

    void broadcast(Endpoint& endpoint, Body body);
    // The same message, with one number, on every transport that is up.
    void broadcast_everywhere(Body body);
    // `header`: `to` is set here.
    void send(const Peer& peer, Body body);
    // Through this endpoint; `source`: as ReplyPath's.
    void send(Endpoint& endpoint, const Origin& to, const std::string& source, Body body);
    // `answer` runs exactly once, never inside the call.
    void request(const Peer& peer, Body body, Answer answer);
    void reply(const ReplyPath& path, Body body);
    // Every question of a transport must be answered, if only by nothing.
    void reply_nothing(const ReplyPath& path);
    // A message that answers a question.
    void answered(Message message);

    // What a message to this peer may have at most.
    size_t message_bytes_max(const Peer& peer) const;
    size_t message_bytes_max(const ReplyPath& path) const;
    size_t outstanding() const { return outstanding_.size(); }

private:
    struct Outstanding {
        Origin peer;
        Answer answer;
    };
    // The best endpoint to reach it; null if none.
    Endpoint* endpoint_to(const Peer& peer) const;
    std::optional<std::string> address_at(const Endpoint& endpoint, const Origin& node) const;
    bool deliver(Endpoint& endpoint, const Origin& to, const std::string& source, const std::string& bytes);
    void fail_later(uint64_t request_id, std::string why);
    void finish(uint64_t request_id, Result<Message> result);

    Context& context_;
    Peers& peers_;
    std::vector<std::unique_ptr<Endpoint>>& endpoints_;
    std::map<uint64_t, Outstanding> outstanding_;
    uint64_t next_request_;
};

}  // namespace meridian::replication
