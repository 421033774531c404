#include "store.h"

#include <chrono>
#include <thread>
#include <utility>

#include "check.h"
#include "report.h"

namespace meridian::plugin_test {
namespace {

template <class R>
R succeeded(R result, const std::string& function) {
    if (!result.ok()) {
        throw Failed(function + " failed: " + status_name(result.status) +
                     (result.message.empty() ? "" : ", " + result.message));
    }
    return result;
}

// Keeps the inputs with the call.
template <class TypedCall, class Inputs>
Inputs& keep(TypedCall& call, std::shared_ptr<Inputs> inputs) {
    call.inputs = inputs;
    call.overwrite = [raw = inputs.get()] { raw->scribble(); };
    return *inputs;
}

}  // namespace

Store::Store(const meridian_plugin_descriptor& descriptor, std::shared_ptr<Host> host, void* instance)
    : descriptor_(&descriptor), host_(std::move(host)), instance_(instance), next_position_(opening().next_position) {}

Store::~Store() {
    close();
}

meridian_store_opening Store::opening() const {
    doing("calling opening");
    meridian_store_opening out{};
    out.struct_size = sizeof out;
    functions().opening(instance_.get(), &out);
    return out;
}

meridian_store_usage Store::usage() const {
    meridian_store_usage out{};
    out.struct_size = sizeof out;
    functions().usage(instance_.get(), &out);
    return out;
}

std::shared_ptr<StatusCall> Store::submit_commit(Group group, Manner manner) {
    auto call = make_status_call("commit");
    auto& inputs = keep(*call, std::make_shared<CGroup>(std::move(group), manner.spare_bytes));
    return submit(
        call, [&] { return functions().commit(instance_.get(), inputs.get(), &call->sink); }, manner);
}

std::shared_ptr<RecordsCall> Store::submit_read_keys(std::vector<Name> names, Manner manner) {
    auto call = make_records_call("read_keys");
    auto& inputs = keep(*call, std::make_shared<CNames>(std::move(names)));
    return submit(
        call, [&] { return functions().read_keys(instance_.get(), inputs.get(), inputs.size(), &call->sink); }, manner);
}

std::shared_ptr<StatusCall> Store::submit_checkpoint(std::vector<Snapshot> snapshots, Manner manner) {
    auto call = make_status_call("checkpoint");
    auto& inputs = keep(*call, std::make_shared<CSnapshots>(std::move(snapshots), manner.spare_bytes));
    return submit(
        call, [&] { return functions().checkpoint(instance_.get(), inputs.get(), inputs.size(), &call->sink); },
        manner);
}

std::shared_ptr<LogCall> Store::submit_read_log(uint64_t from, uint64_t entries_max, uint64_t bytes_max,
                                                Manner manner) {
    auto call = make_log_call("read_log");
    return submit(
        call, [&] { return functions().read_log(instance_.get(), from, entries_max, bytes_max, &call->sink); }, manner);
}

std::shared_ptr<NamesCall> Store::submit_scan_keys(const std::string& namespace_name, std::optional<Name> after,
                                                   uint64_t count_max, Manner manner) {
    auto call = make_names_call("scan_keys");
    std::vector<Name> names = {{namespace_name, ""}};
    if (after) names.push_back(*after);
    auto& inputs = keep(*call, std::make_shared<CNames>(std::move(names)));
    return submit(
        call,
        [&] {
            const meridian_key_name* const given = inputs.get();
            return functions().scan_keys(instance_.get(), given[0].namespace_name, after ? given + 1 : nullptr,
                                         count_max, &call->sink);
        },
        manner);
}

std::shared_ptr<NamesCall> Store::submit_scan_due(uint64_t until_ms, uint64_t count_max, Manner manner) {
    auto call = make_names_call("scan_due");
    return submit(
        call, [&] { return functions().scan_due(instance_.get(), until_ms, count_max, &call->sink); }, manner);
}

std::shared_ptr<ValuesCall> Store::submit_read_metadata(std::vector<std::string> names, Manner manner) {
    auto call = make_values_call("read_metadata");
    auto& inputs = keep(*call, std::make_shared<CTexts>(std::move(names)));
    return submit(
        call, [&] { return functions().read_metadata(instance_.get(), inputs.get(), inputs.size(), &call->sink); },
        manner);
}

std::shared_ptr<ValuesCall> Store::submit_scan_metadata(const std::string& prefix, const std::string& after,
                                                        uint64_t count_max, Manner manner) {
    auto call = make_values_call("scan_metadata");
    auto& inputs = keep(*call, std::make_shared<CTexts>(std::vector<std::string>{prefix, after}));
    return submit(
        call,
        [&] {
            return functions().scan_metadata(instance_.get(), inputs.get()[0], inputs.get()[1], count_max, &call->sink);
        },
        manner);
}

std::shared_ptr<StatusCall> Store::submit_backup(const std::string& target, Manner manner) {
    auto call = make_status_call("backup");
    auto& inputs = keep(*call, std::make_shared<CTexts>(std::vector<std::string>{target}));
    return submit(
        call, [&] { return functions().backup(instance_.get(), inputs.get()[0], &call->sink); }, manner);
}

StatusResult Store::committed(const std::shared_ptr<StatusCall>& call) {
    const StatusResult result = call->wait();
    if (result.ok()) next_position_ += static_cast<CGroup*>(call->inputs.get())->get()->entry_count;
    return result;
}

uint64_t Store::put(const std::string& namespace_name, const std::string& key, const std::string& payload,
                    uint64_t deadline_ms) {
    const uint64_t position = next_position_;
    put_group({{entry(position, namespace_name, key, payload, deadline_ms)}, {}});
    return position;
}

void Store::put_group(Group group) {
    StatusResult result = commit(group);
    while (result.status == MERIDIAN_BUSY) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        result = commit(group);
    }
    succeeded(std::move(result), "commit");
}

