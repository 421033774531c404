// The keys of one shard that are in memory: lookup, least-recently-used order, memory accounting, deadlines.
// Plain data of one lane; no I/O.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "crdt/key.h"
#include "node/node.h"

namespace meridian::node {

// One key in memory. Addresses are stable until the slot is erased.
struct KeySlot {
    explicit KeySlot(const KeyName& of) : shared_name(std::make_shared<const KeyName>(of)), name(*shared_name) {}

    const std::shared_ptr<const KeyName> shared_name;
    const KeyName& name;
    crdt::Key key;

    enum class Phase : uint8_t { loading, resident, corrupt };
    Phase phase = Phase::loading;
    std::string error;                           // when corrupt
    std::string unread;                          // when corrupt: what the store gave (wire/unread_key.h), if it did
    std::vector<std::function<void()>> waiting;  // run in order once the phase is no longer `loading`

    size_t pins = 0;  // requests that wait for other keys and need this one to stay

    uint64_t ticket = 0;             // commit ticket of the newest entry in `key`
    uint64_t snapshot_position = 0;  // what the stored snapshot reflects
    bool checkpointing = false;      // a snapshot of it is on its way to the store
    bool row_outdated = false;       // the stored row needs writing although the key is not dirty (its deadline passed)
    uint64_t compacted_at_ms = 0;

    // State for clients, per SequenceForm, and what empties the key once it has expired; dropped when the key changes.
    std::shared_ptr<const StateFrames> state_frames[2];
    std::shared_ptr<const StateFrames> emptying_frames;
    void drop_frames() { state_frames[0] = state_frames[1] = emptying_frames = nullptr; }

    size_t charged_bytes = 0;            // what the table counts for it
    uint64_t scheduled_deadline_ms = 0;  // in the deadline index, 0 = not
    std::multimap<uint64_t, KeySlot*>::iterator scheduled;
    std::list<KeySlot*>::iterator recency;

    bool dirty() const { return ticket > snapshot_position; }
};

class KeyTable {
public:
    explicit KeyTable(size_t bytes_max) : bytes_max_(bytes_max) {}

    // Null if the key is not in memory. Marks it as recently used.
    KeySlot* find(std::string_view namespace_name, std::string_view key);
    // REQUIRES: not in memory.
    KeySlot& insert(const KeyName& name);
    void erase(KeySlot& slot);

    // To be called after the slot's key changed: renews the memory charge and the deadline index, drops cached frames.
    void changed(KeySlot& slot);
    // Renews the memory charge only.
    void recharge(KeySlot& slot);

    bool over_limit() const { return bytes_ > bytes_max_; }
    size_t bytes() const { return bytes_; }
    size_t count() const { return recency_.size(); }

    // Visits slots from the least recently used on until `visit` returns false. `visit` may erase the slot it is given.
    void visit_oldest(const std::function<bool(KeySlot&)>& visit);

    // The earliest scheduled deadline, 0 = none.
    uint64_t next_deadline_ms() const { return deadlines_.empty() ? 0 : deadlines_.begin()->first; }
    // Takes a slot whose deadline is at or before `now_ms` out of the index; null if there is none.
    KeySlot* take_due(uint64_t now_ms);

private:
    struct TextHash {
        using is_transparent = void;
        size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    template <class T>
    using TextMap = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

    void schedule(KeySlot& slot, uint64_t deadline_ms);

    const size_t bytes_max_;
    size_t bytes_ = 0;
    TextMap<TextMap<std::unique_ptr<KeySlot>>> namespaces_;
    std::list<KeySlot*> recency_;  // front = least recently used
    std::multimap<uint64_t, KeySlot*> deadlines_;
};

}  // namespace meridian::node
