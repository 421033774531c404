// Readers while commits and checkpoints go on, and queues that are full.
#include <atomic>
#include <thread>

#include "fixture.h"

namespace meridian::plugin_test {
namespace {

// Starts threads, and joins them on every way out.
class Threads {
public:
    ~Threads() { join(); }
    template <class Function>
    void start(Function function) {
        threads_.emplace_back([this, function] {
            on_host_thread() = true;
            try {
                while (!stop_) function();
            } catch (const std::exception& failure) {
                const std::lock_guard lock(mutex_);
                if (failure_.empty()) failure_ = failure.what();
            }
        });
    }
    void join() {
        stop_ = true;
        for (std::thread& thread : threads_) thread.join();
        threads_.clear();
    }
    // Throws what a thread has thrown.
    void finish() {
        join();
        if (!failure_.empty()) throw Failed(failure_);
    }

private:
    std::atomic<bool> stop_{false};
    std::mutex mutex_;
    std::string failure_;
    std::vector<std::thread> threads_;
};

constexpr uint64_t group_size = 3;

Group numbered_group(uint64_t number) {
    Group group;
    const uint64_t first = (number - 1) * group_size + 1;
    for (uint64_t i = 0; i < group_size; ++i)
        group.entries.push_back(entry(first + i, "room", "a", std::string(600, 'x')));
    group.metadata.push_back({"groups", std::to_string(number)});
    return group;
}

// What has been acknowledged must be there, nothing twice, and of a group all or nothing. The state of the key is the
// count of entries that it covers.
void check_record(const Record& record, uint64_t acknowledged) {
    const uint64_t covered = record.snapshot ? std::stoull(*record.snapshot) : 0;
    const uint64_t entries = covered + record.tail.size();
    require_equal(record.status, MERIDIAN_OK, "status of the record");
    require(entries >= acknowledged * group_size,
            "a reader saw " + std::to_string(entries) + " entries of a key when " +
                std::to_string(acknowledged * group_size) + " had been acknowledged before it asked");
    require(covered == record.snapshot_position, "a reader saw a state that does not fit its position");
    require(record.tail.empty() || record.tail.size() + record.snapshot_position == record.tail_position,
            "a reader saw a tail that does not follow the snapshot");
    require(entries % group_size == 0, "a reader saw a part of a group: " + std::to_string(entries) + " entries");
}

void check_log_page(const LogResult& page, uint64_t from) {
    if (page.gone || page.status == MERIDIAN_BUSY) return;
    require_equal(page.status, MERIDIAN_OK, "status of read_log");
    require_equal(page.next_position, from + page.entries.size(), "next_position of a page");
    require((page.next_position - 1) % group_size == 0,
            "a reader of the log saw a part of a group: it ends at position " + std::to_string(page.next_position - 1));
}

void readers_see_whole_groups(Fixture& fixture) {
    auto store = fixture.open();
    std::atomic<uint64_t> acknowledged{0};
    Threads threads;
    for (int i = 0; i < 2; ++i) {
        threads.start([&] {
            const uint64_t known = acknowledged;
            const auto result = store.submit_read_keys({{"room", "a"}})->wait();
            if (result.status == MERIDIAN_BUSY) return;
            require(result.ok() && result.records.size() == 1, "read_keys failed under load");
            check_record(result.records.front(), known);
        });
    }
    threads.start([&] {
        const uint64_t known = acknowledged;
        const uint64_t from = known * group_size + 1;
        check_log_page(store.submit_read_log(from, 1000, 64 << 20)->wait(), from);
        const auto values = store.submit_read_metadata({"groups"})->wait();
        if (values.status == MERIDIAN_BUSY) return;
        const uint64_t groups = values.values.at(0).value ? std::stoull(*values.values[0].value) : 0;
        require(groups >= known, "metadata of an acknowledged group cannot be read");
    });
    for (uint64_t number = 1; number <= 200; ++number) {
        store.put_group(numbered_group(number));
        acknowledged = number;
        if (number % 10 != 0) continue;
        const uint64_t position = number * group_size;
        store.retain_from(position);
        store.snapshot("room", "a", position, std::to_string(position));
    }
    threads.finish();
}

void all_functions_may_be_called_at_once(Fixture& fixture) {
    auto store = fixture.open();
    for (uint64_t i = 1; i <= 20; ++i) store.put("room", "k" + std::to_string(i), "x", i);
    Threads threads;
    threads.start([&] { store.submit_scan_keys("room", std::nullopt, 10)->wait(); });
    threads.start([&] { store.submit_scan_due(1000, 10)->wait(); });
    threads.start([&] { store.submit_scan_metadata("m", "", 10)->wait(); });
    threads.start([&] {
        store.usage();
        store.stale(10);
        store.retain_from(5);
    });
    threads.start([&] {
        const auto result = store.submit_checkpoint({{{"room", "k1"}, 1, "state", 0}})->wait();
        require(result.ok() || result.status == MERIDIAN_BUSY, "checkpoint failed under load: " + result.message);
    });
    for (int i = 0; i < 200; ++i) {
        const uint64_t position = store.next_position();
        store.put_group({{entry(position, "room", "k" + std::to_string(i % 30), "y", position)},
                         {{"m" + std::to_string(i % 5), "v"}}});
    }
    threads.finish();
}

void a_busy_store_has_done_nothing(Fixture& fixture) {
    auto store = fixture.open();
    // Many calls are outstanding at once; the store takes them or says that it is busy.
    constexpr uint64_t count = 5000;
    std::vector<std::shared_ptr<RecordsCall>> reads;
    uint64_t taken = 0;
    std::vector<std::shared_ptr<StatusCall>> commits;
    for (uint64_t i = 1; i <= count; ++i) {
        if (taken + 1 == i) {
            commits.push_back(store.submit_commit({{entry(i, "room", "a", std::string(200, 'x'))}, {}}));
            if (commits.back()->submitted() == MERIDIAN_OK) taken = i;
        }
        reads.push_back(store.submit_read_keys({{"room", "none"}}));
    }
    const auto ok_or_busy = [](meridian_status status, const std::string& what) {
        require(status == MERIDIAN_OK || status == MERIDIAN_BUSY,
                what + ": found " + status_name(status) + ", expected MERIDIAN_OK or MERIDIAN_BUSY");
    };
    for (const auto& call : commits) {
        ok_or_busy(call->submitted(), "a commit with many outstanding");
        if (call->submitted() == MERIDIAN_OK)
            require_equal(status_name(call->wait().status), "MERIDIAN_OK", "a commit that was taken");
    }
    for (const auto& call : reads) {
        ok_or_busy(call->submitted(), "read_keys with many outstanding");
        if (call->submitted() == MERIDIAN_OK)
            require_equal(status_name(call->wait().status), "MERIDIAN_OK", "a read that was taken");
    }
    require_equal(store.read("room", "a").tail.size(), size_t{taken}, "entries of the commits that were taken");
    const auto next = store.commit({{entry(taken + 1, "room", "a", "x")}, {}});
    require_equal(status_name(next.status), "MERIDIAN_OK", "the commit after the last one that was taken");
}

}  // namespace

std::vector<Check> concurrency_checks() {
    return {
        {"readers see whole groups", readers_see_whole_groups},
        {"all functions may be called at once", all_functions_may_be_called_at_once},
        {"a busy store has done nothing", a_busy_store_has_done_nothing},
    };
}

}  // namespace meridian::plugin_test
