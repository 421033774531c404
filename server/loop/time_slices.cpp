#include "loop/time_slices.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace meridian::server {
namespace {
constexpr unsigned this_thread = 0;
constexpr unsigned no_flags = 0;
constexpr unsigned long long slice_ns = 100'000;  // the shortest that the kernel grants
}  // namespace

void prefer_short_time_slices() {
    sched_attr attributes{};
    if (::syscall(SYS_sched_getattr, this_thread, &attributes, sizeof attributes, no_flags) != 0) return;
    // Under any other policy the field means something else, or an operator has decided.
    if (attributes.sched_policy != SCHED_NORMAL) return;
    attributes.sched_runtime = slice_ns;
    ::syscall(SYS_sched_setattr, this_thread, &attributes, no_flags);
}

}  // namespace meridian::server
