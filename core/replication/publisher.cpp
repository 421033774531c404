#include "replication/publisher.h"

#include <algorithm>
#include <utility>

#include "replication/envelope.h"

namespace meridian::replication {

namespace {

size_t cost_of(const node::CommittedEntry& entry) {
    return entry.payload.size() + entry.name.namespace_name.size() + entry.name.key.size() + entry_memory_bytes;
}

}  // namespace

Publisher::Publisher(Context& context, std::vector<std::unique_ptr<Endpoint>>& endpoints,
                     std::function<void(const std::vector<node::CommittedEntry>&)> committed)
    : context_(context), endpoints_(endpoints), committed_(std::move(committed)) {}

void Publisher::on_committed(std::vector<node::CommittedEntry> entries) {
    size_t cost = 0;
    for (const node::CommittedEntry& entry : entries) cost += cost_of(entry);
    // The lane is far behind: only the numbers go there, for hello and pull.
    const bool too_much = posted_bytes_ + cost > context_.options.publish_window_bytes_max * 2;
    if (too_much) {
        for (node::CommittedEntry& entry : entries) {
            entry.payload.clear();
            entry.view.reset();
        }
        cost = entries.size() * entry_memory_bytes;
    }
    posted_bytes_ += cost;
    context_.post([this, cost, too_much, entries = std::move(entries)]() mutable {
        posted_bytes_ -= cost;
        committed_(entries);
        if (too_much) {
            context_.counters.entries_skipped += entries.size();
        } else {
            add(std::move(entries));
        }
    });
}

void Publisher::add(std::vector<node::CommittedEntry> entries) {
    if (endpoints_.empty()) return;
    for (node::CommittedEntry& entry : entries) {
        const size_t cost = cost_of(entry);
        window_bytes_ += cost;
        window_.push_back({std::move(entry), cost});
    }
    for (const auto& endpoint : endpoints_) pump(*endpoint);
    trim();
}

void Publisher::resume(Endpoint& endpoint) {
    cursor_of(endpoint).busy = false;
    pump(endpoint);
    trim();
}

Publisher::Cursor& Publisher::cursor_of(Endpoint& endpoint) {
    Cursor& cursor = cursors_[endpoint.index()];
    if (!cursor.completions) {
        cursor.completions = std::make_shared<Completions>();
        cursor.completions->post = context_.here([this, &cursor, &endpoint] {
            cursor.in_flight -= std::min(cursor.in_flight, cursor.completions->take());
            pump(endpoint);
            trim();
        });
    }
    return cursor;
}

void Publisher::pump(Endpoint& endpoint) {
    Cursor& cursor = cursor_of(endpoint);
    const uint64_t end = window_begin_ + window_.size();
    if (!endpoint.transport().has_broadcast()) {
        cursor.next = end;
        return;
    }
    if (cursor.next < window_begin_) {
        context_.counters.entries_skipped += window_begin_ - cursor.next;
        cursor.next = window_begin_;
    }
    // Nobody hears it now; when the transport is up again hello shows what is missing.
    if (!endpoint.up()) {
        context_.counters.entries_skipped += end - cursor.next;
        cursor.next = end;
        return;
    }
    while (cursor.next < end && !cursor.busy && cursor.in_flight < context_.options.publishes_in_flight_max) {
        switch (give(endpoint, window_[cursor.next - window_begin_])) {
            case SendStatus::ok:
                break;
            case SendStatus::busy:
                cursor.busy = true;
                return;
            default:
                ++context_.counters.entries_skipped;
                break;
        }
        ++cursor.next;
    }
}

SendStatus Publisher::give(Endpoint& endpoint, const Waiting& waiting) {
    const node::CommittedEntry& entry = waiting.entry;
    Envelope envelope;
    envelope.origin_node_id = entry.origin.node_id;
    envelope.namespace_name = entry.name.namespace_name;
    envelope.key = entry.name.key;
    envelope.numbered = Envelope::Numbered{};
    if (entry.view) {
        envelope.delta_bytes = entry.view->delta_bytes(wire::KeyForm::integer_keys);
        envelope.numbered->type_code = static_cast<uint8_t>(crdt::type_of(entry.view->delta()));
    }
    envelope.numbered->incarnation = entry.origin.incarnation;
    envelope.numbered->sequence = entry.sequence;
    envelope.numbered->wall_ms = entry.wall_ms;
    envelope.numbered->payload = entry.payload;

    std::string bytes = encode_envelope(envelope, context_.seal);
    const bool fits = bytes.size() <= endpoint.transport().message_bytes_max();
    if (!fits) {
        Entries announced;
        announced.entries.push_back({entry.origin, entry.sequence, entry.wall_ms, entry.name, {}});
        bytes = context_.encode({context_.header(), std::move(announced)});
    }
    Cursor& cursor = cursor_of(endpoint);
    const SendStatus status = endpoint.transport().publish(
        fits ? Channel::delta : Channel::control, fits ? std::string_view(envelope.namespace_name) : std::string_view(),
        bytes, [completions = cursor.completions](SendStatus, uint64_t) { completions->add_one(); });
    if (status != SendStatus::ok) return status;
    ++cursor.in_flight;
    ++(fits ? context_.counters.entries_published : context_.counters.entries_announced);
    return status;
}

void Publisher::trim() {
    uint64_t needed = window_begin_ + window_.size();
    for (const auto& endpoint : endpoints_) needed = std::min(needed, cursor_of(*endpoint).next);
    while (!window_.empty() && (window_begin_ < needed || window_bytes_ > context_.options.publish_window_bytes_max ||
                                window_.size() > context_.options.publish_window_entries_max)) {
        window_bytes_ -= window_.front().cost;
        window_.pop_front();
        ++window_begin_;
    }
}

size_t Publisher::waiting(const Endpoint& endpoint) const {
    const auto found = cursors_.find(endpoint.index());
    const uint64_t next = found == cursors_.end() ? window_begin_ : std::max(found->second.next, window_begin_);
    return window_begin_ + window_.size() - next;
}

bool Publisher::idle() const {
    for (const auto& [index, cursor] : cursors_) {
        if (cursor.in_flight > 0) return false;
    }
    return window_.empty();
}

}  // namespace meridian::replication
