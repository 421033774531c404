// A transport for the nodes of one machine: each has a datagram socket <directory>/<node name>.sock, and what is for
// all is sent to every socket in the directory. A receiver that does not keep up loses messages, and notices by the
// numbers that the sender gives them. One thread sends, one receives.
#include <dirent.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <meridian/task_queue.hpp>
#include <meridian/transport.hpp>

#include <atomic>
#include <cerrno>
#include <map>
#include <memory>

namespace {
using namespace meridian::abi;
constexpr uint64_t message_max = 128 << 10;  // with what the kernel adds, the usual buffer of a socket has room for it
constexpr std::string_view suffix = ".sock";
struct Header {
    uint64_t number = 0;   // counts what the sender has sent to this receiver, from 1
    uint32_t channel = 0;  // 0: nothing but that the sender is there
    uint32_t namespace_size = 0;
};
struct Peer {
    uint64_t sent = 0, received = 0;  // numbers of the last message
    int error = 0;                    // of the last attempt to send
};

class LoopbackTransport {
public:
    LoopbackTransport(Host host, const Config& config) : host_(host), directory_(config.text("directory")) {}
    ~LoopbackTransport() {
        for (const int file : {socket_, wake_}) ::close(file);
    }
    LoopbackTransport(const LoopbackTransport&) = delete;
    void start(const NodeName& node, TransportSink sink) {
        self_ = node.text;
        sink_.emplace(sink);
        if (!fits(self_)) throw Failure(MERIDIAN_INVALID, directory_ + ": the path of a socket in it is too long");
        ::mkdir(directory_.c_str(), 0700);
        const sockaddr_un own = place(self_);
        const auto* address = reinterpret_cast<const sockaddr*>(&own);
        // A process that was killed may have left it behind; one that lives ignores an empty datagram.
        if (::sendto(socket_, nullptr, 0, 0, address, sizeof own) < 0 && errno == ECONNREFUSED) ::unlink(own.sun_path);
        if (wake_ < 0 || ::bind(socket_, address, sizeof own) != 0)
            throw Failure(errno == EADDRINUSE ? MERIDIAN_IN_USE : MERIDIAN_IO,
                          std::string(own.sun_path) + ": " + std::strerror(errno));
        queue_.submit([this](bool) { send_to_all({}, {}); });  // here I am
        queue_.start(1);
        receiver_ = std::thread([this] { receive_all(); });
    }
    void stop(uint64_t deadline_us) {
        stopping_ = true;
        resume();
        queue_.stop(host_, deadline_us);
        if (!receiver_.joinable()) return;
        receiver_.join();
        ::unlink(place(self_).sun_path);
    }
    uint64_t message_bytes_max() const noexcept { return message_max; }
    std::string address() const { return self_; }
    template <class Link>
    void links(Link link) const {
        link(stopping_ ? MERIDIAN_LINK_DOWN : MERIDIAN_LINK_UP, directory_, "", 0, 0);
        const std::lock_guard lock(mutex_);
        for (const auto& [name, peer] : peers_)
            link(peer.error == 0 ? MERIDIAN_LINK_UP : MERIDIAN_LINK_DOWN, name,
                 peer.error == 0 ? "" : std::strerror(peer.error), 0, 0);
    }
    meridian_status publish(uint32_t channel, std::string_view of, std::string_view message, PublishSink sink) {
        if (channel != MERIDIAN_CHANNEL_DELTA && channel != MERIDIAN_CHANNEL_CONTROL) return MERIDIAN_INVALID;
        return submit({}, channel, of, message, sink);
    }
    meridian_status send(std::string_view target, std::string_view message, PublishSink sink) {
        return fits(target) ? submit(target, MERIDIAN_CHANNEL_CONTROL, {}, message, sink) : MERIDIAN_INVALID;
    }
    void resume() noexcept { ::eventfd_write(wake_, 1); }

private:
    bool fits(std::string_view name) const {
        return name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos &&
               directory_.size() + 1 + name.size() + suffix.size() < sizeof sockaddr_un::sun_path;
    }
    sockaddr_un place(const std::string& name) const {
        sockaddr_un out{};
        out.sun_family = AF_UNIX;
        (directory_ + "/" + name).append(suffix).copy(out.sun_path, sizeof out.sun_path - 1);
        return out;
    }
    static std::string name_of(std::string_view file) {  // empty: it is not the socket of a node
        file.remove_prefix(file.rfind('/') + 1);
        return file.ends_with(suffix) ? std::string(file.substr(0, file.size() - suffix.size())) : "";
    }
    meridian_status submit(std::string_view to, uint32_t channel, std::string_view of, std::string_view message,
                           PublishSink sink) {
        if (message.size() > message_max || of.size() > 255) return MERIDIAN_INVALID;
        const Header header{0, channel, static_cast<uint32_t>(of.size())};
        const TaskQueue::Task task = [=, this, target = std::string(to),
                                      body = std::string(of).append(message)](bool cancelled) {
            uint64_t taken = 0;
            if (!cancelled) taken = target.empty() ? send_to_all(header, body) : send_to(target, header, body);
            if (was_full_.exchange(false)) sink_->writable();
            const bool lost = taken == 0 && !target.empty();
            sink.done(cancelled ? MERIDIAN_CANCELLED : lost ? MERIDIAN_UNAVAILABLE : MERIDIAN_OK, {}, taken);
        };
        const meridian_status status = queue_.submit(task);
        if (status != MERIDIAN_BUSY) return status;
        was_full_ = true;
        return queue_.submit(task);  // again: a place may have become free before that was noted
    }
    uint64_t send_to_all(const Header& header, const std::string& body) {
        const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(directory_.c_str()), ::closedir);
        uint64_t taken = 0;
        for (const dirent* entry; directory && (entry = ::readdir(directory.get())) != nullptr;) {
            const std::string name = name_of(entry->d_name);
            if (!name.empty() && name != self_) taken += send_to(name, header, body);
        }
        return taken;
    }
    uint64_t send_to(const std::string& name, Header header, const std::string& body) {
        std::unique_lock lock(mutex_);
        Peer& peer = peers_[name];  // stays where it is
        header.number = ++peer.sent;
        int tries = peer.error == EAGAIN ? 1 : 50;  // a receiver gets a moment to catch up, but only once
        lock.unlock();
        sockaddr_un there = place(name);
        iovec parts[] = {{&header, sizeof header}, {const_cast<char*>(body.data()), body.size()}};
        const msghdr datagram{&there, sizeof there, parts, 2, nullptr, 0, 0};
        int error = EAGAIN;
        for (; error == EAGAIN && tries != 0; --tries) {
            error = ::sendmsg(socket_, &datagram, MSG_NOSIGNAL) >= 0 ? 0 : errno;
            if (error == EAGAIN && tries != 1) ::poll(nullptr, 0, 1);
        }
        lock.lock();
        peer.error = error;
        return error == 0 ? 1 : 0;
    }
    void receive_all() {
        uint64_t epoch = 1;
        sink_->up(epoch);
        std::string buffer(sizeof(Header) + 255 + message_max, '\0');
        for (wait(POLLIN); !stopping_; wait(POLLIN)) {
            sockaddr_un from{};
            socklen_t from_size = sizeof from;
            const ssize_t size = ::recvfrom(socket_, buffer.data(), buffer.size(), MSG_TRUNC,
                                            reinterpret_cast<sockaddr*>(&from), &from_size);
            const std::string source = name_of(from.sun_path);
            std::string_view body(buffer.data(), size < 0 ? 0 : static_cast<size_t>(size));
            Header header;
            if (body.size() < sizeof header || body.size() > buffer.size() || source.empty()) continue;
            std::memcpy(&header, body.data(), sizeof header);
            body.remove_prefix(sizeof header);
            std::unique_lock lock(mutex_);
            const uint64_t before = std::exchange(peers_[source].received, header.number);
            lock.unlock();
            if (before == 0 || header.number <= before) sink_->up(++epoch);  // it came, or came back
            if (before != 0 && header.number != before + 1)
                for (const uint32_t channel : {MERIDIAN_CHANNEL_DELTA, MERIDIAN_CHANNEL_CONTROL}) sink_->gap(channel);
            const std::string_view of = body.substr(0, header.namespace_size);
            body.remove_prefix(of.size());
            while (header.channel != 0 && sink_->deliver(header.channel, of, body, source) == MERIDIAN_BUSY &&
                   !stopping_)
                wait(0);  // for resume; the socket's own queue fills up meanwhile
        }
    }
    void wait(short wanted) const {  // until there is a datagram, if that is `wanted`, or for resume
        pollfd files[] = {{socket_, wanted, 0}, {wake_, POLLIN, 0}};
        ::poll(files, 2, -1);
        eventfd_t count = 0;
        ::eventfd_read(wake_, &count);
    }

    const Host host_;
    const std::string directory_;
    const int socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    std::string self_;
    std::optional<TransportSink> sink_;
    std::atomic<bool> stopping_{false}, was_full_{false};
    mutable std::mutex mutex_;
    std::map<std::string, Peer> peers_;  // guarded by mutex_
    TaskQueue queue_{256};
    std::thread receiver_;
};
constexpr meridian_config_key keys[] = {
    {sizeof(meridian_config_key), MERIDIAN_TYPE_PATH, MERIDIAN_KEY_REQUIRED, 0, "directory", nullptr, 0, 0, nullptr,
     nullptr, "Where the nodes have their sockets: the same for all of them; made if it does not exist."}};

}  // namespace

MERIDIAN_TRANSPORT_PLUGIN(LoopbackTransport, "transport-loopback", "1.0",
                          MERIDIAN_TRANSPORT_BROADCAST | MERIDIAN_TRANSPORT_ORDERED |
                              MERIDIAN_TRANSPORT_RECEIVER_COUNT | MERIDIAN_TRANSPORT_NODE_NAMES,
                          "Apache-2.0", "Connects the nodes of one machine by sockets in a directory", keys)
