#include "file_history.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

namespace meridian::power_loss {
namespace {

uint64_t draw(std::mt19937_64& random, uint64_t below) {
    return random() % below;
}

// Nothing, everything, or from one of the states on.
uint64_t draw_cut(const std::vector<uint64_t>& sequences, std::mt19937_64& random) {
    const uint64_t kind = draw(random, 3);
    if (kind == 0 || sequences.empty()) return nothing_lost;
    if (kind == 1) return 0;
    return sequences[static_cast<size_t>(draw(random, sequences.size()))];
}

}  // namespace

LossPattern draw_pattern(std::mt19937_64& random) {
    constexpr LossPattern patterns[] = {LossPattern::nothing,    LossPattern::all,       LossPattern::all,
                                        LossPattern::later_part, LossPattern::one_write, LossPattern::by_page,
                                        LossPattern::by_page,    LossPattern::by_sector};
    return patterns[draw(random, std::size(patterns))];
}

void FileHistory::remember(uint64_t sequence, uint64_t offset, std::string_view old, bool cut_off) {
    for (uint64_t at = 0; at < old.size();) {
        const uint64_t sector = (offset + at) / sector_size;
        const uint64_t end = std::min<uint64_t>(old.size(), (sector + 1) * sector_size - offset);
        Version version;
        version.sequence = sequence;
        version.offset = offset + at;
        version.old = old.substr(static_cast<size_t>(at), static_cast<size_t>(end - at));
        version.cut_off = cut_off;
        sectors_[sector].push_back(std::move(version));
        at = end;
    }
}

void FileHistory::write(uint64_t sequence, uint64_t offset, uint64_t length, uint64_t old_size, std::string_view old) {
    // Behind the old end there were no bytes; if the size is kept they read as zeros.
    std::string before(old);
    before.resize(static_cast<size_t>(length), '\0');
    remember(sequence, offset, before, false);
    if (offset + length > old_size) sizes_.push_back({sequence, old_size, offset + length});
}

void FileHistory::resize(uint64_t sequence, uint64_t old_size, uint64_t new_size, std::string_view old) {
    sizes_.push_back({sequence, old_size, new_size});
    remember(sequence, new_size, old, true);
}

void FileHistory::settle_sector(std::vector<Version>& versions, uint64_t up_to) {
    const auto end = std::find_if(versions.begin(), versions.end(),
                                  [up_to](const Version& version) { return version.sequence > up_to; });
    if (end == versions.begin() || std::prev(end)->poisoned) return;
    versions.erase(versions.begin(), end);
}

void FileHistory::settle(uint64_t up_to) {
    for (auto at = sectors_.begin(); at != sectors_.end();) {
        settle_sector(at->second, up_to);
        at = at->second.empty() ? sectors_.erase(at) : std::next(at);
    }
    sizes_.erase(
        std::remove_if(sizes_.begin(), sizes_.end(), [up_to](const Size& size) { return size.sequence <= up_to; }),
        sizes_.end());
}

void FileHistory::settle_range(uint64_t up_to, uint64_t offset, uint64_t length) {
    const auto end = sectors_.upper_bound((offset + length - 1) / sector_size);
    for (auto at = sectors_.lower_bound(offset / sector_size); at != end;) {
        settle_sector(at->second, up_to);
        at = at->second.empty() ? sectors_.erase(at) : std::next(at);
    }
    sizes_.erase(
        std::remove_if(sizes_.begin(), sizes_.end(), [up_to](const Size& size) { return size.sequence <= up_to; }),
        sizes_.end());
}

void FileHistory::poison(uint64_t up_to) {
    for (auto& [sector, versions] : sectors_) {
        for (Version& version : versions) {
            if (version.sequence <= up_to) version.poisoned = true;
        }
    }
}

std::vector<uint64_t> FileHistory::sequences() const {
    std::set<uint64_t> out;
    for (const auto& [sector, versions] : sectors_) {
        for (const Version& version : versions) out.insert(version.sequence);
    }
    for (const Size& size : sizes_) out.insert(size.sequence);
    return {out.begin(), out.end()};
}

std::map<uint64_t, uint64_t> FileHistory::draw_cuts(LossPattern pattern, std::mt19937_64& random) const {
    const std::vector<uint64_t> all = sequences();
    const uint64_t chosen = all.empty() ? 0 : all[static_cast<size_t>(draw(random, all.size()))];
    std::map<uint64_t, uint64_t> cuts;
    std::map<uint64_t, uint64_t> page_cuts;
    for (const auto& [sector, versions] : sectors_) {
        uint64_t cut = nothing_lost;
        switch (pattern) {
            case LossPattern::nothing:
                break;
            case LossPattern::all:
                cut = 0;
                break;
            case LossPattern::later_part:
                cut = chosen;
                break;
            case LossPattern::one_write:
                if (versions.back().sequence == chosen) cut = chosen;
                break;
            case LossPattern::by_page: {
                const auto [page, added] = page_cuts.try_emplace(sector * sector_size / page_size, 0);
                if (added) page->second = draw_cut(all, random);
                cut = page->second;
                break;
            }
            case LossPattern::by_sector:
                cut = draw_cut(all, random);
                break;
        }
        cuts[sector] = cut;
    }
    return cuts;
}

Result<uint64_t> FileHistory::lose(const std::string& path, LossPattern pattern, uint64_t cut,
                                   std::mt19937_64& random) const {
    uint64_t size_cut = nothing_lost;
    if (pattern == LossPattern::all) size_cut = 0;
    if (pattern != LossPattern::all && pattern != LossPattern::nothing && !sizes_.empty() && draw(random, 2) == 0) {
        size_cut = sizes_[static_cast<size_t>(draw(random, sizes_.size()))].sequence;
    }
    size_cut = std::min(size_cut, cut);
    auto cuts = draw_cuts(pattern, random);
    for (auto& [sector, sector_cut] : cuts) {
        sector_cut = std::min(sector_cut, cut);
        // What a smaller size cut off is there again if the size is lost, and gone if it is not.
        for (const Version& version : sectors_.at(sector)) {
            if (!version.cut_off) continue;
            sector_cut = version.sequence >= size_cut ? std::min(sector_cut, version.sequence)
                                                      : std::max(sector_cut, version.sequence + 1);
        }
    }

    const auto failure = [&](const char* what) { return Error{path + ": " + what + ": " + std::strerror(errno)}; };
    const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (file < 0) return failure("opening it to set it back");
    uint64_t lost = 0;
    bool good = true;
    for (const auto& [sector, versions] : sectors_) {
        const uint64_t sector_cut = cuts.at(sector);
        bool changed = false;
        for (auto at = versions.rbegin(); at != versions.rend() && at->sequence >= sector_cut; ++at) {
            good = good && ::pwrite(file, at->old.data(), at->old.size(), static_cast<off_t>(at->offset)) ==
                               static_cast<ssize_t>(at->old.size());
            changed = true;
        }
        lost += changed ? 1 : 0;
    }
    // Writing may have made the file longer than it is to be.
    struct stat status {};
    good = good && ::fstat(file, &status) == 0;
    uint64_t size = 0;
    if (!sizes_.empty()) {
        size = sizes_.back().new_size;
        for (auto at = sizes_.rbegin(); at != sizes_.rend() && at->sequence >= size_cut; ++at) size = at->old_size;
    }
    if (good && !sizes_.empty()) good = ::ftruncate(file, static_cast<off_t>(size)) == 0;
    const Result<uint64_t> result = good ? Result<uint64_t>(lost) : failure("setting it back");
    ::close(file);
    return result;
}

}  // namespace meridian::power_loss
