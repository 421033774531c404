#include "shim_journal.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

namespace meridian::power_loss {
namespace {

static_assert(sizeof(long) == 8 && sizeof(off_t) == 8, "the shim makes 64-bit system calls");

constexpr int descriptors_max = 65536;
constexpr uint64_t mapping_size_max = 64 << 20;  // larger ones are not followed

// What is known about a descriptor.
constexpr uint8_t unknown = 0;
constexpr uint8_t other = 1;
constexpr uint8_t ours = 2;

struct Fault {
    Call call = Call::open;
    int error = 0;
    uint64_t skip = 0;
    uint64_t count = 0;  // 0: for good
    uint64_t seen = 0;
};

struct Mapping {
    const char* begin = nullptr;
    size_t length = 0;
    uint64_t inode = 0;
    int descriptor = -1;
};

struct State {
    std::string directory;
    std::string journal_directory;
    std::string armed;
    int journal = -1;
    uint64_t device = 0;
    uint64_t sequence = 0;
    uint64_t delay_us = 0;
    std::vector<Fault> faults;
    std::vector<Mapping> mappings;
    std::atomic<uint8_t> descriptors[descriptors_max]{};
};

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_once_t once = PTHREAD_ONCE_INIT;
State* state = nullptr;  // lives as long as the process

[[noreturn]] void die(const char* what) {
    static const char prefix[] = "libmeridian-power-loss.so: ";
    ::syscall(SYS_write, STDERR_FILENO, prefix, sizeof prefix - 1);
    ::syscall(SYS_write, STDERR_FILENO, what, std::strlen(what));
    ::syscall(SYS_write, STDERR_FILENO, "\n", size_t{1});
    ::syscall(SYS_exit_group, 70);
    std::abort();
}

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
}

bool parse_call(const std::string& word, Call& out) {
    static const char* const words[] = {"open", "read", "write", "sync", "allocate", "rename", "unlink", "mkdir"};
    for (int i = 0; i < 8; ++i) {
        if (word == words[i]) {
            out = static_cast<Call>(i);
            return true;
        }
    }
    return false;
}

void parse_faults(State& out, const std::string& text) {
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find(',', at), text.size());
        char call[16] = {};
        char error[16] = {};
        unsigned long long skip = 0;
        unsigned long long count = 0;
        Fault fault;
        if (std::sscanf(text.substr(at, end - at).c_str(), "%15[a-z]:%15[A-Z]:%llu:%llu", call, error, &skip, &count) !=
                4 ||
            !parse_call(call, fault.call)) {
            die("MERIDIAN_POWER_LOSS_FAULT: expected CALL:ERROR:SKIP:COUNT");
        }
        const std::string wanted = error;
        if (wanted != "EIO" && wanted != "ENOSPC") die("MERIDIAN_POWER_LOSS_FAULT: expected EIO or ENOSPC");
        fault.error = wanted == "EIO" ? EIO : ENOSPC;
        fault.skip = skip;
        fault.count = count;
        out.faults.push_back(fault);
        at = end + 1;
    }
}

