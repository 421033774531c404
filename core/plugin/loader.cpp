#include "plugin/loader.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/file_descriptor.h"
#include "plugin/elf_file.h"
#include "plugin/plugin_configuration.h"

namespace meridian::plugin {
namespace {

Error failure(const std::string& path, const std::string& what) {
    return Error{"plug-in " + path + ": " + what};
}

std::string octal(mode_t mode) {
    char text[8];
    std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode & 07777));
    return text;
}

// Nobody but root and ourselves may be able to change what is at `path`.
Result<void> check_owner(const std::string& path, const std::string& subject, const struct stat& status) {
    if (status.st_uid != 0 && status.st_uid != ::geteuid()) {
        return failure(path, subject + " is owned by user " + std::to_string(status.st_uid) +
                                 ", expected root or user " + std::to_string(::geteuid()));
    }
    const bool group_is_ours = status.st_gid == 0 || status.st_gid == ::getegid();
    const bool others_may_write =
        (status.st_mode & S_IWOTH) != 0 || ((status.st_mode & S_IWGRP) != 0 && !group_is_ours);
    const bool sticky_directory = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
    if (others_may_write && !sticky_directory) {
        return failure(path, subject + " can be written by other users (mode " + octal(status.st_mode) +
                                 "), expected write permission for the owner only");
    }
    return {};
}

Result<void> check_file(const std::string& path, int descriptor) {
    struct stat status {};
    if (::fstat(descriptor, &status) != 0) return failure(path, std::strerror(errno));
    if (!S_ISREG(status.st_mode)) return failure(path, "not a regular file");
    if (auto owner = check_owner(path, "the file", status); !owner) return owner;
    // The directories above the file that was opened, not above the name that it was opened by.
    char real[PATH_MAX];
    const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
    const ssize_t size = ::readlink(link.c_str(), real, sizeof real);
    if (size <= 0 || real[0] != '/') return failure(path, "its real path cannot be found through " + link);
    std::string directory(real, static_cast<size_t>(size));
    do {
        directory.resize(directory.rfind('/'));
        const std::string shown = directory.empty() ? "/" : directory;
        if (::lstat(shown.c_str(), &status) != 0) return failure(path, shown + ": " + std::strerror(errno));
        if (auto owner = check_owner(path, "the directory " + shown, status); !owner) return owner;
    } while (!directory.empty());
    return {};
}

// Text of an identity that came from a file: bounded, printable.
std::string shown(const char* text, size_t capacity) {
    std::string out(text, ::strnlen(text, capacity));
    for (char& c : out) {
        if (c < ' ' || c > '~') c = '?';
    }
    return out;
}

Result<void> check_identity(const std::string& path, const meridian_identity& identity) {
    if (std::memcmp(identity.magic, MERIDIAN_MAGIC, sizeof identity.magic) != 0) {
        return failure(path, "its note has magic '" + shown(identity.magic, sizeof identity.magic) +
                                 "', expected '" MERIDIAN_MAGIC "'");
    }
    if (identity.abi_major != MERIDIAN_ABI_MAJOR ||
        (MERIDIAN_ABI_MAJOR == 0 && identity.abi_minor != MERIDIAN_ABI_MINOR)) {
        return failure(path, "it was built for plug-in ABI " + std::to_string(identity.abi_major) + "." +
                                 std::to_string(identity.abi_minor) + ", this host has " +
                                 std::to_string(MERIDIAN_ABI_MAJOR) + "." + std::to_string(MERIDIAN_ABI_MINOR));
    }
    if (identity.struct_size < sizeof(meridian_identity)) {
        return failure(path, "its identity has " + std::to_string(identity.struct_size) + " bytes, expected at least " +
                                 std::to_string(sizeof(meridian_identity)));
    }
    if (::strnlen(identity.name, sizeof identity.name) == sizeof identity.name || identity.name[0] == '\0' ||
        ::strnlen(identity.version, sizeof identity.version) == sizeof identity.version) {
        return failure(path, "its name and version must be terminated, and the name not empty");
    }
    return {};
}

