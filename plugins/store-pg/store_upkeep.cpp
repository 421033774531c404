// Checkpoints, and the deletion of log entries that states cover and the host does not want.
#include <algorithm>

#include "store.h"

namespace meridian::store_pg {
namespace {

constexpr uint64_t drop_count_max = 5'000;  // log entries deleted in one transaction
constexpr uint64_t stale_page_count = 20'000;

const std::vector<Statement>& upkeep_statements() {
    static const std::vector<Statement> all = {Statement::begin,        Statement::commit,    Statement::rollback,
                                               Statement::add_missing,  Statement::lock_keys, Statement::write_states,
                                               Statement::stale_of,     Statement::read_head, Statement::oldest_stale,
                                               Statement::drop_entries, Statement::drop_keys, Statement::set_floor};
    return all;
}

}  // namespace

PgStore::Result PgStore::with_upkeep(const std::function<void(Connection&)>& work) {
    const uint64_t deadline_us = host_.monotonic_us() + settings_.unavailable_after_ms * 1000;
    for (uint32_t attempt = 0;; ++attempt) {
        try {
            if (!upkeep_connection_.is_open()) upkeep_connection_.open(upkeep_statements());
            work(upkeep_connection_);
            return {};
        } catch (const ServerError& error) {
            if (!error.lost()) {
                try {
                    upkeep_connection_.rollback();
                } catch (const ServerError&) { upkeep_connection_.close(); }
            }
            const bool again = !error.cancelled() && (error.lost() || error.worth_repeating());
            if (!again || attempt >= attempts_max || host_.monotonic_us() >= deadline_us ||
                !sleep_us(pause_us(attempt)))
                return {error.status(), error.what()};
        } catch (const std::exception& error) {
            upkeep_connection_.close();
            return {MERIDIAN_INTERNAL, error.what()};
        }
    }
}

meridian_status PgStore::checkpoint(const meridian_snapshot_write* snapshots, uint64_t count, abi::StatusSink sink) {
    auto copy =
        std::make_shared<std::vector<abi::Snapshot>>(abi::copy_snapshots(snapshots, count, durable_position_.load()));
    return upkeep_.submit([this, sink, copy](bool cancelled) {
        if (cancelled) return sink.done(MERIDIAN_CANCELLED);
        const Result result = write_snapshots(*copy);
        sink.done(result.status, result.message);
        request_upkeep();
    });
}

PgStore::Result PgStore::write_snapshots(const std::vector<abi::Snapshot>& snapshots) {
    if (failed_) return {MERIDIAN_READ_ONLY, "an earlier write failed"};
    std::map<abi::Name, uint64_t> covered;  // each name once, in the order in which rows are locked
    for (const abi::Snapshot& snapshot : snapshots) {
        uint64_t& position = covered[snapshot.name];
        position = std::max(position, snapshot.position);
    }
    std::vector<abi::Name> names;
    for (const auto& [name, position] : covered) names.push_back(name);
    if (names.empty()) return {};
    std::vector<Command> batch{{Statement::begin, {}},
                               {Statement::add_missing, parameters_of(names)},
                               {Statement::lock_keys, parameters_of(names)}};
    append_states(snapshots, {}, false, batch);
    batch.push_back({Statement::stale_of, parameters_of(names)});
    batch.push_back({Statement::commit, {}});
    return with_upkeep([&](Connection& connection) {
        const auto results = connection.run(batch);
        take_figures(batch, results);
        std::map<uint64_t, uint64_t> oldest;  // by index
        const Rows& stale = results[results.size() - 2];
        for (int i = 0; i < stale.count(); ++i) oldest[stale.number(i, 0)] = stale.number(i, 1);
        for (size_t i = 0; i < names.size(); ++i) {
            const auto found = oldest.find(i + 1);
            stale_.cover(names[i], covered[names[i]], found == oldest.end() ? 0 : found->second);
        }
    });
}

void PgStore::request_upkeep() {
    if (upkeep_requested_.exchange(true)) return;
    const meridian_status status = upkeep_.submit([this](bool cancelled) {
        upkeep_requested_ = false;
        if (!cancelled && !stopping_) run_upkeep();
    });
    if (status != MERIDIAN_OK) upkeep_requested_ = false;  // the next checkpoint asks again
}

void PgStore::run_upkeep() {
    if (stale_.wants_page()) read_stale_page();
    drop_entries();
}

void PgStore::read_stale_page() {
    const Result result = with_upkeep([this](Connection& connection) {
        const uint64_t from = stale_.begin_page();
        const Rows rows =
            connection.run({{Statement::oldest_stale, Parameters().number(from).number(stale_page_count + 1)}}).front();
        StaleSet::Page page;
        for (int i = 0; i < rows.count() && page.size() < stale_page_count; ++i)
            page.emplace_back(rows.number(i, 0), name_at(rows, i, 1));
        stale_.add_page(page, static_cast<uint64_t>(rows.count()) > stale_page_count);
    });
    if (result.status != MERIDIAN_OK && result.status != MERIDIAN_CANCELLED)
        host_.log(MERIDIAN_LOG_WARNING, "looking for keys to write snapshots of: " + result.message);
}

// Some of the entries; then the queue has the next turn.
void PgStore::drop_entries() {
    if (failed_ || retain_from_ <= opening_head_.floor) return;
    bool more = false;
    const Result result = with_upkeep([&](Connection& connection) {
        const auto known =
            connection.run({{Statement::read_head, {}}, {Statement::oldest_stale, Parameters().number(0).number(1)}});
        const Head head = head_of(known[0]);
        uint64_t end = std::min<uint64_t>(retain_from_, head.next_position);
        if (known[1].count() != 0) end = std::min(end, known[1].number(0, 0));
        if (head.floor >= end) return;
        const uint64_t to = std::min(end, head.floor + drop_count_max);
        const uint64_t bytes =
            connection.run({{Statement::begin, {}}, {Statement::drop_entries, Parameters().number(to)}})[1].number(0,
                                                                                                                   0);
        const std::vector<Command> rest{{Statement::drop_keys, Parameters().number(to).number(drop_count_max)},
                                        {Statement::set_floor, Parameters().number(to).number(bytes)},
                                        {Statement::commit, {}}};
        take_figures(rest, connection.run(rest));
        more = to < end;
    });
    if (result.status != MERIDIAN_OK && result.status != MERIDIAN_CANCELLED)
        host_.log(MERIDIAN_LOG_WARNING, "deleting log entries: " + result.message);
    if (more) request_upkeep();
}

}  // namespace meridian::store_pg
