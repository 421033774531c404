// The descriptor of a broken transport: the table of transport.hpp, with the defects that are in front of it.
#include "broken_transport.h"

namespace {

namespace abi = meridian::abi;
using Transport = meridian::plugin_kit::BrokenTransport;
using Table = abi::TransportTable<Transport>;

Transport& self(void* instance) {
    return *static_cast<Transport*>(instance);
}

meridian_status start(void* instance, const meridian_transport_node* node, const meridian_transport_sink* sink,
                      meridian_error* error) {
    meridian_transport_node whole_node = *node;
    meridian_transport_sink whole_sink = *sink;
    if (self(instance).is("accepts-any-size")) {
        whole_node.struct_size = sizeof whole_node;
        whole_sink.struct_size = sizeof whole_sink;
    }
    return Table::start(instance, &whole_node, &whole_sink, error);
}

void address(void* instance, void* context, void (*text)(void*, meridian_bytes)) {
    Table::address(instance, context, text);
    if (self(instance).is("two-addresses")) Table::address(instance, context, text);
}

meridian_status send(void* instance, meridian_bytes target, meridian_bytes message, const meridian_publish_sink* sink) {
    if (self(instance).is("any-address")) target.size = 1;
    return Table::send(instance, target, message, sink);
}

constexpr uint32_t key_size = sizeof(meridian_config_key);
const meridian_config_key keys[] = {
    {key_size, MERIDIAN_TYPE_PATH, 0, 0, "directory", "hub", 0, 0, nullptr, nullptr,
     "Which instances reach each other."},
    {key_size, MERIDIAN_TYPE_STRING, MERIDIAN_KEY_RELOADABLE, 0, "defect", "none", 0, 0, nullptr, nullptr,
     "What is wrong with the transport."},
    {key_size, MERIDIAN_TYPE_BOOLEAN, 0, 0, "reachable", "true", 0, 0, nullptr, nullptr, "Whether there is a hub."},
    {key_size, MERIDIAN_TYPE_INTEGER, 0, 0, "port", "0", 0, 65535, nullptr, nullptr, "A port to take; 0: none."},
};

meridian_transport_functions make_functions() {
    meridian_transport_functions out = Table::functions;
    out.start = start;
    out.address = address;
    out.send = send;
    return out;
}
const meridian_transport_functions functions = make_functions();

meridian_plugin_descriptor make_descriptor() {
    meridian_plugin_descriptor out =
        Table::descriptor(MERIDIAN_IDENTITY(MERIDIAN_KIND_TRANSPORT, "transport-broken", "1"),
                          MERIDIAN_TRANSPORT_BROADCAST | MERIDIAN_TRANSPORT_ORDERED |
                              MERIDIAN_TRANSPORT_RECEIVER_COUNT | MERIDIAN_TRANSPORT_NODE_NAMES,
                          "Apache-2.0", "A transport with one defect, for the tests of the conformance kit", keys);
    out.transport = &functions;
    return out;
}
const meridian_plugin_descriptor descriptor = make_descriptor();

}  // namespace

MERIDIAN_PLUGIN_NOTE(MERIDIAN_KIND_TRANSPORT, "transport-broken", "1");

extern "C" MERIDIAN_EXPORT const meridian_plugin_descriptor* meridian_plugin(void) {
    return &descriptor;
}
