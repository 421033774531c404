#include "spare_pool.h"

#include <algorithm>
#include <cerrno>

namespace meridian::store_kv {

void SparePool::adopt(const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
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

std::string SparePool::fresh_path() {
    const std::lock_guard lock(mutex_);
    return directory_ + "/new-" + std::to_string(++names_used_) + ".seg";
}

int SparePool::make(uint64_t size, Spare& out) {
    Spare spare;
    spare.path = fresh_path();
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

int SparePool::keep(Spare spare, const std::string& name) {
    const size_t slash = name.rfind('/');
    const std::string path = directory_ + "/spare-" + name.substr(slash + 1);
    if (const int code = file_system_.rename(spare.path, path); code != 0) {
        file_system_.remove(spare.path);
        return code;
    }
    spare.path = path;
    const std::lock_guard lock(mutex_);
    spares_.push_back(std::move(spare));
    return 0;
}

bool SparePool::recycle(const std::string& path, uint64_t number, std::unique_ptr<File>& file) {
    if (count() >= count_max_ || file->size() != static_cast<int64_t>(segment_size_)) return false;
    Spare spare;
    spare.path = directory_ + "/spare-old-" + std::to_string(number) + ".seg";
    if (file_system_.rename(path, spare.path) != 0) return false;
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