void start() {
    const std::string directory = environment(environment_directory);
    if (directory.empty()) return;
    auto* made = new State;
    made->directory = directory;
    made->armed = environment(environment_armed);
    made->delay_us = std::strtoull(environment(environment_delay).c_str(), nullptr, 10);
    parse_faults(*made, environment(environment_fault));
    struct stat status {};
    if (::lstat(directory.c_str(), &status) != 0) die("the watched directory does not exist");
    made->device = status.st_dev;
    made->journal_directory = environment(environment_journal);
    if (!made->journal_directory.empty()) {
        const std::string path = made->journal_directory + "/journal";
        const long file =
            ::syscall(SYS_openat, AT_FDCWD, path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (file < 0) die("the journal cannot be opened");
        // Away from the numbers that programs expect.
        made->journal = static_cast<int>(::syscall(SYS_fcntl, file, F_DUPFD_CLOEXEC, 500));
        ::syscall(SYS_close, file);
        if (made->journal < 0) die("the journal cannot be opened");
    }
    state = made;
}

State* current() {
    ::pthread_once(&once, start);
    return state;
}

bool inside(const std::string& path) {
    const std::string& root = state->directory;
    return path.compare(0, root.size(), root) == 0 && (path.size() == root.size() || path[root.size()] == '/');
}

std::string descriptor_path(int descriptor) {
    char link[64];
    std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    char target[PATH_MAX];
    const ssize_t size = ::readlink(link, target, sizeof target);
    return size <= 0 ? std::string() : std::string(target, static_cast<size_t>(size));
}

void append(RecordHeader header, const std::string& names, const std::string& data) {
    if (state->journal < 0) return;
    header.magic = record_magic;
    header.sequence = ++state->sequence;
    header.name_size = names.size();
    header.data_size = data.size();
    const iovec parts[] = {{&header, sizeof header},
                           {const_cast<char*>(names.data()), names.size()},
                           {const_cast<char*>(data.data()), data.size()}};
    const size_t total = sizeof header + names.size() + data.size();
    if (::syscall(SYS_writev, state->journal, parts, 3) != static_cast<long>(total)) die("writing the journal failed");
}

// What the file holds in the range; less at its end.
std::string content(int descriptor, uint64_t offset, uint64_t length) {
    std::string out(static_cast<size_t>(length), '\0');
    size_t filled = 0;
    int reopened = -1;
    while (filled < out.size()) {
        const int from = reopened >= 0 ? reopened : descriptor;
        const long count = ::syscall(SYS_pread64, from, out.data() + filled, out.size() - filled, offset + filled);
        if (count > 0) {
            filled += static_cast<size_t>(count);
        } else if (count == 0) {
            break;
        } else if (errno != EINTR) {
            // Opened for writing only, or for direct I/O.
            if (reopened >= 0) die("reading what a write will overwrite failed");
            char link[64];
            std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
            reopened = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0));
            if (reopened < 0) die("opening a file again for reading failed");
        }
    }
    if (reopened >= 0) ::syscall(SYS_close, reopened);
    out.resize(filled);
    return out;
}

}  // namespace

Locked::Locked() {
    ::pthread_mutex_lock(&mutex);
}
Locked::~Locked() {
    ::pthread_mutex_unlock(&mutex);
}

bool active() {
    return current() != nullptr;
}

int due_fault(Call call) {
    if (state->faults.empty()) return 0;
    if (!state->armed.empty() && ::syscall(SYS_faccessat, AT_FDCWD, state->armed.c_str(), F_OK) != 0) return 0;
    const Locked lock;
    for (Fault& fault : state->faults) {
        if (fault.call != call) continue;
        const uint64_t number = fault.seen++;
        if (number >= fault.skip && (fault.count == 0 || number < fault.skip + fault.count)) return fault.error;
    }
    return 0;
}

WatchedFile look_at(int descriptor) {
    WatchedFile out;
    if (descriptor < 0 || descriptor >= descriptors_max || descriptor == state->journal) return out;
    std::atomic<uint8_t>& known = state->descriptors[descriptor];
    if (known == other) return out;
    struct stat status {};
    const bool found = ::fstat(descriptor, &status) == 0;
    if (!found || (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) || status.st_dev != state->device) {
        if (found) known = other;
        return out;
    }
    if (known == unknown) {
        const bool is_ours = inside(descriptor_path(descriptor));
        known = is_ours ? ours : other;
        if (!is_ours) return out;
    }
    const long flags = ::syscall(SYS_fcntl, descriptor, F_GETFL);
    out.watched = true;
    out.directory = S_ISDIR(status.st_mode);
    out.durable_writes = (flags & O_DSYNC) != 0;
    out.appends = (flags & O_APPEND) != 0;
    out.inode = status.st_ino;
    out.size = static_cast<uint64_t>(status.st_size);
    return out;
}

void forget(int descriptor) {
    if (descriptor >= 0 && descriptor < descriptors_max) state->descriptors[descriptor] = unknown;
}

bool watched_name(int base_descriptor, const char* path, WatchedName& out) {
    if (path == nullptr || *path == '\0') return false;
    std::string full = path;
    if (full[0] != '/' && base_descriptor != AT_FDCWD) full = descriptor_path(base_descriptor) + "/" + full;
    while (full.size() > 1 && full.back() == '/') full.pop_back();
    const size_t slash = full.rfind('/');
    const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : full.substr(0, slash);
    char resolved[PATH_MAX];
    if (::realpath(parent.c_str(), resolved) == nullptr || !inside(resolved)) return false;
    out.directory = resolved;
    out.name = slash == std::string::npos ? full : full.substr(slash + 1);
    struct stat status {};
    if (::lstat(resolved, &status) != 0) return false;
    out.directory_inode = status.st_ino;
    return true;
}

