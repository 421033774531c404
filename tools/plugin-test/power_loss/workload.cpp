#include "workload.h"

#include <chrono>
#include <thread>

#include "store_host.h"

namespace meridian::power_loss {
namespace {

using node::CommitStatus;

void pause_us(uint64_t microseconds) {
    std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
}

std::vector<node::KeyRecord> read_keys(node::Store& store, const std::vector<node::KeyName>& names) {
    return wait_for<std::vector<node::KeyRecord>>([&](auto done) { store.read_keys(names, std::move(done)); });
}

}  // namespace

Workload::Workload(node::Store& store, RunStatus& status, uint64_t seed, uint64_t run, ExpectedFaults faults)
    : store_(store), status_(status), seed_(seed), run_(run), faults_(faults) {}

bool Workload::begin() {
    next_ = store_.opening().next_position;
    durable_ = next_ - 1;
    std::vector<node::KeyName> names;
    for (size_t i = 0; i < key_count; ++i) names.push_back(key_name(i));
    const auto records = read_keys(store_, names);
    for (size_t i = 0; i < key_count; ++i) {
        if (!records[i].error.empty()) {
            status_.say(faults_.reads ? Phase::open_failed : Phase::failed,
                        names[i].key + " cannot be read after opening: " + records[i].error);
            return false;
        }
        if (records[i].snapshot && !KeyTotals::parse(*records[i].snapshot, totals_[i])) {
            status_.say(Phase::failed, names[i].key + ": the snapshot was never written: " + *records[i].snapshot);
            return false;
        }
        for (const std::string& payload : records[i].tail) totals_[i].add(payload);
    }
    using Values = Result<std::vector<std::optional<std::string>>>;
    const auto beat = wait_for<Values>([&](auto done) { store_.read_metadata({beat_name}, std::move(done)); });
    if (!beat) {
        status_.say(faults_.reads ? Phase::open_failed : Phase::failed, beat.error().message);
        return false;
    }
    copy_text(status_.opened_beat, sizeof status_.opened_beat, (*beat)[0].value_or(""));
    status_.submitted_next = next_;
    status_.acknowledged_next = next_;
    status_.opened_next = next_;
    status_.phase = Phase::open;
    return true;
}

void Workload::run() {
    std::vector<std::thread> threads;
    for (size_t i = 0; i < writer_count; ++i) threads.emplace_back([this, i] { write(i); });
    threads.emplace_back([this] { write_snapshots(); });
    threads.emplace_back([this] { read(); });
    for (auto& thread : threads) thread.join();
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return in_flight_.empty(); });
}

void Workload::violation(const std::string& what) {
    status_.say(Phase::failed, what);
    finished_ = true;
    wake_.notify_all();
}

bool Workload::finished() {
    const std::lock_guard lock(mutex_);
    return finished_ || status_.close_wanted != 0;
}

void Workload::write(uint64_t thread) {
    std::mt19937_64 random(seed_ ^ run_ << 8 ^ thread);
    while (!finished()) {
        submit(random);
        if (random() % 4 == 0) pause_us(random() % 400);
    }
}

void Workload::submit(std::mt19937_64& random) {
    bool disturbed = false;
    {
        std::unique_lock lock(mutex_);
        if (broken_) {
            wake_.wait(lock, [this] { return in_flight_.empty() || finished_; });
            if (unknown_seen_ && !store_.usage().failed) {
                return violation("a group had an unknown outcome, but the store does not say that it has failed");
            }
            next_ = durable_ + 1;
            broken_ = false;
            disturbed = true;
        }
    }
    // Not in a hurry after a refusal, and gently after a failure.
    if (disturbed) pause_us(500);
    std::unique_lock lock(mutex_);
    if (broken_ || finished_) return;
    wake_.wait(lock, [this] { return in_flight_.size() < in_flight_max || finished_; });
    if (finished_ || broken_) return;
    InFlight item;
    node::CommitGroup group;
    if (random() % 16 == 0) {
        item.beat = ++beat_;
        group.metadata.push_back({beat_name, std::to_string(run_) + "/" + std::to_string(beat_)});
        status_.beat_submitted = beat_;
    } else {
        item.plan = plan_group(seed_, run_, next_);
        group = item.plan.group;
        next_ += group.entries.size();
        if (next_ > status_.submitted_next) status_.submitted_next = next_;
    }
    in_flight_.push_back(std::move(item));
    // Under the lock: groups are submitted in the order of their positions.
    store_.commit(std::move(group), [this](const node::CommitResult& result) { completed(result); });
    // A writer waits for what it wrote most of the time.
    if (random() % 3 != 0) {
        const size_t behind = in_flight_.size();
        wake_.wait(lock, [&] { return in_flight_.size() < behind || broken_ || finished_; });
    }
}

