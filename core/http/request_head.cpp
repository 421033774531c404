#include "http/request_head.h"

#include <algorithm>

namespace meridian::http {
namespace {

HeadProblem take_request_line(std::string_view line, RequestHead& head) {
    const size_t first = line.find(' ');
    const size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
    if (second == std::string_view::npos) return {400, "malformed request line"};
    head.method = line.substr(0, first);
    std::string_view target = line.substr(first + 1, second - first - 1);
    const std::string_view version = line.substr(second + 1);
    if (!is_token(head.method) || head.method.size() > 32) return {400, "malformed method"};
    if (target.empty() || version.substr(0, 5) != "HTTP/") return {400, "malformed request line"};
    if (version != "HTTP/1.1" && version != "HTTP/1.0") return {505, "unsupported HTTP version: expected HTTP/1.1"};
    head.http_1_0 = version == "HTTP/1.0";
    const bool printable = std::all_of(target.begin(), target.end(),
                                       [](char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7f; });
    if (!printable) return {400, "malformed request target"};
    if (target.size() > 7 && equals_ignoring_case(target.substr(0, 7), "http://")) {  // absolute form
        const size_t path = target.find_first_of("/?", 7);
        target = path == std::string_view::npos ? std::string_view("/") : target.substr(path);
    }
    const size_t question = target.find('?');
    head.path = target.substr(0, question);
    head.query = question == std::string_view::npos ? std::string_view() : target.substr(question + 1);
    if (head.path != "*" && (head.path.empty() || head.path.front() != '/'))
        return {400, "malformed request target: expected a path"};
    return {};
}

// RFC 9112 section 3.2, RFC 9110 section 10.1.1.
HeadProblem check_request_fields(RequestHead& head) {
    const auto hosts = std::count_if(head.headers.begin(), head.headers.end(),
                                     [](const HeaderField& field) { return equals_ignoring_case(field.name, "host"); });
    if (hosts > 1 || (hosts == 0 && !head.http_1_0)) return {400, "expected exactly one Host header"};
    if (const auto expect = head.header("expect")) {
        if (!equals_ignoring_case(*expect, "100-continue")) return {417, "unsupported Expect: expected 100-continue"};
        head.expects_continue = !head.http_1_0;
    }
    return {};
}

}  // namespace

HeadResult parse_request_head(std::string_view input, const HeadLimits& limits) {
    // RFC 9112 section 2.2: empty lines before the request line are skipped; two suffice for the clients that send
    // them.
    size_t start = 0;
    while (start < 4 && input.substr(start, 2) == "\r\n") start += 2;

    HeadResult result;
    HeadProblem problem;
    result.state = read_head(
        input.substr(start), limits, [&](std::string_view line) { return take_request_line(line, result.head); },
        result.head, result.size, problem);
    result.size += start;
    if (result.state == HeadState::complete) {
        problem = check_request_fields(result.head);
        if (problem.status != 0) result.state = HeadState::refused;
    }
    if (result.state == HeadState::refused) {
        result.status = problem.status;
        result.message = problem.status == 431 ? "request " + problem.message : std::move(problem.message);
    }
    return result;
}

std::optional<std::string_view> query_value(std::string_view query, std::string_view name) {
    while (!query.empty()) {
        const size_t end = query.find('&');
        const std::string_view pair = query.substr(0, end);
        if (pair.size() > name.size() && pair.substr(0, name.size()) == name && pair[name.size()] == '=') {
            return pair.substr(name.size() + 1);
        }
        query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    }
    return std::nullopt;
}

}  // namespace meridian::http
