#include "http/response_head.h"

#include <algorithm>

namespace meridian::http {
namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// RFC 9112 section 4. The blank before an absent reason is missing in practice.
HeadProblem take_status_line(std::string_view line, ResponseHead& head) {
    const HeadProblem malformed{400, "malformed status line: expected HTTP/1.1 and a status"};
    if (line.size() < 12 || (line.substr(0, 9) != "HTTP/1.1 " && line.substr(0, 9) != "HTTP/1.0 ")) return malformed;
    head.http_1_0 = line[7] == '0';
    const std::string_view digits = line.substr(9, 3);
    if (!std::all_of(digits.begin(), digits.end(), is_digit)) return malformed;
    if (line.size() > 12 && line[12] != ' ') return malformed;
    head.status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
    if (head.status < 100 || head.status > 599) return malformed;
    return {};
}

}  // namespace

ResponseHeadResult parse_response_head(std::string_view input, const HeadLimits& limits) {
    ResponseHeadResult result;
    HeadProblem problem;
    result.state = read_head(
        input, limits, [&](std::string_view line) { return take_status_line(line, result.head); }, result.head,
        result.size, problem);
    result.message = std::move(problem.message);
    return result;
}

}  // namespace meridian::http
