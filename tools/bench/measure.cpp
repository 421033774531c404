#include "bench/measure.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "base/file_descriptor.h"

namespace meridian::load {
namespace {

uint64_t clock_ns(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

std::string proc_path(pid_t id, const char* name) {
    return "/proc/" + std::to_string(id) + "/" + name;
}

struct Pair {
    FileDescriptor one;
    FileDescriptor other;
};

Result<Pair> connect_to_self() {
    const auto failed = [] { return Error{std::string("loopback: ") + std::strerror(errno)}; };
    const FileDescriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof name;
    auto* address = reinterpret_cast<sockaddr*>(&name);
    if (::bind(listener.get(), address, size) != 0 || ::listen(listener.get(), 1) != 0 ||
        ::getsockname(listener.get(), address, &size) != 0)
        return failed();
    Pair pair{FileDescriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), {}};
    if (::connect(pair.one.get(), address, size) != 0) return failed();
    pair.other = FileDescriptor(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const int on = 1;
    if (!pair.other.valid() || ::setsockopt(pair.one.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        return failed();
    return pair;
}

}  // namespace

uint64_t now_ns() {
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t own_cpu_ns() {
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

std::optional<uint64_t> Process::cpu_ns() const {
    clockid_t clock{};
    if (::clock_getcpuclockid(id_, &clock) != 0) return std::nullopt;
    return clock_ns(clock);
}

std::map<pid_t, uint64_t> Process::thread_cpu_ns() const {
    std::map<pid_t, uint64_t> threads;
    std::error_code gone;
    for (const auto& task : std::filesystem::directory_iterator(proc_path(id_, "task"), gone)) {
        std::ifstream file(task.path() / "schedstat");
        uint64_t cpu_ns = 0;
        if (file >> cpu_ns) threads[static_cast<pid_t>(std::stol(task.path().filename()))] = cpu_ns;
    }
    return threads;
}

std::optional<uint64_t> Process::private_bytes() const {
    std::ifstream file(proc_path(id_, "smaps_rollup"));
    uint64_t kib = 0;
    bool found = false;
    for (std::string line; std::getline(file, line);) {
        if (line.rfind("Private_", 0) != 0 || line.rfind("Private_Hugetlb", 0) == 0) continue;
        kib += std::strtoull(line.c_str() + line.find(':') + 1, nullptr, 10);
        found = true;
    }
    if (!found) return std::nullopt;
    return kib * 1024;
}

std::optional<uint64_t> Process::descriptors() const {
    DIR* directory = ::opendir(proc_path(id_, "fd").c_str());
    if (directory == nullptr) return std::nullopt;
    uint64_t count = 0;
    while (const dirent* entry = ::readdir(directory)) {
        if (entry->d_name[0] != '.') ++count;
    }
    ::closedir(directory);
    return count;
}

Result<double> loopback_pair_ns(size_t bytes) {
    Result<Pair> pair = connect_to_self();
    if (!pair) return pair.error();
    constexpr int batches = 20;
    constexpr int pairs_per_batch = 1000;
    std::vector<char> buffer(bytes);
    std::vector<double> costs;
    for (int batch = 0; batch < batches; ++batch) {
        const uint64_t start = own_cpu_ns();
        for (int i = 0; i < pairs_per_batch; ++i) {
            if (::send(pair->one.get(), buffer.data(), bytes, MSG_NOSIGNAL) != static_cast<ssize_t>(bytes) ||
                ::recv(pair->other.get(), buffer.data(), bytes, MSG_WAITALL) != static_cast<ssize_t>(bytes))
                return Error{std::string("loopback: ") + std::strerror(errno)};
        }
        costs.push_back(static_cast<double>(own_cpu_ns() - start) / pairs_per_batch);
    }
    std::sort(costs.begin(), costs.end());
    return costs[batches / 2];
}

double load_average() {
    double load = 0;
    return ::getloadavg(&load, 1) == 1 ? load : 0;
}

void Histogram::record(uint64_t duration_ns) {
    // Values below 2^sub_bits have a bucket each; above, each power of two has 2^sub_bits.
    const auto width = static_cast<unsigned>(std::bit_width(duration_ns));
    const unsigned shift = width > sub_bits + 1 ? width - sub_bits - 1 : 0;
    ++counts_[(static_cast<size_t>(shift) << sub_bits) + (duration_ns >> shift)];
    ++count_;
}

void Histogram::add(const Histogram& other) {
    for (size_t i = 0; i < buckets; ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
}

uint64_t Histogram::quantile_ns(double part) const {
    const auto wanted = static_cast<uint64_t>(part * static_cast<double>(count_));
    uint64_t seen = 0;
    for (size_t i = 0; i < buckets; ++i) {
        seen += counts_[i];
        if (counts_[i] == 0 || seen < std::max<uint64_t>(wanted, 1)) continue;
        const size_t shift = i < (size_t{2} << sub_bits) ? 0 : (i >> sub_bits) - 1;
        return ((i - (shift << sub_bits) + 1) << shift) - 1;
    }
    return 0;
}

}  // namespace meridian::load
