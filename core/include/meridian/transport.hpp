// The transport half of plugin.h made pleasant from C++20, on top of plugin.hpp: sinks as values, a function table made
// from a class. Header only.
//
// A transport plug-in in outline:
//
//   class MyTransport {
//   public:
//       MyTransport(meridian::abi::Host host, const meridian::abi::Config& config);   // throws Failure
//       void start(const meridian::abi::NodeName& node, meridian::abi::TransportSink sink);  // throws Failure
//       meridian_status publish(uint32_t channel, std::string_view namespace_name, std::string_view bytes,
//                               meridian::abi::PublishSink done);
//       ...                                                                           // see TransportTable
//   };
//   constexpr meridian_config_key keys[] = {...};
//   MERIDIAN_TRANSPORT_PLUGIN(MyTransport, "my-transport", "1.0", MERIDIAN_TRANSPORT_BROADCAST, "MIT", "Talks ...",
//   keys)
#pragma once

#include <string>
#include <string_view>

#include "meridian/plugin.hpp"

namespace meridian::abi {

constexpr uint64_t address_bytes_max = 1024;

// What meridian_transport_node says, as a value of its own.
struct NodeName {
    uint64_t node_id = 0;
    std::string text;
};

// What the host gives a transport to call. A value; valid until `stop` returns.
class TransportSink {
public:
    explicit TransportSink(const meridian_transport_sink* sink) : sink_(*sink) {}
    // MERIDIAN_OK, MERIDIAN_BUSY or MERIDIAN_INVALID; see plugin.h.
    meridian_status deliver(uint32_t channel, std::string_view namespace_name, std::string_view message,
                            std::string_view source = {}, uint64_t reply_id = 0) const noexcept {
        return sink_.deliver(sink_.context, channel, bytes(namespace_name), bytes(message), bytes(source), reply_id);
    }
    void gap(uint32_t channel) const noexcept { sink_.gap(sink_.context, channel); }
    void up(uint64_t epoch) const noexcept { sink_.up(sink_.context, epoch); }
    void down(std::string_view reason) const noexcept { sink_.down(sink_.context, bytes(reason)); }
    void writable() const noexcept { sink_.writable(sink_.context); }

private:
    meridian_transport_sink sink_;
};

// Sinks as values. Call done() exactly once.
class PublishSink {
public:
    explicit PublishSink(const meridian_publish_sink* sink) : context_(sink->context), done_(sink->done) {}
    void done(meridian_status status, std::string_view message = {}, uint64_t receivers = 0) const noexcept {
        done_(context_, status, bytes(message), receivers);
    }

private:
    void* context_;
    void (*done_)(void*, meridian_status, meridian_bytes, uint64_t);
};

class ReplySink {
public:
    explicit ReplySink(const meridian_reply_sink* sink) : context_(sink->context), done_(sink->done) {}
    void reply(std::string_view reply) const noexcept { done_(context_, MERIDIAN_OK, {}, bytes(reply)); }
    void failed(meridian_status status, std::string_view message = {}) const noexcept {
        done_(context_, status, bytes(message), {});
    }

private:
    void* context_;
    void (*done_)(void*, meridian_status, meridian_bytes, meridian_bytes);
};

// The C functions over a class. TransportClass has the functions called below, with these arguments; its constructor is
// TransportClass(Host, const Config&). `send`, `request` with `cancel`, `reply` and `reconfigure` may be missing, as
// its capabilities say. A submit that throws must not have kept its sink.
template <class TransportClass>
struct TransportTable {
    static TransportClass& self(void* instance) { return *static_cast<TransportClass*>(instance); }

    static meridian_status create(const meridian_host* host, const meridian_config* config, void** instance,
                                  meridian_error* error) noexcept {
        return guarded(error, [&]() -> meridian_status {
            *instance = new TransportClass(Host(host), Config(config));
            return MERIDIAN_OK;
        });
    }
    static meridian_status reconfigure(void* instance, const meridian_config* config, meridian_error* error) noexcept {
        return guarded(error, [&]() -> meridian_status {
            if constexpr (has_reconfigure) self(instance).reconfigure(Config(config));
            return MERIDIAN_OK;
        });
    }
    static void stop(void* instance, uint64_t deadline_us) noexcept {
        guarded(nullptr, [&]() -> meridian_status {
            self(instance).stop(deadline_us);
            return MERIDIAN_OK;
        });
    }
    static void destroy(void* instance) noexcept { delete static_cast<TransportClass*>(instance); }

