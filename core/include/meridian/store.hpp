// What most stores in C++ need besides plugin.hpp: copies of what a call borrows, made and checked in one step, and a
// bounded queue with threads of its own, because a submit may neither block nor do I/O. Header only; optional.
//
// Errors: the constructors that copy throw Failure(MERIDIAN_INVALID) if a limit of plugin.h is broken. Let it out of
// the submit: plugin.hpp returns its status.
#pragma once

#include <atomic>
#include <compare>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "meridian/plugin.hpp"

namespace meridian::abi {

constexpr uint64_t namespace_bytes_max = 255;
constexpr uint64_t key_bytes_max = 4096;
constexpr uint64_t metadata_name_bytes_max = 480;
constexpr uint64_t group_bytes_max = 1 << 30;

inline bool valid_namespace(meridian_bytes name) {
    return name.size >= 1 && name.size <= namespace_bytes_max && view(name).find('\0') == std::string_view::npos;
}
inline bool valid_name(const meridian_key_name& name) {
    return valid_namespace(name.namespace_name) && name.key.size >= 1 && name.key.size <= key_bytes_max;
}
inline bool valid_metadata_name(meridian_bytes name) {
    return name.size >= 1 && name.size <= metadata_name_bytes_max;
}
inline void require(bool condition, const char* text) {
    if (!condition) throw Failure(MERIDIAN_INVALID, text);
}

// A key's name. Ordered by the bytes of (namespace, key), which is the order of scan_keys.
struct Name {
    std::string namespace_name;
    std::string key;

    Name() = default;
    explicit Name(const meridian_key_name& name) : namespace_name(view(name.namespace_name)), key(view(name.key)) {
        require(valid_name(name), "a namespace has 1 to 255 bytes without NUL, a key 1 to 4096 bytes");
    }
    Name(std::string_view of_namespace, std::string_view of_key) : namespace_name(of_namespace), key(of_key) {}
    // Borrows from this.
    meridian_key_name borrowed() const { return {bytes(namespace_name), bytes(key)}; }
    friend bool operator==(const Name&, const Name&) = default;
    friend std::strong_ordering operator<=>(const Name& a, const Name& b) {
        const int order = a.namespace_name.compare(b.namespace_name);
        return (order != 0 ? order : a.key.compare(b.key)) <=> 0;
    }
};

struct Entry {
    uint64_t position = 0;
    uint64_t origin_node_id = 0;
    uint64_t origin_incarnation = 0;
    uint64_t origin_sequence = 0;
    uint64_t wall_ms = 0;
    uint64_t deadline_ms = 0;
    Name name;
    std::string payload;

    // Borrows from this.
    meridian_log_entry borrowed() const {
        return {sizeof(meridian_log_entry),
                0,
                position,
                origin_node_id,
                origin_incarnation,
                origin_sequence,
                wall_ms,
                deadline_ms,
                name.borrowed(),
                bytes(payload)};
    }
};

struct MetadataWrite {
    std::string name;
    std::optional<std::string> value;  // absent: delete
};

// A commit group. Whether its first position is the store's next one, the store must see for itself.
struct Group {
    std::vector<Entry> entries;
    std::vector<MetadataWrite> metadata;
    uint64_t bytes = 0;  // names, payloads, values

