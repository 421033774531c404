#include "protocol/cors.h"

#include <algorithm>

namespace meridian::server {
namespace {

// Those that clients send and that browsers ask for.
constexpr std::string_view request_headers = "authorization, content-type, idempotency-key, x-meridian-op-signature";
constexpr std::string_view signature_header = "x-meridian-op-signature";  // is among them
constexpr std::string_view own_prefix = "x-meridian-";
// Answers to preflights may be kept this long; browsers cut it to what they think fit.
constexpr std::string_view max_age_s = "600";

std::string_view trim(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

template <class Visit>
void for_each_member(std::string_view list, Visit visit) {
    while (!list.empty()) {
        const size_t comma = list.find(',');
        visit(trim(list.substr(0, comma)));
        list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    }
}

bool is_own_header(std::string_view name) {
    return http::equals_ignoring_case(name.substr(0, own_prefix.size()), own_prefix) &&
           std::all_of(name.begin(), name.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
           });
}

}  // namespace

bool is_origin_allowed(std::string_view allowed, std::string_view origin) {
    if (allowed == "*") return true;
    bool found = false;
    for_each_member(allowed, [&](std::string_view member) { found = found || (!member.empty() && member == origin); });
    return found;
}

std::string cors_headers(std::string_view allowed, std::optional<std::string_view> origin) {
    if (allowed.empty()) return {};
    std::string lines = "vary: origin\r\n";
    if (!origin || !is_origin_allowed(allowed, *origin)) return lines;
    lines.append("access-control-allow-origin: ").append(allowed == "*" ? allowed : *origin);
    return lines.append("\r\naccess-control-expose-headers: allow, retry-after\r\n");
}

std::string preflight_headers(std::string_view allowed, const http::RequestHead& head, std::string_view methods) {
    const auto origin = head.header("origin");
    if (allowed.empty() || !origin || !head.header("access-control-request-method")) return {};
    if (!is_origin_allowed(allowed, *origin)) return {};
    std::string lines = "access-control-allow-methods: ";
    lines.append(methods).append("\r\naccess-control-allow-headers: ").append(request_headers);
    for_each_member(head.header("access-control-request-headers").value_or(""), [&lines](std::string_view name) {
        if (is_own_header(name) && !http::equals_ignoring_case(name, signature_header)) lines.append(", ").append(name);
    });
    return lines.append("\r\naccess-control-max-age: ").append(max_age_s).append("\r\n");
}

}  // namespace meridian::server
