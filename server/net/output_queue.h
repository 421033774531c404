// What a connection still has to send: pieces that are shared between connections, and its own.
//
// Two classes of bytes are counted apart: deltas, which may be left out for a slow reader before they are queued, and
// replies, which never are. Not thread-safe; belongs to one connection. Empty it holds the memory of a few pieces, for
// the next ones, until it is asked to release it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace meridian::server {

using SharedBytes = std::shared_ptr<const std::string>;

class OutputQueue {
public:
    enum class Kind : uint8_t { reply, delta };
    enum class Flush : uint8_t { done, blocked, more, failed };

    void push(Kind kind, SharedBytes bytes);
    void push(Kind kind, std::string_view bytes);

    bool empty() const { return head_ == pieces_.size(); }
    size_t bytes(Kind kind) const { return bytes_[static_cast<size_t>(kind)]; }
    size_t bytes() const { return bytes_[0] + bytes_[1]; }

    // To be called now and then: an empty queue then holds no memory.
    void release_memory() {
        if (pieces_.empty()) std::vector<Piece>().swap(pieces_);
    }

    // Writes as much as the socket takes, and not more than `bytes_max`: then there is `more`. `written` tells whether
    // there was progress.
    Flush flush(int fd, bool& written, size_t bytes_max = SIZE_MAX);

private:
    struct Piece {
        SharedBytes shared;  // null: `own` holds the bytes
        std::string own;
        size_t sent = 0;
        Kind kind = Kind::reply;
        std::string_view rest() const { return std::string_view(shared ? *shared : own).substr(sent); }
    };
    void advance(size_t count);

    std::vector<Piece> pieces_;
    size_t head_ = 0;  // pieces before it are sent
    size_t bytes_[2] = {0, 0};
};

// What was written to a socket and has not reached the other side. A socket that is closed before that may lose it: any
// byte that still comes from the other side then resets the connection.
size_t undelivered_bytes(int fd);

}  // namespace meridian::server
