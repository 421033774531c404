// Groups of two steps: rows are locked and given, then the group is written or not. The transaction is open in between.
#include <algorithm>
#include <charconv>

#include "store.h"

namespace meridian::store_pg {
namespace {

// A larger state is not rewritten by every group.
constexpr size_t rewritten_state_bytes_max = 64 << 10;

// Entries of this node are those that carry its id; without one, all are.
bool is_own(const abi::Entry& entry, const std::string& node_id) {
    uint64_t id = 0;
    const auto [end, error] = std::from_chars(node_id.data(), node_id.data() + node_id.size(), id);
    if (error != std::errc() || end != node_id.data() + node_id.size()) return true;
    return entry.origin_node_id == id;
}

}  // namespace

meridian_status PgStore::lock_group(const meridian_row_want* rows, uint64_t count, uint64_t deadline_us,
                                    const meridian_row_sink& sink) {
    LockJob job;
    uint64_t size = 0;
    abi::for_each(rows, count, [&](const meridian_row_want& row) {
        job.names.emplace_back(row.name);
        job.cached_versions.emplace_back();
        if (row.has_cached_version != 0) job.cached_versions.back() = row.cached_version;
        size += row.name.key.size + row.name.namespace_name.size;
    });
    job.deadline_us = deadline_us;
    job.sink = sink;
    return enqueue(std::move(job), size);
}

meridian_status PgStore::commit_locked(const meridian_commit_group& group, const meridian_snapshot_write* rows,
                                       uint64_t row_count, abi::StatusSink sink) {
    CommitLockedJob job{abi::Group(group), {}, sink};
    const uint64_t last = job.group.entries.empty() ? durable_position_.load() : job.group.entries.back().position;
    job.rows = abi::copy_snapshots(rows, row_count, last);
    uint64_t size = job.group.bytes;
    for (const abi::Snapshot& row : job.rows) size += row.state ? row.state->size() : 0;
    return enqueue(std::move(job), size);
}

meridian_status PgStore::abort_locked(abi::StatusSink sink) {
    return enqueue(AbortJob{sink}, 0);
}

void PgStore::run(const LockJob& job) {
    const auto done = [&](meridian_status status, const std::string& message, uint64_t position, uint64_t sequence) {
        job.sink.done(job.sink.context, status, abi::bytes(message), position, sequence);
    };
    if (failed_) return done(MERIDIAN_READ_ONLY, failure_, 0, 0);
    ArrayParameter cached(ArrayParameter::Of::int8);
    for (const auto& version : job.cached_versions) {
        if (version) {
            cached.add(*version);
        } else {
            cached.add_null();
        }
    }
    const Parameters names = parameters_of(job.names);
    const uint64_t connect_deadline_us =
        std::min(job.deadline_us, host_.monotonic_us() + settings_.unavailable_after_ms * 1000);
    for (uint32_t attempt = 0;; ++attempt) {
        std::string why;
        if (!connect_until(connect_deadline_us, why))
            return done(failed_ ? MERIDIAN_READ_ONLY : MERIDIAN_UNAVAILABLE, failed_ ? failure_ : why, 0, 0);
        const uint64_t number = ++group_number_;
        const auto writer = [this] { return Parameters().bytes(session_->writer()); };
        try {
            const auto rows = session_->connection().run({
                {Statement::begin, {}},
                {Statement::mark_writer, writer().number(number)},
                {Statement::add_missing, names},
                {Statement::lock_keys, names},
                // A second look, after all are locked: what others had committed while this waited is seen.
                {Statement::read_keys, Parameters(names).array(cached)},
                {Statement::lock_head, {}},
                {Statement::read_writer, writer()},
            });
            const Head head = head_of(rows[5]);
            held_ = Held{job.deadline_us, number, head.next_position};
            give_rows(job, rows[4]);
            return done(MERIDIAN_OK, "", head.next_position, rows[6].number(0, 1) + 1);
        } catch (const ServerError& error) {
            // Nothing was to be committed: a lost connection leaves nothing behind.
            if (!error.lost()) release_locks();
            if (!error.lost() && !error.worth_repeating()) return done(error.status(), error.what(), 0, 0);
            if (host_.monotonic_us() >= job.deadline_us || !sleep_us(pause_us(std::min(attempt, 4u))))
                return done(MERIDIAN_TIMEOUT, error.what(), 0, 0);
        } catch (const std::exception& error) {
            release_locks();
            return done(MERIDIAN_INTERNAL, error.what(), 0, 0);
        }
    }
}

// The rows come by index of the name, the state first, then the entries after it.
void PgStore::give_rows(const LockJob& job, const Rows& rows) const {
    for (int at = 0; at < rows.count();) {
        const uint64_t index = rows.number(at, 0);
        meridian_row row{};
        row.struct_size = sizeof row;
        row.name = job.names[index - 1].borrowed();
        row.version = rows.number(at, 1);
        row.record.struct_size = sizeof row.record;
        row.record.name = row.name;
        row.record.has_snapshot = rows.is_null(at, 4) ? 0 : 1;
        if (row.record.has_snapshot != 0) row.record.snapshot = abi::bytes(rows.bytes(at, 4));
        row.append_only = row.record.snapshot.size > rewritten_state_bytes_max ? 1 : 0;
        row.record.snapshot_position = rows.number(at, 3);
        std::vector<meridian_bytes> tail;
        for (++at; at < rows.count() && rows.number(at, 0) == index; ++at) {
            tail.push_back(abi::bytes(rows.bytes(at, 4)));
            row.record.tail_position = rows.number(at, 3);
        }
        row.record.tail = tail.data();
        row.record.tail_count = tail.size();
        job.sink.row(job.sink.context, &row);
    }
}

void PgStore::release_locks() {
    held_.reset();
    if (!session_->is_open()) return;
    try {
        session_->connection().rollback();
    } catch (const ServerError&) { session_->close(); }  // the server rolls back then
}

void PgStore::run(const AbortJob& job) {
    release_locks();
    job.sink.done(MERIDIAN_OK);
}

void PgStore::run(const CommitLockedJob& job) {
    if (!held_) return job.sink.done(MERIDIAN_INVALID, "no rows are locked: the lock has ended at its deadline");
    const Held held = *held_;
    Result result;
    if (host_.monotonic_us() >= held.deadline_us) {
        result = {MERIDIAN_INVALID, "the lock has ended at its deadline"};
    } else if (!job.group.entries.empty() && job.group.entries.front().position != held.next_position) {
        result = {MERIDIAN_INVALID, "the group begins at position " +
                                        std::to_string(job.group.entries.front().position) + ", expected " +
                                        std::to_string(held.next_position)};
    } else {
        result = commit_held(job, held);
    }
    if (result.status != MERIDIAN_OK) release_locks();
    held_.reset();
    job.sink.done(result.status, result.message);
}

PgStore::Result PgStore::commit_held(const CommitLockedJob& job, const Held& held) {
    const auto touches = touches_of(job.group);
    const auto& entries = job.group.entries;
    std::vector<Command> batch;
    append_group(job.group, touches, batch);
    append_states(job.rows, touches, true, batch);
    const auto own = std::find_if(entries.rbegin(), entries.rend(),
                                  [this](const abi::Entry& entry) { return is_own(entry, settings_.node_id); });
    if (own != entries.rend()) {
        batch.push_back({Statement::set_sequence, Parameters().bytes(session_->writer()).number(own->origin_sequence)});
    }
    batch.push_back({Statement::notify,
                     Parameters().text(channel_of(settings_.schema)).number(held.next_position + entries.size() - 1)});
    batch.push_back({Statement::commit, {}});
    try {
        take_figures(batch, session_->connection().run(batch));
    } catch (const ServerError& error) {
        if (!error.lost()) return {error.status(), error.what()};
        held_.reset();
        const Outcome outcome = settle(held.group_number, entries.size());
        if (outcome == Outcome::unknown) return {MERIDIAN_OUTCOME_UNKNOWN, failure_};
        if (outcome == Outcome::not_committed) return {MERIDIAN_UNAVAILABLE, error.what()};
    }
    committed(job.group, touches, held.group_number);
    return {};
}

}  // namespace meridian::store_pg
