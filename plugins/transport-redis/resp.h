// Redis's protocol (RESP2): commands are written straight into an output buffer, replies are read with hiredis.
#pragma once

#include <hiredis/read.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace meridian::transport_redis {

// Appends one command of these words. (hiredis' formatter would allocate and copy it once more.)
void append_command(std::string& out, std::initializer_list<std::string_view> words);
// PUBLISH prefix+name message, without joining prefix and name first.
void append_publish(std::string& out, std::string_view prefix, std::string_view name, std::string_view message);

// One reply, flattened: parts in the order in which they came, an array before its elements. Reused for the next
// reply, so that reading allocates nothing once it has grown.
class Reply {
public:
    enum class Kind : uint8_t { string, status, error, integer, nil, array };

    size_t size() const { return parts_.size(); }
    Kind kind(size_t part = 0) const { return parts_[part].kind; }
    // An integer, or how many elements an array has.
    long long integer(size_t part = 0) const { return parts_[part].integer; }
    // Of string, status, error; empty for others, and for parts that there are not.
    std::string_view text(size_t part = 0) const {
        if (part >= parts_.size()) return {};
        return std::string_view(text_).substr(parts_[part].offset, parts_[part].size);
    }
    bool is_error() const { return kind() == Kind::error; }

private:
    friend class ReplyReader;
    struct Part {
        Kind kind;
        long long integer;
        size_t offset;
        size_t size;
    };
    std::vector<Part> parts_;
    std::string text_;
};

// Takes bytes as they come, gives replies. Unusable after an error.
class ReplyReader {
public:
    enum class Outcome { reply, incomplete, broken };

    // A reply of which more than this has been buffered is an error.
    explicit ReplyReader(size_t reply_bytes_max);

    // False: no memory, or the limit.
    bool feed(const char* data, size_t size);
    // Outcome::reply: `reply()` is valid until the next call.
    Outcome next();
    const Reply& reply() const { return *reply_; }
    std::string error() const;

private:
    static Reply& begin(const redisReadTask* task);

    struct Free {
        void operator()(redisReader* reader) const { redisReaderFree(reader); }
    };
    std::unique_ptr<Reply> reply_ = std::make_unique<Reply>();  // hiredis keeps its address
    std::unique_ptr<redisReader, Free> reader_;
    size_t reply_bytes_max_;
    bool too_large_ = false;
};

}  // namespace meridian::transport_redis