bool inspect(const std::string& path, struct stat& out) {
    return ::lstat(path.c_str(), &out) == 0;
}

uint64_t note_write(int descriptor, const WatchedFile& file, uint64_t offset, uint64_t length) {
    RecordHeader header{};
    header.kind = Kind::write;
    header.inode = file.inode;
    header.a = offset;
    header.b = length;
    header.c = file.size;
    if (state->journal >= 0) append(header, {}, content(descriptor, offset, length));
    return state->sequence;
}

uint64_t note_resize(int descriptor, const WatchedFile& file, uint64_t new_size) {
    RecordHeader header{};
    header.kind = Kind::resize;
    header.inode = file.inode;
    header.a = file.size;
    header.b = new_size;
    const bool shrinks = new_size < file.size && state->journal >= 0;
    append(header, {}, shrinks ? content(descriptor, new_size, file.size - new_size) : std::string());
    return state->sequence;
}

void note_sync(Kind kind, uint64_t inode, uint64_t up_to, uint64_t offset, uint64_t length) {
    RecordHeader header{};
    header.kind = kind;
    header.inode = inode;
    header.a = up_to;
    header.b = offset;
    header.c = length;
    append(header, {}, {});
}

void note_name(Kind kind, const WatchedName& where, uint64_t inode, bool directory) {
    RecordHeader header{};
    header.kind = kind;
    header.inode = where.directory_inode;
    header.a = inode;
    header.b = directory ? 1 : 0;
    append(header, where.name, {});
}

uint64_t note_rename(const WatchedName& from, const WatchedName& to, uint64_t inode, uint64_t replaced) {
    RecordHeader header{};
    header.kind = Kind::rename;
    header.inode = from.directory_inode;
    header.a = to.directory_inode;
    header.b = inode;
    header.c = replaced;
    std::string names = from.name;
    names.push_back('\0');
    names += to.name;
    append(header, names, {});
    return state->sequence;
}

void note_cancel(uint64_t sequence) {
    RecordHeader header{};
    header.kind = Kind::cancel;
    header.a = sequence;
    append(header, {}, {});
}

uint64_t last_sequence() {
    return state->sequence;
}

void keep(const WatchedName& where, uint64_t inode) {
    if (state->journal < 0) return;
    const std::string from = where.directory + "/" + where.name;
    const std::string to = state->journal_directory + "/keep/" + std::to_string(inode);
    const long done = ::syscall(SYS_linkat, AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0);
    if (done != 0 && errno != EEXIST) die("keeping a removed file failed: is the journal on another file system?");
}

void note_mapping(int descriptor, const WatchedFile& file, const void* address, size_t length) {
    if (state->journal < 0 || file.size > mapping_size_max) return;
    Mapping mapping;
    mapping.begin = static_cast<const char*>(address);
    mapping.length = length;
    mapping.inode = file.inode;
    mapping.descriptor = static_cast<int>(::syscall(SYS_fcntl, descriptor, F_DUPFD_CLOEXEC, 500));
    if (mapping.descriptor < 0) die("keeping a mapped file open failed");
    state->mappings.push_back(mapping);
    note_write(descriptor, file, 0, file.size);
}

uint64_t mapped_inode(const void* address) {
    const char* at = static_cast<const char*>(address);
    for (const Mapping& mapping : state->mappings) {
        if (at >= mapping.begin && at < mapping.begin + mapping.length) return mapping.inode;
    }
    return 0;
}

void renew_mappings(uint64_t inode) {
    for (const Mapping& mapping : state->mappings) {
        if (mapping.inode != inode) continue;
        const WatchedFile file = look_at(mapping.descriptor);
        if (file.watched) note_write(mapping.descriptor, file, 0, file.size);
    }
}

void delay_sync() {
    if (state->delay_us == 0) return;
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const auto noise = static_cast<uint64_t>(now.tv_nsec) * 2654435761U >> 7;
    const timespec delay{0, static_cast<long>(noise % (state->delay_us * 1000))};
    ::nanosleep(&delay, nullptr);
}

}  // namespace meridian::power_loss
