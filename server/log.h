// The log: one line an event on standard error, "<time> <level> <message> key=value ...". Under systemd's journal the
// time is left out and the level given as the journal reads it. Values with blanks or quotes are quoted; control
// characters are escaped. Tokens, keys and passwords are never given to it.
//
// The one piece of global state. Threads: any; a line is written whole.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace meridian::server {

enum class LogLevel : uint8_t { error, warning, info, debug };

struct LogField {
    std::string_view key;
    std::string value;
    LogField(std::string_view name, std::string text) : key(name), value(std::move(text)) {}
    LogField(std::string_view name, uint64_t number) : key(name), value(std::to_string(number)) {}
};

void set_log_level(LogLevel level);
LogLevel log_level_from_name(std::string_view name);
void log_line(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

}  // namespace meridian::server
