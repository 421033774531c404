// A store that keeps everything in memory and loses it when it is closed: all of meridian/plugin.h without a disk in
// the way. One thread does what submits ask for, in order; nearly all data is its own. Calls that come on other threads
// see atomics, and the list of stale keys under a mutex.
#include <meridian/store.hpp>

#include <map>
#include <set>

namespace {
using namespace meridian::abi;
struct Row {
    std::optional<std::string> state;
    uint64_t position = 0;       // entries up to here are in the state, or were deleted with the key
    uint64_t last_position = 0;  // of the newest entry
    uint64_t deadline_ms = 0;
    std::deque<uint64_t> tail;  // positions of the entries after `position`
};

class MemoryStore {
public:
    MemoryStore(Host host, const Config& config)
        : host_(host), log_bytes_max_(static_cast<uint64_t>(config.integer("log_bytes_max"))) {
        host_.random(store_id_, sizeof store_id_);
        queue_.start(1);
    }
    void stop(uint64_t deadline_us) { queue_.stop(host_, deadline_us); }
    void opening(meridian_store_opening& out) const noexcept {
        std::memcpy(out.store_id, store_id_, sizeof out.store_id);
        out.created = out.next_position = out.floor = 1;
    }
    void usage(meridian_store_usage& out) const noexcept {
        out.log_bytes = log_bytes_;
        out.log_bytes_since_checkpoint = stale_bytes_;
        out.log_bytes_available = log_bytes_max_ - std::min<uint64_t>(log_bytes_max_, log_bytes_);
    }
    meridian_status commit(const meridian_commit_group& group, StatusSink sink) {
        return queue_.submit([this, sink, copy = Group(group)](bool) mutable {
            if (!copy.entries.empty() && copy.entries[0].position != next_position_)
                return sink.done(MERIDIAN_INVALID, "the log's next position is " + std::to_string(next_position_));
            if (log_bytes_ + copy.bytes > log_bytes_max_)
                return sink.done(MERIDIAN_NO_SPACE, "log_bytes_max is " + std::to_string(log_bytes_max_));
            for (Entry& entry : copy.entries) {
                log_bytes_ += size_of(entry);
                stale_bytes_ += size_of(entry);
                change(entry.name, [&](Row& row) {
                    row.tail.push_back(entry.position);
                    row.last_position = entry.position;
                    row.deadline_ms = entry.deadline_ms;
                });
                log_.push_back(std::move(entry));
                next_position_ += 1;
            }
            for (MetadataWrite& write : copy.metadata) {
                metadata_.erase(write.name);
                if (write.value) metadata_.emplace(std::move(write.name), std::move(*write.value));
            }
            sink.done(MERIDIAN_OK);
        });
    }
    meridian_status read_keys(const meridian_key_name* names, uint64_t count, KeyRecordSink sink) {
        return submit(sink, [this, sink, wanted = copy_names(names, count), none = Row()] {
            for (const Name& name : wanted) {
                const auto found = rows_.find(name);
                const Row& row = found == rows_.end() ? none : found->second;
                std::vector<meridian_bytes> tail;
                for (const uint64_t position : row.tail) tail.push_back(bytes(at(position).payload));
                sink.record(name.borrowed(), row.state, row.position, tail, row.tail.empty() ? 0 : row.tail.back());
            }
            sink.done(MERIDIAN_OK);
        });
    }
    meridian_status checkpoint(const meridian_snapshot_write* snapshots, uint64_t count, StatusSink sink) {
        return submit(sink, [this, sink, copy = copy_snapshots(snapshots, count, next_position_ - 1)] {
            for (const Snapshot& snapshot : copy) {
                change(snapshot.name, [&](Row& row) {
                    if (row.position > snapshot.position) return;
                    row.state = snapshot.state;
                    row.position = snapshot.position;
                    for (; !row.tail.empty() && row.tail.front() <= row.position; row.tail.pop_front())
                        stale_bytes_ -= size_of(at(row.tail.front()));
                    if (row.tail.empty()) row.deadline_ms = row.state ? snapshot.deadline_ms : 0;
                });
            }
            trim();
            sink.done(MERIDIAN_OK);
        });
    }
    void stale_keys(uint64_t count_max, const std::function<void(std::string_view, std::string_view)>& name) const {
        const std::lock_guard lock(stale_mutex_);
        for (auto at = stale_.begin(); at != stale_.end() && count_max != 0; ++at, --count_max)
            name(at->second.namespace_name, at->second.key);
    }
    void retain_from(uint64_t position) {
        if (raise(retain_from_, position)) queue_.submit([this](bool) { trim(); });
    }
    meridian_status read_log(uint64_t from_position, uint64_t entries_max, uint64_t bytes_max, LogSink sink) {
        return submit(sink, [=, this] {
            if (from_position < floor()) return sink.gone(floor());
            uint64_t next = from_position;
            for (uint64_t size = 0; next < next_position_ && next - from_position < entries_max; ++next) {
                size += at(next).payload.size();
                if (size > bytes_max && next != from_position) break;
                sink.entry(at(next).borrowed());
            }
            sink.done(MERIDIAN_OK, {}, next);
        });
    }
    meridian_status scan_keys(std::string_view of, const meridian_key_name* after, uint64_t count_max, NameSink sink) {
        const Name start(of, {});
        const Name begin = after == nullptr ? start : std::max(start, Name(*after));
        return submit(sink, [=, this, given = uint64_t{0}]() mutable {
            for (auto at = rows_.upper_bound(begin); at != rows_.end(); ++at) {
                const auto& [name, row] = *at;
                if (!start.namespace_name.empty() && name.namespace_name != start.namespace_name) break;
                if (!row.state && row.tail.empty()) continue;
                if (given++ == count_max) return sink.done(MERIDIAN_OK, {}, true);
                sink.name(name.namespace_name, name.key);
            }
            sink.done(MERIDIAN_OK);
        });
    }
    meridian_status scan_due(uint64_t until_ms, uint64_t count_max, NameSink sink) {
        return submit(sink, [=, this, given = uint64_t{0}]() mutable {
            for (auto at = due_.begin(); at != due_.end() && at->first <= until_ms; ++at) {
                if (given++ == count_max) return sink.done(MERIDIAN_OK, {}, true);
                sink.name(at->second.namespace_name, at->second.key, at->first);
            }
            sink.done(MERIDIAN_OK);
        });
    }
    meridian_status read_metadata(const meridian_bytes* names, uint64_t count, MetadataSink sink) {
        return submit(sink, [this, sink, wanted = copy_metadata_names(names, count)] {
            for (const std::string& name : wanted) {
                const auto at = metadata_.find(name);
                at == metadata_.end() ? sink.value(name, std::nullopt) : sink.value(name, at->second);
            }
            sink.done(MERIDIAN_OK);
        });
    }
    meridian_status scan_metadata(std::string_view of, std::string_view after, uint64_t count_max, MetadataSink sink) {
        return submit(sink, [=, this, prefix = std::string(of), last = std::string(after), left = count_max]() mutable {
            for (auto at = metadata_.lower_bound(std::max(prefix, last)); at != metadata_.end() && left != 0; ++at) {
                if (at->first.compare(0, prefix.size(), prefix) != 0) break;
                if (at->first != last && left-- != 0) sink.value(at->first, at->second);
            }
            sink.done(MERIDIAN_OK);
        });
    }

private:
    template <class Sink, class Work>
    meridian_status submit(Sink sink, Work work) {
        return queue_.submit(
            [sink, work](bool cancelled) mutable { cancelled ? sink.done(MERIDIAN_CANCELLED) : work(); });
    }
    uint64_t floor() const { return next_position_ - log_.size(); }
    const Entry& at(uint64_t position) const { return log_[position - floor()]; }
    static uint64_t size_of(const Entry& entry) { return entry.name.key.size() + entry.payload.size(); }
    // Changes a row, and the lists that follow from rows. A deleted key keeps its row while the log has entries of it,
    // so that an older snapshot does not bring it back.
    template <class Change>
    void change(const Name& name, Change change) {
        const std::lock_guard lock(stale_mutex_);
        Row& row = rows_[name];
        due_.erase({row.deadline_ms, name});
        if (!row.tail.empty()) stale_.erase(row.tail.front());
        change(row);
        if (row.deadline_ms != 0) due_.emplace(row.deadline_ms, name);
        if (!row.tail.empty()) stale_.emplace(row.tail.front(), name);
        if (!row.state && row.tail.empty() && row.last_position < floor()) rows_.erase(name);
    }
    void trim() {
        while (floor() < retain_from_ && !log_.empty() && (stale_.empty() || floor() < stale_.begin()->first)) {
            const Entry entry = std::move(log_.front());
            log_.pop_front();
            log_bytes_ -= size_of(entry);
            if (rows_.count(entry.name) != 0) change(entry.name, [](Row&) {});
        }
    }
    const Host host_;
    const uint64_t log_bytes_max_;
    uint8_t store_id_[16] = {};
    std::atomic<uint64_t> next_position_{1}, retain_from_{0}, log_bytes_{0}, stale_bytes_{0};
    mutable std::mutex stale_mutex_;
    std::map<uint64_t, Name> stale_;  // guarded by stale_mutex_: the oldest entry of each tail
    std::deque<Entry> log_;           // of the queue's thread, like the next three
    std::map<Name, Row> rows_;
    std::set<std::pair<uint64_t, Name>> due_;
    std::map<std::string, std::string> metadata_;
    TaskQueue queue_{4096};  // the last member: its thread ends before the data goes
};
constexpr meridian_config_key keys[] = {
    {sizeof(meridian_config_key), MERIDIAN_TYPE_SIZE, 0, 0, "log_bytes_max", "1GiB", 1 << 10, 1LL << 40, nullptr,
     nullptr, "Most memory that log entries may take; beyond it, writes are refused until some can be dropped."}};

}  // namespace

MERIDIAN_STORE_PLUGIN(MemoryStore, "store-memory", "1.0", MERIDIAN_STORE_VOLATILE, "Apache-2.0",
                      "Keeps data in memory only, for tests and throw-away nodes", keys)
