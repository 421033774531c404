#include "spare_pool.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace meridian::store_kv {

void SparePool::adopt(const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
        unsigned long long number = 0;
        if (std::sscanf(path.c_str() + path.rfind('/') + 1, "spare-%llu.seg", &number) == 1) {
            const std::lock_guard lock(mutex_);
            names_used_ = std::max<uint64_t>(names_used_, number);
        }
        Spare spare;
        spare.path = path;
        const bool usable = count() < count_max_ && file_system_.open(path, spare.file) == 0 &&
                            spare.file->size() == static_cast<int64_t>(segment_size_);
        if (!usable) {
            spare.file.reset();
            file_system_.remove(path);
            continue;
        }
        const std::lock_guard lock(mutex_);
        spares_.push_back(std::move(spare));
    }
}

bool SparePool::take(Spare& out) {
    const std::lock_guard lock(mutex_);
    if (spares_.empty()) return false;
    out = std::move(spares_.back());
    spares_.pop_back();
    return true;
}

std::string SparePool::fresh_path(const char* kind) {
    const std::lock_guard lock(mutex_);
    return directory_ + "/" + kind + "-" + std::to_string(++names_used_) + ".seg";
}

int SparePool::make(uint64_t size, Spare& out) {
    Spare spare;
    spare.path = fresh_path("new");
    int code = file_system_.create(spare.path, spare.file);
    if (code != 0) return code;
    code = spare.file->allocate(size);
    if (code != 0) {
        spare.file.reset();
        file_system_.remove(spare.path);
        return code;
    }
    out = std::move(spare);
    return 0;
}

int SparePool::fill_part(File& file, uint64_t offset) {
    const std::string zeros(static_cast<size_t>(std::min(fill_size, segment_size_ - offset)), '\0');
    if (const int code = write_fully(file, offset, zeros); code != 0) return code;
    // Synced in small steps, so that the log's own syncs do not wait for all of it.
    return file.sync();
}

int SparePool::keep(Spare spare) {
    const std::string path = fresh_path("spare");
    if (const int code = file_system_.rename(spare.path, path); code != 0) {
        file_system_.remove(spare.path);
        return code;
    }
    spare.path = path;
    const std::lock_guard lock(mutex_);
    spares_.push_back(std::move(spare));
    return 0;
}

bool SparePool::recycle(const std::string& path, std::unique_ptr<File>& file, int& code) {
    if (count() >= count_max_ || file->size() != static_cast<int64_t>(segment_size_)) return false;
    Spare spare;
    spare.path = fresh_path("spare");
    if (file_system_.rename(path, spare.path) != 0) return false;
    code = file_system_.sync_directory(directory_);
    if (code != 0) return true;
    spare.file = std::move(file);
    const std::lock_guard lock(mutex_);
    spares_.push_back(std::move(spare));
    return true;
}

size_t SparePool::count() const {
    const std::lock_guard lock(mutex_);
    return spares_.size();
}

}  // namespace meridian::store_kv
