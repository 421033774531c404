#include "api/backup_api.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "base/file_descriptor.h"
#include "base/json_writer.h"
#include "http/request_head.h"
#include "log.h"
#include "net/edge_loop.h"
#include "node/store.h"
#include "protocol/percent.h"

namespace meridian::server {
namespace {

bool is_backup_name(const std::string& name) {
    return !name.empty() && name.size() <= 64 && name.front() != '.' &&
           std::all_of(name.begin(), name.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                      c == '_' || c == '.';
           });
}

std::string name_of_time(uint64_t wall_ms) {
    const auto time = static_cast<time_t>(wall_ms / 1000);
    tm parts{};
    ::gmtime_r(&time, &parts);
    char text[32];
    return std::string(text, ::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts));
}

HttpResponse made(const std::string& directory, uint64_t duration_ms) {
    JsonWriter json;
    json.begin_object();
    json.key("directory");
    json.string(directory);
    json.key("duration_ms");
    json.number(duration_ms);
    json.end_object();
    HttpResponse response;
    response.content_type = "application/json";
    response.body = json.take();
    return response;
}

}  // namespace

void begin_backup(EdgeLoop& edge, const HttpRequest& request, std::function<void(HttpResponse)> answer) {
    if (!request.session->claims.permissions.admin || !request.local) {
        return answer(error_response(403, "forbidden", "expected an admin token and a client on the node's machine"));
    }
    std::string name = name_of_time(edge.wall_ms());
    if (const auto given = http::query_value(request.query, "name")) {
        name = percent_decode(*given).value_or("");
        if (!is_backup_name(name)) {
            return answer(error_response(400, "invalid_name", "name: expected [A-Za-z0-9._-]{1,64}, no dot in front"));
        }
    }
    const config::Settings& settings = edge.settings();
    const std::string parent = settings.backup_dir.empty() ? settings.data_dir + "/backups" : settings.backup_dir;
    if (::mkdir(parent.c_str(), 0700) == 0) {
        const std::string above = std::filesystem::absolute(parent).parent_path();
        const FileDescriptor directory(::open(above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!directory.valid() || ::fsync(directory.get()) != 0) {
            return answer(error_response(500, "backup_failed", above + ": " + std::strerror(errno)));
        }
    } else if (errno != EEXIST) {
        return answer(error_response(500, "backup_failed", parent + ": " + std::strerror(errno)));
    }
    const std::string directory = parent + "/" + name;
    struct stat status {};
    if (::lstat(directory.c_str(), &status) == 0) {
        return answer(error_response(409, "exists", directory + ": there is something already"));
    }
    log_line(LogLevel::info, "backup begins", {{"directory", directory}});
    const uint64_t begun_us = edge.now_us();
    edge.shared().store->backup(directory, [&edge, directory, begun_us, answer = std::move(answer)](std::string error) {
        edge.loop().post([&edge, directory, begun_us, answer, error = std::move(error)] {
            const uint64_t duration_ms = (edge.now_us() - begun_us) / 1000;
            if (!error.empty()) {
                log_line(LogLevel::error, "backup failed", {{"directory", directory}, {"error", error}});
                return answer(error_response(500, "backup_failed", error));
            }
            log_line(LogLevel::info, "backup made", {{"directory", directory}, {"duration_ms", duration_ms}});
            answer(made(directory, duration_ms));
        });
    });
}

}  // namespace meridian::server
