// Keys that cannot be read keep nobody from writing: what the log has of them is set aside in the database, so that the
// log can go. A key that the node still has in memory is written whole to its second place instead, by the next
// checkpoint (WriteTransaction::put_snapshot).
#include <utility>

#include "crc32c.h"
#include "store.h"

namespace meridian::store_kv {
namespace {

constexpr size_t unreadable_max = 65536;   // remembered; others are met again
constexpr size_t keys_at_once = 64;        // in one round of upkeep
constexpr uint64_t slice_bytes = 1 << 20;  // of one transaction
constexpr size_t slice_entries = 512;

}  // namespace

void KvStore::note_unreadable(const std::string& name) {
    const std::lock_guard lock(state_mutex_);
    if (unreadable_.size() < unreadable_max) unreadable_.insert(name);
}

void KvStore::set_aside_unreadable() {
    std::vector<std::string> names;
    {
        const std::lock_guard lock(state_mutex_);
        for (auto at = unreadable_.begin(); at != unreadable_.end() && names.size() < keys_at_once;)
            names.push_back(std::move(unreadable_.extract(at++).value()));
    }
    // Entries that cannot be read may be readable again later. They are given up when the log has no room to wait.
    bool pressed = false;
    {
        const std::lock_guard lock(state_mutex_);
        const uint64_t kept = segments_.back()->header.number - recovery_.segment;
        pressed = kept * options_.segment_size > options_.log_bytes_max / 2;
    }
    if (pressed) {
        for (std::string& name : std::exchange(waiting_, {})) names.push_back(std::move(name));
    }
    for (const std::string& name : names) {
        const auto done = set_aside(name, pressed);
        if (!done) warn_once(done.error());
        if (!done) note_unreadable(name);
        if (done && !*done && waiting_.size() < unreadable_max) waiting_.push_back(name);
        if (failed_) return;
    }
}

// False: it waits. A key that can be read is left as it is.
Result<bool> KvStore::set_aside(const std::string& name, bool pressed) {
    std::vector<EntryPlace> places;
    std::vector<std::shared_ptr<Segment>> kept;
    {
        const std::lock_guard lock(state_mutex_);
        const KeyTail* tail = index_.find(name);
        if (tail == nullptr) return true;
        places = tail->places;
        for (size_t i = 0; i < segments_.size(); ++i) kept.push_back(segments_[i]);
    }
    const auto segment_of = [&](const EntryPlace& place) -> Segment& {
        return *kept[place.segment - static_cast<uint32_t>(kept.front()->header.number)];
    };
    const auto read = [&](const EntryPlace& place) {
        AsideEntry entry;
        entry.position = place.position;
        entry.payload.resize(place.length);
        const int code = read_fully(*segment_of(place).file, place.offset, entry.payload.data(), place.length);
        if (code == 0 && crc32c(entry.payload) == place.checksum) return entry;
        entry.lost = unreadable_entry(segment_of(place), place, code);
        entry.payload.clear();
        return entry;
    };
    bool row_sound = false;
    {
        const auto database = database_->read();
        if (!database) return database.error();
        row_sound = database->snapshot(name).ok();
    }
    bool log_sound = true;
    for (const EntryPlace& place : places) log_sound = read(place).lost.empty() && log_sound;
    if (row_sound && log_sound) return true;
    if (!log_sound && !pressed) return false;

    for (size_t next = 0; next < places.size();) {
        auto transaction = begin_database();
        if (!transaction) return transaction.error();
        const size_t begin = next;
        for (uint64_t bytes = 0; next < places.size() && next - begin < slice_entries && bytes < slice_bytes; ++next) {
            const AsideEntry entry = read(places[next]);
            bytes += entry.payload.size();
            const auto put = transaction->put_aside(name, entry);
            if (!put) return ended(*transaction, put.error());
            if (!put->written) return Error{put->damage};
        }
        if (auto put = transaction->put_state(database_state()); !put) return put.error();
        if (auto committed = commit_database(*transaction); !committed) return committed.error();
        const std::lock_guard lock(state_mutex_);
        index_.covered(name, places[next - 1].position);
        refresh_usage();
    }
    say_damage(directory_->snapshots_path() + ": key '" + printable(name) + "' cannot be read; " +
               std::to_string(places.size()) + " entries of the log were set aside for it");
    return true;
}

}  // namespace meridian::store_kv
