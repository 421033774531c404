#include "resp.h"

#include <array>
#include <charconv>
#include <new>

namespace meridian::transport_redis {
namespace {

void append_header(std::string& out, char mark, size_t number) {
    std::array<char, 24> text;
    text[0] = mark;
    char* end = std::to_chars(text.data() + 1, text.data() + text.size() - 2, number).ptr;
    *end++ = '\r';
    *end++ = '\n';
    out.append(text.data(), static_cast<size_t>(end - text.data()));
}

void append_bulk(std::string& out, std::string_view word) {
    append_header(out, '$', word.size());
    out.append(word);
    out.append("\r\n");
}

// The reader's unused buffer is given back beyond this.
constexpr size_t reader_buffer_kept_bytes = 1 << 20;

}  // namespace

void append_command(std::string& out, std::initializer_list<std::string_view> words) {
    append_header(out, '*', words.size());
    for (const std::string_view word : words) append_bulk(out, word);
}

void append_publish(std::string& out, std::string_view prefix, std::string_view name, std::string_view message) {
    out.append("*3\r\n$7\r\nPUBLISH\r\n");
    append_header(out, '$', prefix.size() + name.size());
    out.append(prefix);
    out.append(name);
    out.append("\r\n");
    append_bulk(out, message);
}

// hiredis calls these, from C: an exception may not pass, so that no memory becomes a null pointer, which it reports.
Reply& ReplyReader::begin(const redisReadTask* task) {
    Reply& reply = *static_cast<Reply*>(task->privdata);
    if (task->parent == nullptr) {
        reply.parts_.clear();
        reply.text_.clear();
    }
    return reply;
}

ReplyReader::ReplyReader(size_t reply_bytes_max) : reply_bytes_max_(reply_bytes_max) {
    static redisReplyObjectFunctions functions = {
        [](const redisReadTask* task, char* text, size_t size) -> void* {
            try {
                Reply& reply = begin(task);
                const Reply::Kind kind = task->type == REDIS_REPLY_ERROR    ? Reply::Kind::error
                                         : task->type == REDIS_REPLY_STATUS ? Reply::Kind::status
                                                                            : Reply::Kind::string;
                reply.parts_.push_back({kind, 0, reply.text_.size(), size});
                reply.text_.append(text, size);
                return &reply;
            } catch (const std::bad_alloc&) { return nullptr; }
        },
        [](const redisReadTask* task, int elements) -> void* {
            try {
                Reply& reply = begin(task);
                reply.parts_.push_back({Reply::Kind::array, elements, 0, 0});
                return &reply;
            } catch (const std::bad_alloc&) { return nullptr; }
        },
        [](const redisReadTask* task, long long value) -> void* {
            try {
                Reply& reply = begin(task);
                reply.parts_.push_back({Reply::Kind::integer, value, 0, 0});
                return &reply;
            } catch (const std::bad_alloc&) { return nullptr; }
        },
        [](const redisReadTask* task) -> void* {
            try {
                Reply& reply = begin(task);
                reply.parts_.push_back({Reply::Kind::nil, 0, 0, 0});
                return &reply;
            } catch (const std::bad_alloc&) { return nullptr; }
        },
        [](void*) {},
    };
    reader_.reset(redisReaderCreateWithFunctions(&functions));
    if (!reader_) throw std::bad_alloc();
    reader_->privdata = reply_.get();
    reader_->maxbuf = reader_buffer_kept_bytes;
}

bool ReplyReader::feed(const char* data, size_t size) {
    // The text of a reply that is complete no longer counts.
    const size_t begun = reader_->ridx < 0 ? 0 : reply_->text_.size();
    too_large_ = reader_->len - reader_->pos + begun + size > reply_bytes_max_;
    return !too_large_ && redisReaderFeed(reader_.get(), data, size) == REDIS_OK;
}

ReplyReader::Outcome ReplyReader::next() {
    void* reply = nullptr;
    if (redisReaderGetReply(reader_.get(), &reply) != REDIS_OK) return Outcome::broken;
    return reply == nullptr ? Outcome::incomplete : Outcome::reply;
}

std::string ReplyReader::error() const {
    if (too_large_) return "a reply of more than " + std::to_string(reply_bytes_max_) + " bytes";
    return reader_->errstr;
}

}  // namespace meridian::transport_redis
