#include "bench/bare_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

namespace meridian::load {
namespace {

constexpr off_t file_bytes = 64 << 20;
constexpr size_t record_header_bytes = 16;

[[noreturn]] void die(const char* what) {
    std::perror(what);
    ::_exit(1);
}

// Filled with zeros rather than only allocated, as a log that is used again and again is: otherwise each sync would
// also write the file's metadata.
FileDescriptor make_file(const std::string& directory) {
    std::string path = directory + "/meridian-bench-bare-XXXXXX";
    FileDescriptor file(::mkostemp(path.data(), O_CLOEXEC));
    if (!file.valid()) die(path.c_str());
    ::unlink(path.c_str());
    const std::string zeros(1 << 20, '\0');
    for (off_t at = 0; at < file_bytes; at += static_cast<off_t>(zeros.size())) {
        if (::pwrite(file.get(), zeros.data(), zeros.size(), at) < 0) die("pwrite");
    }
    if (::fsync(file.get()) != 0) die("fsync");
    return file;
}

// Frames that are made durable together, and whom to answer how often.
struct Group {
    std::string bytes;
    std::vector<std::pair<int, size_t>> frames_of;  // socket, count
};

class Committer {
public:
    Committer(const std::string& directory, int wake_fd) : file_(make_file(directory)), wake_fd_(wake_fd) {
        std::thread([this] { run(); }).detach();  // until the process ends
    }
    // Adds to the group that is committed next.
    void submit(Group& group) {
        const std::lock_guard lock(mutex_);
        waiting_.bytes += group.bytes;
        waiting_.frames_of.insert(waiting_.frames_of.end(), group.frames_of.begin(), group.frames_of.end());
        changed_.notify_one();
    }
    std::vector<std::pair<int, size_t>> take_durable() {
        const std::lock_guard lock(mutex_);
        return std::exchange(durable_, {});
    }

private:
    void run() {
        off_t offset = 0;
        for (;;) {
            Group group;
            {
                std::unique_lock lock(mutex_);
                changed_.wait(lock, [this] { return !waiting_.frames_of.empty(); });
                std::swap(group, waiting_);
            }
            if (offset + static_cast<off_t>(group.bytes.size()) > file_bytes) offset = 0;
            if (::pwrite(file_.get(), group.bytes.data(), group.bytes.size(), offset) < 0) die("pwrite");
            if (::fdatasync(file_.get()) != 0) die("fdatasync");
            offset += static_cast<off_t>(group.bytes.size());
            {
                const std::lock_guard lock(mutex_);
                durable_.insert(durable_.end(), group.frames_of.begin(), group.frames_of.end());
            }
            const uint64_t one = 1;
            if (::write(wake_fd_, &one, sizeof one) < 0) die("eventfd");
        }
    }

    FileDescriptor file_;
    int wake_fd_;
    std::mutex mutex_;
    std::condition_variable changed_;
    Group waiting_;
    std::vector<std::pair<int, size_t>> durable_;
};

class Loop {
public:
    Loop(int listener, const std::string& directory, std::string answer)
        : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
          wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
          listener_(listener),
          committer_(directory, wake_.get()),
          answer_(std::move(answer)) {
        watch(wake_.get());
        watch(listener_);
    }

    [[noreturn]] void run() {
        std::array<epoll_event, 512> events{};
        for (;;) {
            const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
            for (int i = 0; i < count; ++i) {
                const int fd = events[static_cast<size_t>(i)].data.fd;
                if (fd == wake_.get()) {
                    acknowledge();
                } else if (fd == listener_) {
                    accept();
                } else {
                    read(fd);
                }
            }
            if (!group_.frames_of.empty()) committer_.submit(group_);
            group_.bytes.clear();
            group_.frames_of.clear();
        }
    }

private:
    struct Client {
        std::string rest;
        bool upgraded = false;
    };

    void watch(int fd) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
    }

    void accept() {
        const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        const int on = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        clients_[fd] = {};
        watch(fd);
    }

    void read(int fd) {
        const ssize_t got = ::recv(fd, buffer_.data(), buffer_.size(), 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (got <= 0) {
            clients_.erase(fd);
            ::close(fd);
            return;
        }
        Client& client = clients_[fd];
        client.rest.append(buffer_.data(), static_cast<size_t>(got));
        if (!client.upgraded) return upgrade(fd, client);
        size_t taken = 0;
        size_t frames = 0;
        while (const size_t size = take_frame(std::string_view(client.rest).substr(taken))) {
            taken += size;
            ++frames;
        }
        client.rest.erase(0, taken);
        if (frames > 0) group_.frames_of.emplace_back(fd, frames);
    }

    void upgrade(int fd, Client& client) {
        const size_t end = client.rest.find("\r\n\r\n");
        if (end == std::string::npos) return;
        client.rest.erase(0, end + 4);
        client.upgraded = true;
        send(fd, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    }

    // Appends what a masked frame holds to the group, as a record; the size of the frame, 0 if it is not complete.
    size_t take_frame(std::string_view input) {
        if (input.size() < 6) return 0;
        size_t size = static_cast<unsigned char>(input[1]) & 127;
        size_t header = 2;
        if (size == 126) {
            size =
                static_cast<size_t>(static_cast<unsigned char>(input[2])) << 8 | static_cast<unsigned char>(input[3]);
            header = 4;
        }
        if (input.size() < header + 4 + size) return 0;
        group_.bytes.append(record_header_bytes, 'r');
        for (size_t i = 0; i < size; ++i)
            group_.bytes += static_cast<char>(input[header + 4 + i] ^ input[header + i % 4]);
        return header + 4 + size;
    }

    void acknowledge() {
        uint64_t value = 0;
        if (::read(wake_.get(), &value, sizeof value) < 0) return;
        std::string answers;
        for (const auto& client : committer_.take_durable()) {
            answers.clear();
            for (size_t i = 0; i < client.second; ++i) answers += answer_;
            if (clients_.count(client.first) != 0) send(client.first, answers);
        }
    }

    // A client of the closed loop always has room for its answers.
    static void send(int fd, std::string_view bytes) {
        if (::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
            die("send");
    }

    FileDescriptor epoll_;
    FileDescriptor wake_;
    int listener_;
    Committer committer_;
    std::unordered_map<int, Client> clients_;
    std::array<char, 65536> buffer_{};
    Group group_;
    std::string answer_;
};

}  // namespace

Result<std::unique_ptr<BareServer>> BareServer::start(const std::string& directory, const std::string& answer) {
    const auto failed = [] { return Error{std::string("bare server: ") + std::strerror(errno)}; };
    const FileDescriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof name;
    auto* address = reinterpret_cast<sockaddr*>(&name);
    if (::bind(listener.get(), address, size) != 0 || ::listen(listener.get(), 1024) != 0 ||
        ::getsockname(listener.get(), address, &size) != 0)
        return failed();
    const pid_t parent = ::getpid();
    const pid_t process = ::fork();
    if (process < 0) return failed();
    if (process == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(1);
        for (const int number : {SIGINT, SIGTERM, SIGHUP}) std::signal(number, SIG_IGN);
        Loop(listener.get(), directory, answer).run();
    }
    return std::unique_ptr<BareServer>(new BareServer("127.0.0.1:" + std::to_string(ntohs(name.sin_port)), process));
}

BareServer::~BareServer() {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
}

}  // namespace meridian::load
