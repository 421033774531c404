#include "group_arrays.h"

namespace meridian::store_pg {
namespace {

using abi::Name;
using Of = ArrayParameter::Of;

// One statement's share of a large group: the server takes a message of at most 1 GiB, and holds it twice.
constexpr size_t batch_count_max = 4096;
constexpr uint64_t batch_bytes_max = 16 << 20;

class Batches {
public:
    // True if what comes next belongs into another statement.
    bool is_full(uint64_t next_bytes) {
        if (count_ != 0 && (count_ >= batch_count_max || bytes_ + next_bytes > batch_bytes_max)) {
            count_ = 0;
            bytes_ = 0;
            return add(next_bytes);
        }
        add(next_bytes);
        return false;
    }

private:
    bool add(uint64_t bytes) {
        count_ += 1;
        bytes_ += bytes;
        return true;
    }
    size_t count_ = 0;
    uint64_t bytes_ = 0;
};

struct TouchArrays {
    NameArrays names;
    ArrayParameter first{Of::int8};
    ArrayParameter last{Of::int8};
    ArrayParameter deadline{Of::int8};
    ArrayParameter bytes{Of::int8};

    void append_to(std::vector<Command>& batch) {
        if (names.count() == 0) return;
        Parameters parameters;
        names.append_to(parameters);
        parameters.array(first).array(last).array(deadline).array(bytes);
        batch.push_back({Statement::touch_keys, std::move(parameters)});
        *this = TouchArrays();
    }
};

struct EntryArrays {
    NameArrays names;
    ArrayParameter position{Of::int8};
    ArrayParameter node{Of::int8};
    ArrayParameter incarnation{Of::int8};
    ArrayParameter sequence{Of::int8};
    ArrayParameter wall{Of::int8};
    ArrayParameter deadline{Of::int8};
    ArrayParameter payload{Of::bytea};

    void append_to(std::vector<Command>& batch) {
        if (names.count() == 0) return;
        Parameters parameters;
        parameters.array(position);
        names.append_to(parameters);
        parameters.array(node).array(incarnation).array(sequence).array(wall).array(deadline).array(payload);
        batch.push_back({Statement::insert_entries, std::move(parameters)});
        *this = EntryArrays();
    }
};

struct StateArrays {
    NameArrays names;
    ArrayParameter position{Of::int8};
    ArrayParameter deadline{Of::int8};
    ArrayParameter state{Of::bytea};
    ArrayParameter step{Of::int8};

    void append_to(std::vector<Command>& batch) {
        if (names.count() == 0) return;
        Parameters parameters;
        names.append_to(parameters);
        parameters.array(position).array(deadline).array(state).array(step);
        batch.push_back({Statement::write_states, std::move(parameters)});
        *this = StateArrays();
    }
};

void append_metadata(const abi::Group& group, std::vector<Command>& batch) {
    std::map<std::string, const std::optional<std::string>*> last;
    for (const abi::MetadataWrite& write : group.metadata) last[write.name] = &write.value;
    ArrayParameter removed{Of::bytea};
    ArrayParameter names{Of::bytea};
    ArrayParameter values{Of::bytea};
    for (const auto& [name, value] : last) {
        if (*value) {
            names.add(name);
            values.add(**value);
        } else {
            removed.add(name);
        }
    }
    if (removed.count() != 0) batch.push_back({Statement::delete_metadata, Parameters().array(removed)});
    if (names.count() != 0) batch.push_back({Statement::put_metadata, Parameters().array(names).array(values)});
}

}  // namespace

void NameArrays::add(const Name& name) {
    const std::string_view key = name.key;
    namespaces_.add(name.namespace_name);
    starts_.add(key.substr(0, key_start_bytes));
    rests_.add(key.size() > key_start_bytes ? key.substr(key_start_bytes) : std::string_view());
}

void NameArrays::append_to(Parameters& parameters) const {
    parameters.array(namespaces_).array(starts_).array(rests_);
}

Parameters parameters_of(const std::vector<Name>& names) {
    NameArrays arrays;
    for (const Name& name : names) arrays.add(name);
    Parameters out;
    arrays.append_to(out);
    return out;
}

Name name_at(const Rows& rows, int row, int first_column) {
    return Name(rows.bytes(row, first_column), rows.text(row, first_column + 1) + rows.text(row, first_column + 2));
}

std::map<Name, KeyTouch> touches_of(const abi::Group& group) {
    std::map<Name, KeyTouch> out;
    for (const abi::Entry& entry : group.entries) {
        KeyTouch& touch = out[entry.name];
        if (touch.first_position == 0) touch.first_position = entry.position;
        touch.last_position = entry.position;
        touch.deadline_ms = entry.deadline_ms;
        touch.bytes += entry.payload.size() + entry_overhead_bytes;
    }
    return out;
}

uint64_t log_bytes_of(const abi::Group& group) {
    uint64_t out = 0;
    for (const abi::Entry& entry : group.entries) out += entry.payload.size() + entry_overhead_bytes;
    return out;
}

void append_group(const abi::Group& group, const std::map<Name, KeyTouch>& touches, std::vector<Command>& batch) {
    TouchArrays keys;
    Batches key_batches;
    for (const auto& [name, touch] : touches) {
        if (key_batches.is_full(name.namespace_name.size() + name.key.size())) keys.append_to(batch);
        keys.names.add(name);
        keys.first.add(touch.first_position);
        keys.last.add(touch.last_position);
        keys.deadline.add(bounded(touch.deadline_ms));
        keys.bytes.add(touch.bytes);
    }
    keys.append_to(batch);

    EntryArrays entries;
    Batches entry_batches;
    for (const abi::Entry& entry : group.entries) {
        if (entry_batches.is_full(entry.payload.size() + entry.name.key.size())) entries.append_to(batch);
        entries.position.add(entry.position);
        entries.names.add(entry.name);
        entries.node.add(entry.origin_node_id);
        entries.incarnation.add(entry.origin_incarnation);
        entries.sequence.add(entry.origin_sequence);
        entries.wall.add(entry.wall_ms);
        entries.deadline.add(bounded(entry.deadline_ms));
        entries.payload.add(entry.payload);
    }
    entries.append_to(batch);
    if (!group.entries.empty()) {
        batch.push_back({Statement::advance, Parameters()
                                                 .number(group.entries.front().position)
                                                 .number(group.entries.size())
                                                 .number(log_bytes_of(group))});
    }
    append_metadata(group, batch);
}

void append_states(const std::vector<abi::Snapshot>& states, const std::map<Name, KeyTouch>& touched,
                   bool raise_versions, std::vector<Command>& batch) {
    // Of several states of one key the one that reflects most counts, and of equal ones the last.
    std::map<Name, const abi::Snapshot*> chosen;
    for (const abi::Snapshot& state : states) {
        const abi::Snapshot*& best = chosen[state.name];
        if (best == nullptr || best->position <= state.position) best = &state;
    }
    StateArrays arrays;
    Batches batches;
    for (const auto& [name, state] : chosen) {
        if (batches.is_full((state->state ? state->state->size() : 0) + name.key.size())) arrays.append_to(batch);
        arrays.names.add(name);
        arrays.position.add(state->position);
        arrays.deadline.add(state->state ? bounded(state->deadline_ms) : 0);
        if (state->state) {
            arrays.state.add(*state->state);
        } else {
            arrays.state.add_null();
        }
        arrays.step.add(uint64_t{raise_versions && touched.count(name) == 0 ? 1u : 0u});
    }
    arrays.append_to(batch);
}

}  // namespace meridian::store_pg
