// The file that the stores of these tests keep: all groups and snapshots, in the order in which they were applied.
// Written with write(2) and not synced: it outlives a process, not a loss of power.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/file_descriptor.h"
#include "meridian/store.hpp"

namespace meridian::plugin_kit {

// What a record holds: a group or snapshots.
struct JournalRecord {
    std::vector<abi::Entry> entries;
    std::vector<abi::MetadataWrite> metadata;
    std::vector<abi::Snapshot> snapshots;
};

class Journal {
public:
    // Opens or makes `directory`/journal and locks it. Throws abi::Failure.
    explicit Journal(const std::string& directory, bool lock);
    // Gives every record to the function.
    void replay(const std::function<void(JournalRecord)>& function) const;
    void append(const JournalRecord& record);
    const std::string& path() const { return path_; }

private:
    std::string path_;
    FileDescriptor file_;
};

}  // namespace meridian::plugin_kit
