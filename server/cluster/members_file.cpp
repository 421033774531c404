#include "cluster/members_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

#include "base/file_descriptor.h"
#include "config/node_identity.h"

namespace meridian::server {
namespace {

constexpr size_t members_max = 10'000;

std::string path_in(const std::string& data_directory) {
    return data_directory + "/members";
}

Error file_error(const std::string& path) {
    return Error{path + ": " + std::strerror(errno)};
}

template <int base>
bool parse(std::string_view text, uint64_t& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
    return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Result<Members> load_members(const std::string& data_directory) {
    const std::string path = path_in(data_directory);
    std::ifstream file(path);
    if (!file) return Members{};
    Members members;
    size_t number = 0;
    for (std::string line; std::getline(file, line);) {
        ++number;
        const size_t blank = line.find(' ');
        uint64_t id = 0, heard_ms = 0;
        const std::string_view text = line;
        if (number > members_max || blank == std::string::npos || !parse<16>(text.substr(0, blank), id) ||
            !parse<10>(text.substr(blank + 1), heard_ms)) {
            return Error{path + ":" + std::to_string(number) + ": '" + line.substr(0, 64) +
                         "': expected the name of a node and a time; without this file the node starts as if it had "
                         "met nobody"};
        }
        members[id] = heard_ms;
    }
    return members;
}

Result<void> save_members(const std::string& data_directory, const Members& members) {
    std::string text;
    for (const auto& [id, heard_ms] : members) text += config::node_id_text(id) + " " + std::to_string(heard_ms) + "\n";
    const std::string path = path_in(data_directory);
    const std::string draft = path + ".new";
    const FileDescriptor file(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.valid() || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
        ::fsync(file.get()) != 0 || ::rename(draft.c_str(), path.c_str()) != 0) {
        return file_error(draft);
    }
    return {};
}

}  // namespace meridian::server
