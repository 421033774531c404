#include "plugin/transport_adapter.h"

#include <atomic>
#include <utility>

#include "plugin/instance.h"

namespace meridian::plugin {
namespace {

using replication::Channel;
using replication::Delivery;
using replication::Link;
using replication::LinkState;
using replication::SendStatus;
using replication::TransportListener;

constexpr uint64_t address_bytes_max = 1024;

SendStatus send_status(meridian_status status) {
    switch (status) {
        case MERIDIAN_OK:
            return SendStatus::ok;
        case MERIDIAN_BUSY:
            return SendStatus::busy;
        case MERIDIAN_CANCELLED:
            return SendStatus::stopped;
        case MERIDIAN_NOT_SUPPORTED:
            return SendStatus::unsupported;
        default:
            return SendStatus::unavailable;
    }
}

bool is_address(std::string_view text) {
    return !text.empty() && text.size() <= address_bytes_max;
}

LinkState link_state(uint32_t state) {
    switch (state) {
        case MERIDIAN_LINK_UP:
            return LinkState::up;
        case MERIDIAN_LINK_DOWN:
            return LinkState::down;
        default:
            return LinkState::connecting;
    }
}

// What a listener is called through; the context of the sink.
TransportListener& listener(void* context) {
    return *static_cast<TransportListener*>(context);
}

meridian_status deliver(void* context, uint32_t channel, meridian_bytes namespace_name, meridian_bytes message,
                        meridian_bytes source, uint64_t reply_id) {
    if (channel < MERIDIAN_CHANNEL_DELTA || channel > MERIDIAN_CHANNEL_LEGACY_LOG) return MERIDIAN_INVALID;
    if (source.size > address_bytes_max) return MERIDIAN_INVALID;
    switch (listener(context).on_message(static_cast<Channel>(channel), view(namespace_name), view(message),
                                         view(source), reply_id)) {
        case Delivery::taken:
            return MERIDIAN_OK;
        case Delivery::busy:
            return MERIDIAN_BUSY;
        case Delivery::invalid:
            break;
    }
    return MERIDIAN_INVALID;
}

void gap(void* context, uint32_t channel) {
    if (channel >= MERIDIAN_CHANNEL_DELTA && channel <= MERIDIAN_CHANNEL_LEGACY_LOG)
        listener(context).on_gap(static_cast<Channel>(channel));
}

class PluginTransport final : public LoadedTransport {
public:
    PluginTransport(const LoadedPlugin& plugin, std::string instance_name, HostServices services, TransportNode node)
        : functions_(*plugin.descriptor->transport),
          name_(std::move(instance_name)),
          node_(std::move(node)),
          plugin_(plugin, std::move(services)) {}

    Result<void> create(const Configuration& configuration) { return plugin_.create(configuration); }

    Result<void> reconfigure(const Configuration& reloadable) override { return plugin_.reconfigure(reloadable); }

    const std::string& name() const override { return name_; }
    bool has_broadcast() const override { return has(MERIDIAN_TRANSPORT_BROADCAST); }
    bool has_unicast() const override { return has(MERIDIAN_TRANSPORT_UNICAST); }
    bool has_request() const override { return has(MERIDIAN_TRANSPORT_REQUEST); }
    bool counts_receivers() const override { return has(MERIDIAN_TRANSPORT_RECEIVER_COUNT); }
    bool addresses_nodes_by_name() const override { return has(MERIDIAN_TRANSPORT_NODE_NAMES); }
    uint64_t message_bytes_max() const override { return functions_.message_bytes_max(plugin_.get()); }

    std::string address() const override {
        std::string out;
        if (!running_) return out;
        functions_.address(plugin_.get(), &out, [](void* context, meridian_bytes text) {
            *static_cast<std::string*>(context) = view(text);
        });
        return out.size() <= address_bytes_max ? out : std::string();
    }

    std::vector<Link> links() const override {
        std::vector<Link> out;
        if (!running_) return out;
        functions_.links(plugin_.get(), &out, [](void* context, const meridian_transport_link* link) {
            static_cast<std::vector<Link>*>(context)->push_back(
                {link_state(link->state), std::string(view(link->address)), std::string(view(link->error)),
                 link->queued_messages, link->queued_bytes});
        });
        return out;
    }

    Result<void> start(TransportListener& to) override {
        const meridian_transport_node node{sizeof node, 0, node_.id, bytes(node_.name)};
        meridian_transport_sink sink{};
        sink.struct_size = sizeof sink;
        sink.context = &to;
        sink.deliver = deliver;
        sink.gap = gap;
        sink.up = [](void* context, uint64_t epoch) { listener(context).on_up(epoch); };
        sink.down = [](void* context, meridian_bytes reason) { listener(context).on_down(view(reason)); };
        sink.writable = [](void* context) { listener(context).on_writable(); };
        // The plug-in may call before its start has returned, and is then asked.
        running_ = true;
        auto started = plugin_.control(
            [&](meridian_error* error) { return functions_.start(plugin_.get(), &node, &sink, error); });
        if (!started) running_ = false;
        return started;
    }

