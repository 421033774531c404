#include "watcher.h"

#include <poll.h>

#include <algorithm>

#include "session.h"

namespace meridian::store_pg {
namespace {

constexpr uint64_t slice_ms = 50;
constexpr uint64_t reconnect_pause_us = 500'000;

}  // namespace

Watcher::Watcher(const Settings& settings, uint64_t position, Changed changed, std::function<bool(uint64_t)> pause,
                 Connection::GiveUp give_up)
    : settings_(settings),
      changed_(std::move(changed)),
      pause_(std::move(pause)),
      give_up_(std::move(give_up)),
      connection_(settings, [this] { return stopping_ || give_up_(); }),
      told_(position),
      thread_([this] { run(); }) {}

Watcher::~Watcher() {
    stopping_ = true;
    thread_.join();
}

void Watcher::run() {
    while (!stopping_) {
        try {
            connection_.open({Statement::read_head});
            connection_.query("LISTEN \"" + channel_of(settings_.schema) + "\"");
            look();
            listen();
        } catch (const std::exception&) {
            // The committer says what is wrong with the server.
            connection_.close();
            if (!stopping_ && !pause_(reconnect_pause_us)) return;
        }
    }
}

void Watcher::listen() {
    uint64_t waited_ms = 0;
    while (!stopping_) {
        pollfd look_at{connection_.socket(), POLLIN, 0};
        const uint64_t wait_ms = std::min(slice_ms, settings_.poll_interval_ms);
        bool news = false;
        if (::poll(&look_at, 1, static_cast<int>(wait_ms)) > 0) {
            while (connection_.take_notification()) news = true;
        }
        waited_ms += wait_ms;
        if (!news && waited_ms < settings_.poll_interval_ms) continue;
        waited_ms = 0;
        look();
    }
}

void Watcher::look() {
    const uint64_t own = own_entries_;
    const uint64_t last = head_of(connection_.run({{Statement::read_head, {}}}).front()).next_position - 1;
    // A commit of this node that it has not counted yet may look like one of another node, which does no harm.
    if (last - std::min(last, own) <= told_) return;
    told_ = last - own;
    changed_(last);
}

}  // namespace meridian::store_pg
