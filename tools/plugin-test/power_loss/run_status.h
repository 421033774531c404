// What the child tells the runner: memory that both map, so that a SIGKILL loses none of it.
//
// Threads: atomics; a text is written once, before the atomic that announces it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "model.h"

namespace meridian::power_loss {

enum class Phase : uint64_t { starting, open, open_failed, failed };

struct RunStatus {
    // Of one child; the runner clears them.
    std::atomic<Phase> phase;
    std::atomic<uint64_t> opened_next;     // the store's next position after opening
    std::atomic<uint64_t> submitted_next;  // after the last group that was given to the store
    std::atomic<uint64_t> acknowledged_next;
    std::atomic<uint64_t> acknowledged_groups;
    std::atomic<uint64_t> refused_groups;
    std::atomic<uint64_t> unknown_groups;
    std::atomic<uint64_t> beat_submitted;  // counters of groups that have metadata only
    std::atomic<uint64_t> beat_acknowledged;
    std::atomic<uint64_t> close_wanted;  // 1, set by the runner: stop writing and close the store
    char opened_beat[64];                // value of that metadata after opening
    char text[1024];                     // open_failed: why; failed: what the store did that it must not

    // Kept over all children.
    std::atomic<uint64_t> snapshot_acknowledged[key_count];  // position of the newest snapshot
    std::atomic<uint64_t> removal_requested[removed_key_count];
    std::atomic<uint64_t> removal_acknowledged[removed_key_count];
    std::atomic<uint64_t> floor_requested;

    void clear_child();
    void say(Phase phase_reached, const std::string& what);
};

void copy_text(char* out, size_t size, const std::string& text);

// A file mapped shared.
class StatusFile {
public:
    static Result<std::unique_ptr<StatusFile>> open(const std::string& path, bool create);
    ~StatusFile();
    StatusFile(const StatusFile&) = delete;
    StatusFile& operator=(const StatusFile&) = delete;
    RunStatus& operator*() const { return *status_; }

private:
    explicit StatusFile(RunStatus* status) : status_(status) {}
    RunStatus* status_;
};

}  // namespace meridian::power_loss
