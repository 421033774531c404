// The addresses of a host. A name is looked up on a thread of its own, because getaddrinfo cannot be interrupted: it
// may outlive the instance, holds nothing of it but the means to wake it, and calls nobody.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "redis_url.h"
#include "stream.h"
#include "wake.h"

namespace meridian::transport_redis {

class Lookup {
public:
    // A path or an IP address is known at once; a name when `wake` has been woken.
    Lookup(const Endpoint& endpoint, std::shared_ptr<const Wake> wake);
    // Nothing: not known yet.
    std::optional<Result<std::vector<Address>>> result() const;
    // Whether it is about this endpoint, and still under way.
    bool pends_for(const Endpoint& endpoint) const;

private:
    struct Shared;
    Endpoint endpoint_;
    std::shared_ptr<Shared> shared_;
};

}  // namespace meridian::transport_redis
