// Groups and names as parameters of statements.
#pragma once

#include <map>
#include <vector>

#include "connection.h"
#include "meridian/store.hpp"

namespace meridian::store_pg {

// Counted for each log entry besides its payload. The statements know it too.
constexpr uint64_t entry_overhead_bytes = 64;

// Three arrays, of namespaces and both parts of the keys.
class NameArrays {
public:
    void add(const abi::Name& name);
    size_t count() const { return namespaces_.count(); }
    void append_to(Parameters& parameters) const;

private:
    ArrayParameter namespaces_{ArrayParameter::Of::bytea};
    ArrayParameter starts_{ArrayParameter::Of::bytea};
    ArrayParameter rests_{ArrayParameter::Of::bytea};
};

Parameters parameters_of(const std::vector<abi::Name>& names);
// From three columns of a row.
abi::Name name_at(const Rows& rows, int row, int first_column);

// What a group does to one key.
struct KeyTouch {
    uint64_t first_position = 0;
    uint64_t last_position = 0;
    uint64_t deadline_ms = 0;
    uint64_t bytes = 0;
};
// In the order in which rows are locked.
std::map<abi::Name, KeyTouch> touches_of(const abi::Group& group);
uint64_t log_bytes_of(const abi::Group& group);

// The statements that write a group, but for those that begin and end the transaction.
void append_group(const abi::Group& group, const std::map<abi::Name, KeyTouch>& touches, std::vector<Command>& batch);

// `touched`: keys whose version the group has raised already.
void append_states(const std::vector<abi::Snapshot>& states, const std::map<abi::Name, KeyTouch>& touched,
                   bool raise_versions, std::vector<Command>& batch);

}  // namespace meridian::store_pg