Result<void> check_functions(const std::string& path, const meridian_plugin_descriptor& descriptor, Kind kind) {
    const auto incomplete = [&](const char* name) {
        return failure(path, "its descriptor lacks '" + std::string(name) + "'");
    };
    const auto present = [](const auto* table, auto field) { return table->*field != nullptr; };
    if (descriptor.create == nullptr) return incomplete("create");
    if (descriptor.stop == nullptr) return incomplete("stop");
    if (descriptor.destroy == nullptr) return incomplete("destroy");
    if (kind == Kind::store) {
        const meridian_store_functions* store = descriptor.store;
        if (store == nullptr) return incomplete("store");
        // `backup` is the last required field and may itself be null.
        if (!MERIDIAN_HAS(store, meridian_store_functions, backup)) {
            return failure(path, "its store functions have " + std::to_string(store->struct_size) +
                                     " bytes, expected at least " + std::to_string(sizeof(meridian_store_functions)));
        }
        using Table = meridian_store_functions;
        if (!present(store, &Table::opening)) return incomplete("store.opening");
        if (!present(store, &Table::usage)) return incomplete("store.usage");
        if (!present(store, &Table::commit)) return incomplete("store.commit");
        if (!present(store, &Table::read_keys)) return incomplete("store.read_keys");
        if (!present(store, &Table::checkpoint)) return incomplete("store.checkpoint");
        if (!present(store, &Table::stale_keys)) return incomplete("store.stale_keys");
        if (!present(store, &Table::retain_from)) return incomplete("store.retain_from");
        if (!present(store, &Table::read_log)) return incomplete("store.read_log");
        if (!present(store, &Table::scan_keys)) return incomplete("store.scan_keys");
        if (!present(store, &Table::scan_due)) return incomplete("store.scan_due");
        if (!present(store, &Table::read_metadata)) return incomplete("store.read_metadata");
        if (!present(store, &Table::scan_metadata)) return incomplete("store.scan_metadata");
        return {};
    }
    const meridian_transport_functions* transport = descriptor.transport;
    if (transport == nullptr) return incomplete("transport");
    using Table = meridian_transport_functions;
    if (!MERIDIAN_HAS(transport, meridian_transport_functions, resume)) {
        return failure(path, "its transport functions have " + std::to_string(transport->struct_size) +
                                 " bytes, expected at least " + std::to_string(sizeof(meridian_transport_functions)));
    }
    if (!present(transport, &Table::start)) return incomplete("transport.start");
    if (!present(transport, &Table::message_bytes_max)) return incomplete("transport.message_bytes_max");
    if (!present(transport, &Table::address)) return incomplete("transport.address");
    if (!present(transport, &Table::links)) return incomplete("transport.links");
    if (!present(transport, &Table::publish)) return incomplete("transport.publish");
    if (!present(transport, &Table::resume)) return incomplete("transport.resume");
    if ((descriptor.capabilities & MERIDIAN_TRANSPORT_UNICAST) != 0 && !present(transport, &Table::send)) {
        return incomplete("transport.send");
    }
    if ((descriptor.capabilities & MERIDIAN_TRANSPORT_REQUEST) != 0) {
        if (!present(transport, &Table::request)) return incomplete("transport.request");
        if (!present(transport, &Table::cancel)) return incomplete("transport.cancel");
        if (!present(transport, &Table::reply)) return incomplete("transport.reply");
    }
    return {};
}

bool valid_name(std::string_view name) {
    return !name.empty() && name.size() < sizeof(meridian_identity::name) &&
           name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

Result<int> open_file(const std::string& path) {
    // Not blocking: a FIFO must not hold up the start.
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return failure(path, std::string("cannot be opened: ") + std::strerror(errno));
    return descriptor;
}

Result<meridian_identity> check_open_file(const std::string& path, int descriptor) {
    if (auto checked = check_file(path, descriptor); !checked) return checked.error();
    auto identity = read_elf_identity(descriptor, "plug-in " + path);
    if (!identity) return identity.error();
    if (auto checked = check_identity(path, *identity); !checked) return checked.error();
    return identity;
}

// What else it exports could be taken for a symbol of the host or of another plug-in, or shows that it was built in a
// way in which its own libraries are replaced by the host's.
Result<void> check_exports(const std::string& path, int descriptor) {
    const auto names = read_elf_exports(descriptor, "plug-in " + path);
    if (!names) return names.error();
    size_t others = 0;
    const std::string* first = nullptr;
    for (const std::string& name : *names) {
        if (name == MERIDIAN_PLUGIN_ENTRY_NAME) continue;
        if (others++ == 0) first = &name;
    }
    if (others == names->size()) return failure(path, "it does not export '" MERIDIAN_PLUGIN_ENTRY_NAME "'");
    if (others != 0) {
        return failure(path, "it exports " + std::to_string(others) +
                                 " symbols besides '" MERIDIAN_PLUGIN_ENTRY_NAME "', the first is '" +
                                 shown(first->data(), std::min<size_t>(first->size(), 200)) +
                                 "'; expected none (meridian_add_plugin() builds it so)");
    }
    return {};
}

// The entry runs code of the plug-in: an exception, though forbidden, must not end the host without a word.
Result<const meridian_plugin_descriptor*> call_entry(const std::string& path, meridian_plugin_entry entry) {
    try {
        if (const meridian_plugin_descriptor* descriptor = entry()) return descriptor;
    } catch (...) { return failure(path, "'" MERIDIAN_PLUGIN_ENTRY_NAME "' threw an exception"); }
    return failure(path, "'" MERIDIAN_PLUGIN_ENTRY_NAME "' returned no descriptor");
}

}  // namespace

