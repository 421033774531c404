#include "plugin/store_adapter.h"

#include <cstring>
#include <mutex>
#include <utility>

#include "plugin/instance.h"

namespace meridian::plugin {
namespace {

// Empty for success.
std::string store_error_text(meridian_status status, meridian_bytes message = {}) {
    return error_text(status, message, "store");
}

meridian_key_name c_name(const node::KeyName& name) {
    return {bytes(name.namespace_name), bytes(name.key)};
}
node::KeyName key_name(const meridian_key_name& name) {
    return {std::string(view(name.namespace_name)), std::string(view(name.key))};
}

node::CommitResult commit_result(meridian_status status, meridian_bytes message) {
    node::CommitResult result;
    result.message = store_error_text(status, message);
    switch (status) {
        case MERIDIAN_OK:
            result.status = node::CommitStatus::durable;
            break;
        case MERIDIAN_BUSY:
        case MERIDIAN_CANCELLED:
        case MERIDIAN_INVALID:
        case MERIDIAN_NOT_SUPPORTED:
        case MERIDIAN_NO_SPACE:
        case MERIDIAN_READ_ONLY:
        case MERIDIAN_TIMEOUT:
        case MERIDIAN_UNAVAILABLE:
            result.status = node::CommitStatus::not_committed;
            break;
        default:
            result.status = node::CommitStatus::outcome_unknown;
            break;  // nothing else promises that nothing was written
    }
    return result;
}

node::LogEntry log_entry(const meridian_log_entry& entry) {
    node::LogEntry out;
    out.position = entry.position;
    out.origin_node_id = entry.origin_node_id;
    out.origin_incarnation = entry.origin_incarnation;
    out.origin_sequence = entry.origin_sequence;
    out.wall_ms = entry.wall_ms;
    out.deadline_ms = entry.deadline_ms;
    out.name = key_name(entry.name);
    out.payload = view(entry.payload);
    return out;
}

// Completions of calls that the plug-in refused. They may not run inside the submitting call, so they go over the
// host's lane; what is left when the store is closed runs then.
class Refusals : public std::enable_shared_from_this<Refusals> {
public:
    explicit Refusals(Lane& lane) : lane_(lane) {}
    void add(Task task) {
        {
            const std::lock_guard lock(mutex_);
            tasks_.push_back(std::move(task));
        }
        lane_.post([self = shared_from_this()] { self->run(); });
    }
    void run() {
        const std::lock_guard running(run_mutex_);
        std::vector<Task> tasks;
        {
            const std::lock_guard lock(mutex_);
            tasks.swap(tasks_);
        }
        for (const Task& task : tasks) task();
    }

private:
    Lane& lane_;
    std::mutex run_mutex_;  // one at a time, and close() waits for the lane
    std::mutex mutex_;
    std::vector<Task> tasks_;  // guarded by mutex_
};

// What a sink's context points to: made by the submit, deleted by `done`.
template <class Collected, class Completion>
struct Pending {
    Collected collected{};
    Completion completion;
};

// For scans whose completion has no room for an error: what failed is logged, and the next scan tries again.
template <class Item>
struct Listed {
    const HostServices* services = nullptr;
    std::vector<Item> values;
    void log_failure(const std::string& what, const std::string& error) const {
        if (!error.empty() && services->log) services->log(LogLevel::error, what + ": " + error);
    }
};

class PluginStore final : public LoadedStore {
public:
    PluginStore(const LoadedPlugin& plugin, HostServices services, uint64_t stop_timeout_us)
        : functions_(*plugin.descriptor->store),
          plugin_(plugin, std::move(services)),
          refusals_(std::make_shared<Refusals>(*plugin_.services().lane)),
          stop_timeout_us_(stop_timeout_us) {}
    ~PluginStore() override { close(); }
    PluginStore(const PluginStore&) = delete;
    PluginStore& operator=(const PluginStore&) = delete;

