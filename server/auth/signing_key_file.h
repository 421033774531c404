// The signing key of a node that was not given one: made once, kept in `signing.key` of the data directory with mode
// 0600.
#pragma once

#include <string>

#include "auth/token.h"
#include "base/environment.h"

namespace meridian::server {

struct LoadedSigningKey {
    SigningKey key;
    std::string path;      // empty if the key was configured
    bool created = false;  // the file has just been made
};

// `configured` is 64 hexadecimal digits or empty. Blocks on the disk; called once at start, and by tools.
// Refuses a key file that others than its owner can read or write.
Result<LoadedSigningKey> load_signing_key(const std::string& configured, const std::string& data_directory,
                                          bool may_create, Random& random);

}  // namespace meridian::server
