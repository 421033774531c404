#include "log.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace meridian::server {
namespace {

std::atomic<LogLevel> level_max{LogLevel::info};

const char* name_of(LogLevel level) {
    switch (level) {
        case LogLevel::error:
            return "error";
        case LogLevel::warning:
            return "warning";
        case LogLevel::info:
            return "info";
        default:
            return "debug";
    }
}

// Levels of syslog(3), which journald reads at the start of a line.
const char* journal_prefix(LogLevel level) {
    switch (level) {
        case LogLevel::error:
            return "<3>";
        case LogLevel::warning:
            return "<4>";
        case LogLevel::info:
            return "<6>";
        default:
            return "<7>";
    }
}

void append_time(std::string& line) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    tm parts{};
    ::gmtime_r(&now.tv_sec, &parts);
    char text[32];
    ::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    char milliseconds[8];
    std::snprintf(milliseconds, sizeof milliseconds, ".%03uZ ", static_cast<unsigned>(now.tv_nsec / 1'000'000) % 1000);
    line.append(text).append(milliseconds);
}

void append_escaped(std::string& line, std::string_view text) {
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            line += {'\\', c};
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned>(c));
            line += escape;
        } else {
            line += c;
        }
    }
}

bool needs_quotes(std::string_view text) {
    if (text.empty()) return true;
    for (const char c : text) {
        if (static_cast<unsigned char>(c) <= 0x20 || c == '"' || c == '=' || c == '\\' || c == 0x7f) return true;
    }
    return false;
}

}  // namespace

void set_log_level(LogLevel level) {
    level_max = level;
}

LogLevel log_level_from_name(std::string_view name) {
    for (const LogLevel level : {LogLevel::error, LogLevel::warning, LogLevel::debug}) {
        if (name == name_of(level)) return level;
    }
    return LogLevel::info;
}

void log_line(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
    if (level > level_max.load(std::memory_order_relaxed)) return;
    static const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
    std::string line;
    if (journal) {
        line += journal_prefix(level);
    } else {
        append_time(line);
        line += name_of(level);
        line += ' ';
    }
    append_escaped(line, message);
    for (const LogField& field : fields) {
        line.append(" ").append(field.key).append("=");
        if (needs_quotes(field.value)) {
            line += '"';
            append_escaped(line, field.value);
            line += '"';
        } else {
            line += field.value;
        }
    }
    line += '\n';
    // One write, so that lines of several threads do not mix. There is nowhere to report a failure to.
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace meridian::server
