#include "store_fixture.h"

#include <cppunit/TestAssert.h>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#ifndef STORE_KV_PATH
#error "STORE_KV_PATH must name the plug-in of this build"
#endif

namespace meridian::test {
namespace {

uint64_t now_us() {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
            .count());
}

}  // namespace

TestHost::TestHost() : thread_([this] { run(); }) {}

TestHost::~TestHost() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        wake_.notify_all();
    }
    thread_.join();
}

uint64_t TestHost::wall_ms() const {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count());
}

uint64_t TestHost::monotonic_us() const {
    return now_us();
}

void TestHost::fill(void* bytes, size_t size) {
    const std::lock_guard lock(mutex_);
    auto* at = static_cast<unsigned char*>(bytes);
    for (size_t i = 0; i < size; ++i) at[i] = static_cast<unsigned char>(random_());
}

void TestHost::post(Task task) {
    post_after(0, std::move(task));
}

void TestHost::post_after(uint64_t delay_us, Task task) {
    const std::lock_guard lock(mutex_);
    tasks_.emplace(now_us() + delay_us, std::move(task));
    wake_.notify_all();
}

void TestHost::run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        if (tasks_.empty()) {
            wake_.wait(lock);
            continue;
        }
        const auto first = tasks_.begin();
        const uint64_t now = now_us();
        if (first->first > now) {
            wake_.wait_for(lock, std::chrono::microseconds(first->first - now));
            continue;
        }
        const Task task = std::move(first->second);
        tasks_.erase(first);
        lock.unlock();
        task();
        lock.lock();
    }
}

plugin::HostServices TestHost::services() {
    plugin::HostServices out;
    out.clock = this;
    out.random = this;
    out.lane = this;
    out.log = [this](plugin::LogLevel level, std::string_view text) {
        if (level < plugin::LogLevel::warning) return;
        const std::lock_guard lock(mutex_);
        warnings_.append(text).append("\n");
    };
    out.metric = [this](plugin::MetricKind, std::string_view name, double value) {
        const std::lock_guard lock(mutex_);
        metrics_[std::string(name)] = value;
        if (name == "scrub_passes") ++passes_;
    };
    return out;
}

std::string TestHost::warnings() const {
    const std::lock_guard lock(mutex_);
    return warnings_;
}

std::optional<double> TestHost::metric(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    const auto found = metrics_.find(name);
    return found == metrics_.end() ? std::nullopt : std::optional<double>(found->second);
}

uint64_t TestHost::passes() const {
    const std::lock_guard lock(mutex_);
    return passes_;
}

node::LogEntry entry(uint64_t position, const std::string& namespace_name, const std::string& key,
                     const std::string& payload, uint64_t deadline_ms) {
    node::LogEntry out;
    out.position = position;
    out.origin_node_id = 0xfedcba9876543210;
    out.origin_incarnation = 3;
    out.origin_sequence = position + 100;
    out.wall_ms = 1'700'000'000'000 + position;
    out.deadline_ms = deadline_ms;
    out.name = {namespace_name, key};
    out.payload = payload;
    return out;
}

node::CommitResult TestStore::commit(const node::CommitGroup& group) {
    const size_t count = group.entries.size();
    Awaited<node::CommitResult> result;
    store_->commit(group, result.completion());
    auto out = result.get();
    if (out.status == node::CommitStatus::durable) next_ += count;
    return out;
}

uint64_t TestStore::put(const std::string& namespace_name, const std::string& key, const std::string& payload,
                        uint64_t deadline_ms) {
    const uint64_t position = next_;
    const auto result = commit({{entry(position, namespace_name, key, payload, deadline_ms)}, {}});
    CPPUNIT_ASSERT_EQUAL_MESSAGE(result.message, static_cast<int>(node::CommitStatus::durable),
                                 static_cast<int>(result.status));
    return position;
}

node::CommitResult TestStore::commit_metadata(const std::string& name, std::optional<std::string> value) {
    return commit({{}, {{name, std::move(value)}}});
}

std::vector<node::KeyRecord> TestStore::read(std::vector<node::KeyName> names) {
    Awaited<std::vector<node::KeyRecord>> result;
    store_->read_keys(std::move(names), result.completion());
    return result.get();
}

