#include "verification.h"

#include <algorithm>
#include <cstdio>

#include "store_host.h"

namespace meridian::power_loss {
namespace {

std::string number(uint64_t value) {
    return std::to_string(value);
}

class Verifier {
public:
    Verifier(node::Store& store, const Expectation& expectation, const RunStatus& status)
        : store_(store), expectation_(expectation), status_(status), model_(expectation.model) {}

    std::string run() {
        next_ = store_.opening().next_position;
        for (const auto check : {&Verifier::check_end, &Verifier::check_log, &Verifier::check_metadata,
                                 &Verifier::check_beat, &Verifier::check_keys, &Verifier::check_removed_keys,
                                 &Verifier::check_names, &Verifier::check_deadlines}) {
            if (auto wrong = (this->*check)(); !wrong.empty()) return wrong;
        }
        return {};
    }

private:
    // The log ends between what was acknowledged and what was submitted, and at the end of a group.
    std::string check_end() {
        const uint64_t acknowledged = expectation_.acknowledged_next;
        const uint64_t submitted = expectation_.submitted_next;
        if (next_ < acknowledged) {
            return "the log ends at position " + number(next_ - 1) + ", but everything up to position " +
                   number(acknowledged - 1) + " was acknowledged";
        }
        if (next_ > submitted) {
            return "the log ends at position " + number(next_ - 1) + ", but nothing after position " +
                   number(submitted - 1) + " was submitted";
        }
        for (uint64_t position = expectation_.run_first; position < next_;) {
            const GroupPlan plan = plan_group(expectation_.seed, expectation_.run, position);
            if (position + plan.keys.size() > next_) {
                return "the log ends at position " + number(next_ - 1) + ", inside the group of positions " +
                       number(position) + " to " + number(position + plan.keys.size() - 1);
            }
            model_.apply(plan);
            position += plan.keys.size();
        }
        return {};
    }

    std::string check_log() {
        const uint64_t floor = store_.opening().floor;
        if (floor > std::max<uint64_t>(status_.floor_requested, 1)) {
            return "the log begins at position " + number(floor) + ", but everything from position " +
                   number(status_.floor_requested) + " on was to be kept";
        }
        if (floor > next_) return "the log begins at position " + number(floor) + ", after its end";
        std::vector<RunRange> ranges = expectation_.earlier;
        ranges.push_back({expectation_.run, expectation_.run_first, next_});
        page_ = {};
        page_.next_position = floor;
        for (const RunRange& range : ranges) {
            for (uint64_t first = range.first; first < range.next;) {
                const uint64_t count = group_size(expectation_.seed, range.run, first);
                if (first + count > floor) {
                    if (auto wrong = check_group(plan_group(expectation_.seed, range.run, first), floor);
                        !wrong.empty()) {
                        return wrong;
                    }
                }
                first += count;
            }
        }
        return {};
    }

    std::string check_group(const GroupPlan& plan, uint64_t floor) {
        for (const node::LogEntry& wanted : plan.group.entries) {
            if (wanted.position < floor) continue;
            if (taken_ == page_.entries.size()) {
                const uint64_t from = page_.next_position;
                page_ =
                    wait_for<node::LogPage>([&](auto done) { store_.read_log(from, 500, 1 << 20, std::move(done)); });
                taken_ = 0;
                if (!page_.error.empty()) return "reading the log from position " + number(from) + ": " + page_.error;
                if (page_.gone || page_.entries.empty()) {
                    return "the log has no entry at position " + number(from) + "; it ends at " + number(next_ - 1);
                }
            }
            const node::LogEntry& found = page_.entries[taken_++];
            if (found.position != wanted.position) {
                return "the log goes on with position " + number(found.position) + ", expected " +
                       number(wanted.position);
            }
            const bool same = found.name == wanted.name && found.payload == wanted.payload &&
                              found.origin_node_id == wanted.origin_node_id &&
                              found.origin_incarnation == wanted.origin_incarnation &&
                              found.origin_sequence == wanted.origin_sequence && found.wall_ms == wanted.wall_ms &&
                              found.deadline_ms == wanted.deadline_ms;
            if (!same) return "the entry at position " + number(found.position) + " is not the one that was submitted";
        }
        return {};
    }

    std::string check_metadata() {
        const auto found = wait_for<std::vector<std::pair<std::string, std::string>>>(
            [&](auto done) { store_.scan_metadata("", "", 1000, std::move(done)); });
        std::map<std::string, std::string> values(found.begin(), found.end());
        if (const auto beat = values.find(beat_name); beat != values.end()) {
            beat_ = beat->second;
            values.erase(beat);
        }
        for (const auto& [name, value] : model_.metadata) {
            const auto at = values.find(name);
            if (at == values.end()) return "metadata '" + name + "' is missing; expected '" + value + "'";
            if (at->second != value) {
                return "metadata '" + name + "' is '" + at->second + "', but the last group says '" + value + "'";
            }
        }
        for (const auto& [name, value] : values) {
            if (model_.metadata.count(name) == 0)
                return "metadata '" + name + "' is there, but was deleted or never set";
        }
        return {};
    }

    // Groups without entries: one of those of this run from the last acknowledged one on, or what was certain before.
    std::string check_beat() {
        const uint64_t acknowledged = expectation_.beat_acknowledged;
        if (acknowledged == 0 && beat_ == expectation_.beat) return {};
        unsigned long long run = 0;
        unsigned long long count = 0;
        const bool parsed = std::sscanf(beat_.c_str(), "%llu/%llu", &run, &count) == 2;
        if (parsed && run == expectation_.run && count >= std::max<uint64_t>(acknowledged, 1) &&
            count <= expectation_.beat_submitted) {
            return {};
        }
        return "metadata '" + std::string(beat_name) + "' is '" + beat_ + "', expected " + number(expectation_.run) +
               "/" + number(acknowledged) + " to " + number(expectation_.run) + "/" +
               number(expectation_.beat_submitted) + (acknowledged == 0 ? ", or '" + expectation_.beat + "'" : "");
    }