    Result<void> create(const Configuration& configuration) {
        if (auto created = plugin_.create(configuration); !created) return created;
        instance_ = plugin_.get();
        meridian_store_opening opening{};
        opening.struct_size = sizeof opening;
        functions_.opening(instance_, &opening);
        opening_.store_id.assign(reinterpret_cast<const char*>(opening.store_id), sizeof opening.store_id);
        opening_.next_position = opening.next_position;
        opening_.floor = opening.floor;
        opening_.created = opening.created != 0;
        return {};
    }

    Result<void> reconfigure(const Configuration& reloadable) override { return plugin_.reconfigure(reloadable); }

    const node::StoreOpening& opening() const override { return opening_; }

    node::StoreUsage usage() const override {
        meridian_store_usage usage{};
        usage.struct_size = sizeof usage;
        functions_.usage(instance_, &usage);
        node::StoreUsage out;
        out.log_bytes = usage.log_bytes;
        out.log_bytes_since_checkpoint = usage.log_bytes_since_checkpoint;
        out.log_bytes_available = usage.log_bytes_available;
        out.failed = usage.failed != 0;
        return out;
    }

    void commit_views(const node::CommitGroupView& group, std::function<void(node::CommitResult)> completion) override {
        std::vector<meridian_log_entry> entries;
        entries.reserve(group.entries.size());
        for (const node::LogEntryView& entry : group.entries) {
            meridian_log_entry out{};
            out.struct_size = sizeof out;
            out.position = entry.position;
            out.origin_node_id = entry.origin_node_id;
            out.origin_incarnation = entry.origin_incarnation;
            out.origin_sequence = entry.origin_sequence;
            out.wall_ms = entry.wall_ms;
            out.deadline_ms = entry.deadline_ms;
            out.name = {bytes(entry.namespace_name), bytes(entry.key)};
            out.payload = bytes(entry.payload);
            entries.push_back(out);
        }
        std::vector<meridian_metadata_write> metadata;
        metadata.reserve(group.metadata.size());
        for (const node::MetadataWrite& write : group.metadata) {
            meridian_metadata_write out{};
            out.struct_size = sizeof out;
            out.remove = write.value ? 0 : 1;
            out.name = bytes(write.name);
            if (write.value) out.value = bytes(*write.value);
            metadata.push_back(out);
        }
        meridian_commit_group c_group{};
        c_group.struct_size = sizeof c_group;
        c_group.entries = entries.data();
        c_group.entry_count = entries.size();
        c_group.metadata = metadata.data();
        c_group.metadata_count = metadata.size();
        using Call = Pending<char, std::function<void(node::CommitResult)>>;
        auto call = std::make_unique<Call>(Call{0, std::move(completion)});
        const meridian_status_sink sink{sizeof sink, 0, call.get(),
                                        [](void* context, meridian_status status, meridian_bytes message) {
                                            const std::unique_ptr<Call> done(static_cast<Call*>(context));
                                            done->completion(commit_result(status, message));
                                        }};
        submitted(functions_.commit(instance_, &c_group, &sink), call,
                  [](Call& refused, meridian_status status) { refused.completion(commit_result(status, {})); });
    }

