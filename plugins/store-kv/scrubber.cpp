#include "scrubber.h"

#include <algorithm>
#include <chrono>
#include <vector>

namespace meridian::store_kv {
namespace {

constexpr uint64_t first_wait_ms = 60'000;   // a node that restarts often is scrubbed too
constexpr uint64_t slice_bytes = 256 << 10;  // read between two pauses
constexpr uint64_t structure_bytes_per_second = 64 << 20;
constexpr uint64_t damage_logged_max = 100;  // in one pass; the metric counts all

}  // namespace

Scrubber::Scrubber(abi::Host host, ScrubOptions options, SegmentList& segments, std::mutex& state_mutex,
                   const SnapshotDb& database, std::function<void(const std::string& what)> stop_writing)
    : host_(host),
      segments_(segments),
      state_mutex_(state_mutex),
      database_(database),
      stop_writing_(std::move(stop_writing)),
      options_(options) {}

void Scrubber::start() {
    if (options_.interval_ms != 0) thread_ = std::thread([this] { run(); });
}

void Scrubber::set_options(ScrubOptions options) {
    {
        const std::lock_guard lock(mutex_);
        options_ = options;
        wake_.notify_all();
    }
    if (!thread_.joinable()) start();
}

void Scrubber::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        wake_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
}

bool Scrubber::wait_ms(uint64_t milliseconds) {
    std::unique_lock lock(mutex_);
    return !wake_.wait_for(lock, std::chrono::milliseconds(milliseconds), [this] { return stopping_; });
}

bool Scrubber::wait_for_pass(bool first) {
    const auto since = std::chrono::steady_clock::now();
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        const uint64_t wait = first ? std::min(options_.interval_ms, first_wait_ms) : options_.interval_ms;
        const auto due = since + std::chrono::milliseconds(wait);
        if (options_.interval_ms == 0) {
            wake_.wait(lock);
        } else if (std::chrono::steady_clock::now() >= due) {
            return true;
        } else {
            wake_.wait_until(lock, due);
        }
    }
    return false;
}

bool Scrubber::pace(uint64_t bytes) {
    unpaced_ += bytes;
    if (unpaced_ < slice_bytes) return true;
    uint64_t bytes_per_second = 0;
    {
        const std::lock_guard lock(mutex_);
        bytes_per_second = options_.bytes_per_second;
    }
    const uint64_t pause_ms = unpaced_ * 1000 / bytes_per_second;
    unpaced_ = 0;
    return wait_ms(pause_ms);
}

void Scrubber::run() {
    for (bool first = true; wait_for_pass(first); first = false) {
        bool whole = true;
        const meridian_status status = abi::guarded(nullptr, [&]() -> meridian_status {
            whole = pass();
            return MERIDIAN_OK;
        });
        if (!whole) return;
        if (status != MERIDIAN_OK) {
            host_.log(MERIDIAN_LOG_WARNING, "out of memory while looking for damage; it will be tried again");
            continue;
        }
        host_.metric(MERIDIAN_METRIC_COUNTER, "scrub_passes", 1);
        host_.metric(MERIDIAN_METRIC_GAUGE, "scrub_damage", static_cast<double>(damage_));
    }
}

bool Scrubber::pass() {
    damage_ = 0;
    uint64_t number = 0;
    for (;;) {
        std::shared_ptr<Segment> segment;
        {
            // One at a time: a segment that is held cannot be recycled.
            const std::lock_guard lock(state_mutex_);
            for (size_t i = 0; i < segments_.size() && segment == nullptr; ++i) {
                if (segments_[i]->header.number > number) segment = segments_[i];
            }
        }
        if (segment == nullptr) break;
        number = segment->header.number;
        if (!check_segment(segment)) return false;
    }
    return check_structure() && check_rows();
}

bool Scrubber::check_segment(const std::shared_ptr<Segment>& segment) {
    uint64_t end = segment->header.capacity;
    uint64_t sequence_end = 0;
    {
        const std::lock_guard lock(state_mutex_);
        const auto next = segments_.find(segment->header.number + 1);
        sequence_end = next ? next->header.first_sequence : segment->next_sequence;
        // What lies behind is being written.
        if (!next) end = segment->end_offset;
    }
    SegmentReader reader(*segment, segment_header_size, end);
    RecordAt record;
    for (uint64_t sequence = segment->header.first_sequence; sequence < sequence_end; ++sequence) {
        const auto step = reader.next(sequence, record);
        if (step == SegmentReader::Step::io_error) {
            report(reader.error());
            return true;
        }
        if (step == SegmentReader::Step::stop) {
            report(segment->path + ": log record " + std::to_string(sequence) + " at offset " +
                   std::to_string(reader.offset()) + " is damaged");
            return true;
        }
        if (!pace(record_size(record.header.length))) return false;
    }
    return true;
}

bool Scrubber::check_structure() {
    // In one transaction, which keeps LMDB from using pages again: so it does not take the time that rows may take.
    const auto transaction = database_.read();
    if (!transaction) {
        report(transaction.error().message);
        return true;
    }
    uint64_t bytes_per_second = structure_bytes_per_second;
    {
        const std::lock_guard lock(mutex_);
        bytes_per_second = std::max(bytes_per_second, options_.bytes_per_second);
    }
    uint64_t unpaced = 0;
    bool stopped = false;
    const StructureReport found = transaction->check_structure([&](uint64_t bytes) {
        unpaced += bytes;
        if (unpaced < slice_bytes) return true;
        stopped = !wait_ms(unpaced * 1000 / bytes_per_second);
        unpaced = 0;
        return !stopped;
    });
    for (const std::string& what : found.damaged) report(what);
    for (const std::string& what : found.fatal) report(what);
    if (!found.fatal.empty()) stop_writing_(found.fatal.front());
    return !stopped;
}

bool Scrubber::check_rows() {
    std::string place;
    do {
        uint64_t bytes = 0;
        {
            // A short transaction for each slice: a long one would keep LMDB from using pages again.
            const auto transaction = database_.read();
            auto checked = transaction ? transaction->check_rows(place, slice_bytes,
                                                                 [this](const std::string& what) { report(what); })
                                       : Result<uint64_t>(transaction.error());
            if (!checked) {
                report(checked.error().message);
                return true;
            }
            bytes = *checked;
        }
        if (!pace(bytes)) return false;
    } while (!place.empty());
    return true;
}

void Scrubber::report(const std::string& what) {
    damage_ += 1;
    if (damage_ <= damage_logged_max) host_.log(MERIDIAN_LOG_ERROR, "found while looking for damage: " + what);
}

}  // namespace meridian::store_kv
