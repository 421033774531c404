#include "simulation/schedule.h"

#include <algorithm>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <vector>

#include "node/key_digest.h"
#include "simulation/fleet.h"
#include "simulation/workload.h"

namespace meridian::simulation {

namespace {

constexpr uint64_t second_us = 1'000'000;
constexpr uint64_t level_within_us = 240 * second_us;
constexpr size_t members_max = 6;
// Two clocks differ by less than what a node believes of another (presence_skew_ms_max).
constexpr int64_t skew_ms_max = 14'000;

using Digests = std::map<node::KeyName, uint64_t>;

std::vector<Shape> shapes_of(uint64_t choice) {
    switch (choice) {
        case 0:
            return {broker_shape()};
        case 1:
            return {peers_shape()};
        case 2:
            return {broadcast_shape()};
        default:
            return {broker_shape(), peers_shape()};
    }
}

std::string text_of(const node::VersionVector& vector) {
    std::string text;
    for (const auto& [origin, sequence] : vector) {
        text += " " + std::to_string(origin.node_id) + "/" + std::to_string(origin.incarnation) + "=" +
                std::to_string(sequence);
    }
    return text;
}

std::string unconverged(const replication::ClusterStatus& status) {
    std::string text = status.transferring ? " is transferring states" : " says that it has not converged";
    for (const replication::PeerStatus& peer : status.peers) {
        if (peer.state != replication::PeerState::alive || (peer.we_lack == 0 && peer.it_lacks == 0)) continue;
        text += "; of node " + std::to_string(peer.origin.node_id) + " it lacks " + std::to_string(peer.we_lack) +
                ", that lacks " + std::to_string(peer.it_lacks) + ":" + text_of(peer.vector);
    }
    text += "; " + std::to_string(status.pulls_outstanding) +
            " pulls outstanding, merges waiting: " + std::to_string(status.merge_backlog_bytes) + " bytes, " +
            std::to_string(status.counters.merges_failed) + " failed";
    const replication::ReplicationCounters& counters = status.counters;
    text += "; pulls sent " + std::to_string(counters.pulls_sent) + ", failed " +
            std::to_string(counters.pulls_failed) + ", served " + std::to_string(counters.pulls_served) + ", refused " +
            std::to_string(counters.pulls_refused) + "; transfers " + std::to_string(counters.transfers_started) +
            ", finished " + std::to_string(counters.transfers_finished) + ", failed " +
            std::to_string(counters.transfers_failed) + "; replayed " + std::to_string(counters.dropped_replayed) +
            " sends failed " + std::to_string(counters.sends_failed);
    for (const replication::Alarm& alarm : status.alarms) text += "; " + alarm.text;
    for (const replication::OriginStatus& origin : status.origins) {
        if (origin.highest > origin.held || origin.waiting != 0 || origin.pulling)
            text += "; of origin " + text_of({{origin.origin, origin.held}}) + " there is " +
                    std::to_string(origin.highest) + ", waiting " + std::to_string(origin.waiting);
    }
    return text;
}

// The deadline of a presence is each node's own where clocks are far apart: a node that has been restarted is ahead of
// its clock too, and a peer counts its time as at most presence_skew_ms_max ahead.
std::string without_deadlines(std::string value) {
    static const std::string field = ",\"expires_at_ms\":";
    for (size_t at = value.find(field); at != std::string::npos; at = value.find(field, at))
        value.erase(at, value.find('}', at) - at);
    return value;
}

class Schedule {
public:
    explicit Schedule(const ScheduleOptions& options)
        : options_(options),
          workload_(options.trace),
          fleet_(options.seed, shapes_of(options.seed % 4), options.wrong_rule, workload_) {
        workload_.set_fleet(&fleet_);
    }

