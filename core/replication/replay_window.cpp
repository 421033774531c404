#include "replication/replay_window.h"

#include <algorithm>

namespace meridian::replication {

Freshness ReplayWindow::take(const node::Origin& sender, uint64_t number, uint64_t unheard_floor) {
    auto found = senders_.find(sender);
    if (found == senders_.end()) {
        if (number <= unheard_floor) return Freshness::too_old;
        if (senders_.size() == senders_max_) forget_oldest();
        found = senders_.emplace(sender, Sender{}).first;
        found->second.floor = unheard_floor;
        found->second.age = ages_.insert(ages_.end(), sender);
    }
    Sender& known = found->second;
    if (number <= known.floor) return Freshness::too_old;
    const auto place = std::lower_bound(known.numbers.begin(), known.numbers.end(), number);
    if (place != known.numbers.end() && *place == number) return Freshness::repeated;
    known.numbers.insert(place, number);
    if (known.numbers.size() > numbers_max_) {
        known.floor = known.numbers.front();
        known.numbers.pop_front();
    }
    ages_.splice(ages_.end(), ages_, known.age);
    return Freshness::fresh;
}

void ReplayWindow::forget_oldest() {
    senders_.erase(ages_.front());
    ages_.pop_front();
}

}  // namespace meridian::replication
