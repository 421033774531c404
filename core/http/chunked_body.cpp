#include "http/chunked_body.h"

#include <algorithm>
#include <charconv>

namespace meridian::http {
namespace {
constexpr size_t line_bytes_max = 4096;
constexpr size_t trailer_bytes_max = 16 << 10;
}  // namespace

bool ChunkedBody::read_line(std::string_view& input) {
    const size_t end = input.find('\n');
    const std::string_view piece = input.substr(0, end == std::string_view::npos ? input.size() : end + 1);
    if (line_.size() + piece.size() > line_bytes_max) {
        state_ = State::malformed;
        return false;
    }
    line_.append(piece);
    input.remove_prefix(piece.size());
    if (end == std::string_view::npos) return false;
    if (line_.size() < 2 || line_[line_.size() - 2] != '\r') {
        state_ = State::malformed;
        return false;
    }
    line_.resize(line_.size() - 2);
    return true;
}

bool ChunkedBody::begin_chunk() {
    const std::string_view digits = std::string_view(line_).substr(0, line_.find_first_of("; \t"));
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), chunk_rest_, 16);
    if (digits.empty() || parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) {
        state_ = State::malformed;
        return false;
    }
    if (chunk_rest_ > body_bytes_max_ - body_.size()) {
        state_ = State::too_large;
        return false;
    }
    part_ = chunk_rest_ == 0 ? Part::trailer_line : Part::data;
    line_.clear();
    return true;
}

ChunkedBody::State ChunkedBody::feed(std::string_view& input) {
    while (state_ == State::more && !input.empty()) {
        switch (part_) {
            case Part::size_line:
                if (read_line(input)) begin_chunk();
                break;
            case Part::data: {
                const size_t taken = static_cast<size_t>(std::min<uint64_t>(chunk_rest_, input.size()));
                body_.append(input.substr(0, taken));
                input.remove_prefix(taken);
                chunk_rest_ -= taken;
                if (chunk_rest_ == 0) part_ = Part::data_end;
                break;
            }
            case Part::data_end:
                if (!read_line(input)) break;
                if (!line_.empty()) state_ = State::malformed;
                part_ = Part::size_line;
                break;
            case Part::trailer_line:
                if (!read_line(input)) break;
                trailer_bytes_ += line_.size();
                if (line_.empty()) state_ = State::complete;
                if (trailer_bytes_ > trailer_bytes_max) state_ = State::malformed;
                line_.clear();
                break;
        }
    }
    return state_;
}

}  // namespace meridian::http
