// meridian-plugin-test --power-loss: kills a process that uses a store, takes back a part of what it had not synced, as
// a loss of power may, and checks what the store says when it is opened again.
//
// A run is a number of kills, one after another on the same store. For each of them
//   - a child process, with the preloaded shim (journal_format.h says what that writes), opens the store and loads it:
//     several writers, groups of varied size, metadata, snapshots, a floor that advances; some children meet EIO or
//     ENOSPC in a system call on the way;
//   - it is killed by SIGKILL at a time drawn from the seed, also while it opens or closes the store;
//   - a random part of what no sync had made durable is rolled back: writes whole, by pages or by sectors, sizes,
//     creations, renames, removals;
//   - another process opens a copy of what is left, without the shim, and checks: every acknowledged group is there,
//     groups are whole, nothing is there that was not submitted, positions are contiguous, metadata is that of the last
//     group, snapshots are not ahead of the log and together with the log give each key's every entry.
//
// What the model takes for granted: a name is durable once its directory has been synced (syncing the file is not
// enough), contents and size once the file has been; a sector of 512 bytes is old or new. What the shim sees are the
// calls of the C library that it replaces: stdio streams and direct system calls are not seen and count as durable.
//
// Threads: call from a process that has one thread (it forks). Output: TAP on standard output.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace meridian::plugin_test {

struct PowerLossOptions {
    std::string plugin_path;          // of the store plug-in's file; absolute
    std::vector<std::string> config;  // KEY=VALUE; `{dir}` in a value stands for a directory of the run. What the store
                                      // keeps outside of it is not watched. Small files make short runs.
    uint64_t kills = 200;
    uint64_t seed = 0;           // 0: drawn at random; printed either way
    std::string shim_path;       // libmeridian-power-loss.so; empty: beside this program, then ../lib/meridian
    std::string work_directory;  // where the run's directory is made; empty: TMPDIR or /tmp
};

// 0 if nothing failed, otherwise 1. Stops at the first kill after which a check fails; the run's directory is kept
// then, and named in the output.
int run_power_loss(const PowerLossOptions& options);

// The word with which run_power_loss starts this same program again, as its child. A program that calls run_power_loss
// must begin main() with:  if (argc > 1 && std::string_view(argv[1]) == power_loss_child_word) return
// power_loss_child(argc, argv);
inline constexpr const char* power_loss_child_word = "--power-loss-child";
int power_loss_child(int argc, char** argv);

}  // namespace meridian::plugin_test