    ScheduleResult run() {
        begin();
        if (failure_.empty()) disturb();
        if (failure_.empty()) recover();
        result_.failure = failure_;
        result_.acknowledged = workload_.acknowledged;
        result_.refused = workload_.refused;
        result_.in_doubt = workload_.in_doubt;
        for (const auto& network : fleet_.networks) result_.messages += network->messages;
        result_.tasks = world().tasks();
        result_.virtual_ms = world().monotonic_us() / 1000;
        return result_;
    }

private:
    World& world() { return fleet_.world; }
    template <class... Parts>
    void say(const Parts&... parts) {
        if (!options_.trace) return;
        std::cout << "[" << world().monotonic_us() / 1000 << " ms] ";
        (std::cout << ... << parts) << "\n";
    }
    void fail(const std::string& what) {
        if (failure_.empty()) failure_ = what;
    }
    std::vector<Fleet::Member*> members(const std::function<bool(const Fleet::Member&)>& which) {
        std::vector<Fleet::Member*> chosen;
        for (auto& [node_id, member] : fleet_.members) {
            if (!member.left && which(member)) chosen.push_back(&member);
        }
        return chosen;
    }
    Fleet::Member* some(const std::vector<Fleet::Member*>& all) {
        return all.empty() ? nullptr : all[world().below(all.size())];
    }
    Fleet::Member* some_ready() {
        return some(members([this](const auto& member) { return fleet_.ready(member); }));
    }
    std::vector<Fleet::Member*> running() {
        return members([this](const auto& member) { return fleet_.running(member); });
    }

    void begin();
    void disturb();
    void act();
    void recover();
    void pause();
    void write(uint64_t count);
    void end(Fleet::Member& member);
    void count_transfers(const Fleet::Member& member);
    bool knows_all(const Fleet::Member& member, const Fleet::Backup& backup) const;
    void restore(Fleet::Member& member);
    void leave();
    void lose(const node::VersionVector& held);
    void join();
    void set_clock(Fleet::Member& member);
    void set_weather();
    void cut();
    std::string unlevel();
    Digests digests(const Fleet::Member& member);
    std::map<node::KeyName, std::string> values(const Fleet::Member& member);
    void check_alarms();

