// How the threads of the node take turns when there are fewer processors than threads with work.
#pragma once

namespace meridian::server {

// Asks the kernel to give this thread, and every thread that it starts, the processor soon and for a short time rather
// than late and for long. A write is handed from thread to thread, each of which has little to do; behind a loop that
// sends megabytes each would otherwise wait for up to a whole slice of that loop's, several times for one write. The
// share of the processor stays the same. Linux 6.12 and later; elsewhere, or where it is not permitted, nothing
// happens.
void prefer_short_time_slices();

}  // namespace meridian::server