    void read_keys(std::vector<node::KeyName> names,
                   std::function<void(std::vector<node::KeyRecord>)> completion) override {
        std::vector<meridian_key_name> c_names;
        c_names.reserve(names.size());
        for (const node::KeyName& name : names) c_names.push_back(c_name(name));
        struct Collected {
            std::vector<node::KeyName> names;
            std::vector<node::KeyRecord> records;
        };
        using Call = Pending<Collected, std::function<void(std::vector<node::KeyRecord>)>>;
        auto call = std::make_unique<Call>();
        call->completion = std::move(completion);
        call->collected.names = std::move(names);  // moving the vector leaves the strings where they are
        static constexpr auto finish = [](Call& done, const std::string& error) {
            // Keys without an answer get the call's error.
            auto& records = done.collected.records;
            for (size_t i = records.size(); i < done.collected.names.size(); ++i) {
                node::KeyRecord record;
                record.name = std::move(done.collected.names[i]);
                record.error = error.empty() ? "the store gave no record for this key" : error;
                records.push_back(std::move(record));
            }
            done.completion(std::move(records));
        };
        meridian_key_record_sink sink{};
        sink.struct_size = sizeof sink;
        sink.context = call.get();
        sink.record = [](void* context, const meridian_key_record* record) {
            auto& collected = static_cast<Call*>(context)->collected;
            if (collected.records.size() == collected.names.size()) return;  // more than asked for
            node::KeyRecord out;
            out.name = key_name(record->name);
            out.error = store_error_text(record->status, record->message);
            if (out.error.empty()) {
                if (record->has_snapshot != 0) out.snapshot = std::string(view(record->snapshot));
                out.snapshot_position = record->snapshot_position;
                out.tail.reserve(static_cast<size_t>(record->tail_count));
                for (uint64_t i = 0; i < record->tail_count; ++i) out.tail.emplace_back(view(record->tail[i]));
                out.tail_position = record->tail_position;
            }
            collected.records.push_back(std::move(out));
        };
        sink.done = [](void* context, meridian_status status, meridian_bytes message) {
            const std::unique_ptr<Call> done(static_cast<Call*>(context));
            finish(*done, store_error_text(status, message));
        };
        submitted(functions_.read_keys(instance_, c_names.data(), c_names.size(), &sink), call,
                  [](Call& refused, meridian_status status) { finish(refused, store_error_text(status)); });
    }

    void checkpoint(std::vector<node::SnapshotWrite> snapshots, std::function<void(std::string)> completion) override {
        std::vector<meridian_snapshot_write> writes;
        writes.reserve(snapshots.size());
        for (const node::SnapshotWrite& snapshot : snapshots) {
            meridian_snapshot_write out{};
            out.struct_size = sizeof out;
            out.remove = snapshot.state ? 0 : 1;
            out.name = c_name(snapshot.name);
            out.position = snapshot.position;
            out.deadline_ms = snapshot.deadline_ms;
            if (snapshot.state) out.state = bytes(*snapshot.state);
            writes.push_back(out);
        }
        with_status(std::move(completion), [&](const meridian_status_sink* sink) {
            return functions_.checkpoint(instance_, writes.data(), writes.size(), sink);
        });
    }

    std::vector<node::KeyName> stale_keys(size_t count_max) const override {
        std::vector<node::KeyName> names;
        functions_.stale_keys(instance_, count_max, &names, [](void* context, const meridian_key_name* name) {
            static_cast<std::vector<node::KeyName>*>(context)->push_back(key_name(*name));
        });
        return names;
    }

    void retain_from(uint64_t position) override { functions_.retain_from(instance_, position); }

    void read_log(uint64_t from_position, size_t entries_max, size_t bytes_max,
                  std::function<void(node::LogPage)> completion) override {
        using Call = Pending<node::LogPage, std::function<void(node::LogPage)>>;
        auto call = std::make_unique<Call>(Call{{}, std::move(completion)});
        call->collected.next_position = from_position;
        meridian_log_sink sink{};
        sink.struct_size = sizeof sink;
        sink.context = call.get();
        sink.entry = [](void* context, const meridian_log_entry* entry) {
            static_cast<Call*>(context)->collected.entries.push_back(log_entry(*entry));
        };
        sink.done = [](void* context, meridian_status status, meridian_bytes message, uint64_t next_position,
                       uint32_t gone, uint64_t floor) {
            const std::unique_ptr<Call> done(static_cast<Call*>(context));
            node::LogPage& page = done->collected;
            page.error = store_error_text(status, message);
            page.next_position = next_position;
            page.gone = gone != 0;
            page.floor = floor;
            done->completion(std::move(page));
        };
        submitted(functions_.read_log(instance_, from_position, entries_max, bytes_max, &sink), call,
                  [](Call& refused, meridian_status status) {
                      refused.collected.error = store_error_text(status);
                      refused.completion(std::move(refused.collected));
                  });
    }

