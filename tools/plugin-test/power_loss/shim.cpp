// libmeridian-power-loss.so, for LD_PRELOAD: replaces the C library's functions that change files or make them durable.
// What it notes is in journal_format.h. Calls on files outside the watched directory go to the system unchanged.
//
// Syncs of watched files are not passed on: what is durable is what the journal says. (So a run is fast, and does not
// depend on the disk.)
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdint>

#include "shim_journal.h"

namespace {

using namespace meridian::power_loss;

#define EXPORTED extern "C" __attribute__((visibility("default")))

int failed_with(int error) {
    errno = error;
    return -1;
}

// ---- opening

int open_file(int base, const char* path, int flags, mode_t mode) {
    const auto direct = [&] {
        const auto descriptor = static_cast<int>(::syscall(SYS_openat, base, path, flags, mode));
        if (descriptor >= 0 && active()) forget(descriptor);
        return descriptor;
    };
    if (!active() || (flags & O_TMPFILE) == O_TMPFILE) return direct();
    WatchedName where;
    if (!watched_name(base, path, where)) return direct();
    if (const int error = due_fault(Call::open); error != 0) return failed_with(error);
    const Locked lock;
    const std::string full = where.directory + "/" + where.name;
    struct stat before {};
    const bool existed = inspect(full, before);
    if (existed && (flags & O_TRUNC) != 0 && S_ISREG(before.st_mode)) {
        // What truncation cuts off is noted before it happens.
        const auto reader = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, full.c_str(), O_RDONLY | O_CLOEXEC, 0));
        if (reader >= 0) {
            forget(reader);
            const WatchedFile file = look_at(reader);
            if (file.watched && file.size != 0) note_resize(reader, file, 0);
            ::syscall(SYS_close, reader);
            forget(reader);
        }
    }
    const int descriptor = direct();
    if (descriptor >= 0 && !existed && (flags & O_CREAT) != 0) {
        const WatchedFile file = look_at(descriptor);
        if (file.watched) note_name(Kind::add_name, where, file.inode, false);
    }
    return descriptor;
}

mode_t mode_argument(int flags, va_list arguments) {
    const bool given = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
    return given ? static_cast<mode_t>(va_arg(arguments, int)) : 0;
}

// ---- writing

// Does `write` under the lock after noting what it will overwrite. `offset` < 0: at the descriptor's own place.
template <class Write>
ssize_t write_noted(int descriptor, off_t offset, size_t length, const Write& write) {
    if (!active()) return write(length);
    const WatchedFile seen = look_at(descriptor);
    if (!seen.watched || seen.directory || length == 0) return write(length);
    const int error = due_fault(Call::write);
    // A full disk takes nothing; a device that fails may have taken a part.
    if (error == ENOSPC) return failed_with(error);
    if (error != 0) length = length > 1 ? length / 2 : 0;
    const Locked lock;
    const WatchedFile file = look_at(descriptor);
    uint64_t at = static_cast<uint64_t>(offset);
    if (file.appends) {
        at = file.size;
    } else if (offset < 0) {
        at = static_cast<uint64_t>(::syscall(SYS_lseek, descriptor, 0, SEEK_CUR));
    }
    if (error != 0 && length == 0) return failed_with(error);
    const uint64_t sequence = note_write(descriptor, file, at, length);
    const ssize_t written = write(length);
    if (error != 0) return failed_with(error);
    if (written > 0 && file.durable_writes) {
        note_sync(Kind::sync_range, file.inode, sequence, at, static_cast<uint64_t>(written));
    }
    return written;
}

size_t total_length(const iovec* parts, int count) {
    size_t sum = 0;
    for (int i = 0; i < count; ++i) sum += parts[i].iov_len;
    return sum;
}

// The first `length` bytes of the parts.
class ShortenedParts {
public:
    ShortenedParts(const iovec* parts, int count, size_t length) {
        for (int i = 0; i < count && i < IOV_MAX && length > 0; ++i) {
            const size_t take = parts[i].iov_len < length ? parts[i].iov_len : length;
            parts_[count_++] = {parts[i].iov_base, take};
            length -= take;
        }
    }
    const iovec* data() const { return parts_; }
    int count() const { return count_; }

private:
    iovec parts_[IOV_MAX];
    int count_ = 0;
};

