#include "broken_store.h"

#include <fcntl.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace meridian::plugin_kit {
namespace {

void pause(int milliseconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

std::shared_ptr<SharedState> state_for(const abi::Config& config) {
    const std::string defect(config.text("defect"));
    if (!config.boolean("shared")) return std::make_shared<SharedState>(defect);
    static std::mutex mutex;
    static std::map<std::string, std::weak_ptr<SharedState>> states;
    const std::lock_guard lock(mutex);
    auto& known = states[std::string(config.text("directory"))];
    auto state = known.lock();
    if (!state) known = state = std::make_shared<SharedState>(defect);
    return state;
}

}  // namespace

BrokenStore::BrokenStore(abi::Host host, const abi::Config& config) : host_(host), shared_(state_for(config)) {
    opening_.struct_size = sizeof opening_;
    opening_.created = defect_.is("not-created") ? 0 : 1;
    host_.random(opening_.store_id, sizeof opening_.store_id);
    if (defect_.is("same-id")) std::memset(opening_.store_id, 1, sizeof opening_.store_id);
    if (config.boolean("keep")) open(std::string(config.text("directory")));
    opening_.next_position = data_.next_position();
    opening_.floor = data_.floor();
    if (defect_.is("bad-metric")) host_.metric(MERIDIAN_METRIC_COUNTER, "Opened stores", 1);
    writer_.start(1);
    readers_.start(1);
    if (!defect_.is("calls-host-after-stop")) return;
    chatter_ = std::thread([this] {
        for (; !destroyed_; pause(5)) host_.log(MERIDIAN_LOG_DEBUG, "still here");
    });
}

BrokenStore::~BrokenStore() {
    destroyed_ = true;
    if (chatter_.joinable()) chatter_.join();
    if (defect_.is("leaks-file")) ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void BrokenStore::open(const std::string& directory) {
    directory_ = directory;
    try {
        journal_.emplace(directory, !defect_.is("no-lock"));
    } catch (const abi::Failure& failure) {
        if (defect_.is("silent-failure")) throw abi::Failure(failure.status(), "");
        throw;
    }
    const std::string id_path = directory + "/id";
    if (std::ifstream id{id_path, std::ios::binary}) {
        opening_.created = 0;
        if (!defect_.is("new-id-each-time"))
            id.read(reinterpret_cast<char*>(opening_.store_id), sizeof opening_.store_id);
    } else {
        std::ofstream(id_path, std::ios::binary)
            .write(reinterpret_cast<const char*>(opening_.store_id), sizeof opening_.store_id);
    }
    journal_->replay([this](JournalRecord record) { load(record); });
    if (opening_.created == 0 && data_.next_position() == 1 && defect_.is("needs-entries"))
        throw abi::Failure(MERIDIAN_CORRUPT, directory + ": a store without entries");
}

void BrokenStore::load(const JournalRecord& record) {
    for (const abi::Entry& entry : record.entries) data_.apply_entry(entry);
    data_.apply_metadata(record.metadata);
    for (const abi::Snapshot& snapshot : record.snapshots) {
        if (!snapshot.state && defect_.is("forgets-removals")) continue;
        data_.apply_snapshot(snapshot);
    }
}

void BrokenStore::remember(const JournalRecord& record) {
    if (!journal_) return;
    if (defect_.is("writes-when-stopped")) {
        kept_back_.push_back(record);
    } else {
        journal_->append(record);
    }
}

void BrokenStore::stop(uint64_t deadline_us) {
    if (stopped_) return;
    stopping_ = true;
    {
        const std::lock_guard lock(mutex_);
        give_up_locks();
        shared_->watchers.erase(this);
    }
    if (defect_.is("loses-calls-while-stopping")) pause(20);
    const auto late = [this, deadline_us] { return host_.monotonic_us() >= deadline_us; };
    writer_.stop(late);
    if (held_back_) held_back_();
    readers_.stop(late);
    while (timers_ != 0) pause(1);
    for (const JournalRecord& record : kept_back_) journal_->append(record);
    stopped_ = true;
}

void BrokenStore::usage(meridian_store_usage& out) const noexcept {
    const std::lock_guard lock(mutex_);
    out.failed = 0;
    out.log_bytes = data_.bytes();
    out.log_bytes_since_checkpoint = data_.bytes_pending();
    out.log_bytes_available = 1 << 30;
}

void BrokenStore::stale_keys(uint64_t count_max,
                             const std::function<void(std::string_view, std::string_view)>& name) const {
    std::vector<abi::Name> names;
    {
        const std::lock_guard lock(mutex_);
        names = data_.stale();
    }
    if (names.size() > count_max) names.resize(static_cast<size_t>(count_max));
    for (const abi::Name& item : names) name(item.namespace_name, item.key);
}

void BrokenStore::retain_from(uint64_t position) noexcept {
    const std::lock_guard lock(mutex_);
    data_.retain_from(position);
}

void BrokenStore::fail_overlapping() {
    if (!defect_.is("one-caller-only")) return;
    if (inside_.fetch_add(1) != 0) std::abort();
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    inside_.fetch_sub(1);
}

meridian_status BrokenStore::submit_read(Task task) {
    fail_overlapping();
    if (stopped_ && defect_.is("wrong-status-after-stop")) return MERIDIAN_INVALID;
    if (stopping_ && !stopped_ && defect_.is("loses-calls-while-stopping")) return MERIDIAN_OK;
    if (defect_.is("completes-inside-the-submit") && !stopping_) {
        task(false);
        return MERIDIAN_OK;
    }
    if (defect_.is("completes-on-a-timer") && !stopping_) {
        timers_ += 1;
        auto* cookie = new std::function<void()>([this, task] {
            task(false);
            timers_ -= 1;
        });
        host_.timer(
            0,
            [](void* context) {
                const std::unique_ptr<std::function<void()>> function(static_cast<std::function<void()>*>(context));
                (*function)();
            },
            cookie);
        return MERIDIAN_OK;
    }
    return readers_.submit([this, task](bool cancelled) {
        if (stopping_ && defect_.is("drops-reads-at-stop")) return;
        task(cancelled);
    });
}

meridian_status BrokenStore::read_keys(const meridian_key_name* names, uint64_t count, abi::KeyRecordSink sink) {
    std::vector<abi::Name> wanted;
    try {
        wanted = abi::copy_names(names, count);
    } catch (const abi::Failure&) {
        if (defect_.is("completes-what-it-refuses")) sink.done(MERIDIAN_INVALID);
        throw;
    }
    return submit_read([this, sink, wanted](bool cancelled) {
        if (cancelled) return sink.done(MERIDIAN_CANCELLED);
        std::vector<abi::Name> order = wanted;
        if (defect_.is("records-by-name")) std::sort(order.begin(), order.end());
        std::vector<ModelData::Record> records;
        {
            const std::lock_guard lock(mutex_);
            for (const abi::Name& name : order) records.push_back(data_.read(name));
        }
        const auto give = [&](size_t i) {
            meridian_key_record record{};
            std::vector<meridian_bytes> tail;
            for (const std::string& payload : records[i].tail) tail.push_back(abi::bytes(payload));
            record.struct_size = sizeof record;
            record.name = order[i].borrowed();
            record.has_snapshot = records[i].snapshot ? 1 : 0;
            if (records[i].snapshot) record.snapshot = abi::bytes(*records[i].snapshot);
            record.snapshot_position = records[i].snapshot_position;
            record.tail = tail.data();
            record.tail_count = tail.size();
            record.tail_position = records[i].tail_position;
            sink.record(record);
        };
        size_t first = 0;
        if (defect_.is("calls-a-sink-twice-at-once") && order.size() > 1) {
            std::barrier both(2);
            const auto give_at_once = [&](size_t i) {
                both.arrive_and_wait();
                give(i);
            };
            std::thread other(give_at_once, 0);
            give_at_once(1);
            other.join();
            first = 2;
        }
        for (size_t i = first; i < order.size(); ++i) give(i);
        sink.done(MERIDIAN_OK);
        if (defect_.is("record-after-done") && !order.empty()) give(0);
    });
}

meridian_status BrokenStore::read_log(uint64_t from_position, uint64_t entries_max, uint64_t bytes_max,
                                      abi::LogSink sink) {
    return submit_read([this, sink, from_position, entries_max, bytes_max](bool cancelled) {
        if (cancelled) return sink.done(MERIDIAN_CANCELLED, {}, from_position);
        if (defect_.is("never-completes") && entries_max == 100) return;
        std::vector<abi::Entry> entries;
        uint64_t floor = 0;
        {
            const std::lock_guard lock(mutex_);
            floor = data_.floor();
            uint64_t bytes = 0;
            const uint64_t most = entries_max + (defect_.is("long-log-pages") ? 1 : 0);
            for (uint64_t at = from_position; at >= floor && at < data_.next_position() && entries.size() < most;
                 ++at) {
                bytes += data_.entry(at).payload.size();
                if (bytes > bytes_max && (!entries.empty() || defect_.is("empty-log-pages"))) break;
                entries.push_back(data_.entry(at));
            }
        }
        if (from_position < floor) return sink.gone(floor);
        for (const abi::Entry& entry : entries) sink.entry(entry.borrowed());
        sink.done(MERIDIAN_OK, {}, from_position + entries.size());
    });
}

meridian_status BrokenStore::scan_keys(std::string_view namespace_name, const meridian_key_name* after,
                                       uint64_t count_max, abi::NameSink sink) {
    std::optional<abi::Name> start;
    if (after != nullptr) start.emplace(abi::view(after->namespace_name), abi::view(after->key));
    return submit_read([this, sink, own = std::string(namespace_name), start, count_max](bool cancelled) {
        if (cancelled) return sink.done(MERIDIAN_CANCELLED);
        std::vector<abi::Name> names;
        {
            const std::lock_guard lock(mutex_);
            names = data_.names(own, start);
        }
        const bool more = names.size() > count_max || (defect_.is("more-when-full") && names.size() == count_max);
        if (names.size() > count_max) names.resize(static_cast<size_t>(count_max));
        for (const abi::Name& name : names) sink.name(name.namespace_name, name.key);
        sink.done(MERIDIAN_OK, {}, more);
    });
}

meridian_status BrokenStore::scan_due(uint64_t until_ms, uint64_t count_max, abi::NameSink sink) {
    if (defect_.is("crashes")) std::abort();
    if (defect_.is("hangs")) pause(3'600'000);
    return submit_read([this, sink, until_ms, count_max](bool cancelled) {
        if (cancelled) return sink.done(MERIDIAN_CANCELLED);
        std::vector<std::pair<uint64_t, abi::Name>> due;
        {
            const std::lock_guard lock(mutex_);
            due = data_.due(until_ms);
        }
        const bool more = due.size() > count_max;
        if (more) due.resize(static_cast<size_t>(count_max));
        for (const auto& [deadline_ms, name] : due) sink.name(name.namespace_name, name.key, deadline_ms);
        sink.done(MERIDIAN_OK, {}, more);
    });
}

meridian_status BrokenStore::read_metadata(const meridian_bytes* names, uint64_t count, abi::MetadataSink sink) {
    return submit_read([this, sink, wanted = abi::copy_metadata_names(names, count)](bool cancelled) {
        if (cancelled) return sink.done(MERIDIAN_CANCELLED);
        std::map<std::string, std::string> metadata;
        {
            const std::lock_guard lock(mutex_);
            metadata = data_.metadata();
        }
        std::vector<std::string> order = wanted;
        if (defect_.is("values-by-name")) std::sort(order.begin(), order.end());
        for (const std::string& name : order) {
            const auto found = metadata.find(name);
            sink.value(name, found == metadata.end() ? std::nullopt : std::optional<std::string_view>(found->second));
        }
        sink.done(MERIDIAN_OK);
    });
}

meridian_status BrokenStore::scan_metadata(std::string_view prefix, std::string_view after, uint64_t count_max,
                                           abi::MetadataSink sink) {
    return submit_read([this, sink, prefix = std::string(prefix), after = std::string(after), count_max](bool late) {
        if (late) return sink.done(MERIDIAN_CANCELLED);
        std::vector<std::pair<std::string, std::string>> found;
        {
            const std::lock_guard lock(mutex_);
            for (const auto& [name, value] : data_.metadata()) {
                const bool own = name.rfind(prefix, 0) == 0 || defect_.is("ignores-the-prefix");
                if (own && (after.empty() || name > after)) found.emplace_back(name, value);
            }
        }
        if (found.size() > count_max) found.resize(static_cast<size_t>(count_max));
        if (defect_.is("metadata-backwards")) std::reverse(found.begin(), found.end());
        for (const auto& [name, value] : found) sink.value(name, value);
        sink.done(MERIDIAN_OK);
    });
}

}  // namespace meridian::plugin_kit
