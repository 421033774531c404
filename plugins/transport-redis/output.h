// Bytes that wait to be written, in pieces: a long queue neither needs one large buffer nor keeps it. A value.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

namespace meridian::transport_redis {

class Output {
public:
    bool empty() const { return pieces_.empty(); }
    // What comes next is to be appended here. Append something: a piece is not empty.
    std::string& back() {
        if (pieces_.empty() || pieces_.back().size() >= piece_bytes) pieces_.emplace_back();
        return pieces_.back();
    }
    // After an append that failed: the piece as it was before.
    void restore_back(size_t size) {
        pieces_.back().resize(size);
        if (size == 0) pieces_.pop_back();
    }
    // REQUIRES: !empty(). What is to be written first.
    std::string_view front() const { return std::string_view(pieces_.front()).substr(written_); }
    void written(size_t bytes) {
        written_ += bytes;
        if (written_ != pieces_.front().size()) return;
        pieces_.pop_front();
        written_ = 0;
    }
    void clear() {
        pieces_.clear();
        written_ = 0;
    }
    void swap(Output& other) noexcept {
        pieces_.swap(other.pieces_);
        std::swap(written_, other.written_);
    }

private:
    static constexpr size_t piece_bytes = 64 << 10;
    std::deque<std::string> pieces_;
    size_t written_ = 0;  // of the first
};

}  // namespace meridian::transport_redis