ssize_t write_parts(int descriptor, const iovec* parts, int count, off_t offset, bool own_place) {
    return write_noted(descriptor, own_place ? -1 : offset, total_length(parts, count), [&](size_t length) {
        const ShortenedParts shortened(parts, count, length);
        if (own_place) return ::syscall(SYS_writev, descriptor, shortened.data(), shortened.count());
        return ::syscall(SYS_pwritev, descriptor, shortened.data(), shortened.count(), offset, 0L);
    });
}

// ---- sizes

template <class Resize>
int resize_noted(int descriptor, bool extends_only, uint64_t new_size, const Resize& resize) {
    if (!active()) return resize();
    const WatchedFile seen = look_at(descriptor);
    if (!seen.watched || seen.directory) return resize();
    if (const int error = due_fault(Call::allocate); error != 0) return failed_with(error);
    const Locked lock;
    const WatchedFile file = look_at(descriptor);
    if (new_size > file.size || (!extends_only && new_size < file.size)) note_resize(descriptor, file, new_size);
    return resize();
}

int allocate(int descriptor, int mode, off_t offset, off_t length) {
    const auto end = static_cast<uint64_t>(offset + length);
    constexpr int overwriting = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
    const auto direct = [&] { return static_cast<int>(::syscall(SYS_fallocate, descriptor, mode, offset, length)); };
    if ((mode & ~(FALLOC_FL_KEEP_SIZE | overwriting)) != 0 && active() && look_at(descriptor).watched) {
        return failed_with(EOPNOTSUPP);  // moving parts of a file about is not followed
    }
    if ((mode & overwriting) != 0 && active()) {
        const WatchedFile file = look_at(descriptor);
        if (file.watched) {
            const Locked lock;
            note_write(descriptor, look_at(descriptor), static_cast<uint64_t>(offset), static_cast<uint64_t>(length));
        }
    }
    const bool keeps_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;
    return resize_noted(descriptor, true, keeps_size ? 0 : end, direct);
}

// ---- syncs

int sync_noted(uint64_t inode) {
    uint64_t up_to = 0;
    {
        const Locked lock;
        up_to = last_sequence();
        // What a mapped file holds from here on is not covered by this sync.
        renew_mappings(inode);
    }
    const int error = due_fault(Call::sync);
    delay_sync();
    const Locked lock;
    note_sync(error == 0 ? Kind::sync : Kind::sync_failed, inode, up_to);
    return error == 0 ? 0 : failed_with(error);
}

template <class Direct>
int sync_descriptor(int descriptor, const Direct& direct) {
    if (!active()) return direct();
    const WatchedFile file = look_at(descriptor);
    return file.watched ? sync_noted(file.inode) : direct();
}

// ---- names

int rename_noted(int from_base, const char* from, int to_base, const char* to, unsigned flags) {
    const auto direct = [&] { return static_cast<int>(::syscall(SYS_renameat2, from_base, from, to_base, to, flags)); };
    if (!active()) return direct();
    WatchedName source;
    WatchedName target;
    const bool from_ours = watched_name(from_base, from, source);
    const bool to_ours = watched_name(to_base, to, target);
    if (!from_ours && !to_ours) return direct();
    if (from_ours != to_ours || (flags & ~static_cast<unsigned>(RENAME_NOREPLACE)) != 0) return failed_with(EXDEV);
    if (const int error = due_fault(Call::rename); error != 0) return failed_with(error);
    const Locked lock;
    struct stat moved {};
    struct stat replaced {};
    if (!inspect(source.directory + "/" + source.name, moved)) return failed_with(ENOENT);
    const bool replaces = inspect(target.directory + "/" + target.name, replaced) && replaced.st_ino != moved.st_ino;
    if (replaces && !S_ISDIR(replaced.st_mode)) keep(target, replaced.st_ino);
    const uint64_t sequence = note_rename(source, target, moved.st_ino, replaces ? replaced.st_ino : 0);
    const int result = direct();
    if (result != 0) {
        const int error = errno;
        note_cancel(sequence);
        errno = error;
    }
    return result;
}

