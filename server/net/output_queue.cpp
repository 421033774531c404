#include "net/output_queue.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace meridian::server {
namespace {
constexpr size_t pieces_per_write = 64;
// Small replies are gathered in one piece up to this size.
constexpr size_t gather_bytes_max = 4096;
constexpr size_t small_bytes = 256;
constexpr size_t capacity_kept = 2;
}  // namespace

void OutputQueue::push(Kind kind, SharedBytes bytes) {
    bytes_[static_cast<size_t>(kind)] += bytes->size();
    pieces_.push_back({std::move(bytes), {}, 0, kind});
}

void OutputQueue::push(Kind kind, std::string_view bytes) {
    bytes_[static_cast<size_t>(kind)] += bytes.size();
    if (!empty()) {
        Piece& last = pieces_.back();
        if (!last.shared && last.kind == kind && last.own.size() + bytes.size() <= gather_bytes_max) {
            last.own.append(bytes);
            return;
        }
    }
    Piece& piece = pieces_.emplace_back();
    piece.kind = kind;
    if (bytes.size() < small_bytes) piece.own.reserve(small_bytes);  // there may be more like it
    piece.own.append(bytes);
}

void OutputQueue::advance(size_t count) {
    while (count > 0) {
        Piece& piece = pieces_[head_];
        const size_t taken = std::min(count, piece.rest().size());
        piece.sent += taken;
        count -= taken;
        bytes_[static_cast<size_t>(piece.kind)] -= taken;
        if (!piece.rest().empty()) break;
        piece.shared.reset();
        std::string().swap(piece.own);
        ++head_;
    }
    if (empty()) {
        pieces_.clear();
        if (pieces_.capacity() > capacity_kept) std::vector<Piece>().swap(pieces_);
        head_ = 0;
    } else if (head_ > 64 && head_ > pieces_.size() / 2) {
        pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(head_));
        head_ = 0;
    }
}

OutputQueue::Flush OutputQueue::flush(int fd, bool& written, size_t bytes_max) {
    written = false;
    while (!empty()) {
        if (bytes_max == 0) return Flush::more;
        std::array<iovec, pieces_per_write> parts{};
        size_t count = 0;
        size_t offered = 0;
        for (size_t i = head_; i < pieces_.size() && count < parts.size() && offered < bytes_max; ++i) {
            const std::string_view rest = pieces_[i].rest().substr(0, bytes_max - offered);
            if (rest.empty()) continue;
            parts[count].iov_base = const_cast<char*>(rest.data());  // sendmsg does not write there
            parts[count++].iov_len = rest.size();
            offered += rest.size();
        }
        msghdr message{};
        message.msg_iov = parts.data();
        message.msg_iovlen = count;
        const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EINTR) continue;
            return errno == EAGAIN || errno == EWOULDBLOCK ? Flush::blocked : Flush::failed;
        }
        written = written || sent > 0;
        advance(static_cast<size_t>(sent));
        bytes_max -= static_cast<size_t>(sent);
        // A short write means a full socket buffer: the next attempt would only say so again.
        if (static_cast<size_t>(sent) < offered) return Flush::blocked;
    }
    return Flush::done;
}

size_t undelivered_bytes(int fd) {
    int bytes = 0;
    return ::ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? static_cast<size_t>(bytes) : 0;
}

}  // namespace meridian::server
