#include "node/received_vector.h"

#include <algorithm>
#include <utility>

namespace meridian::node {

ReceivedVector::ReceivedVector(const VersionVector& durable) {
    for (const auto& [origin, sequence] : durable) durable_[origin].held = sequence;
}

void ReceivedVector::Progress::advance() {
    auto next = ahead.begin();
    while (next != ahead.end() && *next <= held + 1) {
        held = std::max(held, *next);
        next = ahead.erase(next);
    }
}

ReceivedVector::Progress& ReceivedVector::touch(const Origin& origin) {
    const auto staged = staged_.find(origin);
    if (staged != staged_.end()) return staged->second;
    const auto durable = durable_.find(origin);
    return staged_.emplace(origin, durable == durable_.end() ? Progress{} : durable->second).first->second;
}

void ReceivedVector::stage(const Origin& origin, uint64_t sequence) {
    Progress& progress = touch(origin);
    if (sequence <= progress.held) return;
    if (sequence == progress.held + 1) {
        progress.held = sequence;
        progress.advance();
    } else if (progress.ahead.size() < ahead_max) {
        progress.ahead.insert(sequence);
    }
}

void ReceivedVector::stage_raise(const Origin& origin, uint64_t sequence) {
    Progress& progress = touch(origin);
    progress.held = std::max(progress.held, sequence);
    progress.advance();
}

void ReceivedVector::keep(const Origin& origin, uint64_t sequence) {
    Progress& progress = durable_[origin];
    progress.held = std::max(progress.held, sequence);
    progress.advance();
}

uint64_t ReceivedVector::held_with_staged(const Origin& origin) const {
    if (const auto staged = staged_.find(origin); staged != staged_.end()) return staged->second.held;
    const auto durable = durable_.find(origin);
    return durable == durable_.end() ? 0 : durable->second.held;
}

VersionVector ReceivedVector::staged() const {
    VersionVector out;
    for (const auto& [origin, progress] : staged_) {
        const auto durable = durable_.find(origin);
        if (durable == durable_.end() || durable->second.held < progress.held) out[origin] = progress.held;
    }
    return out;
}

VersionVector ReceivedVector::vector_with_staged() const {
    VersionVector out;
    for (const auto& [origin, progress] : durable_) {
        if (progress.held != 0) out[origin] = progress.held;
    }
    for (const auto& [origin, progress] : staged_) {
        if (progress.held != 0) out[origin] = progress.held;
    }
    return out;
}

bool ReceivedVector::without_gaps() const {
    const auto complete = [](const auto& each) { return each.second.ahead.empty(); };
    return std::all_of(staged_.begin(), staged_.end(), complete) &&
           std::all_of(durable_.begin(), durable_.end(),
                       [&](const auto& each) { return staged_.count(each.first) != 0 || complete(each); });
}

void ReceivedVector::commit() {
    for (auto& [origin, progress] : staged_) durable_[origin] = std::move(progress);
    staged_.clear();
}

}  // namespace meridian::node
