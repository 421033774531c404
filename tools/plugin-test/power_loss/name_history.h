// The changes of directories that are not durable, and the tree as it is after some of them are lost.
//
// Threads: values, one thread.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/result.h"

namespace meridian::power_loss {

struct NameChange {
    enum class Kind { add, drop, rename };
    Kind kind = Kind::add;
    uint64_t sequence = 0;
    uint64_t directory = 0;         // inode
    uint64_t target_directory = 0;  // rename; otherwise as `directory`
    std::string name;
    std::string target_name;  // rename
    uint64_t inode = 0;       // what is named
    uint64_t replaced = 0;    // rename: what had the name before; 0 = nothing
    bool is_directory = false;
    bool directory_synced = false;
    bool target_synced = false;
};

// Every name below a directory, by inode.
class Tree {
public:
    static Result<Tree> scan(const std::string& root);

    uint64_t root() const { return root_; }
    std::map<std::string, uint64_t>& names(uint64_t directory) { return names_[directory]; }
    bool is_directory(uint64_t inode) const { return directories_.count(inode) != 0; }
    void add_directory(uint64_t inode) { directories_.try_emplace(inode, 0700); }
    // Where a file is now; empty if it has no name.
    std::string path(uint64_t inode) const;
    // Makes this tree at `target`, which must not exist, from hard links to the files where `now` has them, or to
    // <kept>/<inode>.
    Result<void> build(const std::string& target, const Tree& now, const std::string& kept) const;
    friend bool operator==(const Tree& a, const Tree& b) { return a.listing() == b.listing(); }
    // The inodes that have a name.
    std::vector<uint64_t> files() const;

private:
    Result<void> scan_directory(const std::string& path, uint64_t inode);
    Result<void> build_directory(uint64_t inode, const std::string& target, const Tree& now,
                                 const std::string& kept) const;
    std::map<std::string, uint64_t> listing() const;
    void list(uint64_t directory, const std::string& prefix, std::map<std::string, uint64_t>& out) const;

    uint64_t root_ = 0;
    std::map<uint64_t, std::map<std::string, uint64_t>> names_;
    std::map<uint64_t, unsigned> directories_;  // with their modes
    std::map<uint64_t, std::string> paths_;
};

class NameHistory {
public:
    void add(NameChange change) { changes_.push_back(std::move(change)); }
    void settle(uint64_t directory, uint64_t up_to);
    void settle_all(uint64_t up_to);
    // The change failed.
    void cancel(uint64_t sequence);

    uint64_t count() const { return changes_.size(); }
    // Takes some of the changes out of the tree; those with a sequence from `cut` on in any case. Gives how many.
    uint64_t lose(Tree& tree, bool keep_all, uint64_t cut, std::mt19937_64& random) const;

private:
    std::vector<NameChange> changes_;  // in the order in which they were made
};

}  // namespace meridian::power_loss