std::string_view kind_name(uint32_t kind) {
    return kind == MERIDIAN_KIND_STORE ? "store" : kind == MERIDIAN_KIND_TRANSPORT ? "transport" : "unknown kind";
}

Result<std::string> find_plugin(std::string_view name_or_path, const std::vector<std::string>& directories) {
    if (!name_or_path.empty() && name_or_path.front() == '/') return std::string(name_or_path);
    if (!valid_name(name_or_path)) {
        return Error{"plug-in '" + std::string(name_or_path) +
                     "': expected an absolute path, or a name of a-z, 0-9 and -"};
    }
    std::string searched;
    for (const std::string& directory : directories) {
        const std::string path = directory + "/" + std::string(name_or_path) + ".so";
        if (::access(path.c_str(), F_OK) == 0) {
            const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), std::free);
            return std::string(real ? real.get() : path.c_str());
        }
        searched += (searched.empty() ? "" : ", ") + directory;
    }
    return Error{"plug-in '" + std::string(name_or_path) + "': no " + std::string(name_or_path) + ".so in " +
                 (searched.empty() ? "the plug-in path, which is empty" : searched)};
}

Result<meridian_identity> read_identity(const std::string& path) {
    auto opened = open_file(path);
    if (!opened) return opened.error();
    const FileDescriptor file(*opened);
    return check_open_file(path, file.get());
}

Result<LoadedPlugin> load_plugin(std::string_view name_or_path, const std::vector<std::string>& directories,
                                 Kind kind) {
    auto path = find_plugin(name_or_path, directories);
    if (!path) return path.error();
    auto opened = open_file(*path);
    if (!opened) return opened.error();
    FileDescriptor file(*opened);
    auto identity = check_open_file(*path, file.get());
    if (!identity) return identity.error();
    if (identity->kind != static_cast<uint32_t>(kind)) {
        return failure(*path, "it is a " + std::string(kind_name(identity->kind)) + " (kind " +
                                  std::to_string(identity->kind) + "), expected a " +
                                  std::string(kind_name(static_cast<uint32_t>(kind))));
    }

    if (auto checked = check_exports(*path, file.get()); !checked) return checked.error();

    const std::string link = "/proc/self/fd/" + std::to_string(file.get());
    void* handle = ::dlopen(link.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == nullptr) {
        const char* text = ::dlerror();
        return failure(*path, std::string("cannot be loaded: ") + (text == nullptr ? "unknown error" : text));
    }
    // glibc finds an object that is already loaded by its name, and the name is /proc/self/fd/N: once a file has been
    // given to dlopen, its number must never be used for another one.
    file.release();
    const auto entry = reinterpret_cast<meridian_plugin_entry>(::dlsym(handle, MERIDIAN_PLUGIN_ENTRY_NAME));
    if (entry == nullptr) return failure(*path, "it does not export '" MERIDIAN_PLUGIN_ENTRY_NAME "'");
    const auto called = call_entry(*path, entry);
    if (!called) return called.error();
    const meridian_plugin_descriptor* descriptor = *called;
    if (std::memcmp(&descriptor->identity, &*identity, sizeof(meridian_identity)) != 0) {
        return failure(*path, "its descriptor says '" + shown(descriptor->identity.name, sizeof identity->name) + "' " +
                                  shown(descriptor->identity.version, sizeof identity->version) +
                                  ", its note something else; both must be the same");
    }
    if (!MERIDIAN_HAS(descriptor, meridian_plugin_descriptor, transport)) {
        return failure(*path, "its descriptor has " + std::to_string(descriptor->struct_size) +
                                  " bytes, expected at least " + std::to_string(sizeof(meridian_plugin_descriptor)));
    }
    if (auto checked = check_functions(*path, *descriptor, kind); !checked) return checked.error();
    if (auto checked = check_declared_keys(*descriptor); !checked) return failure(*path, checked.error().message);
    for (const char* const* extension = descriptor->required_extensions; extension != nullptr && *extension != nullptr;
         ++extension) {
        // This host has no extensions yet.
        return failure(
            *path, "it requires the host extension '" + std::string(*extension) + "', which this host does not have");
    }
    return LoadedPlugin{*path, descriptor};
}

}  // namespace meridian::plugin
