#include "name_history.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

namespace meridian::power_loss {
namespace {

Error system_failure(const std::string& what) {
    return Error{what + ": " + std::strerror(errno)};
}

void undo(Tree& tree, const NameChange& change) {
    auto& names = tree.names(change.directory);
    switch (change.kind) {
        case NameChange::Kind::add:
            if (const auto at = names.find(change.name); at != names.end() && at->second == change.inode)
                names.erase(at);
            break;
        case NameChange::Kind::drop:
            names[change.name] = change.inode;
            break;
        case NameChange::Kind::rename: {
            auto& targets = tree.names(change.target_directory);
            if (const auto at = targets.find(change.target_name); at != targets.end() && at->second == change.inode)
                targets.erase(at);
            if (change.replaced != 0) targets[change.target_name] = change.replaced;
            names[change.name] = change.inode;
            break;
        }
    }
}

void redo(Tree& tree, const NameChange& change) {
    auto& names = tree.names(change.directory);
    switch (change.kind) {
        case NameChange::Kind::add:
            names[change.name] = change.inode;
            break;
        case NameChange::Kind::drop:
            names.erase(change.name);
            break;
        case NameChange::Kind::rename:
            if (const auto at = names.find(change.name); at != names.end() && at->second == change.inode)
                names.erase(at);
            tree.names(change.target_directory)[change.target_name] = change.inode;
            break;
    }
}

}  // namespace

// ---- the tree

Result<Tree> Tree::scan(const std::string& root) {
    Tree out;
    struct stat status {};
    if (::lstat(root.c_str(), &status) != 0) return system_failure(root);
    out.root_ = status.st_ino;
    out.directories_[status.st_ino] = status.st_mode & 07777;
    if (auto done = out.scan_directory(root, status.st_ino); !done) return done.error();
    return out;
}

Result<void> Tree::scan_directory(const std::string& path, uint64_t inode) {
    names_[inode];
    std::error_code error;
    for (const auto& item : std::filesystem::directory_iterator(path, error)) {
        struct stat status {};
        const std::string item_path = item.path();
        if (::lstat(item_path.c_str(), &status) != 0) return system_failure(item_path);
        names_[inode][item.path().filename()] = status.st_ino;
        paths_[status.st_ino] = item_path;
        if (!S_ISDIR(status.st_mode)) continue;
        directories_[status.st_ino] = status.st_mode & 07777;
        if (auto done = scan_directory(item_path, status.st_ino); !done) return done;
    }
    if (error) return Error{path + ": " + error.message()};
    return {};
}

std::string Tree::path(uint64_t inode) const {
    const auto found = paths_.find(inode);
    return found == paths_.end() ? std::string() : found->second;
}

void Tree::list(uint64_t directory, const std::string& prefix, std::map<std::string, uint64_t>& out) const {
    const auto found = names_.find(directory);
    if (found == names_.end()) return;
    for (const auto& [name, inode] : found->second) {
        // A new directory has a new inode: its place is what counts.
        out[prefix + name] = is_directory(inode) ? 0 : inode;
        if (is_directory(inode)) list(inode, prefix + name + "/", out);
    }
}

std::map<std::string, uint64_t> Tree::listing() const {
    std::map<std::string, uint64_t> out;
    list(root_, "", out);
    return out;
}

std::vector<uint64_t> Tree::files() const {
    std::set<uint64_t> out;
    for (const auto& [name, inode] : listing()) out.insert(inode);
    out.erase(0);
    return {out.begin(), out.end()};
}

Result<void> Tree::build(const std::string& target, const Tree& now, const std::string& kept) const {
    return build_directory(root_, target, now, kept);
}

Result<void> Tree::build_directory(uint64_t inode, const std::string& target, const Tree& now,
                                   const std::string& kept) const {
    const auto mode = directories_.find(inode);
    if (::mkdir(target.c_str(), 0700) != 0) return system_failure(target);
    const auto names = names_.find(inode);
    if (names != names_.end()) {
        for (const auto& [name, child] : names->second) {
            const std::string path = target + "/" + name;
            if (is_directory(child)) {
                if (auto done = build_directory(child, path, now, kept); !done) return done;
                continue;
            }
            std::string source = now.path(child);
            if (source.empty()) source = kept + "/" + std::to_string(child);
            if (::link(source.c_str(), path.c_str()) != 0) return system_failure(source + " to " + path);
        }
    }
    if (mode != directories_.end() && ::chmod(target.c_str(), mode->second) != 0) return system_failure(target);
    return {};
}

// ---- its changes

void NameHistory::settle(uint64_t directory, uint64_t up_to) {
    for (NameChange& change : changes_) {
        if (change.sequence > up_to) continue;
        change.directory_synced = change.directory_synced || change.directory == directory;
        change.target_synced = change.target_synced || change.target_directory == directory;
    }
    changes_.erase(
        std::remove_if(changes_.begin(), changes_.end(),
                       [](const NameChange& change) { return change.directory_synced && change.target_synced; }),
        changes_.end());
}

void NameHistory::settle_all(uint64_t up_to) {
    changes_.erase(std::remove_if(changes_.begin(), changes_.end(),
                                  [up_to](const NameChange& change) { return change.sequence <= up_to; }),
                   changes_.end());
}

void NameHistory::cancel(uint64_t sequence) {
    changes_.erase(std::remove_if(changes_.begin(), changes_.end(),
                                  [sequence](const NameChange& change) { return change.sequence == sequence; }),
                   changes_.end());
}

uint64_t NameHistory::lose(Tree& tree, bool keep_all, uint64_t cut, std::mt19937_64& random) const {
    std::vector<bool> kept(changes_.size(), true);
    const uint64_t kind = keep_all ? 3 : random() % 4;
    for (size_t i = 0; i < changes_.size(); ++i) {
        if (kind == 0) kept[i] = false;
        if (kind == 1) kept[i] = random() % 2 == 0;
        if (kind == 2) kept[i] = random() % changes_.size() > i;
        if (changes_[i].sequence >= cut) kept[i] = false;
    }
    // A later change of a name is not kept without the earlier ones, nor a move into a directory without the directory.
    std::set<std::pair<uint64_t, std::string>> names_needed;
    std::set<uint64_t> directories_needed;
    for (size_t i = changes_.size(); i-- > 0;) {
        const NameChange& change = changes_[i];
        const bool renames = change.kind == NameChange::Kind::rename;
        const std::pair<uint64_t, std::string> name{change.directory, change.name};
        const std::pair<uint64_t, std::string> target{change.target_directory, change.target_name};
        if (names_needed.count(name) != 0 || (renames && names_needed.count(target) != 0)) kept[i] = true;
        if (change.kind == NameChange::Kind::add && directories_needed.count(change.inode) != 0) kept[i] = true;
        if (!kept[i]) continue;
        names_needed.insert(name);
        if (!renames) continue;
        names_needed.insert(target);
        directories_needed.insert(change.target_directory);
    }
    for (const NameChange& change : changes_) {
        if (change.is_directory) tree.add_directory(change.inode);
    }
    for (size_t i = changes_.size(); i-- > 0;) undo(tree, changes_[i]);
    uint64_t lost = 0;
    for (size_t i = 0; i < changes_.size(); ++i) {
        if (kept[i]) {
            redo(tree, changes_[i]);
        } else {
            ++lost;
        }
    }
    return lost;
}

}  // namespace meridian::power_loss