int remove_noted(int base, const char* path, int flags) {
    const auto direct = [&] { return static_cast<int>(::syscall(SYS_unlinkat, base, path, flags)); };
    WatchedName where;
    if (!active() || !watched_name(base, path, where)) return direct();
    if (const int error = due_fault(Call::unlink); error != 0) return failed_with(error);
    const Locked lock;
    struct stat removed {};
    if (!inspect(where.directory + "/" + where.name, removed)) return direct();
    const bool directory = S_ISDIR(removed.st_mode);
    if (!directory) keep(where, removed.st_ino);
    const int result = direct();
    if (result == 0) note_name(Kind::drop_name, where, removed.st_ino, directory);
    return result;
}

// Runs what makes a name, and notes it.
template <class Make>
int made_noted(int base, const char* path, Call call, const Make& make) {
    WatchedName where;
    if (!active() || !watched_name(base, path, where)) return make();
    if (const int error = due_fault(call); error != 0) return failed_with(error);
    const Locked lock;
    const int result = make();
    struct stat made {};
    if (result == 0 && inspect(where.directory + "/" + where.name, made)) {
        note_name(Kind::add_name, where, made.st_ino, S_ISDIR(made.st_mode));
    }
    return result;
}

// Resolved before any call: dlsym allocates memory, for which mmap may be needed.
using MapFunction = void* (*)(void*, size_t, int, int, int, off_t);
MapFunction next_mmap = nullptr;

__attribute__((constructor)) void resolve() {
    next_mmap = reinterpret_cast<MapFunction>(::dlsym(RTLD_NEXT, "mmap"));
}

void* map_noted(void* address, size_t length, int protection, int flags, int descriptor, off_t offset) {
    void* mapped =
        next_mmap != nullptr
            ? next_mmap(address, length, protection, flags, descriptor, offset)
            : reinterpret_cast<void*>(::syscall(SYS_mmap, address, length, protection, flags, descriptor, offset));
    const bool writable = (flags & MAP_SHARED) != 0 && (protection & PROT_WRITE) != 0;
    if (mapped == MAP_FAILED || !writable || descriptor < 0 || next_mmap == nullptr || !active()) return mapped;
    const Locked lock;
    const WatchedFile file = look_at(descriptor);
    if (file.watched) note_mapping(descriptor, file, mapped, length);
    return mapped;
}

int copied(long descriptor) {
    if (descriptor >= 0 && active()) forget(static_cast<int>(descriptor));
    return static_cast<int>(descriptor);
}

template <class Read>
ssize_t read_checked(int descriptor, const Read& read) {
    if (active() && look_at(descriptor).watched) {
        if (const int error = due_fault(Call::read); error != 0) return failed_with(error);
    }
    return read();
}

}  // namespace

// ---- what is replaced. The C library has two names for most of these; on 64-bit systems they are the same.

