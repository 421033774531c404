// transport-redis against a redis-server that this program starts on a Unix socket, or the one whose URL is given:
//
//   redis-bench [URL]
//
// Messages of 200 bytes, as fast as the queue takes them: to nobody (Redis's own work is least), and from one node to
// another (each message is pushed to both, since a node hears itself). Then what making a PUBLISH costs, beside
// hiredis' formatter.
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "meridian/plugin.hpp"
#include "plugin/loader.h"
#include "plugin/plugin_configuration.h"
#include "resp.h"

namespace {

using namespace meridian;

constexpr uint64_t messages = 1'000'000;
constexpr size_t message_bytes = 200;

[[noreturn]] void die(const std::string& text) {
    std::fprintf(stderr, "redis-bench: %s\n", text.c_str());
    std::exit(1);
}

uint64_t now_us() {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
            .count());
}

double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// A node on the plug-in, which counts and nothing else.
class Node {
public:
    Node(const plugin::LoadedPlugin& plugin, const std::string& name, const std::string& url)
        : descriptor_(*plugin.descriptor) {
        host_.struct_size = sizeof host_;
        host_.log = [](void*, int32_t level, meridian_bytes text) {
            if (level >= MERIDIAN_LOG_WARNING)
                std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size), static_cast<const char*>(text.data));
        };
        host_.wall_ms = [](void*) { return uint64_t{0}; };
        host_.monotonic_us = [](void*) { return now_us(); };
        host_.random = [](void*, void* out, uint64_t size) {
            std::random_device random;
            for (uint64_t i = 0; i < size; ++i) static_cast<char*>(out)[i] = static_cast<char>(random());
        };
        host_.metric = [](void*, int32_t, const char*, double) {};
        host_.timer = [](void*, uint64_t, void (*)(void*), void*) {};
        host_.get_extension = [](void*, const char*) -> const void* { return nullptr; };
        sink_.struct_size = sizeof sink_;
        sink_.context = this;
        sink_.deliver = [](void* context, uint32_t, meridian_bytes, meridian_bytes, meridian_bytes, uint64_t) {
            static_cast<Node*>(context)->delivered += 1;
            return meridian_status{MERIDIAN_OK};
        };
        sink_.gap = [](void*, uint32_t) {};
        sink_.up = [](void* context, uint64_t) { static_cast<Node*>(context)->up = true; };
        sink_.down = [](void*, meridian_bytes) { die("Redis cannot be reached"); };
        sink_.writable = [](void* context) {
            static_cast<Node*>(context)->writable = true;
            static_cast<Node*>(context)->writable.notify_all();
        };
        done_.struct_size = sizeof done_;
        done_.context = this;
        done_.done = [](void* context, meridian_status status, meridian_bytes, uint64_t) {
            if (status != MERIDIAN_OK) die("a publish failed");
            static_cast<Node*>(context)->completed += 1;
        };
        const auto checked = plugin::check_configuration(plugin, "[transport bench]", {{"url", url}},
                                                         [](const std::string&) { return std::nullopt; });
        if (!checked) die(checked.error().message);
        std::vector<meridian_config_value> values;
        for (const auto& [key, value] : checked->values) values.push_back({key.c_str(), abi::bytes(value)});
        const meridian_config config{sizeof config, static_cast<uint32_t>(values.size()), values.data()};
        const meridian_transport_node node{sizeof node, 0, 1, abi::bytes(name)};
        if (descriptor_.create(&host_, &config, &instance_, nullptr) != MERIDIAN_OK) die("create");
        if (descriptor_.transport->start(instance_, &node, &sink_, nullptr) != MERIDIAN_OK) die("start");
        while (!up) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ~Node() {
        descriptor_.stop(instance_, now_us());
        descriptor_.destroy(instance_);
    }
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    template <class Submit>
    void push(Submit&& submit) {
        for (uint64_t i = 0; i < messages;) {
            writable = false;
            const meridian_status status = submit(*descriptor_.transport, instance_, &done_);
            if (status == MERIDIAN_OK) {
                ++i;
            } else if (status == MERIDIAN_BUSY) {
                writable.wait(false);
            } else {
                die("a publish was refused");
            }
        }
        while (completed < messages) std::this_thread::sleep_for(std::chrono::microseconds(200));
    }

    std::atomic<bool> up{false};
    std::atomic<bool> writable{false};
    std::atomic<uint64_t> completed{0};
    std::atomic<uint64_t> delivered{0};

