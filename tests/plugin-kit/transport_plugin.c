/* A transport that does nothing, for what the kit says of transports. */
#include <stddef.h>

#include "meridian/plugin.h"

static meridian_status create(const meridian_host* host, const meridian_config* config, void** instance,
                              meridian_error* error) {
    (void)host;
    (void)config;
    (void)instance;
    (void)error;
    return MERIDIAN_NOT_SUPPORTED;
}
static void stop(void* instance, uint64_t deadline_us) {
    (void)instance;
    (void)deadline_us;
}
static void destroy(void* instance) {
    (void)instance;
}
static meridian_status start(void* instance, const meridian_transport_node* node, const meridian_transport_sink* sink,
                             meridian_error* error) {
    (void)instance;
    (void)node;
    (void)sink;
    (void)error;
    return MERIDIAN_NOT_SUPPORTED;
}
static uint64_t message_bytes_max(void* instance) {
    (void)instance;
    return 0;
}
static void address(void* instance, void* context, void (*text)(void* context, meridian_bytes address)) {
    const meridian_bytes none = {NULL, 0};
    (void)instance;
    text(context, none);
}
static void links(void* instance, void* context, void (*link)(void* context, const meridian_transport_link* link)) {
    (void)instance;
    (void)context;
    (void)link;
}
static meridian_status publish(void* instance, uint32_t channel, meridian_bytes namespace_name, meridian_bytes bytes,
                               const meridian_publish_sink* sink) {
    (void)instance;
    (void)channel;
    (void)namespace_name;
    (void)bytes;
    (void)sink;
    return MERIDIAN_NOT_SUPPORTED;
}
static void resume_reading(void* instance) {
    (void)instance;
}

static const meridian_transport_functions functions = {
    .struct_size = sizeof(meridian_transport_functions),
    .start = start,
    .message_bytes_max = message_bytes_max,
    .address = address,
    .links = links,
    .publish = publish,
    .resume = resume_reading,
};

MERIDIAN_PLUGIN_NOTE(MERIDIAN_KIND_TRANSPORT, "transport-idle", "1");

static const meridian_plugin_descriptor descriptor = {
    .identity = MERIDIAN_IDENTITY(MERIDIAN_KIND_TRANSPORT, "transport-idle", "1"),
    .struct_size = sizeof(meridian_plugin_descriptor),
    .licence = "Apache-2.0",
    .summary = "A transport that does nothing",
    .create = create,
    .stop = stop,
    .destroy = destroy,
    .transport = &functions,
};

MERIDIAN_EXPORT const meridian_plugin_descriptor* meridian_plugin(void);
const meridian_plugin_descriptor* meridian_plugin(void) {
    return &descriptor;
}
