// Decodes a body in chunked transfer coding (RFC 9112 section 7.1), fed piece by piece. Chunk extensions and
// trailer fields are read and dropped. A value; memory: the body, at most `body_bytes_max`, plus one line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace meridian::http {

class ChunkedBody {
public:
    enum class State : uint8_t { more, complete, malformed, too_large };

    explicit ChunkedBody(size_t body_bytes_max) : body_bytes_max_(body_bytes_max) {}

    // Takes bytes from the front of `input` up to the end of the body at most.
    State feed(std::string_view& input);
    std::string take() { return std::move(body_); }
    size_t bytes() const { return body_.size(); }

private:
    enum class Part : uint8_t { size_line, data, data_end, trailer_line };

    // Moves one line without its CRLF into line_; false while it is incomplete.
    bool read_line(std::string_view& input);
    bool begin_chunk();

    size_t body_bytes_max_;
    std::string body_;
    std::string line_;
    uint64_t chunk_rest_ = 0;
    size_t trailer_bytes_ = 0;
    Part part_ = Part::size_line;
    State state_ = State::more;
};

}  // namespace meridian::http
