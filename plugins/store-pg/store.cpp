#include "store.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace meridian::store_pg {
namespace {

constexpr size_t read_tasks_max = 4096;
constexpr size_t upkeep_tasks_max = 1024;
constexpr uint64_t pause_first_us = 20'000;
constexpr uint64_t pause_max_us = 2'000'000;

std::string random_name(const abi::Host& host) {
    unsigned char bytes[8];
    host.random(bytes, sizeof bytes);
    std::string out;
    for (const unsigned char byte : bytes) {
        out.push_back("0123456789abcdef"[byte >> 4]);
        out.push_back("0123456789abcdef"[byte & 15]);
    }
    return out;
}

}  // namespace

PgStore::PgStore(abi::Host host, const abi::Config& config)
    : host_(host),
      settings_(Settings::from(config)),
      // A server that answers is given its time also when the store stops: commits are carried out.
      session_(std::make_unique<Session>(settings_, random_name(host), [this] { return reconnecting_ && is_late(); })),
      upkeep_connection_(settings_, [this] { return is_late(); }),
      readers_(read_tasks_max),
      upkeep_(upkeep_tasks_max) {
    open();
    readers_.start(settings_.read_connections);
    upkeep_.start(1);
    committer_ = std::thread([this] { run_committer(); });
    request_upkeep();
}

PgStore::~PgStore() {
    stop(0);
}

void PgStore::open() {
    StoreId fresh_id{};
    host_.random(fresh_id.data(), fresh_id.size());
    const uint64_t give_up_us = host_.monotonic_us() + settings_.unavailable_after_ms * 1000;
    for (uint32_t attempt = 0;; ++attempt) {
        try {
            Connection connection(settings_, [] { return false; });
            connection.open({});
            refuse_transaction_pooler(settings_, connection, [] { return false; });
            const SchemaState state = bring_up_to_date(connection, settings_.schema, fresh_id);
            created_ = created_ || state.created;
            store_id_ = state.store_id;
            session_->open();
            break;
        } catch (const ServerError& error) {
            // A server that is just being started, or a migration that met another one.
            const bool temporary = error.lost() || error.worth_repeating();
            if (!temporary || host_.monotonic_us() >= give_up_us) throw abi::Failure(error.status(), error.what());
        } catch (const abi::Failure& failure) {
            // The process that had it may have died a moment ago, with the server still busy for it.
            if (failure.status() != MERIDIAN_IN_USE || host_.monotonic_us() >= give_up_us) throw;
        }
        sleep_us(pause_us(std::min<uint32_t>(attempt, 3)));
    }
    opening_head_ = session_->head();
    next_position_ = opening_head_.next_position;
    durable_position_ = next_position_ - 1;
    log_bytes_ = opening_head_.log_bytes;
    stale_bytes_ = opening_head_.stale_bytes;
    group_number_ = session_->fence();
    acknowledged_number_ = session_->group_number();
    connected_ = true;
    read_stale_page();
}

void PgStore::stop(uint64_t deadline_us) {
    if (stopping_) return;
    stop_deadline_us_ = deadline_us;
    {
        const std::lock_guard lock(stop_mutex_);
        stopping_ = true;
        stop_wake_.notify_all();
    }
    {
        const std::lock_guard lock(commit_mutex_);
        commit_stopping_ = true;
        commit_wake_.notify_all();
    }
    if (committer_.joinable()) committer_.join();
    readers_.stop(host_, deadline_us);
    upkeep_.stop(host_, deadline_us);
    watcher_.reset();
    idle_readers_.clear();
    upkeep_connection_.close();
    try {
        session_->forget_writer();
    } catch (const std::exception&) {}  // it is only tidier without it
    session_->close();
}

bool PgStore::is_late() const {
    return stopping_ && host_.monotonic_us() >= stop_deadline_us_;
}

bool PgStore::sleep_us(uint64_t duration_us) {
    const uint64_t end_us = host_.monotonic_us() + duration_us;
    std::unique_lock lock(stop_mutex_);
    while (!is_late()) {
        const uint64_t now_us = host_.monotonic_us();
        if (now_us >= end_us) return true;
        // In slices, because the deadline of stop() is on the host's clock.
        stop_wake_.wait_for(lock, std::chrono::microseconds(std::min<uint64_t>(end_us - now_us, 50'000)));
    }
    return false;
}

uint64_t PgStore::random_number(uint64_t below) const {
    uint64_t value = 0;
    host_.random(&value, sizeof value);
    return value % below;
}

uint64_t PgStore::pause_us(uint32_t attempt) const {
    const uint64_t longest = std::min(pause_max_us, pause_first_us << std::min<uint32_t>(attempt, 10));
    // Nodes that lost the same server must not come back together.
    return longest / 2 + random_number(longest / 2 + 1);
}

void PgStore::take_figures(const std::vector<Command>& batch, const std::vector<Rows>& rows) {
    for (size_t i = 0; i < batch.size(); ++i) {
        const Statement statement = batch[i].statement;
        if (statement != Statement::advance && statement != Statement::write_states &&
            statement != Statement::set_floor) {
            continue;
        }
        if (rows[i].count() == 0) continue;
        log_bytes_ = rows[i].number(0, 0);
        stale_bytes_ = rows[i].number(0, 1);
    }
}

void PgStore::fail(const std::string& message) {
    if (failed_.exchange(true)) return;
    failure_ = message;
    host_.log(MERIDIAN_LOG_ERROR, message + "; the store takes no more writes until the node is restarted");
}

void PgStore::opening(meridian_store_opening& out) const noexcept {
    out.created = created_ ? 1 : 0;
    std::memcpy(out.store_id, store_id_.data(), sizeof out.store_id);
    out.next_position = opening_head_.next_position;
    out.floor = opening_head_.floor;
}

void PgStore::usage(meridian_store_usage& out) const noexcept {
    const uint64_t used = log_bytes_;
    out.failed = failed_ ? 1 : 0;
    out.log_bytes = used;
    out.log_bytes_since_checkpoint = stale_bytes_;
    // Without a server the host refuses writes at once, instead of letting them wait.
    out.log_bytes_available =
        failed_ || !connected_ ? 0 : settings_.log_bytes_max - std::min(settings_.log_bytes_max, used);
}

void PgStore::stale_keys(uint64_t count_max,
                         const std::function<void(std::string_view, std::string_view)>& name) const {
    stale_.list(count_max, name);
}

void PgStore::retain_from(uint64_t position) {
    if (abi::raise(retain_from_, position)) request_upkeep();
}

void PgStore::watch(void* context, void (*changed)(void* context, uint64_t last_position)) {
    if (!settings_.shared || watcher_) return;
    watcher_ = std::make_unique<Watcher>(
        settings_, durable_position_,
        [this, context, changed](uint64_t position) {
            abi::raise(durable_position_, position);
            changed(context, position);
        },
        [this](uint64_t us) { return sleep_us(us); }, [this] { return stopping_.load(); });
}

}  // namespace meridian::store_pg