    static meridian_status start(void* instance, const meridian_transport_node* node,
                                 const meridian_transport_sink* sink, meridian_error* error) noexcept {
        if (node->struct_size < sizeof *node || sink->struct_size < sizeof *sink) return MERIDIAN_INVALID;
        return guarded(error, [&]() -> meridian_status {
            self(instance).start(NodeName{node->node_id, std::string(view(node->node_name))}, TransportSink(sink));
            return MERIDIAN_OK;
        });
    }
    static uint64_t message_bytes_max(void* instance) noexcept { return self(instance).message_bytes_max(); }
    static void address(void* instance, void* context, void (*text)(void*, meridian_bytes)) noexcept {
        std::string found;
        guarded(nullptr, [&]() -> meridian_status {
            found = self(instance).address();
            return MERIDIAN_OK;
        });
        text(context, bytes(found));
    }
    static void links(void* instance, void* context, void (*link)(void*, const meridian_transport_link*)) noexcept {
        guarded(nullptr, [&]() -> meridian_status {
            self(instance).links([&](uint32_t state, std::string_view at, std::string_view error,
                                     uint64_t queued_messages, uint64_t queued_bytes) {
                const meridian_transport_link out{
                    sizeof(meridian_transport_link), state, bytes(at), bytes(error), queued_messages, queued_bytes};
                link(context, &out);
            });
            return MERIDIAN_OK;
        });
    }
    static meridian_status publish(void* instance, uint32_t channel, meridian_bytes namespace_name,
                                   meridian_bytes message, const meridian_publish_sink* sink) noexcept {
        return guarded(nullptr, [&] {
            return self(instance).publish(channel, view(namespace_name), view(message), PublishSink(sink));
        });
    }
    static meridian_status send(void* instance, meridian_bytes target, meridian_bytes message,
                                const meridian_publish_sink* sink) noexcept {
        if (target.size == 0 || target.size > address_bytes_max) return MERIDIAN_INVALID;
        return guarded(nullptr, [&]() -> meridian_status {
            if constexpr (has_send) return self(instance).send(view(target), view(message), PublishSink(sink));
            return MERIDIAN_NOT_SUPPORTED;
        });
    }
    static meridian_status request(void* instance, uint64_t request_id, uint32_t channel, meridian_bytes target,
                                   meridian_bytes message, uint64_t deadline_us,
                                   const meridian_reply_sink* sink) noexcept {
        if (target.size == 0 || target.size > address_bytes_max) return MERIDIAN_INVALID;
        return guarded(nullptr, [&]() -> meridian_status {
            if constexpr (has_request) {
                return self(instance).request(request_id, channel, view(target), view(message), deadline_us,
                                              ReplySink(sink));
            }
            return MERIDIAN_NOT_SUPPORTED;
        });
    }
    static void cancel(void* instance, uint64_t request_id) noexcept {
        guarded(nullptr, [&]() -> meridian_status {
            if constexpr (has_request) self(instance).cancel(request_id);
            return MERIDIAN_OK;
        });
    }
    static meridian_status reply(void* instance, uint64_t reply_id, meridian_bytes message) noexcept {
        return guarded(nullptr, [&]() -> meridian_status {
            if constexpr (has_reply) return self(instance).reply(reply_id, view(message));
            return MERIDIAN_NOT_SUPPORTED;
        });
    }
    static void resume(void* instance) noexcept {
        guarded(nullptr, [&]() -> meridian_status {
            self(instance).resume();
            return MERIDIAN_OK;
        });
    }

