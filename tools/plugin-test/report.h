// What a check's process tells the kit, in memory that both share, so that it is there whatever becomes of the process.
#pragma once

#include <atomic>
#include <string>

namespace meridian::plugin_test {

enum class Outcome : int { none, passed, failed, skipped };

struct Report {
    std::atomic<Outcome> outcome{Outcome::none};
    char doing[256] = "";     // what the process was at, for one that crashes or hangs
    char detail[16384] = "";  // why it failed or was skipped; or what another process answered
};

// A report in shared memory, for processes forked from now on; never freed.
Report* make_report();

// The report of this process; nothing is noted before it is set.
void set_current_report(Report* report);
// Notes what the process is about to do. Any thread.
void doing(const std::string& what);

// Notes why the check is about to fail.
void note_failure(const std::string& text);

// Bounded and terminated.
void set_text(char* out, size_t size, const std::string& text);

}  // namespace meridian::plugin_test
