// What the shim keeps: which descriptors are of watched files, the journal, the faults that are due.
//
// Threads: one lock, held over a change and the record about it, so that the journal has the true order. Nothing here
// calls a function that the shim replaces: system calls are made directly.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "journal_format.h"

namespace meridian::power_loss {

struct WatchedFile {
    bool watched = false;
    bool directory = false;
    bool durable_writes = false;  // opened with O_DSYNC or O_SYNC
    bool appends = false;
    uint64_t inode = 0;
    uint64_t size = 0;
};

enum class Call { open, read, write, sync, allocate, rename, unlink, mkdir };

// Holds the shim's lock.
class Locked {
public:
    Locked();
    ~Locked();
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;
};

// True if there is anything to do; otherwise every call goes straight to the system.
bool active();

// The error (positive) with which this call must fail; 0: it must not.
int due_fault(Call call);

// Descriptors. A number is looked at once; `forget` when it is closed or made anew.
WatchedFile look_at(int descriptor);
void forget(int descriptor);

// A path that a call was given, split at its last slash; absent (false) if the directory is not a watched one.
struct WatchedName {
    std::string directory;  // absolute
    std::string name;
    uint64_t directory_inode = 0;
};
bool watched_name(int base_descriptor, const char* path, WatchedName& out);
// lstat; false if there is nothing.
bool inspect(const std::string& path, struct stat& out);

// Records; REQUIRES: the lock. The sequence of the record is returned.
uint64_t note_write(int descriptor, const WatchedFile& file, uint64_t offset, uint64_t length);
uint64_t note_resize(int descriptor, const WatchedFile& file, uint64_t new_size);
void note_sync(Kind kind, uint64_t inode, uint64_t up_to, uint64_t offset = 0, uint64_t length = 0);
void note_name(Kind kind, const WatchedName& where, uint64_t inode, bool directory);
uint64_t note_rename(const WatchedName& from, const WatchedName& to, uint64_t inode, uint64_t replaced);
void note_cancel(uint64_t sequence);
uint64_t last_sequence();
// Keeps what the name names alive; REQUIRES: the lock; before it is removed or replaced.
void keep(const WatchedName& where, uint64_t inode);

// Files mapped for writing, whose changes are not seen: each is one write of the whole file that is made anew after
// each sync. REQUIRES: the lock.
void note_mapping(int descriptor, const WatchedFile& file, const void* address, size_t length);
// The inode mapped at the address; 0: none.
uint64_t mapped_inode(const void* address);
// After a sync of that inode: from now on it may change again.
void renew_mappings(uint64_t inode);

// Takes a random time, up to what the environment says. Without the lock.
void delay_sync();

}  // namespace meridian::power_loss
