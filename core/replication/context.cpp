#include "replication/context.h"

#include <algorithm>

#include "config/node_identity.h"

namespace meridian::replication {

namespace {

constexpr size_t alarms_max = 1'000;

}  // namespace

const char* alarm_name(AlarmKind kind) {
    switch (kind) {
        case AlarmKind::amnesia:
            return "amnesia";
        case AlarmKind::node_id_collision:
            return "node-id-collision";
        case AlarmKind::conflicting_entry:
            return "conflicting-entry";
        case AlarmKind::clock_offset:
            return "clock-offset";
        case AlarmKind::origin_stopped:
            return "origin-stopped";
        case AlarmKind::entry_too_large:
            return "entry-too-large";
        case AlarmKind::gap_skipped:
            return "gap-skipped";
        case AlarmKind::peers_full:
            return "peers-full";
    }
    return "unknown";
}

std::string to_text(const Origin& origin) {
    return config::node_id_text(origin.node_id) + "/" + std::to_string(origin.incarnation);
}

Context::Context(Lane& lane, Clock& clock, Random& random, node::ReplicationPort& node_port, Seal message_seal,
                 ReplicationOptions replication_options)
    : port(node_port),
      seal(std::move(message_seal)),
      options(std::move(replication_options)),
      nonce(16, '\0'),
      self(node_port.self()),
      lane_(lane),
      clock_(clock),
      random_(random),
      next_number_(0) {
    random.fill(nonce.data(), nonce.size());
}

void Context::post(Task task) {
    here(std::move(task))();
}

void Context::post_after(uint64_t delay_us, Task task) {
    lane_.post_after(delay_us, [gate = std::weak_ptr<Gate>(gate_), task = std::move(task)] {
        const std::shared_ptr<Gate> open = gate.lock();
        if (!open) return;
        const std::lock_guard<std::mutex> guard(open->mutex);
        task();
    });
}

uint64_t Context::jittered(uint64_t value, double part) {
    const double unit = static_cast<double>(random_.next_u64() >> 11) / static_cast<double>(1ULL << 53);
    return static_cast<uint64_t>(static_cast<double>(value) * (1 - part + 2 * part * unit));
}

uint64_t Context::backoff_us(uint32_t failures) {
    const uint64_t cap_us = std::max<uint64_t>(options.interval_ms * 1000 / 3, 1000);
    const uint64_t wait_us = 500'000ULL << std::min<uint32_t>(failures == 0 ? 0 : failures - 1, 10);
    return jittered(std::min(wait_us, cap_us) * 4 / 5, 0.25);
}

uint64_t Context::hello_period_us() const {
    return std::clamp<uint64_t>(options.interval_ms, 100, 10'000) * 1000;
}

Header Context::header() {
    Header header;
    header.cluster_id = seal.cluster_id();
    header.from = self;
    header.wall_ms = wall_ms();
    // They ascend over restarts too, as long as the wall clock does (replay_window.h).
    next_number_ = std::max(next_number_ + 1, header.wall_ms << message_number_bits);
    header.number = next_number_;
    return header;
}

void Context::alarm(AlarmKind kind, const std::string& subject, const std::string& text) {
    const auto key = std::make_pair(kind, subject);
    if (alarms.size() >= alarms_max && alarms.find(key) == alarms.end()) return;
    Alarm& alarm = alarms[key];
    alarm.kind = kind;
    alarm.text = text;
    alarm.last_wall_ms = wall_ms();
    const bool is_news = alarm.count == 0 || !alarm.active;
    if (alarm.count++ == 0) alarm.first_wall_ms = alarm.last_wall_ms;
    alarm.active = true;
    if (is_news && on_alarm) on_alarm(alarm);
}

void Context::clear_alarm(AlarmKind kind, const std::string& subject) {
    const auto found = alarms.find({kind, subject});
    if (found != alarms.end()) found->second.active = false;
}

}  // namespace meridian::replication