private:
    const meridian_plugin_descriptor& descriptor_;
    meridian_host host_{};
    meridian_transport_sink sink_{};
    meridian_publish_sink done_{};
    void* instance_ = nullptr;
};

// A redis-server on a Unix socket in a new directory; ends with this.
class Server {
public:
    Server() {
        std::string pattern = (std::filesystem::temp_directory_path() / "redis-bench-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) die("no temporary directory");
        directory_ = pattern;
        const std::string socket = directory_ + "/socket";
        process_ = ::fork();
        if (process_ == 0) {
            const int null = ::open("/dev/null", O_RDWR);
            ::dup2(null, STDOUT_FILENO);
            ::execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket.c_str(), "--save", "",
                     "--client-output-buffer-limit", "pubsub 0 0 0", "--dir", directory_.c_str(),
                     static_cast<char*>(nullptr));
            ::_exit(127);
        }
        while (::access(socket.c_str(), F_OK) != 0) {
            if (::waitpid(process_, nullptr, WNOHANG) == process_) {
                std::filesystem::remove_all(directory_);
                std::puts("redis-server is not installed or does not start: nothing measured");
                std::exit(0);
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
    }
    ~Server() {
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
        std::filesystem::remove_all(directory_);
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    std::string url() const { return "unix://" + directory_ + "/socket"; }

private:
    std::string directory_;
    pid_t process_;
};

void report(const char* work, double seconds, double cpu) {
    std::printf("%-60s %9.0f messages/s, %.2f us of CPU each\n", work, messages / seconds, cpu * 1e6 / messages);
}

void measure(const plugin::LoadedPlugin& plugin, const std::string& url) {
    const std::string bytes(message_bytes, 'x');
    {
        Node a(plugin, "a", url);
        const uint64_t start = now_us();
        const double cpu = cpu_seconds();
        a.push([&](const meridian_transport_functions& functions, void* instance, const meridian_publish_sink* sink) {
            return functions.send(instance, abi::bytes("nobody"), abi::bytes(bytes), sink);
        });
        report("published to nobody", static_cast<double>(now_us() - start) / 1e6, cpu_seconds() - cpu);
    }
    Node a(plugin, "a", url), b(plugin, "b", url);
    const uint64_t start = now_us();
    const double cpu = cpu_seconds();
    a.push([&](const meridian_transport_functions& functions, void* instance, const meridian_publish_sink* sink) {
        return functions.publish(instance, MERIDIAN_CHANNEL_DELTA, abi::bytes("room"), abi::bytes(bytes), sink);
    });
    while (b.delivered < messages) std::this_thread::sleep_for(std::chrono::microseconds(200));
    report("published by one of two nodes, delivered to both", static_cast<double>(now_us() - start) / 1e6,
           cpu_seconds() - cpu);
}

template <class Work>
void measure_formatter(const char* name, Work&& work) {
    const uint64_t start = now_us();
    for (uint64_t i = 0; i < messages; ++i) work();
    std::printf("%-60s %9.0f ns\n", name, static_cast<double>(now_us() - start) * 1e3 / messages);
}

void measure_formatters() {
    const std::string bytes(message_bytes, 'x');
    std::string out;
    out.resize(64 << 20);  // so that neither touches the memory first
    measure_formatter("one PUBLISH into the output buffer", [&] {
        if (out.size() > 60 << 20) out.clear();
        transport_redis::append_publish(out, "meridian:delta:", "room", bytes);
    });
    measure_formatter("the same through hiredis' formatter", [&] {
        if (out.size() > 60 << 20) out.clear();
        const std::string channel = std::string("meridian:delta:") + "room";
        std::array<const char*, 3> words = {"PUBLISH", channel.c_str(), bytes.c_str()};
        const std::array<size_t, 3> sizes = {7, channel.size(), bytes.size()};
        char* command = nullptr;
        const int size = redisFormatCommandArgv(&command, 3, words.data(), sizes.data());
        out.append(command, static_cast<size_t>(size));
        redisFreeCommand(command);
    });
}

}  // namespace

int main(int argc, char** argv) {
    const auto plugin = plugin::load_plugin(TRANSPORT_REDIS_PATH, {}, plugin::Kind::transport);
    if (!plugin) die(plugin.error().message);
    measure_formatters();
    if (argc > 1) {
        measure(*plugin, argv[1]);
    } else {
        const Server server;
        measure(*plugin, server.url());
    }
}
