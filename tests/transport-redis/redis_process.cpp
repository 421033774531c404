#include "redis_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace meridian::test {
namespace {

constexpr timeval client_patience = {60, 0};
constexpr auto start_patience = std::chrono::seconds(60);

sockaddr_in loopback(uint16_t port) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(port);
    out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return out;
}

bool accepts(uint16_t port) {
    const FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = loopback(port);
    return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

uint16_t bound_to_free_port(const FileDescriptor& socket) {
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
        throw std::runtime_error("no free port");
    return ntohs(address.sin_port);
}

void replace(std::string& text, const std::string& what, const std::string& with) {
    for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
        text.replace(at, what.size(), with);
}

void flatten(const redisReply* reply, std::vector<std::string>& out) {
    switch (reply->type) {
        case REDIS_REPLY_ARRAY:
            for (size_t i = 0; i < reply->elements; ++i) flatten(reply->element[i], out);
            return;
        case REDIS_REPLY_INTEGER:
            out.push_back(std::to_string(reply->integer));
            return;
        case REDIS_REPLY_NIL:
            out.emplace_back("(nil)");
            return;
        default:
            out.emplace_back(reply->str, reply->len);
            return;
    }
}

std::vector<std::string> taken(void* raw, const redisContext* context) {
    if (raw == nullptr) throw std::runtime_error(std::string("hiredis: ") + context->errstr);
    const std::unique_ptr<redisReply, void (*)(void*)> reply(static_cast<redisReply*>(raw), freeReplyObject);
    if (reply->type == REDIS_REPLY_ERROR) throw std::runtime_error(std::string(reply->str, reply->len));
    std::vector<std::string> out;
    flatten(reply.get(), out);
    return out;
}

}  // namespace

ClosedPort::ClosedPort() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    port_ = bound_to_free_port(socket_);
}

RedisProcess::RedisProcess(std::vector<std::string> settings, uint16_t port, bool sentinel)
    : settings_(std::move(settings)), port_(port), port_is_fixed_(port != 0), sentinel_(sentinel) {
    // A port that was free may be taken by somebody else before the server has it.
    for (int attempt = 0; attempt < 10; ++attempt) {
        if (!port_is_fixed_)
            port_ = bound_to_free_port(FileDescriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
        if (start()) return;
    }
    throw std::runtime_error("redis-server does not start: " + log());
}

RedisProcess::~RedisProcess() {
    kill();
}

std::string RedisProcess::log() const {
    std::ostringstream out;
    out << std::ifstream(directory() + "/log").rdbuf();
    return out.str();
}

bool RedisProcess::start() {
    const std::string file = directory() + "/redis.conf";
    {
        std::ofstream out(file);
        out << "port " << port_ << "\nbind 127.0.0.1\ndir " << directory() << "\nlogfile " << directory() << "/log\n";
        if (!sentinel_) out << "save \"\"\nappendonly no\n";
        for (std::string setting : settings_) {
            replace(setting, "{port}", std::to_string(port_));
            replace(setting, "{dir}", directory());
            out << setting << "\n";
        }
    }
    const char* program = sentinel_ ? "redis-sentinel" : "redis-server";
    process_ = ::fork();
    if (process_ == 0) {
        // It ends with the test, however that ends.
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int null = ::open("/dev/null", O_RDWR);
        ::dup2(null, STDOUT_FILENO);
        ::dup2(null, STDERR_FILENO);
        ::execlp(program, program, file.c_str(), static_cast<char*>(nullptr));
        ::_exit(127);
    }
    const auto end = std::chrono::steady_clock::now() + start_patience;
    while (std::chrono::steady_clock::now() < end) {
        int status = 0;
        if (::waitpid(process_, &status, WNOHANG) == process_) {
            process_ = -1;
            return false;
        }
        if (accepts(port_)) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    kill();
    return false;
}

void RedisProcess::kill() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
}

void RedisProcess::restart() {
    kill();
    if (!start()) throw std::runtime_error("redis-server does not start again: " + log());
}

void RedisProcess::hang() {
    ::kill(process_, SIGSTOP);
    ::waitpid(process_, nullptr, WUNTRACED);
}

void RedisProcess::wake() {
    ::kill(process_, SIGCONT);
}

RedisClient::RedisClient(uint16_t port) : context_(redisConnectWithTimeout("127.0.0.1", port, client_patience)) {
    if (!context_ || context_->err != 0) throw std::runtime_error("hiredis cannot connect");
    redisSetTimeout(context_.get(), client_patience);
}

std::vector<std::string> RedisClient::command(const std::vector<std::string>& words) {
    std::vector<const char*> arguments;
    std::vector<size_t> sizes;
    for (const std::string& word : words) {
        arguments.push_back(word.data());
        sizes.push_back(word.size());
    }
    return taken(redisCommandArgv(context_.get(), static_cast<int>(words.size()), arguments.data(), sizes.data()),
                 context_.get());
}

std::vector<std::string> RedisClient::next() {
    void* reply = nullptr;
    redisGetReply(context_.get(), &reply);
    return taken(reply, context_.get());
}

}  // namespace meridian::test
