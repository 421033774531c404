// The tables and their versions.
#pragma once

#include <array>
#include <cstdint>

#include "connection.h"

namespace meridian::store_pg {

using StoreId = std::array<uint8_t, 16>;

struct SchemaState {
    bool created = false;  // by this call
    StoreId store_id{};
};

// Brings the schema to the version of this plug-in, one node at a time: the others wait, then find it done. A schema of
// that version is only read, so that a role without rights to create is enough. `fresh_id` becomes the id of a new
// store. Throws Failure(MERIDIAN_NEWER_FORMAT) and ServerError.
SchemaState bring_up_to_date(Connection& connection, const std::string& schema, const StoreId& fresh_id);

}  // namespace meridian::store_pg