void Workload::completed(const node::CommitResult& result) {
    const std::lock_guard lock(mutex_);
    const InFlight item = std::move(in_flight_.front());
    in_flight_.pop_front();
    wake_.notify_all();
    if (result.status == CommitStatus::durable) {
        if (unknown_seen_) return violation("a group was acknowledged after one had an unknown outcome");
        if (item.beat != 0) {
            status_.beat_acknowledged = item.beat;
            return;
        }
        if (broken_) return violation("a group was acknowledged behind one that was refused");
        for (size_t i = 0; i < item.plan.keys.size(); ++i) {
            if (item.plan.keys[i] < key_count) totals_[item.plan.keys[i]].add(item.plan.group.entries[i].payload);
        }
        durable_ += item.plan.keys.size();
        status_.acknowledged_next = durable_ + 1;
        status_.acknowledged_groups += 1;
        return;
    }
    broken_ = broken_ || item.beat == 0;
    if (result.status == CommitStatus::outcome_unknown) {
        status_.unknown_groups += 1;
        unknown_seen_ = true;
        broken_ = true;
        if (!faults_.any) violation("a group has an unknown outcome although no call failed: " + result.message);
    } else {
        status_.refused_groups += 1;
    }
}

void Workload::write_snapshots() {
    std::mt19937_64 random(seed_ ^ run_ << 8 ^ 100);
    while (!finished()) {
        pause_us(200 + random() % 3000);
        const uint64_t kind = random() % 10;
        if (kind < 6) write_some_snapshots(random);
        if (kind >= 6 && kind < 8) remove_row(random);
        if (kind < 8) continue;
        uint64_t durable = 0;
        {
            const std::lock_guard lock(mutex_);
            durable = durable_;
        }
        const uint64_t floor = std::max<uint64_t>(status_.floor_requested, durable - durable % 64);
        status_.floor_requested = floor;
        store_.retain_from(floor);
    }
}

void Workload::write_some_snapshots(std::mt19937_64& random) {
    std::vector<node::SnapshotWrite> writes;
    std::vector<size_t> keys;
    uint64_t position = 0;
    {
        const std::lock_guard lock(mutex_);
        position = durable_;
        const bool all = random() % 4 == 0;
        for (size_t i = 0; i < key_count; ++i) {
            if (totals_[i].count == 0 || (!all && random() % 4 != 0)) continue;
            node::SnapshotWrite write;
            write.name = key_name(i);
            write.position = position;
            write.deadline_ms = totals_[i].deadline_ms;
            write.state = totals_[i].text();
            writes.push_back(std::move(write));
            keys.push_back(i);
        }
    }
    if (writes.empty()) return;
    const auto error = wait_for<std::string>([&](auto done) { store_.checkpoint(std::move(writes), std::move(done)); });
    const std::lock_guard lock(mutex_);
    if (error.empty()) {
        for (const size_t key : keys) status_.snapshot_acknowledged[key] = position;
    } else if (!faults_.any) {
        violation("writing snapshots failed although no call failed: " + error);
    }
}

void Workload::remove_row(std::mt19937_64& random) {
    const size_t key = random() % removed_key_count;
    node::SnapshotWrite write;
    write.name = key_name(key_count + key);
    {
        const std::lock_guard lock(mutex_);
        write.position = durable_;
    }
    const uint64_t position = write.position;
    status_.removal_requested[key] = position;
    const auto error =
        wait_for<std::string>([&](auto done) { store_.checkpoint({std::move(write)}, std::move(done)); });
    const std::lock_guard lock(mutex_);
    if (error.empty()) {
        status_.removal_acknowledged[key] = position;
    } else if (!faults_.any) {
        violation("removing a row failed although no call failed: " + error);
    }
}

void Workload::read() {
    std::mt19937_64 random(seed_ ^ run_ << 8 ^ 200);
    while (!finished()) {
        pause_us(500 + random() % 2000);
        read_something(random);
    }
}

void Workload::read_something(std::mt19937_64& random) {
    std::string error;
    const uint64_t kind = random() % 3;
    if (kind == 0) {
        for (const auto& record : read_keys(store_, {key_name(random() % key_count), key_name(random() % key_count)})) {
            if (!record.error.empty()) error = record.name.key + ": " + record.error;
        }
    } else if (kind == 1) {
        uint64_t from = 0;
        {
            const std::lock_guard lock(mutex_);
            from = durable_ > 50 ? durable_ - random() % 50 : 1;
        }
        error = wait_for<node::LogPage>([&](auto done) { store_.read_log(from, 40, 1 << 16, std::move(done)); }).error;
    } else {
        error = wait_for<node::KeyPage>([&](auto done) {
                    store_.scan_keys(workload_namespace, std::nullopt, 100, std::move(done));
                }).error;
    }
    if (error.empty() || faults_.reads) return;
    const std::lock_guard lock(mutex_);
    violation(std::string("reading failed although no read was made to fail") +
              (unknown_seen_ ? ", after a write failed: " : ": ") + error);
}

}  // namespace meridian::power_loss
