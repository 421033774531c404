#include "plugin_report.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>

#include "base/file_descriptor.h"
#include "plugin/loader.h"
#include "plugin/plugin_configuration.h"
#include "server_version.h"

namespace meridian::server {
namespace {

struct Flag {
    uint32_t bit;
    const char* name;
};
constexpr Flag store_capabilities[] = {
    {MERIDIAN_STORE_SHARED, "shared"}, {MERIDIAN_STORE_BACKUP, "backup"}, {MERIDIAN_STORE_VOLATILE, "volatile"}};
constexpr Flag transport_capabilities[] = {{MERIDIAN_TRANSPORT_BROADCAST, "broadcast"},
                                           {MERIDIAN_TRANSPORT_UNICAST, "unicast"},
                                           {MERIDIAN_TRANSPORT_REQUEST, "request"},
                                           {MERIDIAN_TRANSPORT_ORDERED, "ordered"},
                                           {MERIDIAN_TRANSPORT_RECEIVER_COUNT, "receiver count"},
                                           {MERIDIAN_TRANSPORT_NODE_NAMES, "node names"}};

template <size_t count>
std::string names_of(uint32_t flags, const Flag (&known)[count]) {
    std::string out;
    for (const Flag& flag : known) {
        if ((flags & flag.bit) != 0) out += (out.empty() ? "" : ", ") + std::string(flag.name);
    }
    return out.empty() ? "none" : out;
}

std::string executable_directory() {
    char path[PATH_MAX];
    const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
    const std::string whole(path, size > 0 ? static_cast<size_t>(size) : 0);
    return whole.substr(0, whole.rfind('/'));
}

std::string text_of(const char* text) {
    return text == nullptr ? "" : text;
}

std::string abi_of(const meridian_identity& identity) {
    return std::to_string(identity.abi_major) + "." + std::to_string(identity.abi_minor);
}

// What a value of this key must look like.
std::string expected_value(const meridian_config_key& key) {
    const std::string range = ", " + std::to_string(key.minimum) + " to " + std::to_string(key.maximum);
    switch (key.type) {
        case MERIDIAN_TYPE_INTEGER:
            return "whole number" + range;
        case MERIDIAN_TYPE_BOOLEAN:
            return "true or false";
        case MERIDIAN_TYPE_SIZE:
            return "size (64KiB, 16MiB, ...)" + range + " bytes";
        case MERIDIAN_TYPE_DURATION:
            return "duration (250ms, 10s, ...)" + range + " ms";
        case MERIDIAN_TYPE_PATH:
            return "path";
        case MERIDIAN_TYPE_CHOICE:
            return "one of " + text_of(key.choices);
        default:
            return "text";
    }
}

std::string describe_key(const meridian_config_key& key) {
    std::string out = "  " + std::string(key.name);
    if (key.default_value != nullptr)
        out += " = " + std::string(key.default_value);
    else
        out += (key.flags & MERIDIAN_KEY_REQUIRED) != 0 ? " (required)" : " (no default)";
    out += "\n      " + expected_value(key);
    if (key.environment != nullptr) out += "; variable " + std::string(key.environment);
    if ((key.flags & MERIDIAN_KEY_FILE) != 0) out += "; or " + std::string(key.name) + "_file";
    if ((key.flags & MERIDIAN_KEY_SECRET) != 0) out += "; secret";
    if ((key.flags & MERIDIAN_KEY_RELOADABLE) != 0) out += "; can be reloaded";
    if (key.help != nullptr) out += "\n      " + std::string(key.help);
    return out + "\n";
}

std::string describe(const plugin::LoadedPlugin& loaded) {
    const meridian_plugin_descriptor& descriptor = *loaded.descriptor;
    const meridian_identity& identity = descriptor.identity;
    const bool is_store = identity.kind == MERIDIAN_KIND_STORE;
    std::string out = "file:         " + loaded.path + "\nname:         " + identity.name +
                      "\nkind:         " + std::string(plugin::kind_name(identity.kind)) +
                      "\nversion:      " + identity.version + "\nABI:          " + abi_of(identity) +
                      "\nlicence:      " + text_of(descriptor.licence) +
                      "\nsummary:      " + text_of(descriptor.summary) + "\ncapabilities: " +
                      (is_store ? names_of(descriptor.capabilities, store_capabilities)
                                : names_of(descriptor.capabilities, transport_capabilities)) +
                      "\n";
    if (descriptor.config_key_count == 0) return out + "\nIt has no configuration keys.\n";
    out += std::string("\nkeys of its section, ") + (is_store ? "[store]" : "[transport NAME]") + ":\n\n";
    const auto* at = reinterpret_cast<const unsigned char*>(descriptor.config_keys);
    for (uint64_t i = 0; i < descriptor.config_key_count; ++i, at += descriptor.config_keys->struct_size)
        out += describe_key(*reinterpret_cast<const meridian_config_key*>(at));
    return out;
}

std::string describe_in_line(const plugin::LoadedPlugin& loaded) {
    const meridian_identity& identity = loaded.descriptor->identity;
    std::string out;
    const auto column = [&out](std::string text, size_t width) {
        text.resize(std::max(text.size(), width), ' ');
        out += text + "  ";
    };
    column(identity.name, 16);
    column(std::string(plugin::kind_name(identity.kind)), 9);
    column(identity.version, 8);
    column("ABI " + abi_of(identity), 7);
    return out + loaded.path + "\n";
}

using Describe = std::function<std::string(const plugin::LoadedPlugin&)>;

// Loads the plug-in as what it says that it is.
Result<std::string> load_and_describe(const std::string& path, const Describe& how) {
    const auto identity = plugin::read_identity(path);
    if (!identity) return identity.error();
    const auto loaded = plugin::load_plugin(path, {}, static_cast<plugin::Kind>(identity->kind));
    if (!loaded) return loaded.error();
    return how(*loaded);
}

// A byte that says whether it went well, then the text. Leaves no destructors and no buffers of the parent to run.
[[noreturn]] void report_from_child(int out, const std::string& path, const Describe& how) {
    const Result<std::string> result = load_and_describe(path, how);
    const std::string text = result ? "+" + *result : "-" + result.error().message;
    for (size_t at = 0; at < text.size();) {
        const ssize_t written = ::write(out, text.data() + at, text.size() - at);
        if (written < 0 && errno != EINTR) break;
        if (written > 0) at += static_cast<size_t>(written);
    }
    ::_exit(0);
}

// All that is written until the other end is closed; nothing if that takes too long.
std::optional<std::string> read_all(int in, std::chrono::milliseconds time_max) {
    const auto deadline = std::chrono::steady_clock::now() + time_max;
    std::string text;
    for (;;) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        pollfd ready{in, POLLIN, 0};
        if (left.count() <= 0 || ::poll(&ready, 1, static_cast<int>(left.count())) == 0) return std::nullopt;
        char buffer[4096];
        const ssize_t got = ::read(in, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return text;
        text.append(buffer, static_cast<size_t>(got));
    }
}

Result<std::string> inspect(const std::string& path, const Describe& how, std::chrono::milliseconds time_max) {
    const auto failure = [&path](const std::string& what) { return Error{"plug-in " + path + ": " + what}; };
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return failure(std::string("no pipe: ") + std::strerror(errno));
    const FileDescriptor in(ends[0]);
    FileDescriptor out(ends[1]);
    const pid_t child = ::fork();
    if (child < 0) return failure(std::string("no process: ") + std::strerror(errno));
    if (child == 0) report_from_child(out.get(), path, how);
    out.reset();
    const std::optional<std::string> report = read_all(in.get(), time_max);
    if (!report) ::kill(child, SIGKILL);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (!report) {
        return failure("loading it took more than " + std::to_string(time_max.count()) + " ms, it was given up");
    }
    if (WIFSIGNALED(status)) {
        return failure("loading it ended the process by signal " + std::to_string(WTERMSIG(status)) + " (" +
                       ::strsignal(WTERMSIG(status)) + ")");
    }
    if (report->empty()) {
        return failure("loading it ended the process with exit status " + std::to_string(WEXITSTATUS(status)));
    }
    if (report->front() == '-') return Error{report->substr(1)};
    return report->substr(1);
}

bool is_shared_object(const std::string& name) {
    return name.size() > 3 && name.compare(name.size() - 3, 3, ".so") == 0;
}

}  // namespace

std::vector<std::string> plugin_directories(const std::string& plugin_path) {
    std::vector<std::string> directories;
    if (plugin_path.empty()) {
        const std::string own = executable_directory();
        return {own, std::filesystem::path(own + "/" MERIDIAN_PLUGIN_DIR_FROM_PROGRAM).lexically_normal().string()};
    }
    std::string_view rest = plugin_path;
    while (!rest.empty()) {
        const size_t end = rest.find(':');
        if (end != 0) directories.emplace_back(rest.substr(0, end));
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
    return directories;
}

Result<std::string> describe_plugin(const std::string& file_or_name, const std::vector<std::string>& directories,
                                    std::chrono::milliseconds time_max) {
    std::string path = file_or_name;
    if (path.find('/') == std::string::npos && !is_shared_object(path)) {
        const auto found = plugin::find_plugin(path, directories);
        if (!found) return found.error();
        path = *found;
    }
    return inspect(std::filesystem::absolute(path).lexically_normal().string(), describe, time_max);
}

std::string list_plugins(const std::vector<std::string>& directories) {
    std::string out;
    std::string searched;
    for (const std::string& directory : directories) {
        searched += (searched.empty() ? "" : ", ") + directory;
        std::vector<std::string> files;
        std::error_code ignored;  // a directory that does not exist has no plug-ins
        for (const auto& item : std::filesystem::directory_iterator(directory, ignored)) {
            if (is_shared_object(item.path().filename().string())) files.push_back(item.path().string());
        }
        std::sort(files.begin(), files.end());
        for (const std::string& file : files) {
            const auto line =
                inspect(std::filesystem::absolute(file).string(), describe_in_line, plugin_check_time_max);
            out += line ? *line : "refused: " + line.error().message + "\n";
        }
    }
    return out.empty() ? "no plug-in in " + searched + "\n" : out;
}

}  // namespace meridian::server
