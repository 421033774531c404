#include "bench/node.h"

#include <fcntl.h>
#include <Poco/Exception.h>
#include <Poco/Net/SocketAddress.h>
#include <Poco/Net/StreamSocket.h>
#include <Poco/URI.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "auth/signing_key_file.h"
#include "bench/measure.h"
#include "bench/sockets.h"
#include "client/arguments.h"
#include "loop/system_environment.h"

namespace meridian::load {
namespace {

constexpr uint64_t day_ms = 24ULL * 3600 * 1000;
constexpr uint64_t token_days = 8;
constexpr uint64_t start_timeout_ns = 60'000'000'000;
constexpr int stop_timeout_ms = 10'000;

Error system_error(const std::string& what) {
    return Error{what + ": " + std::strerror(errno)};
}

// Next to this program, where the build tree has it; in ../sbin, where an installation has it; then in PATH.
Result<std::string> find_server(const std::string& given) {
    namespace fs = std::filesystem;
    std::error_code ignored;
    if (!given.empty()) {
        if (::access(given.c_str(), X_OK) == 0) return given;
        return system_error("--server " + given);
    }
    const fs::path here = fs::read_symlink("/proc/self/exe", ignored).parent_path();
    std::vector<fs::path> candidates = {here / "meridiand", here / "../sbin/meridiand"};
    std::string path = client::environment("PATH", "");
    for (size_t start = 0; start <= path.size();) {
        const size_t end = std::min(path.find(':', start), path.size());
        candidates.push_back(fs::path(path.substr(start, end - start)) / "meridiand");
        start = end + 1;
    }
    for (const fs::path& candidate : candidates) {
        if (::access(candidate.c_str(), X_OK) == 0) return candidate.string();
    }
    return Error{
        "meridiand is neither next to this program nor in PATH; name it with --server, or a running node with "
        "--url"};
}

}  // namespace

Result<std::unique_ptr<Child>> Child::start(const std::vector<std::string>& command) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_error("pipe");
    FileDescriptor log(ends[0]);
    const FileDescriptor child_end(ends[1]);
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    std::array<char*, 1> environment{};
    const pid_t parent = ::getpid();
    const pid_t id = ::fork();
    if (id < 0) return system_error("fork");
    if (id == 0) {
        // Ctrl-C at the terminal is for this program, which then stops the child once.
        ::setpgid(0, 0);
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (::getppid() != parent) ::_exit(1);
        ::dup2(child_end.get(), STDERR_FILENO);
        ::execve(arguments[0], arguments.data(), environment.data());
        ::_exit(127);
    }
    // A child that logs more than the pipe holds must not wait for us.
    ::fcntl(log.get(), F_SETPIPE_SZ, 1 << 20);
    return std::unique_ptr<Child>(new Child(id, std::move(log)));
}