    explicit Group(const meridian_commit_group& group) {
        require(group.entry_count != 0 || group.metadata_count != 0, "the group is empty");
        for_each(group.entries, group.entry_count, [&](const meridian_log_entry& entry) {
            require(entries.empty() || entry.position == entries.back().position + 1, "positions leave a gap");
            add(entry.name.namespace_name.size + entry.name.key.size + entry.payload.size);
            entries.push_back({entry.position, entry.origin_node_id, entry.origin_incarnation, entry.origin_sequence,
                               entry.wall_ms, entry.deadline_ms, Name(entry.name), std::string(view(entry.payload))});
        });
        for_each(group.metadata, group.metadata_count, [&](const meridian_metadata_write& write) {
            require(valid_metadata_name(write.name), "a metadata name has 1 to 480 bytes");
            add(write.name.size + write.value.size);
            metadata.push_back({std::string(view(write.name)), std::nullopt});
            if (write.remove == 0) metadata.back().value.emplace(view(write.value));
        });
    }

private:
    void add(uint64_t size) {
        require(size <= group_bytes_max && bytes + size <= group_bytes_max, "a group has at most 1 GiB");
        bytes += size;
    }
};

struct Snapshot {
    Name name;
    uint64_t position = 0;
    uint64_t deadline_ms = 0;
    std::optional<std::string> state;  // absent: delete the row
};

// `position_max`: the last durable position.
inline std::vector<Snapshot> copy_snapshots(const meridian_snapshot_write* first, uint64_t count,
                                            uint64_t position_max) {
    std::vector<Snapshot> out;
    for_each(first, count, [&](const meridian_snapshot_write& write) {
        require(write.position <= position_max, "a snapshot is ahead of the log");
        require(write.state.size <= group_bytes_max, "a state has at most 1 GiB");
        out.push_back({Name(write.name), write.position, write.deadline_ms, std::nullopt});
        if (write.remove == 0) out.back().state.emplace(view(write.state));
    });
    return out;
}

inline std::vector<Name> copy_names(const meridian_key_name* names, uint64_t count) {
    std::vector<Name> out;
    for (uint64_t i = 0; i < count; ++i) out.emplace_back(names[i]);
    return out;
}

inline std::vector<std::string> copy_metadata_names(const meridian_bytes* names, uint64_t count) {
    std::vector<std::string> out;
    for (uint64_t i = 0; i < count; ++i) {
        require(valid_metadata_name(names[i]), "a metadata name has 1 to 480 bytes");
        out.emplace_back(view(names[i]));
    }
    return out;
}

// Sets `value` to `to` if that is more; true if it was.
inline bool raise(std::atomic<uint64_t>& value, uint64_t to) noexcept {
    uint64_t before = value;
    while (before < to && !value.compare_exchange_weak(before, to)) {}
    return before < to;
}

// A bounded queue of tasks and the threads that run them, begun in order of submission; with one thread, one after the
// other.
//
// Threads: any may submit; start() and stop() are for one.
class TaskQueue {
public:
    // `cancelled`: the deadline of stop() has passed; the task reports MERIDIAN_CANCELLED, unless it is a commit. Tasks
    // let no exception out.
    using Task = std::function<void(bool cancelled)>;

    explicit TaskQueue(size_t tasks_max) : tasks_max_(tasks_max) {}
    ~TaskQueue() {
        stop([] { return true; });
    }
    TaskQueue(const TaskQueue&) = delete;
    TaskQueue& operator=(const TaskQueue&) = delete;

    void start(size_t thread_count) {
        for (size_t i = 0; i < thread_count; ++i) {
            threads_.emplace_back([this] { run(); });
        }
    }
    // MERIDIAN_OK: the task will run. MERIDIAN_BUSY, MERIDIAN_CANCELLED: it will not.
    meridian_status submit(Task task) {
        const std::lock_guard lock(mutex_);
        if (stopping_) return MERIDIAN_CANCELLED;
        if (tasks_.size() >= tasks_max_) return MERIDIAN_BUSY;
        tasks_.push_back(std::move(task));
        wake_.notify_one();
        return MERIDIAN_OK;
    }
    // Runs what is queued, as cancelled once `late` answers true, and joins the threads.
    void stop(std::function<bool()> late) {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
            late_ = std::move(late);
            wake_.notify_all();
        }
        for (std::thread& thread : threads_) thread.join();
        threads_.clear();
    }
    // The same with a deadline on the host's monotonic clock, as the store's own stop() is given it.
    void stop(Host host, uint64_t deadline_us) {
        stop([host, deadline_us] { return host.monotonic_us() >= deadline_us; });
    }

private:
    void run() {
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
            if (tasks_.empty()) return;
            const Task task = std::move(tasks_.front());
            tasks_.pop_front();
            const bool cancelled = stopping_ && late_();
            lock.unlock();
            task(cancelled);
            lock.lock();
        }
    }

    const size_t tasks_max_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Task> tasks_;  // guarded by mutex_, like the next two
    std::function<bool()> late_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace meridian::abi
