// The life of a node as a process: start in order, serve until a signal, stop in order.
#pragma once

#include "base/result.h"
#include "config/settings.h"

namespace meridian::server {

// Checks what can be checked without starting: the store's plug-in and its keys.
Result<void> check_daemon(const config::Settings& settings);

// Serves until SIGTERM or SIGINT, then stops gracefully; a second signal ends the process at once. At SIGHUP the
// sources are read again and what a running node can take over is taken over. Returns when everything is stopped, or
// with the reason why the node could not start. REQUIRES: called on the main thread, with block_signals() called before
// any thread was started.
Result<void> run_daemon(const config::Settings& settings, const config::SettingsSources& sources);

void block_signals();

}  // namespace meridian::server
