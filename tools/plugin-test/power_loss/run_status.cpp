#include "run_status.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace meridian::power_loss {

void copy_text(char* out, size_t size, const std::string& text) {
    const size_t length = std::min(text.size(), size - 1);
    std::memcpy(out, text.data(), length);
    out[length] = '\0';
}

void RunStatus::clear_child() {
    phase = Phase::starting;
    opened_next = 0;
    submitted_next = 0;
    acknowledged_next = 0;
    acknowledged_groups = 0;
    refused_groups = 0;
    unknown_groups = 0;
    beat_submitted = 0;
    beat_acknowledged = 0;
    close_wanted = 0;
    opened_beat[0] = '\0';
    text[0] = '\0';
}

void RunStatus::say(Phase phase_reached, const std::string& what) {
    // The first text counts.
    if (phase == Phase::failed) return;
    copy_text(text, sizeof text, what);
    phase = phase_reached;
}

Result<std::unique_ptr<StatusFile>> StatusFile::open(const std::string& path, bool create) {
    const auto failure = [&] { return Error{path + ": " + std::strerror(errno)}; };
    const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_EXCL : 0), 0600);
    if (file < 0) return failure();
    const bool sized = !create || ::ftruncate(file, sizeof(RunStatus)) == 0;
    void* mapped = sized ? ::mmap(nullptr, sizeof(RunStatus), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
    const Error error = failure();
    ::close(file);
    if (mapped == MAP_FAILED) return error;
    // A new file is all zeros, which is what a new status is.
    auto* status = static_cast<RunStatus*>(mapped);
    return std::unique_ptr<StatusFile>(new StatusFile(status));
}

StatusFile::~StatusFile() {
    ::munmap(status_, sizeof(RunStatus));
}

}  // namespace meridian::power_loss
