#include "store.h"

#include <sodium.h>
#include <algorithm>
#include <cstring>

#include "crc32c.h"

namespace meridian::store_kv {
namespace {

constexpr size_t read_tasks_max = 4096;

[[noreturn]] void refuse(const std::string& text) {
    throw abi::Failure(MERIDIAN_IO, text);
}

template <class T>
T required(Result<T> result) {
    if (!result) refuse(result.error().message);
    return std::move(*result);
}

ScrubOptions scrub_options(const abi::Config& config) {
    return {static_cast<uint64_t>(config.integer("scrub_interval")),
            static_cast<uint64_t>(config.integer("scrub_bytes_per_second"))};
}

}  // namespace

StoreOptions StoreOptions::from(const abi::Config& config) {
    StoreOptions options;
    options.directory = config.text("directory");
    options.segment_size = static_cast<uint64_t>(config.integer("segment_size"));
    options.log_bytes_max = static_cast<uint64_t>(config.integer("log_bytes_max"));
    options.map_size = static_cast<uint64_t>(config.integer("map_size"));
    options.spare_segments = static_cast<size_t>(config.integer("spare_segments"));
    options.read_threads = static_cast<size_t>(config.integer("read_threads"));
    options.scrub = scrub_options(config);
    if (options.log_bytes_max < 2 * options.segment_size) {
        throw abi::Failure(MERIDIAN_INVALID, "log_bytes_max is " + std::to_string(options.log_bytes_max) +
                                                 ", expected at least two segments of " +
                                                 std::to_string(options.segment_size) + " bytes");
    }
    return options;
}

KvStore::KvStore(abi::Host host, const abi::Config& config, FileSystem& file_system)
    : host_(host), options_(StoreOptions::from(config)), files_(file_system), readers_(read_tasks_max) {
    if (sodium_init() < 0) refuse("libsodium cannot be initialised");
    open();
    readers_.start(options_.read_threads);
    backups_.start(1);
    writer_thread_ = std::thread([this] { run_writer(); });
    upkeep_thread_ = std::thread([this] { run_upkeep(); });
    scrubber_ = std::make_unique<Scrubber>(host_, options_.scrub, segments_, state_mutex_, *database_,
                                           [this](const std::string& what) { fail(what); });
    scrubber_->start();
}

KvStore::~KvStore() {
    stop(0);
}

void KvStore::open() {
    StoreId fresh_id{};
    host_.random(fresh_id.data(), fresh_id.size());
    directory_.emplace(required(DataDirectory::open(options_.directory, fresh_id)));
    if (directory_->was_open_to_others()) {
        host_.log(MERIDIAN_LOG_WARNING, options_.directory + ": was open to other users; its mode is now 0700");
    }
    const std::string snapshots_path = directory_->snapshots_path();
    created_ = !SnapshotDb::exists(snapshots_path);
    if (!created_) {
        database_ = required(SnapshotDb::open(snapshots_path, options_.map_size));
        for (const std::string& damage : database_->damage_at_open())
            host_.log(MERIDIAN_LOG_ERROR, damage + "; its rows cannot be read");
        const DatabaseState known = required(database_->state());
        if (known.store_id != directory_->store_id()) {
            refuse(snapshots_path + ": belongs to store " + hexadecimal(known.store_id) +
                   ", the directory is of store " + hexadecimal(directory_->store_id()));
        }
        recovery_ = known.recovery;
        known_ = known;
    }

    spares_ =
        std::make_unique<SparePool>(files_, directory_->log_path(), options_.segment_size, options_.spare_segments);
    LogWriterOptions log_options;
    log_options.directory = directory_->log_path();
    log_options.store_id = directory_->store_id();
    log_options.segment_size = options_.segment_size;
    log_options.log_bytes_max = options_.log_bytes_max;
    writer_ = std::make_unique<LogWriter>(files_, log_options, *spares_, segments_, state_mutex_, [this] {
        uint64_t salt = 0;
        host_.random(&salt, sizeof salt);
        return salt;
    });
    recover();
    durable_position_ = writer_->next_position() - 1;
    durable_sequence_ = writer_->next_sequence() - 1;
    opening_next_position_ = writer_->next_position();
    opening_floor_ = segments_.front()->header.first_position;
    if (created_) {
        // After the log: a store is there when its database is.
        if (auto made = SnapshotDb::create(snapshots_path, options_.map_size, database_state()); !made)
            refuse(made.error().message);
        database_ = required(SnapshotDb::open(snapshots_path, options_.map_size));
    } else if (known_.closed) {
        // From the first record on it is not closed any more.
        auto transaction = required(database_->write());
        if (auto put = transaction.put_state(database_state()); !put) refuse(put.error().message);
        if (auto done = transaction.commit(); !done) refuse(done.error().message);
    }
    const std::lock_guard lock(state_mutex_);
    refresh_usage();
}

void KvStore::recover() {
    const std::string log_path = directory_->log_path();
    std::vector<std::string> names;
    if (const int code = files_.list(log_path, names); code != 0) refuse(log_path + ": " + error_text(code));
    const bool has_segments = std::any_of(names.begin(), names.end(),
                                          [](const std::string& name) { return segment_number(name).has_value(); });
    if (created_ && !has_segments) {
        // Left by an attempt to make this store that was interrupted.
        for (const std::string& name : names) {
            const std::string path = log_path + "/" + name;
            if (const int code = files_.remove(path); code != 0) refuse(path + ": " + error_text(code));
        }
        if (const int code = writer_->create_first(); code != 0)
            refuse(log_path + ": making the first log segment: " + error_text(code));
        return;
    }

    LogRecoveryRequest request;
    request.directory = log_path;
    request.store_id = directory_->store_id();
    request.start = recovery_;
    request.sequence_known = known_.sequence_known;
    request.closed = known_.closed;
    const uint64_t started_us = host_.monotonic_us();
    std::optional<ReadTransaction> database;
    if (!created_) database.emplace(required(database_->read()));
    std::unordered_map<std::string, uint64_t> covered;
    auto recovered = required(recover_log(files_, request, segments_, [&](Segment& segment, const RecordAt& record) {
        return database ? replay(*database, segment, record, covered) : Result<void>();
    }));
    // A store that was interrupted while it was made has a log without records and no database.
    if (created_ && (recovered.records_read != 0 || segments_.size() != 1 || segments_.front()->header.number != 1)) {
        refuse(directory_->snapshots_path() + ": there is no snapshot database, but the log has " +
               std::to_string(recovered.records_read) + " records: it was removed or replaced");
    }
    spares_->adopt(recovered.spares);
    writer_->resume(recovered.seal_last);
    if (!recovered.remark.empty()) host_.log(MERIDIAN_LOG_WARNING, recovered.remark);
    host_.log(MERIDIAN_LOG_INFORMATION, log_path + ": read " + std::to_string(recovered.records_read) + " records (" +
                                            std::to_string(recovered.bytes_read) + " bytes) in " +
                                            std::to_string((host_.monotonic_us() - started_us) / 1000) + " ms; " +
                                            std::to_string(index_.key_count()) +
                                            " keys have entries newer than their snapshots");
}

Result<void> KvStore::replay(const ReadTransaction& database, Segment& segment, const RecordAt& record,
                             std::unordered_map<std::string, uint64_t>& covered) {
    const auto covered_to = [&](std::string_view name) -> uint64_t {
        const auto [found, added] = covered.try_emplace(std::string(name), 0);
        if (added) {
            const auto row = database.snapshot(name);
            if (row && *row) found->second = (*row)->position;
            // Of a key that cannot be read the entries were set aside up to here, or will be.
            const auto aside = database.aside_entries(name, found->second);
            if (aside && !aside->empty()) found->second = aside->back().position;
            if (!row) unreadable_.emplace(name);
        }
        return found->second;
    };
    const auto summary = read_group(
        record.payload,
        [&](const EntryView& entry) {
            EntryPlace place;
            place.position = entry.position;
            place.segment = static_cast<uint32_t>(segment.header.number);
            place.offset = static_cast<uint32_t>(record.offset + record_header_size + entry.payload_offset);
            place.length = static_cast<uint32_t>(entry.payload.size());
            place.checksum = crc32c(entry.payload);
            // A key in the index has newer entries only: entries come in order.
            if (index_.add_to_known(entry.name, place, entry.deadline_ms, segment) != nullptr) return;
            if (entry.position <= covered_to(entry.name)) return;
            index_.add(entry.name, place, entry.deadline_ms, segment);
        },
        [&](const MetadataView& write) {
            index_.put_metadata(write.name, write.value, record.header.sequence, segment);
        });
    const auto damaged = [&](const std::string& what) {
        return Error{segment.path + ": log record " + std::to_string(record.header.sequence) + " at offset " +
                     std::to_string(record.offset) + ": " + what};
    };
    if (!summary) return damaged("its checksum is right, but it is malformed");
    if (summary->entry_count != 0) {
        if (summary->first_position != segment.next_position) {
            return damaged("it begins at position " + std::to_string(summary->first_position) + ", expected " +
                           std::to_string(segment.next_position));
        }
        segment.next_position += summary->entry_count;
    }
    return {};
}

void KvStore::reconfigure(const abi::Config& config) {
    scrubber_->set_options(scrub_options(config));
}

void KvStore::stop(uint64_t deadline_us) {
    if (stopped_) return;
    stopped_ = true;
    stopping_ = true;
    if (scrubber_) scrubber_->stop();
    {
        const std::lock_guard lock(commit_mutex_);
        commit_stopping_ = true;
        commit_wake_.notify_all();
    }
    if (writer_thread_.joinable()) writer_thread_.join();
    const auto late = [this, deadline_us] { return host_.monotonic_us() >= deadline_us; };
    readers_.stop(late);
    backups_.stop(late);
    {
        const std::lock_guard lock(upkeep_mutex_);
        upkeep_stopping_ = true;
        upkeep_deadline_us_ = deadline_us;
        upkeep_wake_.notify_all();
    }
    if (upkeep_thread_.joinable()) upkeep_thread_.join();
}

void KvStore::fail(const std::string& message) {
    {
        const std::lock_guard lock(state_mutex_);
        if (failure_.empty()) failure_ = message;
        failed_ = true;
        refresh_usage();
    }
    host_.log(MERIDIAN_LOG_ERROR, message + "; the store takes no more writes until the node is restarted");
}

// REQUIRES: state_mutex_ held.
void KvStore::refresh_usage() {
    const uint64_t spare_bytes = spares_->bytes();
    const uint64_t used = segments_.bytes() + spare_bytes;
    log_bytes_ = used;
    pending_bytes_ = index_.bytes_pending();
    const uint64_t below_limit = options_.log_bytes_max > used ? options_.log_bytes_max - used : 0;
    const uint64_t more =
        std::min<uint64_t>(allocatable_bytes_, below_limit) / options_.segment_size * options_.segment_size;
    available_bytes_ = failed_ ? 0 : writer_->room() + spare_bytes + more;
}

void KvStore::opening(meridian_store_opening& out) const noexcept {
    out.created = created_ ? 1 : 0;
    std::memcpy(out.store_id, directory_->store_id().data(), sizeof out.store_id);
    out.next_position = opening_next_position_;
    out.floor = opening_floor_;
}

void KvStore::usage(meridian_store_usage& out) const noexcept {
    out.failed = failed_ ? 1 : 0;
    out.log_bytes = log_bytes_;
    out.log_bytes_since_checkpoint = pending_bytes_;
    out.log_bytes_available = available_bytes_;
}

void KvStore::retain_from(uint64_t position) noexcept {
    uint64_t before = retain_from_;
    while (before < position && !retain_from_.compare_exchange_weak(before, position)) {}
    if (before < position) wake_upkeep();
}

void KvStore::wake_upkeep() {
    const std::lock_guard lock(upkeep_mutex_);
    upkeep_wanted_ = true;
    upkeep_wake_.notify_all();
}

void KvStore::stale_keys(uint64_t count_max,
                         const std::function<void(std::string_view, std::string_view)>& name) const {
    std::vector<std::string> names;
    {
        const std::lock_guard lock(state_mutex_);
        for (const KeyTail* tail : index_.stale(static_cast<size_t>(count_max))) names.push_back(tail->name);
    }
    for (const std::string& joined : names) name(namespace_of(joined), key_of(joined));
}

}  // namespace meridian::store_kv
