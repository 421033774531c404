// The journal that the preloaded shim writes and the runner reads, and the shim's environment.
//
// The shim watches files under one directory. Before a write changes a file, its journal gets what the write will
// overwrite; after a change of a directory (a rename: before), what that was; after a sync, that it was made. So the
// journal together with the files as they are after a SIGKILL tells every state that they went through since each was
// last made durable.
//
// A record is a RecordHeader, name_size bytes of names and data_size bytes of old content. The last record may be
// incomplete: then its change was not made. Files and directories are known by their inode numbers; the shim keeps a
// hard link `keep/<inode>` beside the journal to each file whose name it sees removed, so no number is used twice.
#pragma once

#include <cstdint>

namespace meridian::power_loss {

constexpr const char* environment_directory = "MERIDIAN_POWER_LOSS_DIRECTORY";  // watched; absolute, without links
constexpr const char* environment_journal = "MERIDIAN_POWER_LOSS_JOURNAL";      // an existing directory, outside the
                                                                                // watched one on the same file system;
                                                                                // none: no journal
// Faults: CALL:ERROR:SKIP:COUNT, separated by commas. CALL: open, read, write, sync, allocate (also truncation),
// rename, unlink, mkdir; ERROR: EIO or ENOSPC. On watched files SKIP calls pass, then COUNT fail (0: all that follow).
constexpr const char* environment_fault = "MERIDIAN_POWER_LOSS_FAULT";
constexpr const char* environment_armed = "MERIDIAN_POWER_LOSS_ARMED";     // calls count only while this path exists
constexpr const char* environment_delay = "MERIDIAN_POWER_LOSS_DELAY_US";  // a sync takes up to this long

constexpr uint32_t record_magic = 0x4a504c4d;

enum class Kind : uint32_t {
    write = 1,        // inode; a offset, b length, c size of the file before; data: what of the range was in the file
    resize = 2,       // inode; a old size, b new size; data: what was cut off
    sync = 3,         // inode of file or directory; a: records with a sequence up to this are durable
    sync_range = 4,   // inode; a as for sync, b offset, c length: a write to a file opened with O_DSYNC or O_SYNC
    sync_failed = 5,  // inode; a as for sync: what was written up to there may never become durable by a later sync
    sync_all = 6,     // a as for sync: every file and directory
    add_name = 7,     // inode of the directory; a inode of what was made or linked, b 1 for a directory; name
    drop_name = 8,    // inode of the directory; a inode of what was removed, b 1 for a directory; name
    rename = 9,       // inode of the directory; a of the target's, b of what moves, c of what it replaces or 0; both
                      // names, separated by NUL. Before the change: the names of a file are never all unknown
    cancel = 10,      // a: sequence of a rename that failed
};

struct RecordHeader {
    uint32_t magic;
    Kind kind;
    uint64_t sequence;  // ascending from 1
    uint64_t inode;
    uint64_t a;
    uint64_t b;
    uint64_t c;
    uint64_t name_size;
    uint64_t data_size;
};

}  // namespace meridian::power_loss
