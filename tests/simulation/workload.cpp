#include "simulation/workload.h"

#include <algorithm>
#include <iostream>
#include <tuple>
#include <utility>
#include <variant>

#include "wire/op_codec.h"

namespace meridian::simulation {

using crdt::Op;
using node::KeyName;
using node::Status;

namespace {

constexpr uint64_t clients = 5;
constexpr uint64_t hour_ms = 3'600'000;
constexpr size_t batch_keys = 3;

std::string quoted(const std::string& text) {
    return "\"" + text + "\"";
}

std::string utf8(char32_t code) {
    std::string out;
    out += static_cast<char>(0xe0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
    return out;
}

const char* type_names[] = {"gc", "pn", "set", "reg", "here", "map", "text", "tree"};

}  // namespace

crdt::Hlc Workload::stamp(uint64_t client_id) {
    return {fleet_->world.wall_ms() + fleet_->world.below(2'000), ++logical_, client_id};
}

std::optional<size_t> Workload::some_shown(const KeyName& name) {
    std::vector<size_t>& all = shown_of_[name];
    for (int i = 0; i < 5 && !all.empty(); ++i) {
        const size_t found = all[fleet_->world.below(all.size())];
        if (writes_[shown_[found].write].fate == Fate::acknowledged) return found;
    }
    return std::nullopt;
}

Op Workload::make_set(const KeyName& name, size_t write) {
    World& world = fleet_->world;
    const std::optional<size_t> known = some_shown(name);
    if (known && world.chance(0.3)) {
        shown_[*known].removed.push_back(write);
        return crdt::OrSetOp{crdt::OrSetRemove{JsonValue::string(shown_[*known].element), {shown_[*known].tag}}};
    }
    Shown shown{name, {}, write, {}, {}, {}, {}, "e" + std::to_string(write)};
    shown.text = quoted(shown.element);
    world.fill(shown.tag.data(), shown.tag.size());
    shown_of_[name].push_back(shown_.size());
    shown_.push_back(shown);
    return crdt::OrSetOp{crdt::OrSetAdd{JsonValue::string(shown.element), shown.tag, 1, 1}};
}

Op Workload::make_rga(const KeyName& name, size_t write, uint64_t client_id) {
    World& world = fleet_->world;
    const std::optional<size_t> known = some_shown(name);
    if (known && world.chance(0.25)) {
        shown_[*known].removed.push_back(write);
        return crdt::RgaOp{crdt::RgaDelete{shown_[*known].id, false}};
    }
    const char32_t content = 0x4e00 + static_cast<char32_t>(write % 20'000);
    Shown shown{name, utf8(content), write, {}, {}, stamp(client_id), {}, {}};
    crdt::RgaInsert insert{shown.id, std::nullopt, content, false};
    if (known && world.chance(0.8)) {
        insert.origin_id = shown_[*known].id;
        shown.under = known;
    }
    shown_of_[name].push_back(shown_.size());
    shown_.push_back(shown);
    return crdt::RgaOp{insert};
}

Op Workload::make_tree(const KeyName& name, size_t write, uint64_t client_id, bool deletes) {
    World& world = fleet_->world;
    const std::optional<size_t> known = some_shown(name);
    const std::optional<size_t> other = some_shown(name);
    const std::string position(1, static_cast<char>('a' + world.below(20)));
    const uint64_t choice = world.below(10);
    if (known && choice < 3) {
        std::optional<crdt::Hlc> parent;
        if (other && other != known) parent = shown_[*other].id;
        return crdt::TreeOp{crdt::TreeMoveNode{stamp(client_id), shown_[*known].id, parent, position, false, false}};
    }
    if (known && choice < 5) {
        return crdt::TreeOp{crdt::TreeUpdateNode{
            shown_[*known].id, shown_[*known].element + "u" + std::to_string(write), stamp(client_id), false}};
    }
    if (known && deletes && choice < 7) return crdt::TreeOp{crdt::TreeDeleteNode{shown_[*known].id, false}};
    // Its text is followed by a quotation mark or by "u".
    Shown shown{name, {}, write, {}, {}, stamp(client_id), {}, "t" + std::to_string(write)};
    shown.text = "\"" + shown.element;
    crdt::TreeAddNode add{shown.id, std::nullopt, position, shown.element, false};
    if (known && world.chance(0.6)) {
        add.parent_id = shown_[*known].id;
        shown.under = known;
    }
    shown_of_[name].push_back(shown_.size());
    shown_.push_back(shown);
    return crdt::TreeOp{add};
}

crdt::InnerOp Workload::make_inner(size_t write, uint64_t client_id) {
    World& world = fleet_->world;
    const JsonValue value = JsonValue::string("v" + std::to_string(write));
    switch (world.below(3)) {
        case 0:
            return crdt::GCounterOp{client_id, 1 + world.below(9)};
        case 1: {
            crdt::OrSetAdd add{value, {}, 1, 1};
            world.fill(add.tag.data(), add.tag.size());
            return crdt::OrSetOp{add};
        }
        default:
            return crdt::LwwRegisterOp{value, stamp(client_id), client_id};
    }
}

// Of keys that are only asked to be equal: any type, few names, times to live.
node::WriteItem Workload::make_any(const std::string& ns, size_t write) {
    World& world = fleet_->world;
    const uint64_t client_id = 1 + world.below(clients);
    const bool contested = world.chance(0.3);
    const uint64_t type = world.below(8);
    const KeyName name{ns, contested ? "any" + std::to_string(world.below(4)) : std::string("ttl-") + type_names[type]};
    Op op = crdt::GCounterOp{client_id, 1};
    switch (type) {
        case 0:
            break;
        case 1:
            op = crdt::PnCounterOp{crdt::PnCounterOp::Side::increment, client_id, 2};
            break;
        case 2:
            op = make_set(name, write);
            break;
        case 3:
            op = crdt::LwwRegisterOp{JsonValue::integer(static_cast<int64_t>(write)), stamp(client_id), client_id};
            break;
        case 4:
            op = crdt::PresenceOp{crdt::PresenceHeartbeat{client_id, JsonValue::integer(1), stamp(client_id),
                                                          1'000 + world.below(10'000)}};
            break;
        case 5:
            op = crdt::CrdtMapOp{"k", crdt::Type::gcounter, crdt::GCounterOp{client_id, 1}};
            break;
        case 6:
            op = make_rga(name, write, client_id);
            break;
        default:
            op = make_tree(name, write, client_id, true);
            break;
    }
    names_.insert(name);
    std::string bytes = wire::encode_op(op);
    std::optional<uint64_t> ttl_ms;
    if (world.chance(0.7)) ttl_ms = 500 + world.below(12'000);
    return {name.key, std::move(op), std::move(bytes), ttl_ms};
}

node::WriteItem Workload::make(const std::string& ns, size_t write) {
    World& world = fleet_->world;
    if (world.chance(0.2)) return make_any(ns, write);
    const uint64_t client_id = 1 + world.below(clients);
    const uint64_t type = world.below(8);
    KeyName name{ns, type_names[type]};
    Op op = crdt::GCounterOp{client_id, 1 + world.below(9)};
    switch (type) {
        case 0:
            counts_.push_back({name, client_id, static_cast<int64_t>(std::get<crdt::GCounterOp>(op).amount), write});
            break;
        case 1: {
            const bool up = world.chance(0.6);
            const uint64_t amount = 1 + world.below(9);
            op = crdt::PnCounterOp{up ? crdt::PnCounterOp::Side::increment : crdt::PnCounterOp::Side::decrement,
                                   client_id, amount};
            counts_.push_back({name, client_id, static_cast<int64_t>(amount) * (up ? 1 : -1), write});
            break;
        }
        case 2:
            op = make_set(name, write);
            break;
        case 3: {
            const crdt::Hlc at = stamp(client_id);
            registers_.push_back({name, client_id, at, quoted("w" + std::to_string(write)), write});
            op = crdt::LwwRegisterOp{JsonValue::string("w" + std::to_string(write)), at, client_id};
            break;
        }
        case 4: {
            const crdt::Hlc at = stamp(client_id);
            const bool leaves = world.chance(0.3);
            const std::string text = "p" + std::to_string(write);
            presence_.push_back({name, client_id, at, leaves ? std::string() : quoted(text), write});
            if (leaves) {
                op = crdt::PresenceOp{crdt::PresenceLeave{client_id, at}};
            } else {
                op = crdt::PresenceOp{crdt::PresenceHeartbeat{client_id, JsonValue::string(text), at, 2 * hour_ms}};
            }
            break;
        }
        case 5: {
            const std::string inner = "m" + std::to_string(write);
            crdt::InnerOp made = make_inner(write, client_id);
            const crdt::Type inner_type = crdt::type_of(made);
            shown_.push_back({name, quoted(inner), write, {}, {}, {}, {}, {}});
            op = crdt::CrdtMapOp{inner, inner_type, std::move(made)};
            break;
        }
        case 6:
            op = make_rga(name, write, client_id);
            break;
        default: {
            const bool deletes = world.chance(0.3);
            if (deletes) name.key += "-deletes";
            op = make_tree(name, write, client_id, deletes);
            break;
        }
    }
    names_.insert(name);
    std::string bytes = wire::encode_op(op);
    return {name.key, std::move(op), std::move(bytes), std::nullopt};
}

std::vector<node::WriteItem> Workload::make_batch(const std::string& ns, size_t write) {
    const std::string element = "b" + std::to_string(write);
    Batch batch{{}, quoted(element), write};
    std::vector<node::WriteItem> items;
    for (size_t i = 0; i < batch_keys; ++i) {
        batch.names.push_back({ns, "batch" + std::to_string(i)});
        names_.insert(batch.names.back());
        crdt::OrSetAdd add{JsonValue::string(element), {}, 1, 1};
        fleet_->world.fill(add.tag.data(), add.tag.size());
        Op op = crdt::OrSetOp{add};
        std::string bytes = wire::encode_op(op);
        items.push_back({batch.names.back().key, std::move(op), std::move(bytes), std::nullopt});
    }
    batch_of_[batch.text] = batches_.size();
    batches_.push_back(std::move(batch));
    return items;
}

void Workload::undo(Fleet& fleet, const Fleet::Member& member, const std::string& ns) {
    std::vector<crdt::Hlc>& stamps = undoable_[ns];
    const uint64_t client_id = 1 + fleet.world.below(clients);
    names_.insert({ns, "undo"});
    if (stamps.empty() || fleet.world.chance(0.6)) {
        stamps.push_back(stamp(client_id));
        Op op = crdt::LwwRegisterOp{JsonValue::integer(static_cast<int64_t>(stamps.size())), stamps.back(), client_id};
        writes_.push_back({Fate::pending, member.node_id, {}, 0, {}});
        ++pending_;
        node::WriteRequest request;
        request.namespace_name = ns;
        request.items.push_back({"undo", op, wire::encode_op(op), std::nullopt});
        return submit(member, std::move(request), writes_.size() - 1);
    }
    node::UndoRequest request{ns, "undo", client_id, stamps[fleet.world.below(stamps.size())], JsonValue(), {}};
    fleet.on_shard(member, ns, [request](node::Shard& shard) { shard.undo(request, [](const node::UndoOutcome&) {}); });
}

void Workload::write(Fleet& fleet, const Fleet::Member& member) {
    const std::string ns = fleet.world.chance(0.5) ? "room" : "hall";
    if (fleet.world.chance(0.04)) return undo(fleet, member, ns);
    const size_t write = writes_.size();
    writes_.push_back({Fate::pending, member.node_id, {}, 0, {}});
    ++pending_;
    node::WriteRequest request;
    request.namespace_name = ns;
    request.client_id = 1 + fleet.world.below(clients);
    if (fleet.world.chance(0.12)) {
        request.source = node::Source::ws_batch;
        request.items = make_batch(ns, write);
    } else {
        request.items.push_back(make(ns, write));
    }
    if (trace_) {
        std::cout << "  write " << write << " at " << member.node_id << ":";
        for (const node::WriteItem& item : request.items)
            std::cout << " " << ns << "/" << item.key << " " << wire::op_to_json(item.op);
        std::cout << "\n";
    }
    submit(member, std::move(request), write);
}

void Workload::submit(const Fleet::Member& member, node::WriteRequest request, size_t write) {
    const std::string ns = request.namespace_name;
    auto shared = std::make_shared<node::WriteRequest>(std::move(request));
    fleet_->on_shard(member, ns, [this, shared, write, &member](node::Shard& shard) {
        shard.write(std::move(*shared), [this, write, &member](const node::WriteOutcome& outcome) {
            switch (outcome.status) {
                case Status::ok:
                    writes_[write].origin = fleet_->port(member).self();
                    writes_[write].head = node::held(fleet_->port(member).vector(), writes_[write].origin);
                    if (std::none_of(outcome.items.begin(), outcome.items.end(),
                                     [](const node::ItemOutcome& item) { return item.changed; }))
                        writes_[write].rests_on = fleet_->port(member).vector();
                    return settle(write, Fate::acknowledged);
                case Status::outcome_unknown:
                    return settle(write, Fate::unknown);
                default:
                    return settle(write, Fate::nothing);
            }
        });
    });
}

void Workload::settle(size_t write, Fate fate) {
    Write& settled = writes_[write];
    if (settled.fate != Fate::pending) {
        violation_ = "write " + std::to_string(write) + " was completed twice";
        return;
    }
    settled.fate = fate;
    --pending_;
    acknowledged += fate == Fate::acknowledged;
    refused += fate == Fate::nothing;
    in_doubt += fate == Fate::unknown;
    if (trace_) {
        static const char* names[] = {"pending", "acknowledged", "refused", "in doubt"};
        std::cout << "  write " << write << " " << names[static_cast<size_t>(fate)];
        if (fate == Fate::acknowledged)
            std::cout << " as " << settled.origin.node_id << "/" << settled.origin.incarnation << " up to "
                      << settled.head;
        std::cout << "\n";
    }
}

void Workload::on_process(uint64_t node_id) {
    seen_.erase(node_id);
    partial_.erase(node_id);
    for (size_t i = 0; i < writes_.size(); ++i) {
        if (writes_[i].node_id == node_id && writes_[i].fate == Fate::pending) settle(i, Fate::unknown);
    }
}

void Workload::excuse(const node::VersionVector& held) {
    for (size_t i = 0; i < writes_.size(); ++i) {
        Write& write = writes_[i];
        if (write.fate != Fate::acknowledged) continue;
        if (node::held(held, write.origin) >= write.head && node::covers(held, write.rests_on)) continue;
        write.fate = Fate::unknown;
        ++in_doubt;
        --acknowledged;
        if (trace_) std::cout << "  write " << i << " may be lost\n";
    }
}

std::vector<KeyName> Workload::names() const {
    return {names_.begin(), names_.end()};
}

void Workload::on_delta(uint64_t node_id, const std::string& namespace_name, const node::DeltaFrame& frame) {
    if (frame.key().compare(0, 5, "batch") != 0) return;
    const auto* delta = std::get_if<crdt::OrSetClientDelta>(&frame.delta());
    if (delta == nullptr) return;
    (void)namespace_name;
    for (const auto& [element, tags] : delta->adds) {
        std::set<std::string>& keys = seen_[node_id][element];
        keys.insert(frame.key());
        if (keys.size() == batch_keys) {
            partial_[node_id].erase(element);
        } else {
            partial_[node_id].insert(element);
        }
    }
}

void Workload::on_group_end(uint64_t node_id, size_t) {
    std::set<std::string>& partial = partial_[node_id];
    if (partial.empty()) return;
    // States that are transferred come key by key; so do entries of its own that a node has lost.
    const replication::ClusterStatus status = fleet_->status(fleet_->members.at(node_id));
    const bool lost = std::any_of(status.alarms.begin(), status.alarms.end(), [](const replication::Alarm& alarm) {
        return alarm.kind == replication::AlarmKind::amnesia;
    });
    if (status.counters.transfers_started == 0 && !lost && violation_.empty())
        violation_ = "node " + std::to_string(node_id) + " shows a part of batch " + *partial.begin();
    partial.clear();
}

bool Workload::must_show(const Shown& shown) const {
    const Shown* at = &shown;
    if (std::any_of(at->removed.begin(), at->removed.end(), [this](size_t write) { return may_be(write); }))
        return false;
    for (;;) {
        if (!must_be(at->write)) return false;
        if (!at->under) return true;
        at = &shown_[*at->under];
    }
}

std::string Workload::missing(const std::map<KeyName, std::string>& values) const {
    const auto value_of = [&values](const KeyName& name) -> const std::string& {
        static const std::string none;
        const auto found = values.find(name);
        return found == values.end() ? none : found->second;
    };
    const auto contains = [&](const KeyName& name, const std::string& text) {
        return value_of(name).find(text) != std::string::npos;
    };
    const auto complaint = [&](const KeyName& name, const std::string& what, size_t write) {
        return name.namespace_name + "/" + name.key + ": " + what + " of write " + std::to_string(write) + ": " +
               value_of(name);
    };

    // Nodes of a tree may have been moved under one that is lost.
    std::set<KeyName> torn;
    for (const Shown& shown : shown_) {
        if (writes_[shown.write].fate == Fate::unknown) torn.insert(shown.name);
    }
    for (const Shown& shown : shown_) {
        const std::string& key = shown.name.key;
        if (key.compare(0, 3, "ttl") == 0 || key.compare(0, 3, "any") == 0 || key == "tree-deletes") continue;
        const bool tree = key == "tree";
        const bool there = tree ? contains(shown.name, shown.text + "\"") || contains(shown.name, shown.text + "u")
                                : contains(shown.name, shown.text);
        if (!there && must_show(shown) && !(tree && torn.count(shown.name) != 0))
            return complaint(shown.name, "lacks what was acknowledged", shown.write);
        if (!there) continue;
        if (!may_be(shown.write)) return complaint(shown.name, "shows what was refused", shown.write);
        for (const size_t remove : shown.removed) {
            if (must_be(remove)) return complaint(shown.name, "shows what was removed", shown.write);
        }
    }

    struct Bounds {
        int64_t least = 0, most = 0;
    };
    std::map<std::pair<KeyName, uint64_t>, Bounds> bounds;
    for (const Count& count : counts_) {
        // The value of a PN counter is one number, that of the other has one for each client.
        Bounds& bound = bounds[{count.name, count.name.key == "pn" ? 0 : count.client_id}];
        if (count.amount > 0 ? must_be(count.write) : may_be(count.write)) bound.least += count.amount;
        if (count.amount > 0 ? may_be(count.write) : must_be(count.write)) bound.most += count.amount;
    }
    for (const auto& [slot, bound] : bounds) {
        const auto& [name, client_id] = slot;
        const std::string field = client_id == 0 ? "\"value\":" : quoted(std::to_string(client_id)) + ":";
        const std::string& value = value_of(name);
        const size_t at = value.find(field);
        const int64_t total = at == std::string::npos ? 0 : std::stoll(value.substr(at + field.size()));
        if (total >= bound.least && total <= bound.most) continue;
        return name.namespace_name + "/" + name.key + ": " + field + std::to_string(total) + " is not within " +
               std::to_string(bound.least) + " and " + std::to_string(bound.most);
    }

    std::map<KeyName, const Stamped*> winners;
    for (const Stamped& written : registers_) {
        if (may_be(written.write) && contains(written.name, written.text)) winners[written.name] = &written;
    }
    for (const Stamped& written : registers_) {
        if (!must_be(written.write)) continue;
        const Stamped* winner = winners[written.name];
        if (winner == nullptr || winner->stamp < written.stamp)
            return complaint(written.name, "does not show the newest", written.write);
    }

    std::map<std::pair<KeyName, uint64_t>, const Stamped*> newest;
    for (const Stamped& beat : presence_) {
        const Stamped*& known = newest[{beat.name, beat.client_id}];
        if (may_be(beat.write) && (known == nullptr || known->stamp < beat.stamp)) known = &beat;
    }
    for (const Stamped& beat : presence_) {
        const Stamped* last = newest[{beat.name, beat.client_id}];
        if (beat.text.empty() || last == nullptr || !must_be(last->write)) continue;
        if (contains(beat.name, beat.text) != (last == &beat))
            return complaint(beat.name, "shows another presence than the newest,", last->write);
    }

    for (const Batch& batch : batches_) {
        size_t there = 0;
        for (const KeyName& name : batch.names) there += contains(name, batch.text);
        if (there != 0 && there != batch.names.size()) return complaint(batch.names[0], "a part", batch.write);
        if (there == 0 && must_be(batch.write))
            return complaint(batch.names[0], "lacks the acknowledged batch", batch.write);
        if (there != 0 && !may_be(batch.write))
            return complaint(batch.names[0], "shows the refused batch", batch.write);
    }
    return {};
}

}  // namespace meridian::simulation
