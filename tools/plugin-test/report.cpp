#include "report.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>
#include <stdexcept>

namespace meridian::plugin_test {
namespace {

Report* current = nullptr;
std::mutex doing_mutex;

}  // namespace

Report* make_report() {
    void* memory = ::mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap of shared memory failed");
    return new (memory) Report;
}

void set_current_report(Report* report) {
    current = report;
}

void set_text(char* out, size_t size, const std::string& text) {
    const size_t count = std::min(size - 1, text.size());
    std::memcpy(out, text.data(), count);
    out[count] = '\0';
}

void note_failure(const std::string& text) {
    if (current != nullptr) set_text(current->detail, sizeof current->detail, text);
}

void doing(const std::string& what) {
    if (current == nullptr) return;
    const std::lock_guard lock(doing_mutex);
    set_text(current->doing, sizeof current->doing, what);
}

}  // namespace meridian::plugin_test
