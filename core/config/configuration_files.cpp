#include "config/configuration_files.h"

#include <dirent.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>

namespace meridian::config {
namespace {

bool is_drop_in(std::string_view name) {
    constexpr std::string_view ending = ".ini";
    return name.size() > ending.size() && name.front() != '.' && name.substr(name.size() - ending.size()) == ending;
}

Result<std::vector<std::string>> drop_in_files(const std::string& directory) {
    const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(directory.c_str()), ::closedir);
    if (!open) {
        if (errno == ENOENT) return std::vector<std::string>();
        return Error{directory + ": " + std::strerror(errno)};
    }
    std::vector<std::string> files;
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(open.get());
        if (entry == nullptr) {
            if (errno != 0) return Error{directory + ": " + std::strerror(errno)};
            break;
        }
        if (!is_drop_in(entry->d_name)) continue;
        files.push_back(directory + "/" + entry->d_name);
        if (files.size() > drop_in_files_max) {
            return Error{directory + ": more than " + std::to_string(drop_in_files_max) + " files *.ini"};
        }
    }
    std::sort(files.begin(), files.end());
    return files;
}

}  // namespace

Result<std::vector<std::string>> with_drop_in_files(const std::vector<std::string>& named) {
    std::vector<std::string> all;
    std::vector<std::string> directories;
    for (const std::string& file : named) {
        all.push_back(file);
        const size_t slash = file.rfind('/');
        const std::string directory = (slash == std::string::npos ? "" : file.substr(0, slash + 1)) + "conf.d";
        if (std::find(directories.begin(), directories.end(), directory) != directories.end()) continue;
        directories.push_back(directory);
        Result<std::vector<std::string>> found = drop_in_files(directory);
        if (!found) return found.error();
        all.insert(all.end(), found->begin(), found->end());
    }
    return all;
}

}  // namespace meridian::config
