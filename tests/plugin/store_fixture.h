// What the tests of store plug-ins share: a directory that is removed, a host, and node::Store with calls that wait.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "node/store.h"
#include "plugin/store_adapter.h"
#include "support/temporary_directory.h"

namespace meridian::test {

// Real time, seeded randomness, one thread that runs what is posted.
class TestHost : public Clock, public Random, public Lane {
public:
    TestHost();
    ~TestHost() override;
    uint64_t wall_ms() const override;
    uint64_t monotonic_us() const override;
    void fill(void* bytes, size_t size) override;
    void post(Task task) override;
    void post_after(uint64_t delay_us, Task task) override;

    plugin::HostServices services();
    // What the plug-in has logged at warning or above.
    std::string warnings() const;
    // The last value that the plug-in gave to this metric; absent: none.
    std::optional<double> metric(const std::string& name) const;
    // Passes that the plug-in has made to look for damage.
    uint64_t passes() const;

private:
    void run();
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::multimap<uint64_t, Task> tasks_;
    bool stopping_ = false;
    std::mt19937_64 random_{std::random_device{}()};
    std::string warnings_;
    std::map<std::string, double> metrics_;
    uint64_t passes_ = 0;
    std::thread thread_;
};

// Waits for a completion that must come once.
template <class T>
class Awaited {
public:
    std::function<void(T)> completion() {
        return [state = state_](T value) {
            const std::lock_guard lock(state->mutex);
            state->count += 1;
            state->thread = std::this_thread::get_id();
            state->value = std::move(value);
            state->wake.notify_all();
        };
    }
    T get() {
        std::unique_lock lock(state_->mutex);
        state_->wake.wait(lock, [this] { return state_->count != 0; });
        return *state_->value;
    }
    int count() const {
        const std::lock_guard lock(state_->mutex);
        return state_->count;
    }

private:
    struct State {
        std::mutex mutex;
        std::condition_variable wake;
        int count = 0;
        std::thread::id thread;
        std::optional<T> value;
    };
    std::shared_ptr<State> state_ = std::make_shared<State>();
};

// node::Store with calls that wait for their completion.
class TestStore {
public:
    explicit TestStore(std::unique_ptr<plugin::LoadedStore> store)
        : store_(std::move(store)), next_(store_->opening().next_position) {}
    node::Store& operator*() { return *store_; }
    plugin::LoadedStore* operator->() { return store_.get(); }

    // Position of the entry; the group has this one.
    uint64_t put(const std::string& namespace_name, const std::string& key, const std::string& payload,
                 uint64_t deadline_ms = 0);
    node::CommitResult commit(const node::CommitGroup& group);
    node::CommitResult commit_metadata(const std::string& name, std::optional<std::string> value);
    node::KeyRecord read(const std::string& namespace_name, const std::string& key);
    std::vector<node::KeyRecord> read(std::vector<node::KeyName> names);
    std::string checkpoint(std::vector<node::SnapshotWrite> snapshots);
    std::string snapshot(const std::string& namespace_name, const std::string& key, uint64_t position,
                         std::optional<std::string> state, uint64_t deadline_ms = 0);
    node::LogPage log(uint64_t from, size_t entries_max = 1000, size_t bytes_max = 1 << 20);
    node::KeyPage keys(const std::string& namespace_name = {}, std::optional<node::KeyName> after = std::nullopt,
                       size_t count_max = 1000);
    std::vector<node::DueKey> due(uint64_t until_ms, size_t count_max = 1000);
    std::optional<std::string> metadata(const std::string& name);
    std::vector<std::pair<std::string, std::string>> scan_metadata(const std::string& prefix,
                                                                   const std::string& after = {},
                                                                   size_t count_max = 1000);
    uint64_t next_position() const { return next_; }
    void set_next_position(uint64_t next) { next_ = next; }
    // Waits until `condition` holds, for what the store does by itself; false after a long time.
    static bool eventually(const std::function<bool()>& condition);

private:
    std::unique_ptr<plugin::LoadedStore> store_;
    uint64_t next_;
};

node::LogEntry entry(uint64_t position, const std::string& namespace_name, const std::string& key,
                     const std::string& payload, uint64_t deadline_ms = 0);

using Section = std::map<std::string, std::string>;

// The store-kv.so of this build.
const plugin::LoadedPlugin& store_kv();
// Opens it with these keys; small segments unless the section says otherwise.
Result<std::unique_ptr<plugin::LoadedStore>> try_open(TestHost& host, Section section,
                                                      const plugin::LoadedPlugin& plugin = store_kv());
TestStore open_store(TestHost& host, const Section& section, const plugin::LoadedPlugin& plugin = store_kv());

std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& content);
// Paths of the log segments, oldest first.
std::vector<std::string> segments(const std::string& data_directory);

}  // namespace meridian::test