Child::~Child() {
    log_.reset();
    ::kill(id_, SIGTERM);
    for (int waited_ms = 0; ::waitpid(id_, nullptr, WNOHANG) == 0; waited_ms += 10) {
        if (waited_ms >= stop_timeout_ms) {
            ::kill(id_, SIGKILL);
            ::waitpid(id_, nullptr, 0);
            return;
        }
        ::usleep(10'000);
    }
}

Result<std::string> Child::await_word(const std::string& mark) {
    std::string text;
    const uint64_t end_ns = now_ns() + start_timeout_ns;
    while (now_ns() < end_ns && !is_interrupted()) {
        const size_t at = text.find(mark);
        const size_t end = at == std::string::npos ? at : text.find_first_of(" \n", at + mark.size());
        if (end != std::string::npos) return text.substr(at + mark.size(), end - at - mark.size());
        pollfd ready{log_.get(), POLLIN, 0};
        if (::poll(&ready, 1, 100) != 1) continue;
        std::array<char, 4096> buffer{};
        const ssize_t got = ::read(log_.get(), buffer.data(), buffer.size());
        if (got <= 0) break;
        text.append(buffer.data(), static_cast<size_t>(got));
    }
    return Error{is_interrupted() ? "interrupted" : "the node did not start; its log:\n" + text};
}

Result<std::unique_ptr<Node>> Node::open(const NodeOptions& options) {
    std::unique_ptr<Node> node(new Node());
    const Result<void> opened = options.url.empty() ? node->start(options) : node->use_running(options);
    if (!opened) return opened.error();
    return node;
}

Node::~Node() {
    child_.reset();
    std::error_code ignored;
    if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

Result<void> Node::use_running(const NodeOptions& options) {
    try {
        const Poco::URI uri(options.url);
        if ((uri.getScheme() == "ws" || uri.getScheme() == "http") && !uri.getHost().empty()) {
            const bool bare_ipv6 = uri.getHost().find(':') != std::string::npos && uri.getHost().front() != '[';
            address_ = (bare_ipv6 ? "[" + uri.getHost() + "]" : uri.getHost()) + ":" + std::to_string(uri.getPort());
        }
    } catch (const Poco::Exception&) {
        // Reported below.
    }
    if (address_.empty()) return Error{"--url '" + options.url + "': expected ws://host:port"};
    process_ = options.server_pid;
    if (process_ && !Process(*process_).cpu_ns())
        return Error{"--server-pid " + std::to_string(*process_) + ": there is no such process"};
    if (options.token.empty()) {
        server::SystemRandom random;
        auto key = server::load_signing_key(options.signing_key, options.data_dir, false, random);
        if (!key) {
            return Error{"a running node needs --token, or its signing key (--data-dir or MERIDIAN_SIGNING_KEY): " +
                         key.error().message};
        }
        key_ = key->key;
        return {};
    }
    const auto payload = server::base64url_decode(options.token.substr(0, options.token.find('.')));
    const Result<server::Claims> claims = payload ? server::decode_claims(*payload) : Error{"not base64url"};
    if (!claims) return Error{"--token: " + claims.error().message};
    token_ = options.token;
    token_namespace_ = claims->namespace_name;
    token_client_id_ = claims->client_id;
    return {};
}

Result<void> Node::start(const NodeOptions& options) {
    const Result<std::string> program = find_server(options.server);
    if (!program) return program.error();
    std::string directory = client::environment("TMPDIR", "/tmp") + "/meridian-bench-XXXXXX";
    if (::mkdtemp(directory.data()) == nullptr) return system_error(directory);
    directory_ = directory;
    command_ = {*program, "--bind", "127.0.0.1:0", "--data-dir", directory_, "--set", "server.log_level=info"};
    for (const std::string& setting : options.settings) {
        command_.emplace_back("--set");
        command_.push_back(setting);
    }
    if (Result<void> launched = launch(); !launched) return launched;
    server::SystemRandom random;
    auto key = server::load_signing_key({}, directory_, false, random);
    if (!key) return key.error();
    key_ = key->key;
    return {};
}

Result<void> Node::launch() {
    Result<std::unique_ptr<Child>> child = Child::start(command_);
    if (!child) return child.error();
    child_ = std::move(child).value();
    const Result<std::string> address = child_->await_word("listening address=");
    if (!address) return address.error();
    address_ = *address;
    process_ = child_->id();
    return {};
}

std::string Node::token(const std::string& namespace_name, uint64_t client_id) const {
    if (!key_) return token_;
    server::Claims claims;
    claims.namespace_name = namespace_name;
    claims.client_id = client_id;
    // Whole days, so that the next run makes the same tokens and the node knows them.
    claims.expires_at_ms = (server::SystemClock().wall_ms() / day_ms + token_days) * day_ms;
    claims.permissions.read = {{"*", server::op_mask_all, {}}};
    claims.permissions.write = claims.permissions.read;
    claims.permissions.requests_per_second = UINT32_MAX;
    return server::issue_token(claims, *key_);
}

std::string Node::upgrade(const std::string& namespace_name, uint64_t client_id) const {
    return "GET /v1/namespaces/" + namespace_name + "/connect?token=" + token(namespace_name, client_id) +
           " HTTP/1.1\r\nHost: " + address_ +
           "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: bWVyaWRpYW4tYmVuY2gxMg==\r\n\r\n";
}

std::string Node::get_request(const std::string& namespace_name, uint64_t client_id, const std::string& path) const {
    return "GET /v1/namespaces/" + namespace_name + path + " HTTP/1.1\r\nHost: " + address_ +
           "\r\nAuthorization: Bearer " + token(namespace_name, client_id) + "\r\n\r\n";
}

Result<std::string> Node::fetch(const std::string& request) const {
    try {
        Poco::Net::StreamSocket socket{Poco::Net::SocketAddress(address_)};
        socket.setReceiveTimeout(Poco::Timespan(10, 0));
        std::string closing = request;
        closing.insert(closing.find("\r\n") + 2, "Connection: close\r\n");
        socket.sendBytes(closing.data(), static_cast<int>(closing.size()));
        std::string answer;
        std::array<char, 65536> buffer{};
        for (int got = 0; (got = socket.receiveBytes(buffer.data(), static_cast<int>(buffer.size()))) > 0;)
            answer.append(buffer.data(), static_cast<size_t>(got));
        return answer;
    } catch (const Poco::Exception& error) { return Error{address_ + ": " + error.displayText()}; }
}

}  // namespace meridian::load
