#include "data_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <vector>

#include "base/file_descriptor.h"
#include "file_system.h"
#include "meridian/plugin.hpp"

namespace meridian::store_kv {
namespace {

constexpr std::string_view first_line = "meridian store-kv";

Error system_error(const std::string& what) {
    return Error{what + ": " + error_text(-errno)};
}

std::string read_start(int descriptor) {
    char buffer[512];
    const ssize_t count = ::pread(descriptor, buffer, sizeof buffer, 0);
    return std::string(buffer, count > 0 ? static_cast<size_t>(count) : 0);
}

std::string take_line(std::string_view& text) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    std::string line(text.substr(0, end));
    text.remove_prefix(end + 1);
    return line;
}

Result<StoreId> parse_format(const std::string& path, std::string_view text) {
    const std::string title = take_line(text);
    const std::string format = take_line(text);
    const std::string id = take_line(text);
    if (title != first_line || format.rfind("format ", 0) != 0) {
        return Error{path + ": not the format file of a store-kv directory: expected '" + std::string(first_line) +
                     "' and 'format N'"};
    }
    unsigned version = 0;
    const auto parsed = std::from_chars(format.data() + 7, format.data() + format.size(), version);
    if (parsed.ec != std::errc() || parsed.ptr != format.data() + format.size() || version == 0) {
        return Error{path + ": found '" + format + "', expected 'format N'"};
    }
    if (version > directory_format) {
        throw abi::Failure(MERIDIAN_NEWER_FORMAT, path + ": the directory has format " + std::to_string(version) +
                                                      ", written by a newer version; this one reads up to format " +
                                                      std::to_string(directory_format));
    }
    StoreId out{};
    const std::string_view digits = std::string_view(id).substr(std::min<size_t>(id.size(), 9));
    bool good = id.rfind("store_id ", 0) == 0 && digits.size() == 2 * out.size();
    for (size_t i = 0; good && i < out.size(); ++i) {
        const char* at = digits.data() + 2 * i;
        const auto byte = std::from_chars(at, at + 2, out[i], 16);
        good = byte.ec == std::errc() && byte.ptr == at + 2;
    }
    if (!good) return Error{path + ": found '" + id + "', expected 'store_id' and 32 hexadecimal digits"};
    return out;
}

}  // namespace

std::string hexadecimal(const StoreId& id) {
    constexpr char digits[] = "0123456789abcdef";
    std::string out;
    for (const uint8_t byte : id) {
        out.push_back(digits[byte >> 4]);
        out.push_back(digits[byte & 15]);
    }
    return out;
}

DataDirectory::DataDirectory(DataDirectory&& other) noexcept
    : path_(std::move(other.path_)),
      store_id_(other.store_id_),
      lock_(std::exchange(other.lock_, -1)),
      was_open_to_others_(other.was_open_to_others_) {}

DataDirectory::~DataDirectory() {
    if (lock_ >= 0) ::close(lock_);
}

Result<void> DataDirectory::lock() {
    const std::string path = path_ + "/LOCK";
    lock_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock_ < 0) return system_error(path);
    if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return system_error(path);
        std::string holder = read_start(lock_);
        while (!holder.empty() && holder.back() == '\n') holder.pop_back();
        throw abi::Failure(MERIDIAN_IN_USE, path_ + ": in use by process " + (holder.empty() ? "(unknown)" : holder) +
                                                "; one process at a time may use a data directory");
    }
    const std::string text = std::to_string(::getpid()) + "\n";
    if (::ftruncate(lock_, 0) != 0 ||
        ::pwrite(lock_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
        return system_error(path);
    }
    return {};
}

Result<void> DataDirectory::write_format(const std::string& path, const StoreId& store_id) {
    const std::string temporary = path + "/FORMAT.new";
    const std::string final_path = path + "/FORMAT";
    const std::string text = std::string(first_line) + "\nformat " + std::to_string(directory_format) + "\nstore_id " +
                             hexadecimal(store_id) + "\n";
    {
        const FileDescriptor file(
            ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (file.get() < 0 || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
            ::fsync(file.get()) != 0) {
            return system_error(temporary);
        }
    }
    if (::rename(temporary.c_str(), final_path.c_str()) != 0) return system_error(final_path);
    if (const int code = real_file_system().sync_directory(path); code != 0)
        return Error{path + ": " + error_text(code)};
    return {};
}

Result<DataDirectory> DataDirectory::open(const std::string& path, const StoreId& fresh_id) {
    DataDirectory out;
    out.path_ = path;
    FileSystem& files = real_file_system();
    if (const int code = files.make_directory(path); code == 0) {
        const std::string parent = parent_of(path);
        if (const int synced = files.sync_directory(parent); synced != 0)
            return Error{parent + ": " + error_text(synced)};
    } else if (code != -EEXIST) {
        return Error{path + ": making the data directory: " + error_text(code)};
    }
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return system_error(path);
    if (!S_ISDIR(status.st_mode)) return Error{path + ": not a directory; 'directory' must name one"};
    if ((status.st_mode & 0077) != 0) {
        out.was_open_to_others_ = true;
        if (::chmod(path.c_str(), 0700) != 0) return system_error(path + ": closing it to other users");
    }
    if (auto locked = out.lock(); !locked) return locked.error();

    const std::string format_path = path + "/FORMAT";
    const FileDescriptor format(::open(format_path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (format.get() >= 0) {
        auto id = parse_format(format_path, read_start(format.get()));
        if (!id) return id.error();
        out.store_id_ = *id;
    } else {
        if (errno != ENOENT) return system_error(format_path);
        std::vector<std::string> names;
        if (const int code = files.list(path, names); code != 0) return Error{path + ": " + error_text(code)};
        for (const std::string& name : names) {
            if (name == "LOCK" || name == "FORMAT.new") continue;
            return Error{path + ": no FORMAT file, but it holds '" + name + "'; a new store needs an empty directory"};
        }
        out.store_id_ = fresh_id;
        if (auto written = write_format(path, fresh_id); !written) return written.error();
    }
    for (const std::string& directory : {out.log_path(), out.snapshots_path()}) {
        if (const int code = files.make_directory(directory); code != 0 && code != -EEXIST) {
            return Error{directory + ": " + error_text(code)};
        }
    }
    if (const int code = files.sync_directory(path); code != 0) return Error{path + ": " + error_text(code)};
    return out;
}

}  // namespace meridian::store_kv