EXPORTED int open(const char* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_argument(flags, arguments);
    va_end(arguments);
    return open_file(AT_FDCWD, path, flags, mode);
}
EXPORTED int open64(const char* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_argument(flags, arguments);
    va_end(arguments);
    return open_file(AT_FDCWD, path, flags, mode);
}
EXPORTED int openat(int base, const char* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_argument(flags, arguments);
    va_end(arguments);
    return open_file(base, path, flags, mode);
}
EXPORTED int openat64(int base, const char* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = mode_argument(flags, arguments);
    va_end(arguments);
    return open_file(base, path, flags, mode);
}
EXPORTED int creat(const char* path, mode_t mode) {
    return open_file(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}
EXPORTED int creat64(const char* path, mode_t mode) {
    return open_file(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}
// What code compiled with _FORTIFY_SOURCE calls.
EXPORTED int __open_2(const char* path, int flags) {
    return open_file(AT_FDCWD, path, flags, 0);
}
EXPORTED int __open64_2(const char* path, int flags) {
    return open_file(AT_FDCWD, path, flags, 0);
}
EXPORTED int __openat_2(int base, const char* path, int flags) {
    return open_file(base, path, flags, 0);
}
EXPORTED int __openat64_2(int base, const char* path, int flags) {
    return open_file(base, path, flags, 0);
}
EXPORTED int close(int descriptor) {
    if (active()) forget(descriptor);
    return static_cast<int>(::syscall(SYS_close, descriptor));
}
EXPORTED int dup(int descriptor) {
    return copied(::syscall(SYS_dup, descriptor));
}
EXPORTED int dup2(int descriptor, int target) {
    if (descriptor == target) return ::syscall(SYS_fcntl, descriptor, F_GETFD) < 0 ? -1 : target;
    return copied(::syscall(SYS_dup3, descriptor, target, 0));
}
EXPORTED int dup3(int descriptor, int target, int flags) {
    return copied(::syscall(SYS_dup3, descriptor, target, flags));
}

EXPORTED ssize_t read(int descriptor, void* out, size_t size) {
    return read_checked(descriptor, [&] { return ::syscall(SYS_read, descriptor, out, size); });
}
EXPORTED ssize_t pread(int descriptor, void* out, size_t size, off_t offset) {
    return read_checked(descriptor, [&] { return ::syscall(SYS_pread64, descriptor, out, size, offset); });
}
EXPORTED ssize_t pread64(int descriptor, void* out, size_t size, off_t offset) {
    return pread(descriptor, out, size, offset);
}

EXPORTED ssize_t write(int descriptor, const void* data, size_t size) {
    return write_noted(descriptor, -1, size,
                       [&](size_t length) { return ::syscall(SYS_write, descriptor, data, length); });
}
EXPORTED ssize_t pwrite(int descriptor, const void* data, size_t size, off_t offset) {
    return write_noted(descriptor, offset, size,
                       [&](size_t length) { return ::syscall(SYS_pwrite64, descriptor, data, length, offset); });
}
EXPORTED ssize_t pwrite64(int descriptor, const void* data, size_t size, off_t offset) {
    return pwrite(descriptor, data, size, offset);
}
EXPORTED ssize_t writev(int descriptor, const iovec* parts, int count) {
    return write_parts(descriptor, parts, count, 0, true);
}
EXPORTED ssize_t pwritev(int descriptor, const iovec* parts, int count, off_t offset) {
    return write_parts(descriptor, parts, count, offset, false);
}
EXPORTED ssize_t pwritev64(int descriptor, const iovec* parts, int count, off_t offset) {
    return write_parts(descriptor, parts, count, offset, false);
}

EXPORTED int ftruncate(int descriptor, off_t size) {
    return resize_noted(descriptor, false, static_cast<uint64_t>(size),
                        [&] { return static_cast<int>(::syscall(SYS_ftruncate, descriptor, size)); });
}
EXPORTED int ftruncate64(int descriptor, off_t size) {
    return ftruncate(descriptor, size);
}
EXPORTED int truncate(const char* path, off_t size) {
    const int descriptor = open_file(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
    if (descriptor < 0) return -1;
    const int result = ftruncate(descriptor, size);
    const int error = errno;
    close(descriptor);
    errno = error;
    return result;
}
EXPORTED int truncate64(const char* path, off_t size) {
    return truncate(path, size);
}
EXPORTED int fallocate(int descriptor, int mode, off_t offset, off_t length) {
    return allocate(descriptor, mode, offset, length);
}
EXPORTED int fallocate64(int descriptor, int mode, off_t offset, off_t length) {
    return allocate(descriptor, mode, offset, length);
}
// Gives the error instead of setting errno.
EXPORTED int posix_fallocate(int descriptor, off_t offset, off_t length) {
    return allocate(descriptor, 0, offset, length) == 0 ? 0 : errno;
}
EXPORTED int posix_fallocate64(int descriptor, off_t offset, off_t length) {
    return posix_fallocate(descriptor, offset, length);
}

EXPORTED int fsync(int descriptor) {
    return sync_descriptor(descriptor, [&] { return static_cast<int>(::syscall(SYS_fsync, descriptor)); });
}
EXPORTED int fdatasync(int descriptor) {
    return sync_descriptor(descriptor, [&] { return static_cast<int>(::syscall(SYS_fdatasync, descriptor)); });
}
// Promises nothing about sizes or the disk's own cache, so that for a watched file it makes nothing durable.
EXPORTED int sync_file_range(int descriptor, off_t offset, off_t length, unsigned flags) {
    if (active() && look_at(descriptor).watched) return 0;
    return static_cast<int>(::syscall(SYS_sync_file_range, descriptor, offset, length, flags));
}
EXPORTED int msync(void* address, size_t length, int flags) {
    uint64_t inode = 0;
    if (active()) {
        const Locked lock;
        inode = mapped_inode(address);
    }
    if (inode == 0) return static_cast<int>(::syscall(SYS_msync, address, length, flags));
    return (flags & MS_SYNC) == 0 ? 0 : sync_noted(inode);
}
EXPORTED void sync() {
    if (!active()) {
        ::syscall(SYS_sync);
        return;
    }
    const Locked lock;
    note_sync(Kind::sync_all, 0, last_sequence());
}
EXPORTED int syncfs(int descriptor) {
    if (!active() || !look_at(descriptor).watched) return static_cast<int>(::syscall(SYS_syncfs, descriptor));
    const Locked lock;
    note_sync(Kind::sync_all, 0, last_sequence());
    return 0;
}

EXPORTED int rename(const char* from, const char* to) {
    return rename_noted(AT_FDCWD, from, AT_FDCWD, to, 0);
}
EXPORTED int renameat(int from_base, const char* from, int to_base, const char* to) {
    return rename_noted(from_base, from, to_base, to, 0);
}
EXPORTED int renameat2(int from_base, const char* from, int to_base, const char* to, unsigned flags) {
    return rename_noted(from_base, from, to_base, to, flags);
}
EXPORTED int unlink(const char* path) {
    return remove_noted(AT_FDCWD, path, 0);
}
EXPORTED int unlinkat(int base, const char* path, int flags) {
    return remove_noted(base, path, flags);
}
EXPORTED int rmdir(const char* path) {
    return remove_noted(AT_FDCWD, path, AT_REMOVEDIR);
}
EXPORTED int remove(const char* path) {
    const int result = remove_noted(AT_FDCWD, path, 0);
    return result != 0 && errno == EISDIR ? remove_noted(AT_FDCWD, path, AT_REMOVEDIR) : result;
}
EXPORTED int link(const char* from, const char* to) {
    return made_noted(AT_FDCWD, to, Call::open,
                      [&] { return static_cast<int>(::syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0)); });
}
EXPORTED int linkat(int from_base, const char* from, int to_base, const char* to, int flags) {
    return made_noted(to_base, to, Call::open,
                      [&] { return static_cast<int>(::syscall(SYS_linkat, from_base, from, to_base, to, flags)); });
}
EXPORTED int mkdir(const char* path, mode_t mode) {
    return made_noted(AT_FDCWD, path, Call::mkdir,
                      [&] { return static_cast<int>(::syscall(SYS_mkdirat, AT_FDCWD, path, mode)); });
}
EXPORTED int mkdirat(int base, const char* path, mode_t mode) {
    return made_noted(base, path, Call::mkdir,
                      [&] { return static_cast<int>(::syscall(SYS_mkdirat, base, path, mode)); });
}

EXPORTED void* mmap(void* address, size_t length, int protection, int flags, int descriptor, off_t offset) {
    return map_noted(address, length, protection, flags, descriptor, offset);
}
EXPORTED void* mmap64(void* address, size_t length, int protection, int flags, int descriptor, off_t offset) {
    return map_noted(address, length, protection, flags, descriptor, offset);
}
