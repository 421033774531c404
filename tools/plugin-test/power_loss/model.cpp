#include "model.h"

#include <cstdio>

namespace meridian::power_loss {
namespace {

constexpr uint64_t payload_size_max = 300;

class Stream {
public:
    explicit Stream(uint64_t seed) : state_(seed) {}
    uint64_t next() {  // splitmix64
        uint64_t z = (state_ += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    uint64_t below(uint64_t limit) { return next() % limit; }

private:
    uint64_t state_;
};

Stream group_stream(uint64_t seed, uint64_t run, uint64_t first_position) {
    Stream mixed(seed ^ (run << 40));
    return Stream(mixed.next() ^ first_position * 0x9e3779b97f4a7c15);
}

uint64_t draw_size(Stream& stream) {
    const uint64_t kind = stream.below(20);
    if (kind == 0) return 20 + stream.below(60);
    if (kind < 4) return 5 + stream.below(15);
    return 1 + stream.below(4);
}

std::string draw_payload(Stream& stream, uint64_t run, uint64_t position) {
    std::string out = std::to_string(run) + "/" + std::to_string(position) + "/";
    uint64_t size = stream.below(payload_size_max);
    const uint64_t kind = stream.below(200);
    if (kind == 0) size = 20'000;
    if (kind > 0 && kind < 5) size = 4096;
    const uint64_t pattern = stream.next();
    while (out.size() < size) out.push_back(static_cast<char>(pattern >> (out.size() % 8 * 8)));
    return out;
}

}  // namespace

node::KeyName key_name(size_t index) {
    const bool removed = index >= key_count;
    return {workload_namespace, (removed ? "removed-" : "key-") + std::to_string(removed ? index - key_count : index)};
}

uint64_t group_size(uint64_t seed, uint64_t run, uint64_t first_position) {
    Stream stream = group_stream(seed, run, first_position);
    return draw_size(stream);
}

GroupPlan plan_group(uint64_t seed, uint64_t run, uint64_t first_position) {
    Stream stream = group_stream(seed, run, first_position);
    const uint64_t count = draw_size(stream);
    GroupPlan plan;
    for (uint64_t position = first_position; position < first_position + count; ++position) {
        const auto key = static_cast<size_t>(stream.below(key_count + removed_key_count));
        node::LogEntry entry;
        entry.position = position;
        entry.origin_node_id = seed;
        entry.origin_incarnation = run;
        entry.origin_sequence = position;
        entry.wall_ms = 1'700'000'000'000 + position;
        entry.name = key_name(key);
        entry.payload = draw_payload(stream, run, position);
        if (key < key_count) entry.deadline_ms = entry_deadline_ms(entry.payload);
        plan.keys.push_back(key);
        plan.group.entries.push_back(std::move(entry));
    }
    plan.group.metadata.push_back({"last", std::to_string(run) + "/" + std::to_string(first_position + count - 1)});
    const std::string name = "some-" + std::to_string(stream.below(6));
    const uint64_t kind = stream.below(4);
    if (kind == 0) plan.group.metadata.push_back({name, std::nullopt});
    if (kind == 1)
        plan.group.metadata.push_back({name, std::to_string(first_position) + std::string(stream.below(200), 'm')});
    return plan;
}

uint64_t entry_hash(const std::string& payload) {
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
    for (const char c : payload) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
    return hash;
}

uint64_t entry_deadline_ms(const std::string& payload) {
    const uint64_t hash = entry_hash(payload);
    return hash % 3 == 0 ? 1'800'000'000'000 + hash % 1'000'000 : 0;
}

void KeyTotals::add(const std::string& payload) {
    count += 1;
    sum += entry_hash(payload);
    deadline_ms = entry_deadline_ms(payload);
}

std::string KeyTotals::text() const {
    const size_t filling = static_cast<size_t>(sum % 16 == 0 ? sum % 20'000 : sum % 500);
    return std::to_string(count) + " " + std::to_string(sum) + " " + std::to_string(deadline_ms) + "|" +
           std::string(filling, static_cast<char>('a' + count % 26));
}

bool KeyTotals::parse(const std::string& text, KeyTotals& out) {
    unsigned long long values[3] = {};
    if (std::sscanf(text.c_str(), "%llu %llu %llu", &values[0], &values[1], &values[2]) != 3) return false;
    out.count = values[0];
    out.sum = values[1];
    out.deadline_ms = values[2];
    return out.text() == text;
}

void Model::apply(const GroupPlan& plan) {
    for (size_t i = 0; i < plan.keys.size(); ++i) {
        const node::LogEntry& entry = plan.group.entries[i];
        if (plan.keys[i] < key_count) {
            keys[plan.keys[i]].add(entry.payload);
        } else {
            removed_keys[plan.keys[i] - key_count].emplace_back(entry.position, entry_hash(entry.payload));
        }
    }
    for (const auto& write : plan.group.metadata) {
        if (write.value) {
            metadata[write.name] = *write.value;
        } else {
            metadata.erase(write.name);
        }
    }
}

}  // namespace meridian::power_loss
