#include "support/transport_host.h"

#include <sys/random.h>

#include <array>
#include <chrono>
#include <stdexcept>

#include "meridian/plugin.hpp"
#include "plugin/plugin_configuration.h"

namespace meridian::test {
namespace {

// Long enough for a slow machine below a sanitizer; nothing waits for it that succeeds.
constexpr auto patience = std::chrono::seconds(60);

TransportHost& host_of(void* context) {
    return *static_cast<TransportHost*>(context);
}

std::string text(meridian_bytes bytes) {
    return std::string(abi::view(bytes));
}

}  // namespace

size_t Seen::logged(std::string_view wanted) const {
    size_t count = 0;
    for (const std::string& line : log) count += line.find(wanted) != std::string::npos ? 1 : 0;
    return count;
}

TransportHost::TransportHost() {
    table_.struct_size = sizeof table_;
    table_.context = this;
    table_.log = [](void* context, int32_t level, meridian_bytes line) {
        static constexpr std::array<const char*, 4> names = {"debug", "information", "warning", "error"};
        host_of(context).note({}, [&](Seen& seen) {
            seen.log.push_back(std::string(names.at(static_cast<size_t>(level))) + ": " + text(line));
        });
    };
    table_.wall_ms = [](void*) {
        return static_cast<uint64_t>(
            std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
                .count());
    };
    table_.monotonic_us = [](void* context) { return host_of(context).now_us(); };
    table_.random = [](void*, void* out, uint64_t size) {
        if (::getrandom(out, size, 0) != static_cast<ssize_t>(size)) throw std::runtime_error("getrandom");
    };
    table_.metric = [](void* context, int32_t kind, const char* name, double value) {
        host_of(context).note({}, [&](Seen& seen) {
            double& metric = seen.metrics[name];
            metric = kind == MERIDIAN_METRIC_COUNTER ? metric + value : value;
        });
    };
    table_.timer = [](void* context, uint64_t delay_us, void (*callback)(void*), void* cookie) {
        host_of(context).timers_.add(delay_us, callback, cookie);
    };
    table_.get_extension = [](void*, const char*) -> const void* { return nullptr; };

    sink_.struct_size = sizeof sink_;
    sink_.context = this;
    sink_.deliver = [](void* context, uint32_t channel, meridian_bytes namespace_name, meridian_bytes bytes,
                       meridian_bytes source, uint64_t reply_id) {
        TransportHost& host = host_of(context);
        Delivery delivery{channel, text(namespace_name), text(bytes), text(source), reply_id};
        std::function<meridian_status(const Delivery&)> answer;
        {
            const std::lock_guard lock(host.mutex_);
            answer = host.answer_;
        }
        const meridian_status status = answer ? answer(delivery) : meridian_status{MERIDIAN_OK};
        host.note(status == MERIDIAN_OK ? "deliver" : "", [&](Seen& seen) {
            if (status == MERIDIAN_OK) seen.deliveries.push_back(std::move(delivery));
            if (status == MERIDIAN_BUSY) ++seen.refused;
        });
        return status;
    };
    sink_.gap = [](void* context, uint32_t channel) {
        host_of(context).note("gap " + std::to_string(channel), [&](Seen& seen) { seen.gaps.push_back(channel); });
    };
    sink_.up = [](void* context, uint64_t epoch) {
        host_of(context).note("up " + std::to_string(epoch), [&](Seen& seen) { seen.ups.push_back(epoch); });
    };
    sink_.down = [](void* context, meridian_bytes reason) {
        host_of(context).note("down", [&](Seen& seen) { seen.downs.push_back(text(reason)); });
    };
    sink_.writable = [](void* context) { host_of(context).note("writable", [](Seen& seen) { ++seen.writables; }); };
}

uint64_t TransportHost::monotonic_us() {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
            .count());
}

void TransportHost::note(std::string call, const std::function<void(Seen&)>& change) {
    const std::lock_guard lock(mutex_);
    change(seen_);
    if (!call.empty()) seen_.calls.push_back(std::move(call));
    changed_.notify_all();
}

