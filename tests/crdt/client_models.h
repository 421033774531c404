// The three clients as naive as crdts.md section 8 describes them, for all types but RGA and Tree. A model is fed the
// deltas that a node projects; what it then shows must be what the node shows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "crdt/client_delta.h"

namespace meridian::test {

enum class Client { typescript, python, rust };

struct CounterModel {
    std::map<uint64_t, uint64_t> slots;
    void take(const crdt::GCounterClientDelta& delta) {
        for (const auto& [id, total] : delta.counters) slots[id] = std::max(slots[id], total);
    }
};

struct SetModel {
    std::map<std::string, std::set<crdt::Tag>> tags;
    void take(const crdt::OrSetClientDelta& delta) {
        for (const auto& [element, added] : delta.adds) tags[element].insert(added.begin(), added.end());
        for (const auto& [element, removed] : delta.removes) {
            for (const auto& tag : removed) tags[element].erase(tag);
            if (tags[element].empty()) tags.erase(element);
        }
    }
    std::set<std::string> elements() const {
        std::set<std::string> present;
        for (const auto& [element, live] : tags) present.insert(element);
        return present;
    }
};

struct RegisterModel {
    Client client = Client::typescript;
    std::optional<crdt::LwwEntry> entry;
    void take(const crdt::LwwRegisterClientDelta& delta) {
        if (!delta.entry) return;
        if (!entry || beats(*delta.entry, *entry)) entry = delta.entry;
    }
    bool beats(const crdt::LwwEntry& a, const crdt::LwwEntry& b) const {
        if (client != Client::rust) {
            return std::tie(a.hlc.wall_ms, a.hlc.logical, a.author) > std::tie(b.hlc.wall_ms, b.hlc.logical, b.author);
        }
        if (a.hlc != b.hlc) return a.hlc > b.hlc;
        if (a.author != b.author) return a.author > b.author;
        return compare_text(a.value, b.value) > 0;
    }
};

struct PresenceModel {
    Client client = Client::typescript;
    std::map<uint64_t, crdt::PresenceClientEntry> entries;
    static uint64_t end_ms(const crdt::PresenceClientEntry& entry) { return entry.hlc.wall_ms + entry.ttl_ms; }
    void take(const crdt::PresenceClientDelta& delta) {
        for (const auto& [id, entry] : delta.changes) {
            client == Client::rust ? take_rust(id, entry) : take_other(id, entry);
        }
    }
    void take_rust(uint64_t id, const std::optional<crdt::PresenceClientEntry>& entry) {
        if (!entry) return;  // nil is ignored
        const auto known = entries.find(id);
        if (known == entries.end() ||
            std::tie(entry->hlc, entry->ttl_ms) > std::tie(known->second.hlc, known->second.ttl_ms)) {
            entries[id] = *entry;
        }
    }
    void take_other(uint64_t id, const std::optional<crdt::PresenceClientEntry>& entry) {
        if (!entry) {
            entries.erase(id);
            return;
        }
        const auto known = entries.find(id);
        const bool accepted =
            known == entries.end() || (client == Client::typescript ? end_ms(*entry) >= end_ms(known->second)
                                                                    : end_ms(*entry) > end_ms(known->second));
        if (!accepted) return;
        if (entry->ttl_ms == 0) {
            entries.erase(id);
        } else {
            entries[id] = *entry;
        }
    }
    std::map<uint64_t, std::string> alive(uint64_t now_ms) const {
        std::map<uint64_t, std::string> shown;
        for (const auto& [id, entry] : entries) {
            // TypeScript and Python are told when somebody has gone; Rust looks at its clock.
            if (client != Client::rust || now_ms < end_ms(entry)) shown[id] = entry.data.to_text();
        }
        return shown;
    }
};

// The TypeScript view of a CRDTMap: keeps no tags, takes any register entry, does not know the other types.
struct MapModel {
    std::map<std::string, CounterModel> counters;
    std::map<std::string, std::set<std::string>> sets;
    std::map<std::string, crdt::LwwEntry> registers;
    void take(const crdt::CrdtMapClientDelta& delta) {
        for (const auto& [key, inner] : delta.deltas) {
            if (const auto* counter = std::get_if<crdt::GCounterClientDelta>(&inner)) counters[key].take(*counter);
            if (const auto* set = std::get_if<crdt::OrSetClientDelta>(&inner)) {
                for (const auto& [element, tags] : set->adds) sets[key].insert(element);
                for (const auto& [element, tags] : set->removes) sets[key].erase(element);
            }
            if (const auto* reg = std::get_if<crdt::LwwRegisterClientDelta>(&inner)) {
                if (reg->entry) registers[key] = *reg->entry;
            }
        }
    }
};

}  // namespace meridian::test
