// Answers what is delivered with a reply_id although nobody has asked: a transport may want a word on each message. The
// core has nothing to say to these, and says that; what was sent as a request is left to the check.
//
// Threads: its own one, that of a host.
#pragma once

#include <memory>
#include <thread>

#include "meridian/plugin.h"

namespace meridian::plugin_test {

class Inbox;

class Answerer {
public:
    // For a started instance. REQUIRES: it is destroyed before `stop`.
    Answerer(const meridian_transport_functions& functions, void* instance, std::shared_ptr<Inbox> inbox);
    ~Answerer();
    Answerer(const Answerer&) = delete;
    Answerer& operator=(const Answerer&) = delete;

private:
    const std::shared_ptr<Inbox> inbox_;
    std::thread thread_;
};

}  // namespace meridian::plugin_test
