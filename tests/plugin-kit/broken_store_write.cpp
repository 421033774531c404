// Commits, snapshots and backups of BrokenStore.
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>

#include "broken_store.h"

namespace meridian::plugin_kit {

meridian_status BrokenStore::commit(const meridian_commit_group& group, abi::StatusSink sink) {
    fail_overlapping();
    if (stopped_ && defect_.is("wrong-status-after-stop")) return MERIDIAN_INVALID;
    if (defect_.is("exact-sizes-only")) {
        abi::require(group.entry_count == 0 || group.entries->struct_size == sizeof(meridian_log_entry), "a size");
    }
    auto commit = std::make_shared<Commit>(Commit{{}, std::nullopt, sink});
    try {
        abi::Group copy(group);
        commit->record.entries = std::move(copy.entries);
        commit->record.metadata = std::move(copy.metadata);
    } catch (const abi::Failure&) {
        const bool has_entry = group.entry_count != 0;
        if (defect_.is("writes-the-good-part") && group.entry_count > 1) {
            const std::lock_guard lock(mutex_);
            data_.apply_entry({1, 0, 0, 0, 0, 0, abi::Name(group.entries->name), "good"});
            throw;
        }
        const bool too_long = has_entry && group.entries->name.key.size > abi::key_bytes_max;
        const bool empty = !has_entry && group.metadata_count == 0;
        if (!(too_long && defect_.is("accepts-long-names")) && !(empty && defect_.is("accepts-empty-groups"))) throw;
    }
    if (defect_.is("borrows-a-value") && group.metadata_count != 0) commit->borrowed = group.metadata->value;
    const bool busy = ++commits_ == 1000 && defect_.is("busy-but-done");
    if (busy) {
        const meridian_status_sink nobody{sizeof nobody, 0, nullptr, [](void*, meridian_status, meridian_bytes) {}};
        commit->sink = abi::StatusSink(&nobody);
    }
    const meridian_status status = writer_.submit([this, commit](bool cancelled) { run_commit(*commit, cancelled); });
    return busy ? MERIDIAN_BUSY : status;
}

void BrokenStore::run_commit(Commit& commit, bool cancelled) {
    if (defect_.is("cancels-commits-at-stop")) {
        if (cancelled) return commit.sink.done(MERIDIAN_CANCELLED);
        // So that commits are outstanding then, however fast the machine is.
        constexpr uint64_t held_commit = 100;
        while (commits_run_ == held_commit && !stopping_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (commit.borrowed) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        commit.record.metadata.front().value = std::string(abi::view(*commit.borrowed));
    }
    std::string message;
    const meridian_status status = write_group(commit.record, message);
    if (defect_.is("fails-without-a-message")) message.clear();
    const bool another_waits = commits_ > ++commits_run_;
    if (defect_.is("completes-in-pairs-backwards") && status == MERIDIAN_OK && !held_back_ && another_waits) {
        held_back_ = [sink = commit.sink] { sink.done(MERIDIAN_OK); };
        return;
    }
    commit.sink.done(status, message);
    if (defect_.is("completes-twice")) commit.sink.done(status, message);
    if (held_back_) std::exchange(held_back_, nullptr)();
}

meridian_status BrokenStore::write_group(JournalRecord& record, std::string& message) {
    const uint64_t next = data_.next_position();
    if (!record.entries.empty() && record.entries.front().position != next) {
        const uint64_t first = record.entries.front().position;
        if (defect_.is("ignores-taken-positions") && first < next) return MERIDIAN_OK;
        const bool follows_a_refused_one = defect_.is("counts-refused-groups") && first == also_next_;
        if (!follows_a_refused_one) {
            also_next_ = first + record.entries.size();
            message = "the group begins at position " + std::to_string(first) + ", expected " + std::to_string(next);
            return MERIDIAN_INVALID;
        }
        for (uint64_t i = 0; i < record.entries.size(); ++i) record.entries[i].position = next + i;
    }
    if (record.entries.empty() && defect_.is("positions-for-metadata")) {
        abi::Entry filler;
        filler.position = next;
        filler.name = abi::Name("filler", "x");
        record.entries.push_back(filler);
    }
    for (const abi::Entry& entry : record.entries) {
        if (entry.payload.size() > (1 << 20) && defect_.is("small-payloads")) return MERIDIAN_NO_SPACE;
    }
    remember(record);
    apply_group(record);
    return MERIDIAN_OK;
}

void BrokenStore::apply_group(const JournalRecord& record) {
    if (defect_.is("shows-parts-of-groups")) {
        for (const abi::Entry& entry : record.entries) {
            {
                const std::lock_guard lock(mutex_);
                data_.apply_entry(entry);
            }
            std::this_thread::sleep_for(std::chrono::microseconds(200));
        }
    }
    const std::lock_guard lock(mutex_);
    if (!defect_.is("shows-parts-of-groups")) {
        for (const abi::Entry& entry : record.entries) {
            data_.apply_entry(entry);
            if (entry.position % 1000 == 0 && defect_.is("large-groups-lose-metadata")) return;
        }
    }
    if (record.entries.size() > 1 && defect_.is("metadata-of-groups-is-lost")) return;
    data_.apply_metadata(record.metadata);
    data_.drop_covered();
}

meridian_status BrokenStore::checkpoint(const meridian_snapshot_write* snapshots, uint64_t count,
                                        abi::StatusSink sink) {
    if (stopped_ && defect_.is("wrong-status-after-stop")) return MERIDIAN_INVALID;
    uint64_t last = 0;
    {
        const std::lock_guard lock(mutex_);
        last = data_.next_position() - 1;
    }
    if (defect_.is("accepts-snapshots-ahead")) last = UINT64_MAX;
    auto copies = std::make_shared<JournalRecord>();
    copies->snapshots = abi::copy_snapshots(snapshots, count, last);
    return writer_.submit([this, copies, sink](bool cancelled) {
        if (cancelled) return sink.done(MERIDIAN_CANCELLED);
        if (defect_.is("writes-1000-snapshots") && copies->snapshots.size() > 1000) copies->snapshots.resize(1000);
        remember(*copies);
        {
            const std::lock_guard lock(mutex_);
            for (const abi::Snapshot& snapshot : copies->snapshots) data_.apply_snapshot(snapshot);
            data_.drop_covered();
        }
        sink.done(MERIDIAN_OK);
    });
}

meridian_status BrokenStore::backup(std::string_view target, abi::StatusSink sink) {
    abi::require(!directory_.empty(), "nothing is kept");
    return writer_.submit([this, target = std::string(target), sink](bool cancelled) {
        if (cancelled) return sink.done(MERIDIAN_CANCELLED);
        const meridian_status status = copy_to(target);
        sink.done(status, status == MERIDIAN_OK ? "" : target + ": " + std::strerror(errno));
    });
}

meridian_status BrokenStore::copy_to(const std::string& target) const {
    if (::mkdir(target.c_str(), 0700) != 0 && !defect_.is("backs-up-over-others")) return MERIDIAN_IO;
    for (const char* name : {"/id", "/journal"}) {
        std::ifstream from(directory_ + name, std::ios::binary);
        std::ofstream to(target + name, std::ios::binary | std::ios::trunc);
        if (defect_.is("backs-up-nothing") && name == std::string("/journal")) continue;
        to << from.rdbuf();
    }
    return MERIDIAN_OK;
}

}  // namespace meridian::plugin_kit
