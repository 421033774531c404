#include "bench/bare_exchange.h"

#include <fcntl.h>
#include <Poco/Exception.h>
#include <Poco/Net/NetException.h>
#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/SocketAddress.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "bench/measure.h"

namespace meridian::load {
namespace {

// About what an op takes: its log entry, its envelope, and the answer to a POST.
constexpr size_t record_bytes = 256;
constexpr size_t envelope_bytes = 350;
constexpr size_t post_bytes = 500;
constexpr size_t post_answer_bytes = 100;
constexpr int64_t file_bytes = 16 << 20;

Error system_error(const std::string& what) {
    return Error{what + ": " + std::strerror(errno)};
}

void send_all(Poco::Net::StreamSocket& socket, const std::string& bytes) {
    for (size_t sent = 0; sent < bytes.size();)
        sent += static_cast<size_t>(socket.sendBytes(bytes.data() + sent, static_cast<int>(bytes.size() - sent)));
}

// False at the end of the connection.
bool receive_all(Poco::Net::StreamSocket& socket, size_t size) {
    std::array<char, 4096> buffer{};
    while (size > 0) {
        const int got = socket.receiveBytes(buffer.data(), static_cast<int>(std::min(size, buffer.size())));
        if (got <= 0) return false;
        size -= static_cast<size_t>(got);
    }
    return true;
}

void answer_posts(Poco::Net::StreamSocket socket) {
    const std::string answer(post_answer_bytes, 'a');
    try {
        while (receive_all(socket, post_bytes)) send_all(socket, answer);
    } catch (const Poco::Exception&) {
        // The other side has gone.
    }
}

}  // namespace

Result<void> BareExchange::make_file(const std::string& directory) {
    std::string path = directory + "/meridian-bench-XXXXXX";
    file_ = FileDescriptor(::mkostemp(path.data(), O_CLOEXEC));
    if (!file_.valid()) return system_error(path);
    ::unlink(path.c_str());
    // Written, not only allocated: then a sync has no metadata to write.
    const std::string zeros(1 << 20, '\0');
    for (int64_t at = 0; at < file_bytes; at += static_cast<int64_t>(zeros.size())) {
        if (::pwrite(file_.get(), zeros.data(), zeros.size(), at) != static_cast<ssize_t>(zeros.size()))
            return system_error(path);
    }
    return ::fsync(file_.get()) == 0 ? Result<void>() : system_error(path);
}

Result<std::unique_ptr<BareExchange>> BareExchange::open(const std::string& redis, const std::string& directory) {
    std::unique_ptr<BareExchange> out(new BareExchange());
    if (Result<void> made = out->make_file(directory); !made) return made.error();
    try {
        if (redis.empty()) {
            const Poco::Net::ServerSocket listener(Poco::Net::SocketAddress("127.0.0.1", 0));
            out->sender_.connect(listener.address());
            out->receiver_ = out->sender_;
            Poco::Net::StreamSocket accepted = Poco::Net::ServerSocket(listener).acceptConnection();
            accepted.setNoDelay(true);
            out->message_ = std::string(post_bytes, 'm');
            out->answer_bytes_ = post_answer_bytes;
            out->answering_ = std::thread(answer_posts, accepted);
        } else {
            out->receiver_.connect(Poco::Net::SocketAddress(redis));
            send_all(out->receiver_, "*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\nbench\r\n");
            const std::string confirmation = "*3\r\n$9\r\nsubscribe\r\n$5\r\nbench\r\n:1\r\n";
            if (!receive_all(out->receiver_, confirmation.size())) return Error{redis + ": the connection has ended"};
            out->sender_.connect(Poco::Net::SocketAddress(redis));
            const std::string envelope =
                "$" + std::to_string(envelope_bytes) + "\r\n" + std::string(envelope_bytes, 'e') + "\r\n";
            out->message_ = "*3\r\n$7\r\nPUBLISH\r\n$5\r\nbench\r\n" + envelope;
            out->answer_bytes_ = std::strlen("*3\r\n$7\r\nmessage\r\n$5\r\nbench\r\n") + envelope.size();
        }
        out->sender_.setNoDelay(true);
    } catch (const Poco::Exception& error) { return Error{"bare exchange: " + error.displayText()}; }
    return out;
}

BareExchange::~BareExchange() {
    try {
        sender_.shutdown();
    } catch (const Poco::Exception&) {
        // Not connected.
    }
    if (answering_.joinable()) answering_.join();
}

Result<uint64_t> BareExchange::measure_ns() {
    const std::string record(record_bytes, 'r');
    const uint64_t start_ns = now_ns();
    if (::pwrite(file_.get(), record.data(), record.size(), offset_) != static_cast<ssize_t>(record.size()) ||
        ::fdatasync(file_.get()) != 0)
        return system_error("bare exchange");
    offset_ = (offset_ + static_cast<int64_t>(record.size())) % file_bytes;
    try {
        send_all(sender_, message_);
        if (!receive_all(receiver_, answer_bytes_)) return Error{"bare exchange: the connection has ended"};
        const uint64_t took_ns = now_ns() - start_ns;
        // The answer to PUBLISH, ":1\r\n", is nobody's concern but must not fill the connection.
        if (!answering_.joinable() && !receive_all(sender_, 4)) return Error{"bare exchange: the connection has ended"};
        return took_ns;
    } catch (const Poco::Exception& error) { return Error{"bare exchange: " + error.displayText()}; }
}

}  // namespace meridian::load
