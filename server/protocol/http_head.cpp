#include "protocol/http_head.h"

#include <algorithm>
#include <charconv>

#include "base/utf8.h"

namespace meridian::server {
namespace {

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// RFC 9110 section 5.6.2.
bool is_token_character(char c) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
    return std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
bool is_token(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), is_token_character);
}

bool is_field_character(char c) {
    return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

std::string_view trim_blanks(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

HeadResult refuse(int status, std::string message) {
    HeadResult result;
    result.state = HeadResult::State::refused;
    result.status = status;
    result.message = std::move(message);
    return result;
}

// Empty when the line was taken, else what is wrong with it.
std::string take_request_line(std::string_view line, RequestHead& head) {
    const size_t first = line.find(' ');
    const size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
    if (second == std::string_view::npos) return "malformed request line";
    head.method = line.substr(0, first);
    std::string_view target = line.substr(first + 1, second - first - 1);
    const std::string_view version = line.substr(second + 1);
    if (!is_token(head.method) || head.method.size() > 32) return "malformed method";
    if (target.empty() || version.substr(0, 5) != "HTTP/") return "malformed request line";
    if (version != "HTTP/1.1" && version != "HTTP/1.0") return "unsupported HTTP version: expected HTTP/1.1";
    head.http_1_0 = version == "HTTP/1.0";
    const bool printable = std::all_of(target.begin(), target.end(),
                                       [](char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7f; });
    if (!printable) return "malformed request target";
    if (target.size() > 7 && equals_ignoring_case(target.substr(0, 7), "http://")) {  // absolute form
        const size_t path = target.find_first_of("/?", 7);
        target = path == std::string_view::npos ? std::string_view("/") : target.substr(path);
    }
    const size_t question = target.find('?');
    head.path = target.substr(0, question);
    head.query = question == std::string_view::npos ? std::string_view() : target.substr(question + 1);
    if (head.path != "*" && (head.path.empty() || head.path.front() != '/'))
        return "malformed request target: expected a path";
    return {};
}

std::string take_header_line(std::string_view line, RequestHead& head) {
    if (line.front() == ' ' || line.front() == '\t') return "folded header lines are not accepted";
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return "header line without a colon";
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trim_blanks(line.substr(colon + 1));
    if (!is_token(name)) return "malformed header name";
    if (!std::all_of(value.begin(), value.end(), is_field_character)) return "control character in a header value";
    head.headers.push_back({name, value});
    return {};
}

// Body framing, Host and persistence (RFC 9112 sections 3.2, 6 and 9.3).
HeadResult check_fields(RequestHead& head) {
    size_t hosts = 0;
    size_t lengths = 0;
    bool has_transfer_encoding = false;
    std::string_view transfer_encoding;
    for (const HeaderField& field : head.headers) {
        if (equals_ignoring_case(field.name, "host")) ++hosts;
        if (equals_ignoring_case(field.name, "content-length")) {
            ++lengths;
            uint64_t length = 0;
            const char* end = field.value.data() + field.value.size();
            const auto parsed = std::from_chars(field.value.data(), end, length);
            if (field.value.empty() || parsed.ec != std::errc() || parsed.ptr != end)
                return refuse(400, "malformed Content-Length");
            head.content_length = length;
        }
        if (equals_ignoring_case(field.name, "transfer-encoding")) {
            if (has_transfer_encoding) return refuse(400, "more than one Transfer-Encoding");
            has_transfer_encoding = true;
            transfer_encoding = field.value;
        }
    }
    if (hosts > 1 || (hosts == 0 && !head.http_1_0)) return refuse(400, "expected exactly one Host header");
    if (lengths > 1) return refuse(400, "more than one Content-Length");
    if (has_transfer_encoding) {
        if (lengths != 0) return refuse(400, "Content-Length together with Transfer-Encoding");
        if (head.http_1_0) return refuse(400, "Transfer-Encoding in an HTTP/1.0 request");
        if (!equals_ignoring_case(transfer_encoding, "chunked"))
            return refuse(501, "unsupported Transfer-Encoding: expected chunked");
        head.chunked = true;
    }
    head.keep_alive = head.http_1_0 ? head.header_has_token("connection", "keep-alive")
                                    : !head.header_has_token("connection", "close");
    if (const auto expect = head.header("expect")) {
        if (!equals_ignoring_case(*expect, "100-continue"))
            return refuse(417, "unsupported Expect: expected 100-continue");
        head.expects_continue = !head.http_1_0;
    }
    HeadResult result;
    result.state = HeadResult::State::complete;
    return result;
}

}  // namespace

bool equals_ignoring_case(std::string_view text, std::string_view lower_text) {
    return text.size() == lower_text.size() && std::equal(text.begin(), text.end(), lower_text.begin(),
                                                          [](char left, char right) { return lower(left) == right; });
}

std::optional<std::string_view> RequestHead::header(std::string_view lower_name) const {
    for (const HeaderField& field : headers) {
        if (equals_ignoring_case(field.name, lower_name)) return field.value;
    }
    return std::nullopt;
}

bool RequestHead::header_has_token(std::string_view lower_name, std::string_view lower_token) const {
    for (const HeaderField& field : headers) {
        if (!equals_ignoring_case(field.name, lower_name)) continue;
        std::string_view rest = field.value;
        while (!rest.empty()) {
            const size_t comma = rest.find(',');
            if (equals_ignoring_case(trim_blanks(rest.substr(0, comma)), lower_token)) return true;
            rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
        }
    }
    return false;
}

HeadResult parse_request_head(std::string_view input, const HttpHeadLimits& limits) {
    // RFC 9112 section 2.2: empty lines before the request line are skipped; two suffice for the clients that send
    // them.
    size_t start = 0;
    while (start < 4 && input.substr(start, 2) == "\r\n") start += 2;

    RequestHead head;
    size_t position = start;
    bool first = true;
    for (;;) {
        const size_t end = input.find('\n', position);
        if (end == std::string_view::npos) {
            if (input.size() - start > limits.bytes_max)
                return refuse(431, "request head larger than " + std::to_string(limits.bytes_max) + " bytes");
            return {};
        }
        if (end + 1 - start > limits.bytes_max)
            return refuse(431, "request head larger than " + std::to_string(limits.bytes_max) + " bytes");
        if (end == position || input[end - 1] != '\r') return refuse(400, "line ends without CR");
        const std::string_view line = input.substr(position, end - 1 - position);
        position = end + 1;
        if (line.find('\r') != std::string_view::npos) return refuse(400, "CR inside a line");
        if (first) {
            if (std::string wrong = take_request_line(line, head); !wrong.empty()) {
                const bool version = wrong.rfind("unsupported HTTP version", 0) == 0;
                return refuse(version ? 505 : 400, std::move(wrong));
            }
            first = false;
            continue;
        }
        if (line.empty()) break;
        if (head.headers.size() == limits.headers_max)
            return refuse(431, "more than " + std::to_string(limits.headers_max) + " headers");
        if (std::string wrong = take_header_line(line, head); !wrong.empty()) return refuse(400, std::move(wrong));
    }
    HeadResult result = check_fields(head);
    if (result.state == HeadResult::State::complete) {
        result.size = position;
        result.head = std::move(head);
    }
    return result;
}

std::optional<std::string> percent_decode(std::string_view text) {
    const auto digit = [](char c) -> int {
        if (c >= '0' && c <= '9') return c - '0';
        c = lower(c);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    };
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out.push_back(text[i]);
            continue;
        }
        if (text.size() - i < 3 || digit(text[i + 1]) < 0 || digit(text[i + 2]) < 0) return std::nullopt;
        out.push_back(static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2])));
        i += 2;
    }
    if (!is_valid_utf8(out)) return std::nullopt;
    return out;
}

std::string percent_encode(std::string_view text) {
    constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           std::string_view("-._~").find(c) != std::string_view::npos;
        if (plain) {
            out.push_back(c);
        } else {
            out += {'%', digits[byte >> 4], digits[byte & 15]};
        }
    }
    return out;
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

}  // namespace meridian::server