void TransportHost::answer(std::function<meridian_status(const Delivery&)> function) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(function);
}

bool TransportHost::wait_until(const std::function<bool(const Seen&)>& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return condition(seen_); });
}

Seen TransportHost::seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
}

meridian_publish_sink TransportHost::publish_sink(uint64_t id) {
    meridian_publish_sink sink{};
    sink.struct_size = sizeof sink;
    sink.context = new Pending{this, id};
    sink.done = [](void* context, meridian_status status, meridian_bytes message, uint64_t receivers) {
        const std::unique_ptr<Pending> pending(static_cast<Pending*>(context));
        pending->host->note("done " + std::to_string(pending->id), [&](Seen& seen) {
            seen.completions.push_back({pending->id, status, text(message), receivers});
        });
    };
    return sink;
}

TransportInstance::TransportInstance(const plugin::LoadedPlugin& plugin, TransportHost& host,
                                     const TransportSection& section,
                                     const std::map<std::string, std::string>& environment)
    : plugin_(plugin), host_(host) {
    const auto find = [&](const std::string& name) -> std::optional<std::string> {
        const auto found = environment.find(name);
        return found == environment.end() ? std::nullopt : std::optional<std::string>(found->second);
    };
    const auto checked = plugin::check_configuration(plugin, "[transport test]", section, find);
    if (!checked) throw std::runtime_error(checked.error().message);
    std::vector<meridian_config_value> values;
    for (const auto& [name, value] : checked->values) values.push_back({name.c_str(), abi::bytes(value)});
    const meridian_config config{sizeof config, static_cast<uint32_t>(values.size()), values.data()};
    std::array<char, 1024> message{};
    meridian_error error{sizeof error, static_cast<uint32_t>(message.size()), message.data()};
    if (plugin_.descriptor->create(host_.table(), &config, &instance_, &error) != MERIDIAN_OK)
        throw std::runtime_error(message.data());
}

TransportInstance::~TransportInstance() {
    stop(0);
    plugin_.descriptor->destroy(instance_);
}

void TransportInstance::start(const std::string& node_name, uint64_t node_id) {
    const meridian_transport_node node{sizeof node, 0, node_id, abi::bytes(node_name)};
    std::array<char, 1024> message{};
    meridian_error error{sizeof error, static_cast<uint32_t>(message.size()), message.data()};
    if (functions().start(instance_, &node, host_.sink(), &error) != MERIDIAN_OK)
        throw std::runtime_error(message.data());
}

void TransportInstance::stop(uint64_t patience_us) {
    if (!stopped_) plugin_.descriptor->stop(instance_, host_.now_us() + patience_us);
    stopped_ = true;
}

meridian_status TransportInstance::publish(uint32_t channel, const std::string& namespace_name,
                                           const std::string& bytes, uint64_t id) {
    const meridian_publish_sink sink = host_.publish_sink(id);
    const meridian_status status =
        functions().publish(instance_, channel, abi::bytes(namespace_name), abi::bytes(bytes), &sink);
    if (status != MERIDIAN_OK) TransportHost::discard(sink);
    return status;
}

meridian_status TransportInstance::send(const std::string& target, const std::string& bytes, uint64_t id) {
    const meridian_publish_sink sink = host_.publish_sink(id);
    const meridian_status status = functions().send(instance_, abi::bytes(target), abi::bytes(bytes), &sink);
    if (status != MERIDIAN_OK) TransportHost::discard(sink);
    return status;
}

std::vector<TransportLink> TransportInstance::links() const {
    std::vector<TransportLink> out;
    functions().links(instance_, &out, [](void* context, const meridian_transport_link* link) {
        static_cast<std::vector<TransportLink>*>(context)->push_back(
            {link->state, text(link->address), text(link->error), link->queued_messages, link->queued_bytes});
    });
    return out;
}

std::string TransportInstance::address() const {
    std::string out;
    functions().address(instance_, &out, [](void* context, meridian_bytes address) {
        *static_cast<std::string*>(context) = text(address);
    });
    return out;
}

}  // namespace meridian::test