    // A member of such a name which cannot be called as what it should be is a mistake, and must not be left out
    // silently: the descriptor asserts that the names below are used for nothing else.
    static constexpr bool names_send = requires { &TransportClass::send; };
    static constexpr bool has_send = requires(TransportClass & transport, PublishSink sink) {
        transport.send(std::string_view(), std::string_view(), sink);
    };
    static constexpr bool names_request = requires { &TransportClass::request; };
    static constexpr bool has_request = requires(TransportClass & transport, ReplySink sink) {
        transport.request(uint64_t{}, uint32_t{}, std::string_view(), std::string_view(), uint64_t{}, sink);
        transport.cancel(uint64_t{});
    };
    static constexpr bool names_reply = requires { &TransportClass::reply; };
    static constexpr bool has_reply = requires(TransportClass & transport) {
        transport.reply(uint64_t{}, std::string_view());
    };
    static constexpr bool names_reconfigure = requires { &TransportClass::reconfigure; };
    static constexpr bool has_reconfigure = requires(TransportClass & transport, const Config& config) {
        transport.reconfigure(config);
    };

    static constexpr meridian_transport_functions functions = {
        sizeof(meridian_transport_functions),
        0,
        start,
        message_bytes_max,
        address,
        links,
        publish,
        has_send ? send : nullptr,
        has_request ? request : nullptr,
        has_request ? cancel : nullptr,
        has_reply ? reply : nullptr,
        resume,
    };

    // The descriptor of a transport that has no extensions. `capabilities`: MERIDIAN_TRANSPORT_*; UNICAST and REQUEST
    // are added if the class has `send` and `request`.
    template <size_t key_count>
    static constexpr meridian_plugin_descriptor descriptor(const meridian_identity& identity, uint32_t capabilities,
                                                           const char* licence, const char* summary,
                                                           const meridian_config_key (&keys)[key_count]) {
        static_assert(has_send || !names_send,
                      "send: expected meridian_status send(std::string_view target, std::string_view, PublishSink)");
        static_assert(
            has_request || !names_request,
            "request: expected meridian_status request(uint64_t id, uint32_t channel, std::string_view target, "
            "std::string_view, uint64_t deadline_us, ReplySink) and void cancel(uint64_t id)");
        static_assert(has_reply || !names_reply,
                      "reply: expected meridian_status reply(uint64_t reply_id, std::string_view)");
        static_assert(has_reconfigure || !names_reconfigure, "reconfigure: expected void reconfigure(const Config&)");
        meridian_plugin_descriptor out{};
        out.identity = identity;
        out.struct_size = sizeof out;
        out.capabilities = capabilities | (has_send ? uint32_t{MERIDIAN_TRANSPORT_UNICAST} : 0) |
                           (has_request ? uint32_t{MERIDIAN_TRANSPORT_REQUEST} : 0);
        out.licence = licence;
        out.summary = summary;
        out.config_keys = keys;
        out.config_key_count = key_count;
        out.create = create;
        out.reconfigure = has_reconfigure ? reconfigure : nullptr;
        out.stop = stop;
        out.destroy = destroy;
        out.transport = &functions;
        return out;
    }
};

}  // namespace meridian::abi

// Everything that a transport plug-in needs outside of its class: note, descriptor, entry. Once, at file scope outside
// of any namespace; string literals only. `keys_`: an array of meridian_config_key.
#define MERIDIAN_TRANSPORT_PLUGIN(TransportClass, name_, version_, capabilities_, licence_, summary_, keys_)    \
    MERIDIAN_PLUGIN_NOTE(MERIDIAN_KIND_TRANSPORT, name_, version_);                                             \
    extern "C" MERIDIAN_EXPORT const meridian_plugin_descriptor* MERIDIAN_PLUGIN_ENTRY(void) {                  \
        static constexpr meridian_plugin_descriptor descriptor =                                                \
            meridian::abi::TransportTable<TransportClass>::descriptor(                                          \
                MERIDIAN_IDENTITY(MERIDIAN_KIND_TRANSPORT, name_, version_), capabilities_, licence_, summary_, \
                keys_);                                                                                         \
        return &descriptor;                                                                                     \
    }
