#include "simulation/wrong_rules.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "wire/key_codec.h"
#include "wire/log_entry.h"
#include "wire/op_codec.h"

namespace meridian::simulation {

namespace {

using Done = std::function<void(Result<void>)>;
using Entries = std::vector<node::RemoteEntry>;

node::VersionVector numbers_of(const Entries& entries) {
    node::VersionVector numbers;
    for (const node::RemoteEntry& entry : entries) {
        if (entry.sequence != 0) node::merge_into(numbers, {{entry.origin, entry.sequence}});
    }
    return numbers;
}

// Rewrites the core delta inside an entry; one that is not changed stays as it is.
bool rewrite(node::RemoteEntry& entry, const std::function<bool(crdt::KeyDelta&)>& change) {
    auto payload = wire::decode_log_entry(entry.payload);
    if (!payload) return false;
    auto delta = wire::decode_key_delta(payload->key_delta);
    if (!delta || !change(*delta)) return false;
    const std::string key_delta = wire::encode_key_delta(*delta);
    BinaryWriter out;
    wire::encode_log_entry(out, {payload->stamp, payload->batch_following, payload->source, payload->client_id,
                                 key_delta, payload->op_bytes, payload->idempotency_key});
    entry.payload = out.take();
    return true;
}

bool forget_removes(crdt::KeyDelta& delta) {
    auto* set = std::get_if<crdt::OrSet::Delta>(&delta.delta);
    if (set == nullptr) return false;
    bool changed = false;
    for (crdt::OrSet::ElementDelta& element : set->elements) {
        changed |= !element.removes.empty();
        element.removes.clear();
    }
    set->elements.erase(std::remove_if(set->elements.begin(), set->elements.end(),
                                       [](const auto& element) { return element.adds.empty(); }),
                        set->elements.end());
    return changed;
}

class WrongPort final : public node::ReplicationPort {
public:
    WrongPort(WrongRule rule, node::ReplicationPort& port, World& world, SimulatedLane& lane,
              std::function<void(const node::KeyName&, const crdt::Op&)> write_again)
        : rule_(rule), port_(port), world_(world), lane_(lane), write_again_(std::move(write_again)) {}

    void set_listener(node::ReplicationListener* listener) override { port_.set_listener(listener); }
    node::Origin self() const override { return port_.self(); }
    void begin_incarnation(Done done) override {
        if (rule_ != WrongRule::ignores_new_incarnation) return port_.begin_incarnation(std::move(done));
        lane_.post([done = std::move(done)] { done({}); });
    }
    node::VersionVector vector() const override {
        node::VersionVector vector = port_.vector();
        if (rule_ == WrongRule::claims_more_than_it_holds) {
            for (auto& [origin, sequence] : vector) {
                if (origin != port_.self()) ++sequence;
            }
        }
        return vector;
    }
    void merge(Entries entries, Done done) override {
        const bool transferred = !entries.empty() && entries[0].sequence == 0;
        switch (rule_) {
            case WrongRule::loses_a_merge:
                if (!now_and_then()) break;
                return lane_.post([done = std::move(done)] { done({}); });
            case WrongRule::counts_without_states:
                if (transferred || !now_and_then()) break;
                return port_.raise_vector(numbers_of(entries), std::move(done));
            case WrongRule::loses_one_entry:
                if (entries.size() < 2 || transferred) break;
                entries.erase(entries.begin());
                break;
            case WrongRule::applies_delta_as_op:
                if (!transferred && now_and_then()) apply_again(entries);
                break;
            case WrongRule::forgets_removed_tags:
                for (node::RemoteEntry& entry : entries) rewrite(entry, forget_removes);
                break;
            case WrongRule::forgets_expiry:
                for (node::RemoteEntry& entry : entries) {
                    rewrite(entry,
                            [](crdt::KeyDelta& delta) { return std::exchange(delta.expiry.deadline_ms, 0) != 0; });
                }
                break;
            case WrongRule::forgets_generation:
                for (node::RemoteEntry& entry : entries)
                    rewrite(entry, [](crdt::KeyDelta& delta) { return std::exchange(delta.generation, 1) != 1; });
                break;
            case WrongRule::changes_register_stamp:
                for (node::RemoteEntry& entry : entries) rewrite(entry, [this](auto& delta) { return restamp(delta); });
                break;
            case WrongRule::divides_batches:
                if (!transferred && divide(entries, done)) return;
                break;
            default:
                break;
        }
        port_.merge(std::move(entries), std::move(done));
    }
    void read_entries(std::vector<node::EntryRange> ranges, size_t count_max, size_t bytes_max,
                      std::function<void(node::EntryPage)> done) override {
        port_.read_entries(std::move(ranges), count_max, bytes_max,
                           [this, done = std::move(done)](node::EntryPage page) {
                               if (rule_ == WrongRule::renumbers_entries && page.entries.size() > 1) {
                                   for (size_t i = 0; i + 1 < page.entries.size(); ++i) {
                                       if (page.entries[i].origin != page.entries[i + 1].origin) continue;
                                       page.entries[i].name = page.entries[i + 1].name;
                                       page.entries[i].payload = page.entries[i + 1].payload;
                                       break;
                                   }
                               }
                               if (rule_ == WrongRule::serves_gaps && !page.gone.empty()) {
                                   page.gone.clear();
                                   page.complete = true;
                               }
                               done(std::move(page));
                           });
    }
    node::VersionVector floors() const override {
        return rule_ == WrongRule::serves_gaps ? node::VersionVector{} : port_.floors();
    }
    void set_needed(node::VersionVector held_by_all) override { port_.set_needed(std::move(held_by_all)); }
    void set_covered_before(uint64_t wall_ms) override {
        port_.set_covered_before(rule_ == WrongRule::drops_tombstones_at_once ? UINT64_MAX : wall_ms);
    }
    void digest_keys(std::optional<node::KeyName> after, size_t count_max, const node::DigestKey& key,
                     std::function<void(node::DigestPage)> done) override {
        port_.digest_keys(std::move(after), count_max, key, [this, done = std::move(done)](node::DigestPage page) {
            if (rule_ == WrongRule::hides_keys_from_digests) {
                page.digests.erase(std::remove_if(page.digests.begin(), page.digests.end(),
                                                  [](const node::KeyDigest& each) { return hidden(each.name); }),
                                   page.digests.end());
            }
            done(std::move(page));
        });
    }
    void read_states(std::vector<node::KeyName> names,
                     std::function<void(Result<std::vector<node::KeyState>>)> done) override {
        port_.read_states(std::move(names), [this, done = std::move(done)](Result<std::vector<node::KeyState>> states) {
            if (states && rule_ == WrongRule::gives_no_states) {
                for (node::KeyState& state : *states) {
                    if (hidden(state.name)) state.payload.reset();
                }
            }
            done(std::move(states));
        });
    }
    void raise_vector(node::VersionVector vector, Done done) override {
        if (rule_ == WrongRule::raises_vector_too_far) {
            for (auto& [origin, sequence] : vector) sequence += 2;
        }
        port_.raise_vector(std::move(vector), std::move(done));
    }

private:
    bool now_and_then() { return world_.chance(0.1); }
    static bool hidden(const node::KeyName& name) { return (name.key.size() + name.namespace_name.size()) % 2 == 0; }

