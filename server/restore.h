// Puts a backup in the place of a node's store.
//
// What the node had acknowledged after the backup was made is lost here, and its numbers (incarnation, sequence) stand
// for other entries elsewhere. So a restored store begins a new incarnation: no number is ever given twice.
#pragma once

#include <string>

#include "base/environment.h"
#include "base/result.h"
#include "config/settings.h"

namespace meridian::server {

// Copies the directory `backup` to where the settings keep the store, and makes the copy begin a new incarnation. Gives
// that directory. Errors: something is there already (nothing is overwritten); the store keeps no directory; the backup
// cannot be read or is none. On an error the store's place is as it was. Blocks; no node may run on these settings.
Result<std::string> restore_backup(const config::Settings& settings, const std::string& backup, Clock& clock,
                                   Random& random);

}  // namespace meridian::server
