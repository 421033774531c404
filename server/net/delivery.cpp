#include "net/delivery.h"

namespace meridian::server {

void Delivery::remember(const std::string& key) {
    if (!missed_) missed_ = std::make_unique<std::set<std::string>>();
    missed_->insert(key);
}

void Delivery::miss(const std::string& key, uint64_t now_ms) {
    if (started_ && may_read(key, now_ms)) remember(key);
}

bool Delivery::catch_up(const Room& room, OutputQueue& output, const Limits& limits, const Clock& clock,
                        EdgeStatistics& statistics) {
    for (; next_batch_ < room.end(); ++next_batch_) {
        if (!started_) continue;
        const RoomBatch& batch = room.batch(next_batch_);
        const size_t queued = output.bytes(OutputQueue::Kind::delta);
        if (is_plain()) {
            const SharedBytes& frames = batch.frames(form_);
            // A batch larger than the whole queue is still sent to a reader that keeps up.
            if (queued == 0 || queued + frames->size() <= limits.queue_bytes_max) {
                output.push(OutputQueue::Kind::delta, frames);
                statistics.delta_sends.add(1);
                statistics.delta_bytes.add(frames->size());
                continue;
            }
        }
        const uint64_t now_ms = clock.wall_ms();
        std::string own;
        bool too_slow = false;
        for (size_t i = 0; i < batch.messages().size(); ++i) {
            const RoomMessage& message = batch.messages()[i];
            if (message.delta) {
                const std::string& key = message.delta->key();
                if (withheld_ == key || (missed_ && missed_->count(key) != 0) || !may_read(key, now_ms)) continue;
            }
            const std::string_view bytes = batch.frame(form_, i);
            if (queued + own.size() + bytes.size() > limits.queue_bytes_max && queued + own.size() > 0) {
                if (message.delta) remember(message.delta->key());  // awareness is only about now
                too_slow = true;
            } else {
                own.append(bytes);
            }
        }
        if (too_slow) statistics.readers_too_slow.add(1);
        if (own.empty()) continue;
        statistics.delta_sends.add(1);
        statistics.delta_bytes.add(own.size());
        output.push(OutputQueue::Kind::delta, std::make_shared<const std::string>(std::move(own)));
    }
    return !missed_ || missed_->size() <= limits.missed_keys_max;
}

const std::string* Delivery::next_missed(const OutputQueue& output, const Limits& limits) const {
    if (!missed_ || resyncing_ || output.bytes() > limits.queue_bytes_max / 4) return nullptr;
    return &*missed_->begin();
}

void Delivery::resynced(const std::string& key, bool sent) {
    resyncing_ = false;
    if (!sent || !missed_) return;
    missed_->erase(key);
    if (missed_->empty()) missed_.reset();
}

}  // namespace meridian::server