    void apply_again(const Entries& entries) {
        for (const node::RemoteEntry& entry : entries) {
            const auto payload = wire::decode_log_entry(entry.payload);
            if (!payload) continue;
            auto op = wire::decode_op(payload->op_bytes);
            if (op) write_again_(entry.name, *op);
        }
    }

    bool restamp(crdt::KeyDelta& delta) {
        auto* change = std::get_if<crdt::LwwRegister::Delta>(&delta.delta);
        if (change == nullptr || !now_and_then()) return false;
        if (!change->entry) return false;
        change->entry->entry.hlc.wall_ms += 1;
        return true;
    }

    bool divide(Entries& entries, Done& done) {
        for (size_t i = 0; i + 1 < entries.size(); ++i) {
            const auto payload = wire::decode_log_entry(entries[i].payload);
            if (!payload || payload->batch_following == 0) continue;
            auto rest = std::make_shared<Entries>(entries.begin() + static_cast<ptrdiff_t>(i) + 1, entries.end());
            entries.resize(i + 1);
            port_.merge(std::move(entries), [this, rest, done = std::move(done)](Result<void> merged) {
                if (!merged) return done(std::move(merged));
                port_.merge(std::move(*rest), done);
            });
            return true;
        }
        return false;
    }

    const WrongRule rule_;
    node::ReplicationPort& port_;
    World& world_;
    SimulatedLane& lane_;
    std::function<void(const node::KeyName&, const crdt::Op&)> write_again_;
};

}  // namespace

const std::vector<WrongRuleName>& wrong_rules() {
    static const std::vector<WrongRuleName> names{
        {WrongRule::loses_a_merge, "loses-a-merge"},
        {WrongRule::counts_without_states, "counts-without-states"},
        {WrongRule::loses_one_entry, "loses-one-entry"},
        {WrongRule::applies_delta_as_op, "applies-delta-as-op"},
        {WrongRule::forgets_removed_tags, "forgets-removed-tags"},
        {WrongRule::forgets_expiry, "forgets-expiry"},
        {WrongRule::forgets_generation, "forgets-generation"},
        {WrongRule::changes_register_stamp, "changes-register-stamp"},
        {WrongRule::divides_batches, "divides-batches"},
        {WrongRule::renumbers_entries, "renumbers-entries"},
        {WrongRule::serves_gaps, "serves-gaps"},
        {WrongRule::ignores_new_incarnation, "ignores-new-incarnation"},
        {WrongRule::crash_loses_acknowledged, "crash-loses-acknowledged"},
        {WrongRule::hides_keys_from_digests, "hides-keys-from-digests"},
        {WrongRule::gives_no_states, "gives-no-states"},
        {WrongRule::raises_vector_too_far, "raises-vector-too-far"},
        {WrongRule::claims_more_than_it_holds, "claims-more-than-it-holds"},
        {WrongRule::drops_tombstones_at_once, "drops-tombstones-at-once"},
    };
    return names;
}

WrongRule wrong_rule_of(std::string_view name) {
    for (const WrongRuleName& each : wrong_rules()) {
        if (each.name == name) return each.rule;
    }
    return WrongRule::none;
}

std::unique_ptr<node::ReplicationPort> wrong_port(
    WrongRule rule, node::ReplicationPort& port, World& world, SimulatedLane& lane,
    std::function<void(const node::KeyName& name, const crdt::Op& op)> write_again) {
    if (rule == WrongRule::drops_tombstones_at_once) port.set_covered_before(UINT64_MAX);
    return std::make_unique<WrongPort>(rule, port, world, lane, std::move(write_again));
}

}  // namespace meridian::simulation