node::KeyRecord TestStore::read(const std::string& namespace_name, const std::string& key) {
    const auto records = read({{namespace_name, key}});
    CPPUNIT_ASSERT_EQUAL(size_t{1}, records.size());
    return records.front();
}

std::string TestStore::checkpoint(std::vector<node::SnapshotWrite> snapshots) {
    Awaited<std::string> result;
    store_->checkpoint(std::move(snapshots), result.completion());
    return result.get();
}

std::string TestStore::snapshot(const std::string& namespace_name, const std::string& key, uint64_t position,
                                std::optional<std::string> state, uint64_t deadline_ms) {
    node::SnapshotWrite write;
    write.name = {namespace_name, key};
    write.position = position;
    write.deadline_ms = deadline_ms;
    write.state = std::move(state);
    return checkpoint({write});
}

node::LogPage TestStore::log(uint64_t from, size_t entries_max, size_t bytes_max) {
    Awaited<node::LogPage> result;
    store_->read_log(from, entries_max, bytes_max, result.completion());
    return result.get();
}

node::KeyPage TestStore::keys(const std::string& namespace_name, std::optional<node::KeyName> after, size_t count_max) {
    Awaited<node::KeyPage> result;
    store_->scan_keys(namespace_name, std::move(after), count_max, result.completion());
    return result.get();
}

std::vector<node::DueKey> TestStore::due(uint64_t until_ms, size_t count_max) {
    Awaited<std::vector<node::DueKey>> result;
    store_->scan_due(until_ms, count_max, result.completion());
    return result.get();
}

std::optional<std::string> TestStore::metadata(const std::string& name) {
    using Values = Result<std::vector<std::optional<std::string>>>;
    Awaited<Values> result;
    store_->read_metadata({name}, result.completion());
    const Values values = result.get();
    CPPUNIT_ASSERT_MESSAGE(values ? "" : values.error().message, values.ok());
    CPPUNIT_ASSERT_EQUAL(size_t{1}, values.value().size());
    return values.value().front();
}

std::vector<std::pair<std::string, std::string>> TestStore::scan_metadata(const std::string& prefix,
                                                                          const std::string& after, size_t count_max) {
    Awaited<std::vector<std::pair<std::string, std::string>>> result;
    store_->scan_metadata(prefix, after, count_max, result.completion());
    return result.get();
}

bool TestStore::eventually(const std::function<bool()>& condition) {
    const uint64_t end = now_us() + 60'000'000;
    while (!condition()) {
        if (now_us() > end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
}

const plugin::LoadedPlugin& store_kv() {
    static const plugin::LoadedPlugin loaded = [] {
        auto result = plugin::load_plugin(STORE_KV_PATH, {}, plugin::Kind::store);
        if (!result) CPPUNIT_FAIL(result.error().message);
        return *result;
    }();
    return loaded;
}

Result<std::unique_ptr<plugin::LoadedStore>> try_open(TestHost& host, Section section,
                                                      const plugin::LoadedPlugin& plugin) {
    section.try_emplace("segment_size", "64KiB");
    section.try_emplace("log_bytes_max", "64MiB");
    section.try_emplace("map_size", "1GiB");
    section.try_emplace("spare_segments", "1");
    auto configuration = plugin::check_configuration(plugin, "[store]", section,
                                                     [](const std::string&) { return std::optional<std::string>(); });
    if (!configuration) return configuration.error();
    return plugin::open_store(plugin, *configuration, host.services());
}

TestStore open_store(TestHost& host, const Section& section, const plugin::LoadedPlugin& plugin) {
    auto store = try_open(host, section, plugin);
    if (!store) CPPUNIT_FAIL(store.error().message);
    return TestStore(std::move(*store));
}

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream content;
    content << file.rdbuf();
    return content.str();
}

void write_file(const std::string& path, const std::string& content) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << content;
}

std::vector<std::string> segments(const std::string& data_directory) {
    std::vector<std::string> out;
    for (const auto& item : std::filesystem::directory_iterator(data_directory + "/log")) {
        const std::string name = item.path().filename();
        if (name.size() == 20 && name.substr(16) == ".seg") out.push_back(item.path());
    }
    std::sort(out.begin(), out.end());
    return out;
}

}  // namespace meridian::test
