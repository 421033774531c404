// The least that telling another node of a durable write takes: one fdatasync of a preallocated file, then one message.
// The message is a request and its answer on a kept loopback connection, or a PUBLISH that a subscriber of the same
// Redis gets. Blocking; one thread.
#pragma once

#include <Poco/Net/StreamSocket.h>

#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace meridian::load {

class BareExchange {
public:
    // `redis`: its host:port; empty: a connection to a thread of this process. The file is in `directory`, and has no
    // name any more.
    static Result<std::unique_ptr<BareExchange>> open(const std::string& redis, const std::string& directory);
    ~BareExchange();
    BareExchange(const BareExchange&) = delete;
    BareExchange& operator=(const BareExchange&) = delete;

    // How long one took.
    Result<uint64_t> measure_ns();

private:
    BareExchange() = default;
    Result<void> make_file(const std::string& directory);

    FileDescriptor file_;
    int64_t offset_ = 0;
    Poco::Net::StreamSocket sender_;
    Poco::Net::StreamSocket receiver_;  // of answers, or of what was published
    std::string message_;
    size_t answer_bytes_ = 0;
    std::thread answering_;
};

}  // namespace meridian::load
