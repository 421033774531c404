// What a publisher and a subscriber tell the transport about their connections. On the I/O thread.
#pragma once

#include <string>

namespace meridian::transport_redis {

class LinkOwner {
public:
    virtual ~LinkOwner() = default;
    virtual void link_lost(bool was_ready, const std::string& reason) = 0;
};

}  // namespace meridian::transport_redis
