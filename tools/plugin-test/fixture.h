// What a check is given: the loaded plug-in, places for fresh stores, and other processes.
//
// A *place* is where one store keeps its data: `{dir}` in a configuration value becomes its directory, `{id}` a word
// that no other place has (for the name of a schema, say). For transports it is where the nodes of one cluster meet:
// they have the same {dir} and {id}, their own {n}, and {port1}, {port2}, {port3} turned so that {port1} is their own.
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
#include "transport.h"

namespace meridian::plugin_test {

struct Place {
    std::string directory;
    std::string id;
    std::vector<uint16_t> ports = {};  // free ones, if the configuration asks for them
    uint32_t number = 1;               // of the node
};

class Fixture {
public:
    // `configuration` and `unreachable` as on the command line; `directory` is empty and removed by the caller.
    Fixture(plugin::LoadedPlugin plugin, std::map<std::string, std::string> configuration,
            std::map<std::string, std::string> unreachable, std::string directory);

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

    // Transports: node `number` (1 to 3) of the place's cluster, not started. `changed` are further values.
    Transport open_transport(const Place& place, uint32_t number = 1,
                             const std::map<std::string, std::string>& changed = {});
    // Whether some value of --config has this in it.
    bool configuration_has(const std::string& text) const;
    // Whether a third node can be made: nodes have no ports, or three.
    bool has_third_node() const;
    // --unreachable.
    const std::map<std::string, std::string>& unreachable() const { return unreachable_; }
    // Those that reconfigure is given.
    std::vector<std::pair<std::string, std::string>> reloadable_values_at(const Place& place) const;

    // Runs the function in another process, which ends when it returns (without closing what it left open); its
    // failure is the check's. REQUIRES: no store has been opened in this process yet.
    std::string elsewhere(const std::function<std::string()>& function);
    // The same, but the process is killed by SIGKILL as soon as the function returns.
    std::string elsewhere_then_killed(const std::function<std::string()>& function);

    // Sections that were checked against the plug-in's keys; throws Failed.
    std::vector<std::pair<std::string, std::string>> values_at(
        const Place& place, const std::map<std::string, std::string>& changed = {}) const;

private:
    struct Created {
        std::shared_ptr<Host> host;
        void* instance = nullptr;
    };
    std::optional<Created> try_create(const std::vector<std::pair<std::string, std::string>>& checked,
                                      FailedOpen& failure, uint32_t text_size);
    std::string run_in_process(const std::function<std::string()>& function, bool kill);

    plugin::LoadedPlugin plugin_;
    std::map<std::string, std::string> configuration_;
    std::map<std::string, std::string> unreachable_;
    std::string directory_;
    uint64_t place_count_ = 0;
    std::vector<std::shared_ptr<Host>> hosts_;  // kept for calls that come too late
};

}  // namespace meridian::plugin_test