    const ScheduleOptions options_;
    Workload workload_;
    Fleet fleet_;
    ScheduleResult result_;
    std::string failure_;
    uint64_t next_node_id_ = 1;
    bool lost_ = false;     // something may be gone with a disk
    bool forgets_ = false;  // the cluster lives long enough for tombstones to go
    int64_t skew_ms_ = 0;
};

void Schedule::begin() {
    skew_ms_ = world().chance(0.3) ? skew_ms_max : 500;
    forgets_ = world().chance(0.08);
    if (forgets_) fleet_.limits.tombstone_grace_ms = 60'000;
    // Some keep little in memory, so that keys are loaded all the time.
    if (world().chance(0.3)) fleet_.limits.cache_bytes_max = 20'000;
    const uint64_t count = 2 + world().below(4);
    for (uint64_t i = 0; i < count; ++i) join();
    const bool ready = world().run_until(
        [this] {
            return std::all_of(fleet_.members.begin(), fleet_.members.end(),
                               [this](const auto& each) { return fleet_.ready(each.second); });
        },
        30 * second_us);
    if (!ready) fail("the nodes do not become ready");
    set_weather();
}

void Schedule::set_weather() {
    for (const auto& network : fleet_.networks) {
        Weather& weather = network->weather;
        weather = {};
        if (world().chance(0.5)) weather.drop = static_cast<double>(world().below(30)) / 100;
        if (world().chance(0.5)) weather.repeat = static_cast<double>(world().below(30)) / 100;
        if (world().chance(0.2)) weather.busy = static_cast<double>(world().below(20)) / 100;
        if (world().chance(0.5)) weather.delay_max_us = 1'000 + world().below(400'000);
        say("weather: drop ", weather.drop, " repeat ", weather.repeat, " busy ", weather.busy, " delay up to ",
            weather.delay_max_us, " us");
    }
}

void Schedule::set_clock(Fleet::Member& member) {
    member.clock_ahead_ms = static_cast<int64_t>(world().below(static_cast<uint64_t>(2 * skew_ms_ + 1))) - skew_ms_;
    say("clock of node ", member.node_id, " is ", member.clock_ahead_ms, " ms ahead");
}

void Schedule::join() {
    const uint64_t node_id = next_node_id_++;
    fleet_.add(node_id);
    set_clock(fleet_.members.at(node_id));
    fleet_.start(fleet_.members.at(node_id));
    say("node ", node_id, " joins");
    ++result_.joins;
}

void Schedule::count_transfers(const Fleet::Member& member) {
    if (fleet_.has_replication(member)) result_.transfers += fleet_.status(member).counters.transfers_finished;
}

void Schedule::end(Fleet::Member& member) {
    count_transfers(member);
    if (world().chance(0.3) && fleet_.ready(member)) {
        say("node ", member.node_id, " stops");
        fleet_.stop(member);
    } else {
        say("node ", member.node_id, " crashes");
        fleet_.crash(member);
        ++result_.crashes;
    }
}

bool Schedule::knows_all(const Fleet::Member& member, const Fleet::Backup& backup) const {
    return std::all_of(fleet_.members.begin(), fleet_.members.end(), [&](const auto& each) {
        const uint64_t node_id = each.first;
        return node_id == member.node_id || member.remembered.count(node_id) != 0 ||
               std::any_of(backup.vector.begin(), backup.vector.end(),
                           [node_id](const auto& held) { return held.first.node_id == node_id; });
    });
}

void Schedule::restore(Fleet::Member& member) {
    if (fleet_.running(member)) end(member);
    static const Fleet::Backup nothing;
    const bool lost = member.backups.empty() || world().chance(0.2);
    const Fleet::Backup& backup = lost ? nothing : member.backups[world().below(member.backups.size())];
    // Files that are merely copied back are only safe where the copy knows everybody who may hold more.
    const bool as_told = lost || world().chance(0.5) || !knows_all(member, backup);
    if (!as_told) world().run_for(second_us);  // what is still on its way arrives first
    node::VersionVector held = backup.vector;
    for (const auto& [node_id, other] : fleet_.members) {
        if (node_id != member.node_id && !other.left) node::merge_into(held, fleet_.vector(other));
    }
    say("node ", member.node_id,
        lost ? " loses its disk" : (as_told ? " is restored from a backup" : " gets back the files of a backup"));
    lose(held);
    fleet_.restore(member, backup, as_told);
    ++result_.restores;
}

void Schedule::lose(const node::VersionVector& held) {
    workload_.excuse(held);
    lost_ = true;
}

void Schedule::leave() {
    if (members([](const auto&) { return true; }).size() < 3) return;
    Fleet::Member* member = some_ready();
    if (member == nullptr) return;
    count_transfers(*member);
    say("node ", member->node_id, " leaves for good");
    fleet_.stop(*member);
    member->left = true;
    node::VersionVector held;
    for (const auto& [node_id, other] : fleet_.members) {
        if (!other.left) node::merge_into(held, fleet_.vector(other));
    }
    lose(held);
    ++result_.leaves;
}

void Schedule::cut() {
    ++result_.partitions;
    const std::vector<Fleet::Member*> all = members([](const auto&) { return true; });
    std::set<uint64_t> side;
    for (const Fleet::Member* member : all) {
        if (world().chance(0.5)) side.insert(member->node_id);
    }
    say("the network is divided: ", side.size(), " and ", all.size() - side.size());
    for (const auto& network : fleet_.networks) {
        network->heal(false);
        for (const Fleet::Member* left : all) {
            for (const Fleet::Member* right : all) {
                if (side.count(left->node_id) != 0 && side.count(right->node_id) == 0)
                    network->cut(left->node_id, right->node_id);
            }
        }
    }
}

// Long enough for logs to be truncated, or for tombstones to go.
void Schedule::pause() {
    const uint64_t duration_s = forgets_ ? 900 + world().below(300) : 70 + world().below(70);
    say("nothing is written for ", duration_s, " s");
    if (forgets_) {
        // A backup that is older than the time for which tombstones are kept is not to be used.
        for (auto& [node_id, member] : fleet_.members) member.backups.clear();
        if (world().chance(0.5)) cut();
        write(30);
        world().run_for(second_us);
    }
    world().run_for(duration_s * second_us);
    if (!forgets_) return;
    // Keys that have changed are looked at.
    write(30);
    world().run_for(5 * second_us);
}

void Schedule::write(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
        if (Fleet::Member* member = some_ready()) workload_.write(fleet_, *member);
        if (i % 4 == 0) world().run_for(20'000);
    }
}

void Schedule::act() {
    const uint64_t choice = world().below(1000);
    if (choice < 70) {
        if (Fleet::Member* member = some(running())) end(*member);
    } else if (choice < 110) {
        cut();
    } else if (choice < 170) {
        const bool told = world().chance(0.5);
        say("the network is whole again");
        for (const auto& network : fleet_.networks) network->heal(told);
    } else if (choice < 200) {
        if (Fleet::Member* member = some(running())) {
            say("node ", member->node_id, " loses its connection");
            fleet_.networks[world().below(fleet_.networks.size())]->set_connected(member->node_id, false);
        }
    } else if (choice < 250) {
        if (Fleet::Member* member = some(members([](const auto&) { return true; }))) {
            say("node ", member->node_id, " is backed up");
            fleet_.back_up(*member);
        }
    } else if (choice < 275) {
        if (Fleet::Member* member = some(members([](const auto&) { return true; }))) restore(*member);
    } else if (choice < 300) {
        if (Fleet::Member* member = some(running())) set_clock(*member);
    } else if (choice < 315) {
        if (members([](const auto&) { return true; }).size() < members_max) join();
    } else if (choice < 322) {
        leave();
    } else if (choice < 345) {
        if (Fleet::Member* member = some(running())) {
            const bool unknown = world().chance(0.5);
            say("the next commit of node ", member->node_id, " fails");
            fleet_.store(*member).fail_next_commit(unknown ? node::CommitStatus::outcome_unknown
                                                           : node::CommitStatus::not_committed);
        }
    } else if (choice < 355) {
        if (Fleet::Member* member = some(running())) fleet_.store(*member).fail_next_checkpoints(3);
    } else if (choice < 375) {
        set_weather();
    } else {
        const uint64_t count = 1 + world().below(6);
        for (uint64_t i = 0; i < count; ++i) {
            if (Fleet::Member* member = some_ready()) workload_.write(fleet_, *member);
        }
    }
}

void Schedule::disturb() {
    const uint64_t steps = 40 + world().below(60);
    const uint64_t pause_at = forgets_ || world().chance(0.25) ? steps / 2 + world().below(steps / 2) : steps;
    for (uint64_t i = 0; i < steps && failure_.empty(); ++i) {
        act();
        if (i == pause_at) pause();
        for (Fleet::Member* member : members([this](const auto& each) { return !fleet_.running(each); })) {
            if (!world().chance(0.2)) continue;
            say("node ", member->node_id, " starts");
            fleet_.start(*member);
        }
        world().run_for(world().chance(0.05) ? world().below(8 * second_us) : world().below(second_us / 3));
        fail(fleet_.violation());
        fail(workload_.violation());
    }
}

void Schedule::recover() {
    say("all is made well");
    for (const auto& network : fleet_.networks) {
        network->weather = {};
        network->heal(true);
    }
    for (auto& [node_id, member] : fleet_.members) {
        if (member.left) continue;
        member.clock_ahead_ms = 0;
        if (fleet_.running(member) && fleet_.store(member).usage().failed) {
            count_transfers(member);
            fleet_.crash(member);
        }
        if (!fleet_.running(member)) fleet_.start(member);
        fleet_.store(member).fail_next_commit(node::CommitStatus::durable);
    }
    // Until every time to live has passed.
    world().run_for(40 * second_us);
    const uint64_t until_us = world().monotonic_us() + level_within_us;
    std::string why = unlevel();
    while (!why.empty() && world().monotonic_us() < until_us) {
        world().run_for(2 * second_us);
        why = unlevel();
    }
    if (!why.empty()) {
        for (const Fleet::Member* member : running())
            say("node ", member->node_id, ":", text_of(fleet_.vector(*member)), unconverged(fleet_.status(*member)));
        if (options_.trace) {
            for (const Fleet::Member* member : running()) {
                for (const auto& [name, value] : values(*member))
                    say("node ", member->node_id, ": ", name.namespace_name, "/", name.key, " is ", value);
            }
        }
        return fail("the nodes do not become level: " + why);
    }
    world().run_for(8 * second_us);
    why = unlevel();
    if (!why.empty()) return fail("the nodes do not stay level: " + why);

    const std::vector<Fleet::Member*> all = running();
    const auto first = values(*all[0]);
    for (const Fleet::Member* member : all) {
        const auto others = values(*member);
        for (const node::KeyName& name : workload_.names()) {
            const bool equal = skew_ms_ == skew_ms_max
                                   ? without_deadlines(first.at(name)) == without_deadlines(others.at(name))
                                   : first.at(name) == others.at(name);
            if (!equal) {
                return fail("nodes " + std::to_string(all[0]->node_id) + " and " + std::to_string(member->node_id) +
                            " differ in " + name.namespace_name + "/" + name.key + ": " + first.at(name) + " and " +
                            others.at(name));
            }
        }
        count_transfers(*member);
    }
    result_.incarnations = fleet_.vector(*all[0]).size();
    fail(workload_.missing(first));
    fail(fleet_.violation());
    fail(workload_.violation());
    check_alarms();
}

std::string Schedule::unlevel() {
    if (workload_.waiting()) return "writes have not been completed";
    const std::vector<Fleet::Member*> all = running();
    for (const Fleet::Member* member : all) {
        const std::string node = "node " + std::to_string(member->node_id);
        if (!fleet_.ready(*member)) return node + " is not ready";
        const node::VersionVector vector = fleet_.vector(*member);
        if (vector != fleet_.vector(*all[0])) {
            std::string text = node + " holds other entries than node " + std::to_string(all[0]->node_id) + ":";
            node::VersionVector both = vector;
            node::merge_into(both, fleet_.vector(*all[0]));
            for (const auto& [origin, sequence] : both) {
                const uint64_t left = node::held(vector, origin), right = node::held(fleet_.vector(*all[0]), origin);
                if (left != right)
                    text += " " + std::to_string(origin.node_id) + "/" + std::to_string(origin.incarnation) + " " +
                            std::to_string(left) + " and " + std::to_string(right);
            }
            return text;
        }
    }
    for (const Fleet::Member* member : all) {
        const replication::ClusterStatus status = fleet_.status(*member);
        // Entries that were lost with a disk are waited for as long as retention lasts.
        if ((!status.converged && !lost_) || status.transferring)
            return "node " + std::to_string(member->node_id) + unconverged(status);
    }
    const Digests first = digests(*all[0]);
    for (const Fleet::Member* member : all) {
        const Digests others = digests(*member);
        if (others == first) continue;
        std::string text = "nodes " + std::to_string(all[0]->node_id) + " and " + std::to_string(member->node_id) +
                           " differ in digests:";
        for (const node::KeyName& name : workload_.names()) {
            const auto left = first.find(name), right = others.find(name);
            if ((left == first.end() ? 0 : left->second) != (right == others.end() ? 0 : right->second))
                text += " " + name.namespace_name + "/" + name.key;
        }
        return text;
    }
    return {};
}

Digests Schedule::digests(const Fleet::Member& member) {
    static const node::DigestKey key = node::digest_key("simulated");
    std::optional<node::DigestPage> page;
    fleet_.port(member).digest_keys(std::nullopt, 1'000, key, [&page](node::DigestPage got) { page = std::move(got); });
    world().run_until([&page] { return page.has_value(); });
    Digests digests;
    if (!page || !page->error.empty()) {
        fail("digests of node " + std::to_string(member.node_id) + ": " + (page ? page->error : "no answer"));
        return digests;
    }
    for (const node::KeyDigest& each : page->digests) digests[each.name] = each.digest;
    return digests;
}

std::map<node::KeyName, std::string> Schedule::values(const Fleet::Member& member) {
    std::map<node::KeyName, std::string> values;
    size_t left = 0;
    for (const node::KeyName& name : workload_.names()) {
        ++left;
        fleet_.on_shard(member, name.namespace_name, [&values, &left, name](node::Shard& shard) {
            shard.read_value(name.namespace_name, name.key, [&values, &left, name](const node::ValueOutcome& outcome) {
                values[name] = outcome.status == node::Status::ok
                                   ? outcome.text
                                   : "<status " + std::to_string(static_cast<int>(outcome.status)) + ">";
                --left;
            });
        });
    }
    if (!world().run_until([&left] { return left == 0; })) fail("values are not answered");
    return values;
}

void Schedule::check_alarms() {
    for (const Fleet::Member* member : running()) {
        for (const replication::Alarm& alarm : fleet_.status(*member).alarms) {
            using replication::AlarmKind;
            if (alarm.kind == AlarmKind::conflicting_entry || alarm.kind == AlarmKind::origin_stopped ||
                alarm.kind == AlarmKind::gap_skipped || alarm.kind == AlarmKind::entry_too_large)
                fail("node " + std::to_string(member->node_id) + " raises an alarm: " + alarm.text);
        }
    }
}

}  // namespace

ScheduleResult run_schedule(const ScheduleOptions& options) {
    return Schedule(options).run();
}

}  // namespace meridian::simulation
