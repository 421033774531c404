#include "auth/signing_key_file.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file_descriptor.h"

namespace meridian::server {
namespace {

Error system_error(const std::string& path) {
    return Error{path + ": " + std::strerror(errno)};
}

Result<LoadedSigningKey> read_key(const std::string& path, int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return system_error(path);
    if (!S_ISREG(status.st_mode)) return Error{path + ": not a regular file"};
    if ((status.st_mode & 077) != 0) return Error{path + ": readable or writable by others: expected mode 0600"};
    char text[80];
    const ssize_t size = ::read(fd, text, sizeof text);
    if (size < 0) return system_error(path);
    std::string_view hex(text, static_cast<size_t>(size));
    while (!hex.empty() && (hex.back() == '\n' || hex.back() == '\r')) hex.remove_suffix(1);
    Result<SigningKey> key = SigningKey::from_hex(hex);
    if (!key) return Error{path + ": " + key.error().message};
    return LoadedSigningKey{std::move(key).value(), path, false};
}

// Written under another name, synced and renamed, so that a crash never leaves half a key.
Result<LoadedSigningKey> create_key(const std::string& directory, const std::string& path, Random& random) {
    std::array<uint8_t, 32> seed{};
    random.fill(seed.data(), seed.size());
    char hex[65];
    sodium_bin2hex(hex, sizeof hex, seed.data(), seed.size());
    const std::string text = std::string(hex) + "\n";
    const std::string draft = path + ".new";
    const FileDescriptor file(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file.get() < 0) return system_error(draft);
    if (::fchmod(file.get(), 0600) != 0 ||
        ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
        ::fsync(file.get()) != 0 || ::rename(draft.c_str(), path.c_str()) != 0) {
        return system_error(draft);
    }
    const FileDescriptor parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (parent.get() < 0 || ::fsync(parent.get()) != 0) return system_error(directory);
    return LoadedSigningKey{SigningKey::from_seed(seed), path, true};
}

}  // namespace

Result<LoadedSigningKey> load_signing_key(const std::string& configured, const std::string& data_directory,
                                          bool may_create, Random& random) {
    if (!configured.empty()) {
        Result<SigningKey> key = SigningKey::from_hex(configured);
        if (!key) return key.error();
        return LoadedSigningKey{std::move(key).value(), {}, false};
    }
    const std::string path = data_directory + "/signing.key";
    const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (file.get() >= 0) return read_key(path, file.get());
    if (errno != ENOENT || !may_create) return system_error(path);
    return create_key(data_directory, path, random);
}

}  // namespace meridian::server