    void scan_keys(std::string namespace_name, std::optional<node::KeyName> after, size_t count_max,
                   std::function<void(node::KeyPage)> completion) override {
        using Call = Pending<node::KeyPage, std::function<void(node::KeyPage)>>;
        auto call = std::make_unique<Call>(Call{{}, std::move(completion)});
        meridian_name_sink sink{};
        sink.struct_size = sizeof sink;
        sink.context = call.get();
        sink.name = [](void* context, const meridian_key_name* name, uint64_t) {
            static_cast<Call*>(context)->collected.names.push_back(key_name(*name));
        };
        sink.done = [](void* context, meridian_status status, meridian_bytes message, uint32_t more) {
            const std::unique_ptr<Call> done(static_cast<Call*>(context));
            done->collected.error = store_error_text(status, message);
            done->collected.more = more != 0;
            done->completion(std::move(done->collected));
        };
        meridian_key_name start{};
        if (after) start = c_name(*after);
        submitted(functions_.scan_keys(instance_, bytes(namespace_name), after ? &start : nullptr, count_max, &sink),
                  call, [](Call& refused, meridian_status status) {
                      refused.collected.error = store_error_text(status);
                      refused.completion(std::move(refused.collected));
                  });
    }

    void scan_due(uint64_t until_ms, size_t count_max,
                  std::function<void(std::vector<node::DueKey>)> completion) override {
        using Call = Pending<Listed<node::DueKey>, std::function<void(std::vector<node::DueKey>)>>;
        auto call = std::make_unique<Call>(Call{{&plugin_.services(), {}}, std::move(completion)});
        meridian_name_sink sink{};
        sink.struct_size = sizeof sink;
        sink.context = call.get();
        sink.name = [](void* context, const meridian_key_name* name, uint64_t deadline_ms) {
            static_cast<Call*>(context)->collected.values.push_back({key_name(*name), deadline_ms});
        };
        sink.done = [](void* context, meridian_status status, meridian_bytes message, uint32_t) {
            const std::unique_ptr<Call> done(static_cast<Call*>(context));
            done->collected.log_failure("listing keys by deadline", store_error_text(status, message));
            done->completion(std::move(done->collected.values));
        };
        submitted(functions_.scan_due(instance_, until_ms, count_max, &sink), call,
                  [](Call& refused, meridian_status status) {
                      refused.collected.log_failure("listing keys by deadline", store_error_text(status));
                      refused.completion({});
                  });
    }

    void read_metadata(std::vector<std::string> names,
                       std::function<void(Result<std::vector<std::optional<std::string>>>)> completion) override {
        using Values = std::vector<std::optional<std::string>>;
        std::vector<meridian_bytes> c_names;
        for (const std::string& name : names) c_names.push_back(bytes(name));
        struct Collected {
            size_t wanted = 0;
            Values values;
        };
        using Call = Pending<Collected, std::function<void(Result<Values>)>>;
        auto call = std::make_unique<Call>(Call{{names.size(), {}}, std::move(completion)});
        meridian_metadata_sink sink =
            metadata_sink<Call>(call.get(), [](Call& done, meridian_bytes, uint32_t present, meridian_bytes value) {
                auto& values = done.collected.values;
                if (values.size() == done.collected.wanted) return;
                values.emplace_back(present != 0 ? std::optional<std::string>(view(value)) : std::nullopt);
            });
        sink.done = [](void* context, meridian_status status, meridian_bytes message) {
            const std::unique_ptr<Call> done(static_cast<Call*>(context));
            if (status != MERIDIAN_OK) {
                done->completion(Error{store_error_text(status, message)});
            } else if (done->collected.values.size() != done->collected.wanted) {
                done->completion(Error{"the store gave " + std::to_string(done->collected.values.size()) +
                                       " metadata values, expected " + std::to_string(done->collected.wanted)});
            } else {
                done->completion(std::move(done->collected.values));
            }
        };
        submitted(functions_.read_metadata(instance_, c_names.data(), c_names.size(), &sink), call,
                  [](Call& refused, meridian_status status) { refused.completion(Error{store_error_text(status)}); });
    }

