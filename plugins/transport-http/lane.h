// What goes to one peer over one connection: the messages that wait, and those of the request under way. A value that
// its peer works on; bounded by `queue_messages` and `queue_bytes`, plus what one request carries.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "client_connection.h"
#include "message.h"

namespace meridian::transport_http {

struct Lane {
    bool is_full_for(size_t bytes, const Settings& settings) const {
        return !waiting.empty() &&
               (waiting.size() >= settings.queue_messages || waiting_bytes + bytes > settings.queue_bytes);
    }
    void put(Message message) {
        waiting_bytes += message.bytes->size();
        waiting.push_back(std::move(message));
    }
    Message take() {
        Message message = std::move(waiting.front());
        waiting.pop_front();
        waiting_bytes -= message.bytes->size();
        return message;
    }
    // What is under way waits again, before everything else.
    void put_back() {
        while (!under_way.empty()) {
            waiting_bytes += under_way.back().bytes->size();
            waiting.push_front(std::move(under_way.back()));
            under_way.pop_back();
        }
    }
    bool is_idle() const { return waiting.empty() && under_way.empty(); }

    std::deque<Message> waiting;
    size_t waiting_bytes = 0;
    std::vector<Message> under_way;
    bool probing = false;   // the request under way asks only whether the peer is there
    bool repeated = false;  // what is under way was sent before, over a connection that had ended
    std::unique_ptr<ClientConnection> connection;
    uint64_t hold_until_us = 0;  // after 503
    unsigned busy_answers = 0;   // 503 in a row
    uint64_t last_used_us = 0;
};

}  // namespace meridian::transport_http
