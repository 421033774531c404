#include "model_data.h"

#include <algorithm>
#include <tuple>

namespace meridian::plugin_kit {

uint64_t ModelData::bytes_pending() const {
    uint64_t bytes = 0;
    for (const abi::Entry& entry : log_) {
        const auto key = keys_.find(entry.name);
        const bool covered = key == keys_.end() || entry.position <= key->second.covered();
        if (!covered || defect_.is("usage-never-falls")) bytes += entry.payload.size();
    }
    return bytes;
}

void ModelData::apply_entry(abi::Entry entry) {
    if (defect_.is("truncates-incarnation")) entry.origin_incarnation &= 0xffffffff;
    if (defect_.is("short-names") && entry.name.key.size() > 4000) entry.name.key.resize(4000);
    if (defect_.is("c-strings")) entry.name.key = entry.name.key.c_str();
    if (entry.name.key.empty()) entry.name.key = "?";
    bytes_ += entry.payload.size();
    keys_[entry.name].positions.push_back(entry.position);
    log_.push_back(std::move(entry));
}

void ModelData::apply_metadata(const std::vector<abi::MetadataWrite>& writes) {
    std::map<std::string, int> seen;
    for (const abi::MetadataWrite& write : writes) {
        if (defect_.is("first-write-wins") && seen[write.name]++ != 0) continue;
        if (write.value) {
            metadata_[write.name] = *write.value;
        } else if (defect_.is("removal-empties")) {
            metadata_[write.name].clear();
        } else {
            metadata_.erase(write.name);
        }
    }
}

void ModelData::apply_snapshot(const abi::Snapshot& snapshot) {
    abi::Name name = snapshot.name;
    if (defect_.is("short-names") && name.key.size() > 4000) name.key.resize(4000);
    if (defect_.is("snapshot-needs-entry") && keys_.count(name) == 0) return;
    Key& key = keys_[name];
    if (key.row && key.row->position > snapshot.position && !defect_.is("older-replaces")) return;
    if (key.row && key.row->state && defect_.is("keeps-first-deadline")) {
        const uint64_t deadline_ms = key.row->deadline_ms;
        key.row = Row{snapshot.position, deadline_ms, snapshot.state};
        return;
    }
    key.row = Row{snapshot.position, snapshot.deadline_ms, snapshot.state};
    if (snapshot.state) return;
    key.row->deadline_ms = 0;
    if (defect_.is("removal-eats-tail")) key.positions.clear();
    if (defect_.is("entries-return-after-removal")) key.row.reset();
}

void ModelData::retain_from(uint64_t position) {
    retained_from_ = std::max(retained_from_, position);
    drop_covered();
}

void ModelData::drop_covered() {
    uint64_t to = retained_from_;
    for (const auto& [name, key] : keys_) {
        if (defect_.is("drops-uncovered")) break;
        const auto oldest = std::upper_bound(key.positions.begin(), key.positions.end(), key.covered());
        if (oldest != key.positions.end()) to = std::min(to, *oldest);
    }
    floor_ = std::max(floor_, std::min(to, next_position()));
}

ModelData::Record ModelData::read(const abi::Name& asked) const {
    Record out;
    abi::Name name = asked;
    if (defect_.is("short-names") && name.key.size() > 4000) name.key.resize(4000);
    if (defect_.is("c-strings")) name.key = name.key.c_str();
    const auto found = keys_.find(name);
    if (found == keys_.end()) {
        if (defect_.is("ghost-keys")) out.snapshot = "";
        return out;
    }
    const Key& key = found->second;
    if (key.row) {
        out.snapshot = key.row->state;
        out.snapshot_position = key.row->position;
    }
    for (const uint64_t position : key.positions) {
        if (position <= key.covered() && !(defect_.is("tail-from-start") && key.row && key.row->state)) continue;
        out.tail.push_back(entry(position).payload);
        out.tail_position = position;
    }
    return out;
}

std::vector<abi::Name> ModelData::stale() const {
    std::vector<std::pair<uint64_t, abi::Name>> found;
    for (const auto& [name, key] : keys_) {
        const auto oldest = std::upper_bound(key.positions.begin(), key.positions.end(), key.covered());
        if (oldest == key.positions.end()) continue;
        found.emplace_back(defect_.is("stale-by-name") ? 0 : *oldest, name);
    }
    std::sort(found.begin(), found.end());
    std::vector<abi::Name> out;
    for (auto& item : found) out.push_back(std::move(item.second));
    return out;
}

std::vector<abi::Name> ModelData::names(std::string_view namespace_name, const std::optional<abi::Name>& after) const {
    std::vector<abi::Name> out;
    for (const auto& [name, key] : keys_) {
        const std::string_view own = defect_.is("namespace-by-prefix")
                                         ? std::string_view(name.namespace_name).substr(0, namespace_name.size())
                                         : std::string_view(name.namespace_name);
        if (!key.exists() || (!namespace_name.empty() && own != namespace_name)) continue;
        if (after && (defect_.is("page-repeats-a-name") ? name < *after : name <= *after)) continue;
        out.push_back(name);
    }
    if (defect_.is("keys-by-key")) {
        std::sort(out.begin(), out.end(), [](const abi::Name& a, const abi::Name& b) {
            return std::tie(a.key, a.namespace_name) < std::tie(b.key, b.namespace_name);
        });
    }
    return out;
}

std::vector<std::pair<uint64_t, abi::Name>> ModelData::due(uint64_t until_ms) const {
    std::vector<std::pair<uint64_t, abi::Name>> out;
    for (const auto& [name, key] : keys_) {
        uint64_t deadline_ms = key.row ? key.row->deadline_ms : 0;
        if (key.has_tail()) {
            const uint64_t newest = entry(key.positions.back()).deadline_ms;
            deadline_ms = defect_.is("first-deadline-stays") && deadline_ms != 0 ? deadline_ms : newest;
        }
        if (deadline_ms != 0 && deadline_ms <= until_ms) out.emplace_back(deadline_ms, name);
    }
    if (!defect_.is("due-by-name")) std::sort(out.begin(), out.end());
    return out;
}

}  // namespace meridian::plugin_kit