    SendStatus publish(Channel channel, std::string_view namespace_name, std::string_view message, Done done) override {
        return submit_publish(has_broadcast(), std::move(done), [&](const meridian_publish_sink* sink) {
            return functions_.publish(plugin_.get(), static_cast<uint32_t>(channel), bytes(namespace_name),
                                      bytes(message), sink);
        });
    }

    SendStatus send(std::string_view target, std::string_view message, Done done) override {
        if (!is_address(target)) return SendStatus::unavailable;
        return submit_publish(has_unicast(), std::move(done), [&](const meridian_publish_sink* sink) {
            return functions_.send(plugin_.get(), bytes(target), bytes(message), sink);
        });
    }

    SendStatus request(Channel channel, std::string_view target, std::string_view message, uint64_t deadline_us,
                       Reply reply) override {
        if (!is_address(target)) return SendStatus::unavailable;
        using Call = Pending<Reply>;
        auto call = std::make_unique<Call>(Call{this, std::move(reply)});
        const meridian_reply_sink sink{
            sizeof sink, 0, call.get(),
            [](void* context, meridian_status status, meridian_bytes text, meridian_bytes answer) {
                const std::unique_ptr<Call> finished(static_cast<Call*>(context));
                finished->transport->note_defect(status, text);
                if (finished->completion)
                    finished->completion(send_status(status),
                                         std::string(view(status == MERIDIAN_OK ? answer : meridian_bytes{})));
            }};
        return submit(has_request(), call, [&] {
            const uint64_t id = next_request_id_.fetch_add(1);
            return functions_.request(plugin_.get(), id, static_cast<uint32_t>(channel), bytes(target), bytes(message),
                                      deadline_us, &sink);
        });
    }

    void reply(uint64_t reply_id, std::string_view message) override {
        // Late ones are refused, which is nothing to look at.
        if (running_ && functions_.reply != nullptr) functions_.reply(plugin_.get(), reply_id, bytes(message));
    }

    void resume() override {
        if (running_) functions_.resume(plugin_.get());
    }

    void stop(uint64_t deadline_us) override {
        running_ = false;
        plugin_.stop(deadline_us);
    }

private:
    // What a sink's context points to: made by the submit, deleted by `done`.
    template <class Completion>
    struct Pending {
        PluginTransport* transport;
        Completion completion;  // may be empty
    };

    bool has(uint32_t capability) const { return (plugin_.descriptor().capabilities & capability) != 0; }

    template <class Submit>
    SendStatus submit_publish(bool supported, Done done, Submit plugin_submit) {
        using Call = Pending<Done>;
        auto call = std::make_unique<Call>(Call{this, std::move(done)});
        const meridian_publish_sink sink{
            sizeof sink, 0, call.get(),
            [](void* context, meridian_status status, meridian_bytes text, uint64_t receivers) {
                const std::unique_ptr<Call> finished(static_cast<Call*>(context));
                finished->transport->note_defect(status, text);
                if (finished->completion) finished->completion(send_status(status), receivers);
            }};
        return submit(supported, call, [&] { return plugin_submit(&sink); });
    }

    // The plug-in has the context afterwards, or has refused it.
    template <class Call, class Submit>
    SendStatus submit(bool supported, std::unique_ptr<Call>& call, Submit plugin_submit) {
        if (!supported) return SendStatus::unsupported;
        if (!running_) return SendStatus::stopped;
        const meridian_status status = plugin_submit();
        if (status == MERIDIAN_OK) {
            static_cast<void>(call.release());
        } else {
            note_defect(status, {});
        }
        return send_status(status);
    }

    void note_defect(meridian_status status, meridian_bytes text) {
        if (status != MERIDIAN_INVALID && status != MERIDIAN_INTERNAL) return;
        if (defect_logged_.exchange(true) || !plugin_.services().log) return;
        plugin_.services().log(LogLevel::warning, plugin_.title() + ": " + error_text(status, text, plugin_.subject()));
    }

    const meridian_transport_functions& functions_;
    const std::string name_;
    const TransportNode node_;
    std::atomic<uint64_t> next_request_id_{1};
    std::atomic<bool> running_{false};
    std::atomic<bool> defect_logged_{false};
    Instance plugin_;  // the last member: stopped before what its threads use is gone
};

}  // namespace

Result<std::unique_ptr<LoadedTransport>> open_transport(const LoadedPlugin& plugin, std::string instance_name,
                                                        const Configuration& configuration, HostServices services,
                                                        TransportNode node) {
    auto transport =
        std::make_unique<PluginTransport>(plugin, std::move(instance_name), std::move(services), std::move(node));
    if (auto created = transport->create(configuration); !created) return created.error();
    return std::unique_ptr<LoadedTransport>(std::move(transport));
}

}  // namespace meridian::plugin
