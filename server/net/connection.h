// Connections and how they are named. Across threads, and across ticks of one loop, a connection is named by its slot
// and the generation of that slot, never by a pointer: a late message to a closed connection finds nobody.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace meridian::server {

struct ConnectionId {
    uint32_t slot = 0;
    uint32_t generation = 0;
    uint64_t token() const { return static_cast<uint64_t>(generation) << 32 | slot; }
    static ConnectionId from_token(uint64_t token) {
        return {static_cast<uint32_t>(token), static_cast<uint32_t>(token >> 32)};
    }
    friend bool operator==(const ConnectionId&, const ConnectionId&) = default;
};

// A connection anywhere in the process.
struct ConnectionRef {
    uint32_t loop = 0;
    ConnectionId id;
};

class WebSocketConnection;
class HttpConnection;

// One thread: that of its loop.
class Connection {
public:
    virtual ~Connection() = default;
    virtual void on_ready(uint32_t events) = 0;
    // Timeouts; called about once a second.
    virtual void on_second(uint64_t now_us) = 0;
    // The node stops: finish what is in flight, then close.
    virtual void begin_drain() = 0;
    virtual WebSocketConnection* as_websocket() { return nullptr; }
    virtual HttpConnection* as_http() { return nullptr; }
};

// The connections of one loop.
class ConnectionTable {
public:
    ConnectionId reserve() {
        if (free_.empty()) {
            slots_.emplace_back();
            return {static_cast<uint32_t>(slots_.size() - 1), slots_.back().generation};
        }
        const uint32_t slot = free_.back();
        free_.pop_back();
        return {slot, slots_[slot].generation};
    }
    void put(ConnectionId id, std::unique_ptr<Connection> connection) {
        slots_[id.slot].connection = std::move(connection);
        ++count_;
    }
    Connection* find(ConnectionId id) const {
        if (id.slot >= slots_.size() || slots_[id.slot].generation != id.generation) return nullptr;
        return slots_[id.slot].connection.get();
    }
    // The connection, no longer in the table; its name is never used again.
    std::unique_ptr<Connection> take(ConnectionId id) {
        if (find(id) == nullptr) return nullptr;
        Slot& slot = slots_[id.slot];
        ++slot.generation;
        free_.push_back(id.slot);
        --count_;
        return std::move(slot.connection);
    }
    size_t count() const { return count_; }
    // Calls `visit` for every connection; it may take connections out.
    template <class Visit>
    void for_each(Visit visit) {
        for (size_t i = 0; i < slots_.size(); ++i) {
            if (slots_[i].connection) visit(*slots_[i].connection);
        }
    }

private:
    struct Slot {
        std::unique_ptr<Connection> connection;
        uint32_t generation = 0;
    };
    std::vector<Slot> slots_;
    std::vector<uint32_t> free_;
    size_t count_ = 0;
};

}  // namespace meridian::server
