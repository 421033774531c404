#include "http/message_head.h"

#include <algorithm>
#include <charconv>

namespace meridian::http {
namespace {

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_token_character(char c) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
    return std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_field_character(char c) {
    return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

std::string_view trim_blanks(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// Empty when the line was taken, else what is wrong with it.
std::string take_header_line(std::string_view line, MessageHead& head) {
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

// RFC 9112 sections 6 and 9.3.
HeadProblem take_framing(MessageHead& head) {
    size_t lengths = 0;
    bool has_transfer_encoding = false;
    std::string_view transfer_encoding;
    for (const HeaderField& field : head.headers) {
        if (equals_ignoring_case(field.name, "content-length")) {
            ++lengths;
            uint64_t length = 0;
            const char* end = field.value.data() + field.value.size();
            const auto parsed = std::from_chars(field.value.data(), end, length);
            if (field.value.empty() || parsed.ec != std::errc() || parsed.ptr != end)
                return {400, "malformed Content-Length"};
            head.content_length = length;
        }
        if (equals_ignoring_case(field.name, "transfer-encoding")) {
            if (has_transfer_encoding) return {400, "more than one Transfer-Encoding"};
            has_transfer_encoding = true;
            transfer_encoding = field.value;
        }
    }
    if (lengths > 1) return {400, "more than one Content-Length"};
    if (has_transfer_encoding) {
        if (lengths != 0) return {400, "Content-Length together with Transfer-Encoding"};
        if (head.http_1_0) return {400, "Transfer-Encoding in an HTTP/1.0 message"};
        if (!equals_ignoring_case(transfer_encoding, "chunked"))
            return {501, "unsupported Transfer-Encoding: expected chunked"};
        head.chunked = true;
    }
    head.keep_alive = head.http_1_0 ? head.header_has_token("connection", "keep-alive")
                                    : !head.header_has_token("connection", "close");
    return {};
}

}  // namespace

bool equals_ignoring_case(std::string_view text, std::string_view lower_text) {
    return text.size() == lower_text.size() && std::equal(text.begin(), text.end(), lower_text.begin(),
                                                          [](char left, char right) { return lower(left) == right; });
}

bool is_token(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), is_token_character);
}

std::optional<std::string_view> MessageHead::header(std::string_view lower_name) const {
    for (const HeaderField& field : headers) {
        if (equals_ignoring_case(field.name, lower_name)) return field.value;
    }
    return std::nullopt;
}

bool MessageHead::header_has_token(std::string_view lower_name, std::string_view lower_token) const {
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

HeadState read_head(std::string_view input, const HeadLimits& limits,
                    const std::function<HeadProblem(std::string_view)>& first_line, MessageHead& head, size_t& size,
                    HeadProblem& problem) {
    const auto refuse = [&problem](HeadProblem found) {
        problem = std::move(found);
        return HeadState::refused;
    };
    size_t position = 0;
    bool first = true;
    for (;;) {
        const size_t end = input.find('\n', position);
        if (end == std::string_view::npos ? input.size() > limits.bytes_max : end + 1 > limits.bytes_max)
            return refuse({431, "head larger than " + std::to_string(limits.bytes_max) + " bytes"});
        if (end == std::string_view::npos) return HeadState::incomplete;
        if (end == position || input[end - 1] != '\r') return refuse({400, "line ends without CR"});
        const std::string_view line = input.substr(position, end - 1 - position);
        position = end + 1;
        if (line.find('\r') != std::string_view::npos) return refuse({400, "CR inside a line"});
        if (first) {
            if (HeadProblem wrong = first_line(line); wrong.status != 0) return refuse(std::move(wrong));
            first = false;
            continue;
        }
        if (line.empty()) break;
        if (head.headers.size() == limits.headers_max)
            return refuse({431, "more than " + std::to_string(limits.headers_max) + " headers"});
        if (std::string wrong = take_header_line(line, head); !wrong.empty()) return refuse({400, std::move(wrong)});
    }
    size = position;
    if (HeadProblem wrong = take_framing(head); wrong.status != 0) return refuse(std::move(wrong));
    return HeadState::complete;
}

}  // namespace meridian::http