void Store::put_metadata(const std::string& name, std::optional<std::string> value) {
    put_group({{}, {{name, std::move(value)}}});
}

std::vector<Record> Store::read(std::vector<Name> names) {
    const size_t count = names.size();
    auto records = succeeded(submit_read_keys(std::move(names))->wait(), "read_keys").records;
    require_equal(records.size(), count, "records given by read_keys");
    return records;
}

Record Store::read(const std::string& namespace_name, const std::string& key) {
    Record record = read({{namespace_name, key}}).front();
    if (record.status != MERIDIAN_OK) {
        throw Failed("the record of " + to_string(record.name) + " says " + status_name(record.status) + ", " +
                     record.message);
    }
    return record;
}

StatusResult Store::checkpoint(std::vector<Snapshot> snapshots) {
    return submit_checkpoint(std::move(snapshots))->wait();
}

void Store::snapshot(const std::string& namespace_name, const std::string& key, uint64_t position,
                     std::optional<std::string> state, uint64_t deadline_ms) {
    succeeded(checkpoint({{{namespace_name, key}, position, std::move(state), deadline_ms}}), "checkpoint");
}

LogResult Store::log(uint64_t from, uint64_t entries_max, uint64_t bytes_max) {
    return succeeded(submit_read_log(from, entries_max, bytes_max)->wait(), "read_log");
}

NamesResult Store::keys(const std::string& namespace_name, std::optional<Name> after, uint64_t count_max) {
    return succeeded(submit_scan_keys(namespace_name, std::move(after), count_max)->wait(), "scan_keys");
}

std::vector<Name> Store::all_keys(const std::string& namespace_name, uint64_t count_max) {
    std::vector<Name> names;
    std::optional<Name> after;
    for (bool more = true; more;) {
        const auto page = keys(namespace_name, after, count_max);
        require(page.names.size() <= count_max, "scan_keys: found " + std::to_string(page.names.size()) +
                                                    " names in a page, expected at most " + std::to_string(count_max));
        require(page.names.empty() || !after || page.names.front().name > *after,
                "scan_keys: a page begins at " + (page.names.empty() ? "" : to_string(page.names.front().name)) +
                    ", expected a name greater than 'after', " + (after ? to_string(*after) : ""));
        for (const DueName& name : page.names) names.push_back(name.name);
        more = page.more;
        require(!more || !page.names.empty(), "scan_keys: an empty page that says that there are more names");
        if (!page.names.empty()) after = page.names.back().name;
    }
    return names;
}

std::vector<DueName> Store::due(uint64_t until_ms, uint64_t count_max) {
    return succeeded(submit_scan_due(until_ms, count_max)->wait(), "scan_due").names;
}

std::vector<Value> Store::metadata(std::vector<std::string> names) {
    const size_t count = names.size();
    auto values = succeeded(submit_read_metadata(std::move(names))->wait(), "read_metadata").values;
    require_equal(values.size(), count, "values given by read_metadata");
    return values;
}

std::optional<std::string> Store::metadata_value(const std::string& name) {
    return metadata({name}).front().value;
}

std::vector<Value> Store::scan_metadata(const std::string& prefix, const std::string& after, uint64_t count_max) {
    return succeeded(submit_scan_metadata(prefix, after, count_max)->wait(), "scan_metadata").values;
}

std::vector<Name> Store::stale(uint64_t count_max) const {
    doing("calling stale_keys");
    std::vector<Name> names;
    functions().stale_keys(instance_.get(), count_max, &names, [](void* context, const meridian_key_name* name) {
        static_cast<std::vector<Name>*>(context)->push_back(name_of(*name));
    });
    return names;
}

FailedOpen Store::reconfigure(const std::vector<std::pair<std::string, std::string>>& given) {
    doing("calling reconfigure");
    std::vector<meridian_config_value> values;
    for (const auto& [key, value] : given) values.push_back({key.c_str(), c_bytes(value)});
    const meridian_config config{sizeof config, static_cast<uint32_t>(values.size()), values.data()};
    char text[1024] = "";
    meridian_error error{sizeof error, sizeof text, text};
    FailedOpen out;
    out.status = descriptor_->reconfigure(instance_.get(), &config, &error);
    out.text.assign(text, ::strnlen(text, sizeof text));
    return out;
}

void Store::stop(uint64_t timeout_us) {
    if (instance_ == nullptr || is_stopped_) return;
    is_stopped_ = true;
    doing("waiting for stop");
    descriptor_->stop(instance_.get(), monotonic_us() + timeout_us);
    host_->enter(Host::Phase::stopped);
    *stopped_ = true;
    host_->stop_timers();
}

void Store::close() {
    if (instance_ == nullptr) return;
    stop();
    doing("waiting for destroy");
    host_->enter(Host::Phase::destroying);
    descriptor_->destroy(instance_.get());
    host_->enter(Host::Phase::destroyed);
    instance_.reset();
}

}  // namespace meridian::plugin_test
