// Groups of one step, and everything about the connection that commits.
#include <algorithm>
#include <chrono>

#include "store.h"

namespace meridian::store_pg {
namespace {

constexpr size_t jobs_max = 4096;
constexpr uint64_t waiting_bytes_max = 64 << 20;
// How long the committer looks at nothing else while there is no connection and no job.
constexpr auto idle_slice = std::chrono::milliseconds(50);
// How soon a server that has gone away is noticed without a write.
constexpr auto look_interval = std::chrono::milliseconds(500);

}  // namespace

meridian_status PgStore::enqueue(Job job, uint64_t size) {
    const std::lock_guard lock(commit_mutex_);
    if (commit_stopping_) return MERIDIAN_CANCELLED;
    if (jobs_.size() >= jobs_max) return MERIDIAN_BUSY;
    if (!jobs_.empty() && waiting_bytes_ + size > waiting_bytes_max) return MERIDIAN_BUSY;
    waiting_bytes_ += size;
    jobs_.emplace_back(std::move(job), size);
    commit_wake_.notify_one();
    return MERIDIAN_OK;
}

meridian_status PgStore::commit(const meridian_commit_group& group, abi::StatusSink sink) {
    CommitJob job{abi::Group(group), sink};
    const uint64_t size = job.group.bytes;
    return enqueue(std::move(job), size);
}

// While locks are held nothing comes between the two steps of their group.
bool PgStore::may_run(const Job& job) const {
    return !held_ || std::holds_alternative<CommitLockedJob>(job) || std::holds_alternative<AbortJob>(job);
}

// REQUIRES: commit_mutex_ is held.
std::optional<PgStore::Job> PgStore::next_job() {
    const auto found =
        std::find_if(jobs_.begin(), jobs_.end(), [this](const auto& waiting) { return may_run(waiting.first); });
    if (found == jobs_.end()) return std::nullopt;
    std::optional<Job> out(std::move(found->first));
    waiting_bytes_ -= found->second;
    jobs_.erase(found);
    return out;
}

void PgStore::run_committer() {
    std::unique_lock lock(commit_mutex_);
    for (;;) {
        if (auto job = next_job()) {
            lock.unlock();
            std::visit([this](const auto& each) { run(each); }, *job);
            lock.lock();
            continue;
        }
        if (held_) {
            const uint64_t now_us = host_.monotonic_us();
            if (commit_stopping_ || now_us >= held_->deadline_us) {
                lock.unlock();
                release_locks();
                lock.lock();
                continue;
            }
            commit_wake_.wait_for(lock, std::min<std::chrono::microseconds>(
                                            std::chrono::microseconds(held_->deadline_us - now_us), idle_slice));
            continue;
        }
        if (commit_stopping_) return;
        if (failed_ || session_->connection().is_alive()) {
            commit_wake_.wait_for(lock, look_interval, [this] { return commit_stopping_ || !jobs_.empty(); });
            continue;
        }
        // Writes are refused while there is no connection, so that no job would lead to one.
        lock.unlock();
        std::string why;
        if (connect_once(why)) {
            check_head(next_position_);
        } else if (!failed_) {
            sleep_us(pause_us(connect_attempts_));
        }
        lock.lock();
    }
}

bool PgStore::connect_once(std::string& why) {
    reconnecting_ = true;
    try {
        session_->open();
        reconnecting_ = false;
        connect_attempts_ = 0;
        group_number_ = session_->fence();
        if (!last_connect_error_.empty()) host_.log(MERIDIAN_LOG_INFORMATION, settings_.server() + ": connected again");
        last_connect_error_.clear();
        if (session_->group_number() < acknowledged_number_) {
            fail(settings_.server() + ": it has lost groups that it had committed (found number " +
                 std::to_string(session_->group_number()) + " of this node, expected " +
                 std::to_string(acknowledged_number_) +
                 "): a standby that lagged was promoted, or an old backup restored");
        }
        connected_ = !failed_;
        return !failed_;
    } catch (const std::exception& error) { why = error.what(); }
    session_->close();
    reconnecting_ = false;
    connected_ = false;
    connect_attempts_ += 1;
    if (why != last_connect_error_) host_.log(MERIDIAN_LOG_WARNING, why + "; trying again until it can be reached");
    last_connect_error_ = why;
    return false;
}

bool PgStore::connect_until(uint64_t deadline_us, std::string& why) {
    if (session_->connection().is_alive()) return true;
    connected_ = false;
    while (!connect_once(why)) {
        if (failed_ || host_.monotonic_us() >= deadline_us || !sleep_us(pause_us(connect_attempts_))) return false;
    }
    check_head(next_position_);
    return !failed_;
}

// With one node at a time nobody else moves the head.
void PgStore::check_head(uint64_t expected_position) {
    if (settings_.shared || session_->head().next_position == expected_position || failed_) return;
    fail(settings_.server() + ": another node has written to schema '" + settings_.schema + "' (found next position " +
         std::to_string(session_->head().next_position) + ", expected " + std::to_string(expected_position) + ")");
}

PgStore::Outcome PgStore::settle(uint64_t group_number, uint64_t entry_count) {
    connected_ = false;
    host_.log(MERIDIAN_LOG_WARNING,
              settings_.server() + ": the connection was lost during a commit; finding out what has become of it");
    std::string why;
    while (!connect_once(why)) {
        if (failed_ || !sleep_us(pause_us(connect_attempts_))) {
            fail(settings_.server() + ": it is not known whether the last group was committed");
            return Outcome::unknown;
        }
    }
    const bool is_there = session_->group_number() == group_number;
    check_head(next_position_ + (is_there ? entry_count : 0));
    return is_there ? Outcome::committed : Outcome::not_committed;
}

void PgStore::run(const CommitJob& job) {
    const Result result = commit_group(job);
    job.sink.done(result.status, result.message);
}

PgStore::Result PgStore::commit_group(const CommitJob& job) {
    if (failed_) return {MERIDIAN_READ_ONLY, failure_};
    const auto& entries = job.group.entries;
    const uint64_t deadline_us = host_.monotonic_us() + settings_.unavailable_after_ms * 1000;
    const auto does_not_follow = [&] {
        return Result{MERIDIAN_INVALID, "the group begins at position " + std::to_string(entries.front().position) +
                                            ", which does not follow the log"};
    };
    if (!settings_.shared && !entries.empty() && entries.front().position != next_position_) return does_not_follow();
    if (log_bytes_ + log_bytes_of(job.group) > settings_.log_bytes_max)
        return {MERIDIAN_NO_SPACE, "log_bytes_max is " + std::to_string(settings_.log_bytes_max)};
    const auto touches = touches_of(job.group);
    for (uint32_t attempt = 0;; ++attempt) {
        std::string why;
        if (!connect_until(deadline_us, why))
            return {failed_ ? MERIDIAN_READ_ONLY : MERIDIAN_UNAVAILABLE, failed_ ? failure_ : why};
        const uint64_t number = ++group_number_;
        std::vector<Command> batch{{Statement::begin, {}},
                                   {Statement::mark_writer, Parameters().bytes(session_->writer()).number(number)}};
        append_group(job.group, touches, batch);
        if (settings_.shared && !entries.empty()) {
            batch.push_back(
                {Statement::notify, Parameters().text(channel_of(settings_.schema)).number(entries.back().position)});
        }
        batch.push_back({Statement::commit, {}});
        try {
            take_figures(batch, session_->connection().run(batch));
            committed(job.group, touches, number);
            return {};
        } catch (const ServerError& error) {
            if (error.lost()) {
                const Outcome outcome = settle(number, entries.size());
                if (outcome == Outcome::unknown) return {MERIDIAN_OUTCOME_UNKNOWN, failure_};
                if (outcome == Outcome::committed) {
                    log_bytes_ = session_->head().log_bytes;
                    stale_bytes_ = session_->head().stale_bytes;
                    committed(job.group, touches, number);
                    return {};
                }
                if (host_.monotonic_us() < deadline_us) continue;
                return {MERIDIAN_UNAVAILABLE, error.what()};
            }
            release_locks();
            if (error.worth_repeating() && attempt < attempts_max && sleep_us(pause_us(std::min(attempt, 4u))))
                continue;
            if (error.status() == MERIDIAN_INVALID && !entries.empty()) return does_not_follow();
            return {error.status(), error.what()};
        }
    }
}

void PgStore::committed(const abi::Group& group, const std::map<abi::Name, KeyTouch>& touches, uint64_t group_number) {
    acknowledged_number_ = group_number;
    if (group.entries.empty()) return;
    next_position_ = group.entries.back().position + 1;
    abi::raise(durable_position_, next_position_ - 1);
    if (watcher_) watcher_->count_own(group.entries.size());
    for (const auto& [name, touch] : touches) stale_.add(name, touch.first_position, touch.last_position);
}

}  // namespace meridian::store_pg
