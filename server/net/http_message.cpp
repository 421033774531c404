#include "net/http_message.h"

#include "base/json_writer.h"
#include "protocol/percent.h"

namespace meridian::server {
namespace {

std::vector<std::string_view> segments_of(std::string_view path) {
    std::vector<std::string_view> segments;
    while (!path.empty() && segments.size() < 8) {
        const size_t start = path.find_first_not_of('/');
        if (start == std::string_view::npos) break;
        path.remove_prefix(start);
        const size_t end = path.find('/');
        segments.push_back(path.substr(0, end));
        path.remove_prefix(end == std::string_view::npos ? path.size() : end);
    }
    return segments;
}

std::optional<Route> namespace_route(const std::vector<std::string_view>& segments) {
    const size_t count = segments.size();
    const std::string_view kind = segments[3];
    if (kind == "crdts" && count == 5) return Route::crdt_value;
    if (kind == "crdts" && count == 6 && segments[5] == "ops") return Route::crdt_ops;
    if (kind == "crdts" && count == 6 && segments[5] == "sync") return Route::crdt_sync;
    if (kind == "tokens" && count == 4) return Route::tokens;
    if (kind == "tokens" && count == 5 && segments[4] == "me") return Route::tokens_me;
    if (kind == "connect" && count == 4) return Route::connect;
    if (kind == "sessions" && count == 5) return Route::sessions;
    return std::nullopt;
}

}  // namespace

std::optional<RoutedPath> route_path(std::string_view path) {
    const std::vector<std::string_view> segments = segments_of(path);
    RoutedPath routed;
    if (segments.size() == 2 && segments[0] == "health") {
        if (segments[1] == "live") return routed;
        if (segments[1] != "ready" && segments[1] != "converged") return std::nullopt;
        routed.route = segments[1] == "ready" ? Route::health_ready : Route::health_converged;
        return routed;
    }
    if (segments.size() == 1 && segments[0] == "metrics") {
        routed.route = Route::metrics;
        return routed;
    }
    if (segments.size() == 2 && segments[0] == "v1" && segments[1] == "backup" && path.back() != '/') {
        routed.route = Route::backup;
        return routed;
    }
    if (segments.size() >= 2 && segments[0] == "v1" && segments[1] == "cluster" && path.back() != '/') {
        if (segments.size() == 2) {
            routed.route = Route::cluster_status;
        } else if (segments.size() == 3 && segments[2] == "digests") {
            routed.route = Route::cluster_digests;
        } else if (segments.size() == 3 && segments[2] == "namespaces") {
            routed.route = Route::cluster_namespaces;
        } else {
            return std::nullopt;
        }
        return routed;
    }
    // A trailing slash after the last segment names another path.
    if (segments.size() < 4 || segments[0] != "v1" || segments[1] != "namespaces" || path.back() == '/')
        return std::nullopt;
    const auto route = namespace_route(segments);
    if (!route) return std::nullopt;
    routed.route = *route;
    const auto namespace_name = percent_decode(segments[2]);
    const auto argument = percent_decode(segments.size() > 4 ? segments[4] : std::string_view());
    routed.valid = namespace_name && argument;
    if (routed.valid) {
        routed.namespace_name = *namespace_name;
        routed.argument = *argument;
    }
    return routed;
}

const char* allowed_methods(Route route) {
    switch (route) {
        case Route::crdt_ops:
        case Route::tokens:
        case Route::backup:
            return "POST, OPTIONS";
        case Route::sessions:
            return "DELETE, OPTIONS";
        case Route::connect:
            return "GET, OPTIONS";
        default:
            return "GET, HEAD, OPTIONS";
    }
}

bool is_method_allowed(Route route, std::string_view method) {
    const std::string_view allowed = allowed_methods(route);
    return allowed.substr(0, allowed.find(',')) == method || (method == "HEAD" && allowed == "GET, HEAD, OPTIONS");
}

bool needs_token(Route route) {
    return route != Route::health_live && route != Route::health_ready && route != Route::health_converged;
}

HttpResponse error_response(int status, std::string_view code, std::string_view message) {
    JsonWriter json;
    json.begin_object();
    json.key("detail");
    json.string(message);
    json.key("error");
    json.string(code);
    json.key("message");
    json.string(message);
    json.end_object();
    HttpResponse response;
    response.status = status;
    response.content_type = "application/json";
    response.body = json.take();
    return response;
}

const char* reason_phrase(int status) {
    switch (status) {
        case 101:
            return "Switching Protocols";
        case 200:
            return "OK";
        case 204:
            return "No Content";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 408:
            return "Request Timeout";
        case 413:
            return "Content Too Large";
        case 415:
            return "Unsupported Media Type";
        case 417:
            return "Expectation Failed";
        case 422:
            return "Unprocessable Content";
        case 426:
            return "Upgrade Required";
        case 429:
            return "Too Many Requests";
        case 431:
            return "Request Header Fields Too Large";
        case 500:
            return "Internal Server Error";
        case 501:
            return "Not Implemented";
        case 503:
            return "Service Unavailable";
        case 505:
            return "HTTP Version Not Supported";
        default:
            return "Unknown";
    }
}

}  // namespace meridian::server