    std::vector<node::KeyRecord> read(size_t first, size_t count) {
        std::vector<node::KeyName> names;
        for (size_t i = first; i < first + count; ++i) names.push_back(key_name(i));
        return wait_for<std::vector<node::KeyRecord>>(
            [&](auto done) { store_.read_keys(std::move(names), std::move(done)); });
    }

    std::string check_keys() {
        const auto records = read(0, key_count);
        for (size_t i = 0; i < key_count; ++i) {
            const node::KeyRecord& record = records[i];
            const std::string& key = record.name.key;
            if (!record.error.empty()) return "key '" + key + "' cannot be read: " + record.error;
            KeyTotals totals;
            if (record.snapshot && !KeyTotals::parse(*record.snapshot, totals)) {
                return "the snapshot of key '" + key + "' was never written";
            }
            const uint64_t position = record.snapshot ? record.snapshot_position : 0;
            if (position >= next_) {
                return "the snapshot of key '" + key + "' is at position " + number(position) +
                       ", ahead of the log, which ends at " + number(next_ - 1);
            }
            if (position < status_.snapshot_acknowledged[i]) {
                return "the snapshot of key '" + key + "' is at position " + number(position) +
                       ", but one at position " + number(status_.snapshot_acknowledged[i]) + " was acknowledged";
            }
            for (const std::string& payload : record.tail) totals.add(payload);
            const KeyTotals& expected = model_.keys[i];
            if (totals.count != expected.count || totals.sum != expected.sum) {
                return "key '" + key + "': its snapshot (position " + number(position) +
                       ") and the entries after it make " + number(totals.count) + " entries, expected " +
                       number(expected.count) + (totals.count == expected.count ? ", not the same ones" : "");
            }
        }
        return {};
    }

    std::string check_removed_keys() {
        const auto records = read(key_count, removed_key_count);
        for (size_t i = 0; i < removed_key_count; ++i) {
            const node::KeyRecord& record = records[i];
            const std::string key = "key '" + record.name.key + "', whose row was removed at position " +
                                    number(status_.removal_acknowledged[i]) + ": ";
            if (!record.error.empty()) return key + record.error;
            if (record.snapshot) return key + "it has a snapshot, but none was ever written";
            // The entries after one of the removals that may have happened.
            const auto& all = model_.removed_keys[i];
            if (record.tail.size() > all.size()) return key + "it has entries that do not exist";
            const size_t first = all.size() - record.tail.size();
            for (size_t k = 0; k < record.tail.size(); ++k) {
                if (entry_hash(record.tail[k]) != all[first + k].second)
                    return key + "its entries are not the last ones";
            }
            if (!record.tail.empty() && all[first].first <= status_.removal_acknowledged[i]) {
                return key + "the entry at position " + number(all[first].first) + " is there again";
            }
            if (first > 0 && all[first - 1].first > status_.removal_requested[i]) {
                return key + "the entry at position " + number(all[first - 1].first) + " is missing";
            }
        }
        return {};
    }

    std::string check_names() {
        const auto page = wait_for<node::KeyPage>(
            [&](auto done) { store_.scan_keys(workload_namespace, std::nullopt, 1000, std::move(done)); });
        if (!page.error.empty()) return "listing keys: " + page.error;
        if (!std::is_sorted(page.names.begin(), page.names.end())) return "keys are not listed in order";
        for (size_t i = 0; i < key_count; ++i) {
            const bool listed = std::binary_search(page.names.begin(), page.names.end(), key_name(i));
            if (listed != (model_.keys[i].count != 0)) {
                return "key '" + key_name(i).key + "' is " + (listed ? "listed, but has no entries" : "not listed");
            }
        }
        return {};
    }

    std::string check_deadlines() {
        const auto found =
            wait_for<std::vector<node::DueKey>>([&](auto done) { store_.scan_due(UINT64_MAX, 1000, std::move(done)); });
        std::map<node::KeyName, uint64_t> deadlines;
        for (const node::DueKey& due : found) deadlines[due.name] = due.deadline_ms;
        for (size_t i = 0; i < key_count; ++i) {
            const auto at = deadlines.find(key_name(i));
            const uint64_t deadline = at == deadlines.end() ? 0 : at->second;
            if (deadline != model_.keys[i].deadline_ms) {
                return "key '" + key_name(i).key + "' has deadline " + number(deadline) + ", its newest entry says " +
                       number(model_.keys[i].deadline_ms);
            }
        }
        return {};
    }

    node::Store& store_;
    const Expectation& expectation_;
    const RunStatus& status_;
    Model model_;
    uint64_t next_ = 1;
    std::string beat_;
    node::LogPage page_;
    size_t taken_ = 0;  // entries of page_ that were looked at
};

}  // namespace

std::string verify(const VerificationRequest& request, const Expectation& expectation, const RunStatus& status,
                   uint64_t& next_position) {
    StoreHost host;
    auto store = host.open(*request.plugin, request.config, request.directory);
    if (!store) return "the store cannot be opened: " + store.error().message;
    next_position = (*store)->opening().next_position;
    std::string wrong = Verifier(**store, expectation, status).run();
    (*store)->close();
    return wrong;
}

}  // namespace meridian::power_loss