    void scan_metadata(std::string prefix, std::string after, size_t count_max,
                       std::function<void(std::vector<std::pair<std::string, std::string>>)> completion) override {
        using Values = std::vector<std::pair<std::string, std::string>>;
        using Call = Pending<Listed<Values::value_type>, std::function<void(Values)>>;
        auto call = std::make_unique<Call>(Call{{&plugin_.services(), {}}, std::move(completion)});
        meridian_metadata_sink sink =
            metadata_sink<Call>(call.get(), [](Call& done, meridian_bytes name, uint32_t, meridian_bytes value) {
                done.collected.values.emplace_back(view(name), view(value));
            });
        sink.done = [](void* context, meridian_status status, meridian_bytes message) {
            const std::unique_ptr<Call> done(static_cast<Call*>(context));
            done->collected.log_failure("listing metadata", store_error_text(status, message));
            done->completion(std::move(done->collected.values));
        };
        submitted(functions_.scan_metadata(instance_, bytes(prefix), bytes(after), count_max, &sink), call,
                  [](Call& refused, meridian_status status) {
                      refused.collected.log_failure("listing metadata", store_error_text(status));
                      refused.completion({});
                  });
    }

    void backup(std::string target_directory, std::function<void(std::string)> completion) override {
        with_status(std::move(completion), [&](const meridian_status_sink* sink) {
            if (functions_.backup == nullptr) return meridian_status{MERIDIAN_NOT_SUPPORTED};
            return functions_.backup(instance_, bytes(target_directory), sink);
        });
    }

    void close() override {
        if (instance_ == nullptr) return;
        plugin_.stop(plugin_.services().clock->monotonic_us() + stop_timeout_us_);
        refusals_->run();
        plugin_.destroy();
        instance_ = nullptr;
    }

private:
    // The plug-in has the context now, or has refused and the completion takes the other way.
    template <class Call, class Refused>
    void submitted(meridian_status status, std::unique_ptr<Call>& call, Refused refused) {
        if (status == MERIDIAN_OK) {
            static_cast<void>(call.release());
            return;
        }
        refusals_->add([held = std::shared_ptr<Call>(std::move(call)), refused, status] { refused(*held, status); });
    }

    template <class Submit>
    void with_status(std::function<void(std::string)> completion, Submit submit) {
        using Call = Pending<char, std::function<void(std::string)>>;
        auto call = std::make_unique<Call>(Call{0, std::move(completion)});
        const meridian_status_sink sink{sizeof sink, 0, call.get(),
                                        [](void* context, meridian_status status, meridian_bytes message) {
                                            const std::unique_ptr<Call> done(static_cast<Call*>(context));
                                            done->completion(store_error_text(status, message));
                                        }};
        submitted(submit(&sink), call,
                  [](Call& refused, meridian_status status) { refused.completion(store_error_text(status)); });
    }

    template <class Call, class Take>
    static meridian_metadata_sink metadata_sink(Call* call, Take) {
        meridian_metadata_sink sink{};
        sink.struct_size = sizeof sink;
        sink.context = call;
        sink.value = [](void* context, meridian_bytes name, uint32_t present, meridian_bytes value) {
            Take{}(*static_cast<Call*>(context), name, present, value);
        };
        return sink;
    }

    const meridian_store_functions& functions_;
    Instance plugin_;
    std::shared_ptr<Refusals> refusals_;
    const uint64_t stop_timeout_us_;
    void* instance_ = nullptr;  // null after close()
    node::StoreOpening opening_;
};

}  // namespace

Result<std::unique_ptr<LoadedStore>> open_store(const LoadedPlugin& plugin, const Configuration& configuration,
                                                HostServices services, uint64_t stop_timeout_us) {
    auto store = std::make_unique<PluginStore>(plugin, std::move(services), stop_timeout_us);
    if (auto created = store->create(configuration); !created) return created.error();
    return std::unique_ptr<LoadedStore>(std::move(store));
}

}  // namespace meridian::plugin
