#include "restore.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <future>

#include "base/file_descriptor.h"
#include "config/node_identity.h"
#include "log.h"
#include "loop/thread_lane.h"
#include "node/committer.h"
#include "node/replication_port_impl.h"
#include "plugin/store_adapter.h"
#include "store_setup.h"

namespace meridian::server {
namespace {

namespace fs = std::filesystem;

Error system_error(const std::string& path) {
    return Error{path + ": " + std::strerror(errno)};
}

Result<void> sync_path(const std::string& path) {
    const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file.valid() || ::fsync(file.get()) != 0) return system_error(path);
    return {};
}

// Files and directories only: a backup has nothing else.
Result<void> copy_tree(const fs::path& from, const fs::path& to) {
    if (::mkdir(to.c_str(), 0700) != 0) return system_error(to);
    for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
        const fs::path target = to / entry.path().filename();
        if (entry.is_symlink()) return Error{entry.path().string() + ": expected a file or a directory"};
        if (entry.is_directory()) {
            if (auto copied = copy_tree(entry.path(), target); !copied) return copied;
        } else if (entry.is_regular_file()) {
            fs::copy_file(entry.path(), target);
            if (auto synced = sync_path(target); !synced) return synced;
        } else {
            return Error{entry.path().string() + ": expected a file or a directory"};
        }
    }
    return sync_path(to);
}

// An operator restores as root what a user of few rights will run.
Result<void> give_to_owner_of(const fs::path& directory, const fs::path& tree) {
    struct stat status {};
    if (::stat(directory.c_str(), &status) != 0) return system_error(directory);
    const auto give = [&](const fs::path& path) { return ::lchown(path.c_str(), status.st_uid, status.st_gid) == 0; };
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(tree)) {
        if (!give(entry.path())) return system_error(entry.path());
    }
    return give(tree) ? Result<void>() : system_error(tree);
}

Result<void> begin_incarnation(node::Store& store, uint64_t node_id, Clock& clock, Random& random) {
    std::promise<Result<std::vector<std::optional<std::string>>>> found;
    store.read_metadata(
        {std::string(node::head_metadata_name)},
        [&](Result<std::vector<std::optional<std::string>>> values) { found.set_value(std::move(values)); });
    const auto values = found.get_future().get();
    if (!values) return values.error();
    if (!values->front()) {
        if (store.opening().next_position == 1) return {};  // nothing was ever written
        return Error{"the record 'node/head' is missing"};
    }
    auto writes = node::new_incarnation_writes(*values->front(), node_id, node::new_incarnation(clock, random));
    if (!writes) return Error{"the record 'node/head' is malformed"};
    node::CommitGroup group;
    group.metadata = *std::move(writes);
    std::promise<node::CommitResult> committed;
    store.commit(std::move(group), [&](node::CommitResult result) { committed.set_value(std::move(result)); });
    const node::CommitResult result = committed.get_future().get();
    if (result.status != node::CommitStatus::durable) return Error{result.message};
    return {};
}

Result<void> prepare_copy(const config::Settings& settings, const std::string& copy, Clock& clock, Random& random) {
    auto plugin = load_store_plugin(settings, copy);
    if (!plugin) return plugin.error();
    ThreadLane lane(clock);
    plugin::HostServices services;
    services.clock = &clock;
    services.random = &random;
    services.lane = &lane;
    auto store = plugin::open_store(plugin->loaded, plugin->configuration, std::move(services));
    if (!store) return store.error();
    Result<void> begun = (*store)->opening().created
                             ? Error{copy + ": there is no store in the backup"}
                             : begin_incarnation(**store, config::node_id_of(settings), clock, random);
    (*store)->close();
    lane.stop();
    return begun;
}

Result<std::string> restore(const config::Settings& settings, const std::string& backup, Clock& clock, Random& random) {
    if (!fs::is_directory(backup)) return Error{backup + ": not a directory"};
    auto plugin = load_store_plugin(settings);
    if (!plugin) return plugin.error();
    const std::string& target = plugin->directory;
    if (target.empty()) {
        return Error{"store '" + settings.store_plugin + "' keeps no directory: restore it with its own tools"};
    }
    if (fs::exists(target) && !(fs::is_directory(target) && fs::is_empty(target))) {
        return Error{target + ": there is something already; move it away first"};
    }
    const fs::path parent = fs::absolute(target).parent_path();
    fs::create_directories(parent);
    const std::string copy = target + ".restoring";
    fs::remove_all(copy);  // what an interrupted run has left
    Result<void> done = copy_tree(backup, copy);
    if (done) done = prepare_copy(settings, copy, clock, random);
    if (done && ::geteuid() == 0) done = give_to_owner_of(parent, copy);
    // An empty directory in its place is replaced.
    if (done && ::rename(copy.c_str(), target.c_str()) != 0) done = system_error(target);
    if (done) done = sync_path(parent);
    if (done) return target;
    std::error_code ignored;
    fs::remove_all(copy, ignored);
    return done.error();
}

}  // namespace

Result<std::string> restore_backup(const config::Settings& settings, const std::string& backup, Clock& clock,
                                   Random& random) {
    try {
        return restore(settings, backup, clock, random);
    } catch (const fs::filesystem_error& error) { return Error{error.what()}; }
}

}  // namespace meridian::server
