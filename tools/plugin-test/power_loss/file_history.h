// What of one file is not durable: for each sector the states that it went through, and the sizes.
//
// Threads: values, one thread.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace meridian::power_loss {

constexpr uint64_t sector_size = 512;
constexpr uint64_t page_size = 4096;
constexpr uint64_t nothing_lost = UINT64_MAX;

// How much of a file's changes is lost.
enum class LossPattern { nothing, all, later_part, one_write, by_page, by_sector };
LossPattern draw_pattern(std::mt19937_64& random);

class FileHistory {
public:
    // A write of `length` bytes at `offset` to a file of `old_size` bytes; `old` is what of the range was in the file.
    void write(uint64_t sequence, uint64_t offset, uint64_t length, uint64_t old_size, std::string_view old);
    // `old`: what was cut off.
    void resize(uint64_t sequence, uint64_t old_size, uint64_t new_size, std::string_view old);
    // Changes up to this sequence are durable.
    void settle(uint64_t up_to);
    void settle_range(uint64_t up_to, uint64_t offset, uint64_t length);
    // A sync failed: changes up to this sequence are not settled by later syncs, unless the sector is written again.
    void poison(uint64_t up_to);

    bool pending() const { return !sectors_.empty() || !sizes_.empty(); }
    uint64_t sector_count() const { return sectors_.size(); }

    // Sets the file back. Changes with a sequence from `cut` on are lost in any case. Gives the sectors set back.
    Result<uint64_t> lose(const std::string& path, LossPattern pattern, uint64_t cut, std::mt19937_64& random) const;

private:
    struct Version {
        uint64_t sequence = 0;
        uint64_t offset = 0;
        std::string old;
        bool cut_off = false;  // by a smaller size, not by a write
        bool poisoned = false;
    };
    struct Size {
        uint64_t sequence = 0;
        uint64_t old_size = 0;
        uint64_t new_size = 0;
    };
    using Sectors = std::map<uint64_t, std::vector<Version>>;

    void remember(uint64_t sequence, uint64_t offset, std::string_view old, bool cut_off);
    static void settle_sector(std::vector<Version>& versions, uint64_t up_to);
    std::vector<uint64_t> sequences() const;
    // For each sector the sequence from which on it is lost.
    std::map<uint64_t, uint64_t> draw_cuts(LossPattern pattern, std::mt19937_64& random) const;

    Sectors sectors_;
    std::vector<Size> sizes_;
};

}  // namespace meridian::power_loss
