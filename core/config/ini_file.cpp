#include "config/ini_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "base/file_descriptor.h"
#include "base/utf8.h"

namespace meridian::config {
namespace {

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

bool is_key_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}
bool is_section_character(char c) {
    return is_key_character(c) || c == '-';
}

template <class Predicate>
bool is_word(std::string_view text, Predicate predicate) {
    return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), predicate);
}

Error error_at(const std::string& path, unsigned line, const std::string& what) {
    return Error{path + ":" + std::to_string(line) + ": " + what};
}

// The value of `"..."`, or nothing if the quotes do not fit.
bool unquote(std::string_view text, std::string& out) {
    if (text.size() < 2 || text.back() != '"') return false;
    text = text.substr(1, text.size() - 2);
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '"') return false;
        if (text[i] == '\\') {
            if (i + 1 == text.size() || (text[i + 1] != '"' && text[i + 1] != '\\')) return false;
            ++i;
        }
        out.push_back(text[i]);
    }
    return true;
}

class Scanner {
public:
    explicit Scanner(std::string path) { file_.path = std::move(path); }

    Result<IniFile> scan(std::string_view text) {
        if (text.substr(0, 3) == "\xef\xbb\xbf") text.remove_prefix(3);
        while (!text.empty()) {
            ++line_;
            const size_t end = text.find('\n');
            std::string_view line = text.substr(0, end);
            text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
            if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
            if (Result<void> taken = take(line); !taken) return taken.error();
        }
        return std::move(file_);
    }

private:
    Error error(const std::string& what) const { return error_at(file_.path, line_, what); }

    Result<void> take(std::string_view line) {
        for (const char c : line) {
            if (static_cast<unsigned char>(c) < 0x20 && c != '\t') return error("control character in the line");
        }
        if (!is_valid_utf8(line)) return error("the line is not valid UTF-8");
        line = trim(line);
        if (line.empty() || line.front() == '#' || line.front() == ';') return {};
        return line.front() == '[' ? take_section(line) : take_entry(line);
    }

    Result<void> take_section(std::string_view line) {
        if (line.back() != ']') return error("'" + std::string(line) + "' is not a section: expected [section]");
        const std::string_view inside = trim(line.substr(1, line.size() - 2));
        const size_t space = inside.find(' ');
        const std::string_view kind = inside.substr(0, space);
        const std::string_view name =
            space == std::string_view::npos ? std::string_view() : trim(inside.substr(space + 1));
        if (!is_word(kind, is_section_character) ||
            (space != std::string_view::npos && !is_word(name, is_section_character))) {
            return error("'" + std::string(line) +
                         "' is not a section name: expected [a-z0-9_-]+ and an optional name of such characters");
        }
        if (!sections_seen_.insert(std::string(kind) + ' ' + std::string(name)).second) {
            return error("section " + std::string(line) + " appears twice");
        }
        keys_seen_.clear();
        file_.sections.push_back({std::string(kind), std::string(name), line_, {}});
        return {};
    }

    Result<void> take_entry(std::string_view line) {
        const size_t equals = line.find('=');
        if (equals == std::string_view::npos) {
            return error("'" + std::string(line) + "' is neither [section] nor key = value");
        }
        const std::string_view key = trim(line.substr(0, equals));
        const std::string_view value = trim(line.substr(equals + 1));
        if (!is_word(key, is_key_character)) {
            return error("'" + std::string(key) + "' is not a key: expected [a-z0-9_]+, at most 64 characters");
        }
        if (file_.sections.empty()) return error("key '" + std::string(key) + "' stands before the first section");
        if (!keys_seen_.insert(std::string(key)).second)
            return error("key '" + std::string(key) + "' appears twice in its section");
        if (++entries_ > ini_entries_max) return error("more than " + std::to_string(ini_entries_max) + " keys");
        IniEntry entry{std::string(key), {}, line_};
        if (!value.empty() && value.front() == '"') {
            if (!unquote(value, entry.value))
                return error("the quoted value of '" + entry.key + "' is not well-formed");
        } else {
            entry.value = value;
        }
        file_.sections.back().entries.push_back(std::move(entry));
        return {};
    }

    IniFile file_;
    unsigned line_ = 0;
    size_t entries_ = 0;
    std::set<std::string> sections_seen_;
    std::set<std::string> keys_seen_;
};

}  // namespace

Result<IniFile> parse_ini(std::string path, std::string_view text) {
    if (text.size() > ini_file_bytes_max) {
        return Error{path + ": " + std::to_string(text.size()) + " bytes; at most " +
                     std::to_string(ini_file_bytes_max) + " are read"};
    }
    return Scanner(std::move(path)).scan(text);
}

Result<IniFile> read_ini_file(const std::string& path) {
    // O_NONBLOCK: opening a FIFO must not hang before fstat can refuse it.
    const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file.valid()) return Error{path + ": " + std::strerror(errno)};
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return Error{path + ": " + std::strerror(errno)};
    if (!S_ISREG(status.st_mode)) return Error{path + ": not a regular file"};
    std::string text;
    char buffer[16384];
    for (;;) {
        const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return Error{path + ": " + std::strerror(errno)};
        if (got == 0) break;
        text.append(buffer, static_cast<size_t>(got));
        if (text.size() > ini_file_bytes_max) break;
    }
    return parse_ini(path, text);
}

}  // namespace meridian::config
