#include "file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

namespace meridian::store_kv {
namespace {

// Runs a system call again when a signal interrupted it.
template <class Call>
auto retried(Call call) {
    for (;;) {
        const auto result = call();
        if (result != -1 || errno != EINTR) return result;
    }
}

int code(int result) {
    return result == 0 ? 0 : -errno;
}

class RealFile final : public File {
public:
    explicit RealFile(int descriptor) : descriptor_(descriptor) {}
    ~RealFile() override { ::close(descriptor_); }
    RealFile(const RealFile&) = delete;
    RealFile& operator=(const RealFile&) = delete;

    int64_t read(uint64_t offset, void* out, size_t size) override {
        const auto count = retried([&] { return ::pread(descriptor_, out, size, static_cast<off_t>(offset)); });
        return count < 0 ? -errno : count;
    }
    int64_t write(uint64_t offset, const void* data, size_t size) override {
        const auto count = retried([&] { return ::pwrite(descriptor_, data, size, static_cast<off_t>(offset)); });
        return count < 0 ? -errno : count;
    }
    int sync() override { return code(::fdatasync(descriptor_)); }
    int allocate(uint64_t size) override {
        const int result = retried([&] { return ::fallocate(descriptor_, 0, 0, static_cast<off_t>(size)); });
        if (result == 0) return 0;
        if (errno != EOPNOTSUPP) return -errno;
        // File systems without fallocate: write the zeros ourselves.
        const std::string zeros(1 << 20, '\0');
        for (uint64_t offset = 0; offset < size; offset += zeros.size()) {
            const auto part =
                std::string_view(zeros).substr(0, static_cast<size_t>(std::min<uint64_t>(zeros.size(), size - offset)));
            if (const int error = write_fully(*this, offset, part); error != 0) return error;
        }
        return 0;
    }
    int64_t size() override {
        struct stat status {};
        return ::fstat(descriptor_, &status) == 0 ? status.st_size : -errno;
    }

private:
    int descriptor_;
};

class RealFileSystem final : public FileSystem {
public:
    int open(const std::string& path, std::unique_ptr<File>& out) override { return open_with(path, O_RDWR, out); }
    int create(const std::string& path, std::unique_ptr<File>& out) override {
        return open_with(path, O_RDWR | O_CREAT | O_EXCL, out);
    }
    int rename(const std::string& from, const std::string& to) override {
        return code(::rename(from.c_str(), to.c_str()));
    }
    int remove(const std::string& path) override { return code(::unlink(path.c_str())); }
    int make_directory(const std::string& path) override { return code(::mkdir(path.c_str(), 0700)); }
    int sync_directory(const std::string& path) override {
        const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (descriptor < 0) return -errno;
        const int result = code(::fsync(descriptor));
        ::close(descriptor);
        return result;
    }
    int list(const std::string& path, std::vector<std::string>& out) override {
        DIR* directory = ::opendir(path.c_str());
        if (directory == nullptr) return -errno;
        for (;;) {
            errno = 0;
            const dirent* entry = ::readdir(directory);
            if (entry == nullptr) break;
            const std::string_view name = entry->d_name;
            if (name != "." && name != "..") out.emplace_back(name);
        }
        const int result = -errno;
        ::closedir(directory);
        return result;
    }
    int64_t free_bytes(const std::string& path) override {
        struct statvfs status {};
        if (::statvfs(path.c_str(), &status) != 0) return -errno;
        return static_cast<int64_t>(status.f_bavail * status.f_frsize);
    }

private:
    static int open_with(const std::string& path, int flags, std::unique_ptr<File>& out) {
        const int descriptor = retried([&] { return ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600); });
        if (descriptor < 0) return -errno;
        out = std::make_unique<RealFile>(descriptor);
        return 0;
    }
};

}  // namespace

FileSystem& real_file_system() {
    static RealFileSystem file_system;
    return file_system;
}

int read_fully(File& file, uint64_t offset, void* out, size_t size) {
    auto* bytes = static_cast<char*>(out);
    while (size > 0) {
        const int64_t count = file.read(offset, bytes, size);
        if (count < 0) return static_cast<int>(count);
        if (count == 0) return -ENODATA;
        bytes += count;
        offset += static_cast<uint64_t>(count);
        size -= static_cast<size_t>(count);
    }
    return 0;
}

int write_fully(File& file, uint64_t offset, std::string_view bytes) {
    while (!bytes.empty()) {
        const int64_t count = file.write(offset, bytes.data(), bytes.size());
        if (count < 0) return static_cast<int>(count);
        if (count == 0) return -EIO;  // a device that takes nothing and reports no error
        bytes.remove_prefix(static_cast<size_t>(count));
        offset += static_cast<uint64_t>(count);
    }
    return 0;
}

std::string error_text(int64_t negative_errno) {
    const int number = static_cast<int>(-negative_errno);
    return std::string(std::strerror(number)) + " (" + std::to_string(number) + ")";
}

std::string parent_of(const std::string& path) {
    const size_t end = path.find_last_not_of('/');
    if (end == std::string::npos) return "/";
    const size_t slash = path.find_last_of('/', end);
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace meridian::store_kv
