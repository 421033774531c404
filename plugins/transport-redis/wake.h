// Wakes a thread that polls. Threads: any.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "base/file_descriptor.h"

namespace meridian::transport_redis {

class Wake {
public:
    Wake() : event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
        if (!event_.valid()) throw std::system_error(errno, std::system_category(), "eventfd");
    }
    int descriptor() const { return event_.get(); }
    void wake() const noexcept {
        const uint64_t one = 1;
        // Full means that it is awake anyway.
        [[maybe_unused]] const ssize_t written = ::write(event_.get(), &one, sizeof one);
    }
    void clear() const noexcept {
        uint64_t count = 0;
        [[maybe_unused]] const ssize_t got = ::read(event_.get(), &count, sizeof count);
    }

private:
    FileDescriptor event_;
};

}  // namespace meridian::transport_redis
