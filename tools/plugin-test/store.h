// An open store under test: the C functions with values instead of structs. Each submit gives a call object; the short
// forms wait for its completion. put() and snapshot() fail the check if the store refuses them.
//
// Threads: the submits from any; stop() and close() from one. next_position() is of the thread that commits.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "call.h"
#include "host.h"
#include "values.h"

namespace meridian::plugin_test {

// How a call is made. `spare_bytes`: as in ElementArray. `scribble`: what was passed is overwritten as soon as the
// submit has returned.
struct Manner {
    size_t spare_bytes = 0;
    bool scribble = false;
};

// Why create or reconfigure failed.
struct FailedOpen {
    meridian_status status = MERIDIAN_OK;
    std::string text;
    bool touched_instance = false;
};

class Store {
public:
    // `instance` was made by descriptor.create with this host.
    Store(const meridian_plugin_descriptor& descriptor, std::shared_ptr<Host> host, void* instance);
    // Closes it.
    ~Store();
    Store(Store&&) noexcept = default;
    Store& operator=(Store&&) = delete;

    void* instance() const { return instance_.get(); }
    const meridian_store_functions& functions() const { return *descriptor_->store; }
    Host& host() { return *host_; }

    meridian_store_opening opening() const;
    meridian_store_usage usage() const;

    std::shared_ptr<StatusCall> submit_commit(Group group, Manner manner = {});
    std::shared_ptr<RecordsCall> submit_read_keys(std::vector<Name> names, Manner manner = {});
    std::shared_ptr<StatusCall> submit_checkpoint(std::vector<Snapshot> snapshots, Manner manner = {});
    std::shared_ptr<LogCall> submit_read_log(uint64_t from, uint64_t entries_max, uint64_t bytes_max,
                                             Manner manner = {});
    std::shared_ptr<NamesCall> submit_scan_keys(const std::string& namespace_name, std::optional<Name> after,
                                                uint64_t count_max, Manner manner = {});
    std::shared_ptr<NamesCall> submit_scan_due(uint64_t until_ms, uint64_t count_max, Manner manner = {});
    std::shared_ptr<ValuesCall> submit_read_metadata(std::vector<std::string> names, Manner manner = {});
    std::shared_ptr<ValuesCall> submit_scan_metadata(const std::string& prefix, const std::string& after,
                                                     uint64_t count_max, Manner manner = {});
    std::shared_ptr<StatusCall> submit_backup(const std::string& target, Manner manner = {});

    // Runs any submit of the functions, for calls that the ones above cannot make.
    template <class TypedCall>
    std::shared_ptr<TypedCall> submit(std::shared_ptr<TypedCall> call, const std::function<meridian_status()>& function,
                                      Manner manner = {}) {
        call->submit(function, stopped_);
        if (manner.scribble) call->scribble();
        return call;
    }

    StatusResult commit(Group group) { return committed(submit_commit(std::move(group))); }
    // Position of the entry, which is a group of its own. While the store is busy these try again.
    uint64_t put(const std::string& namespace_name, const std::string& key, const std::string& payload,
                 uint64_t deadline_ms = 0);
    void put_group(Group group);
    void put_metadata(const std::string& name, std::optional<std::string> value);
    Record read(const std::string& namespace_name, const std::string& key);
    std::vector<Record> read(std::vector<Name> names);
    StatusResult checkpoint(std::vector<Snapshot> snapshots);
    void snapshot(const std::string& namespace_name, const std::string& key, uint64_t position,
                  std::optional<std::string> state, uint64_t deadline_ms = 0);
    LogResult log(uint64_t from, uint64_t entries_max = 1000, uint64_t bytes_max = 64 << 20);
    NamesResult keys(const std::string& namespace_name = {}, std::optional<Name> after = std::nullopt,
                     uint64_t count_max = 1000);
    // All names, page by page.
    std::vector<Name> all_keys(const std::string& namespace_name = {}, uint64_t count_max = 1000);
    std::vector<DueName> due(uint64_t until_ms, uint64_t count_max = 1000);
    std::vector<Value> metadata(std::vector<std::string> names);
    std::optional<std::string> metadata_value(const std::string& name);
    std::vector<Value> scan_metadata(const std::string& prefix, const std::string& after = {},
                                     uint64_t count_max = 1000);
    std::vector<Name> stale(uint64_t count_max = 1000) const;
    void retain_from(uint64_t position) { functions().retain_from(instance_.get(), position); }

    uint64_t next_position() const { return next_position_; }

    // Gives the instance these values, as a reload does. REQUIRES: the descriptor has reconfigure.
    FailedOpen reconfigure(const std::vector<std::pair<std::string, std::string>>& values);
    void stop(uint64_t timeout_us = 10'000'000);
    // Stops if that has not been done, and destroys.
    void close();

private:
    StatusResult committed(const std::shared_ptr<StatusCall>& call);

    struct NoDelete {
        void operator()(void*) const {}
    };
    const meridian_plugin_descriptor* descriptor_;
    std::shared_ptr<Host> host_;
    std::unique_ptr<void, NoDelete> instance_;  // null after close() or a move
    std::shared_ptr<std::atomic<bool>> stopped_ = std::make_shared<std::atomic<bool>>(false);
    bool is_stopped_ = false;
    uint64_t next_position_ = 1;
    uint64_t group_entries_ = 0;
};

}  // namespace meridian::plugin_test
