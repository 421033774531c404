// What a check is given: the loaded plug-in, places for fresh stores, and other processes.
//
// A *place* is where one store keeps its data: `{dir}` in a configuration value becomes its directory, `{id}` a word
// that no other place has (for the name of a schema, say).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "plugin/loader.h"
#include "store.h"

namespace meridian::plugin_test {

struct Place {
    std::string directory;
    std::string id;
};

class Fixture {
public:
    // `configuration` as on the command line; `directory` is empty and removed by the caller.
    Fixture(plugin::LoadedPlugin plugin, std::map<std::string, std::string> configuration, std::string directory);

    const plugin::LoadedPlugin& plugin() const { return plugin_; }
    const meridian_plugin_descriptor& descriptor() const { return *plugin_.descriptor; }
    bool has(uint32_t capability) const { return (descriptor().capabilities & capability) != 0; }
    // Ends the check as skipped if the store keeps nothing.
    void require_durable() const;

    // A place whose directory has just been made, or, for backups, does not exist yet.
    Place new_place();
    Place missing_place();
    // A place in which nothing can be kept: `{dir}` is not a directory.
    Place impossible_place() const { return {"/dev/null", "impossible"}; }
    // Whether stores in different places can be told apart.
    bool has_places() const;

    // Opens a store; the check fails if the plug-in refuses.
    Store open(const Place& place);
    Store open() { return open(new_place()); }
    // The same, expecting that it may be refused. The text buffer has `text_size` bytes.
    std::optional<Store> try_open(const Place& place, FailedOpen& failure, uint32_t text_size = 1024);

    // Runs the function in another process, which ends when it returns (without closing what it left open); its
    // failure is the check's. REQUIRES: no store has been opened in this process yet.
    std::string elsewhere(const std::function<std::string()>& function);
    // The same, but the process is killed by SIGKILL as soon as the function returns.
    std::string elsewhere_then_killed(const std::function<std::string()>& function);

    // Sections that were checked against the plug-in's keys; throws Failed.
    std::vector<std::pair<std::string, std::string>> values_at(const Place& place) const;

private:
    std::string run_in_process(const std::function<std::string()>& function, bool kill);

    plugin::LoadedPlugin plugin_;
    std::map<std::string, std::string> configuration_;
    std::string directory_;
    uint64_t place_count_ = 0;
    std::vector<std::shared_ptr<Host>> hosts_;  // kept for calls that come too late
};

}  // namespace meridian::plugin_test
