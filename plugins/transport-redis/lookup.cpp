#include "lookup.h"

#include <netdb.h>

#include <cstring>
#include <mutex>
#include <thread>

namespace meridian::transport_redis {

struct Lookup::Shared {
    mutable std::mutex mutex;
    std::optional<Result<std::vector<Address>>> result;
};

namespace {

Result<std::vector<Address>> addresses(const Endpoint& endpoint, int flags) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const int error = ::getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &found);
    if (error != 0) return Error{std::string("no address: ") + ::gai_strerror(error)};
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
    std::vector<Address> out;
    for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
        if (at->ai_addrlen > sizeof(sockaddr_storage)) continue;
        Address address;
        std::memcpy(&address.storage, at->ai_addr, at->ai_addrlen);
        address.size = at->ai_addrlen;
        out.push_back(address);
    }
    if (out.empty()) return Error{"no address"};
    return out;
}

}  // namespace

Lookup::Lookup(const Endpoint& endpoint, std::shared_ptr<const Wake> wake)
    : endpoint_(endpoint), shared_(std::make_shared<Shared>()) {
    if (!endpoint.path.empty()) {
        shared_->result = std::vector<Address>{unix_address(endpoint.path)};
        return;
    }
    if (auto numeric = addresses(endpoint, AI_NUMERICHOST)) {
        shared_->result = std::move(numeric);
        return;
    }
    try {
        std::thread([endpoint, wake = std::move(wake), shared = shared_] {
            std::optional<Result<std::vector<Address>>> found;
            try {
                found = addresses(endpoint, 0);
            } catch (const std::exception& exception) { found = Error{exception.what()}; }
            {
                const std::lock_guard lock(shared->mutex);
                shared->result = std::move(found);
            }
            wake->wake();
        }).detach();
    } catch (const std::system_error& error) {
        shared_->result = Error{std::string("no thread to look up the name: ") + error.what()};
    }
}

std::optional<Result<std::vector<Address>>> Lookup::result() const {
    const std::lock_guard lock(shared_->mutex);
    return shared_->result;
}

bool Lookup::pends_for(const Endpoint& endpoint) const {
    return endpoint.host == endpoint_.host && endpoint.port == endpoint_.port && endpoint.path == endpoint_.path &&
           !result();
}

}  // namespace meridian::transport_redis
