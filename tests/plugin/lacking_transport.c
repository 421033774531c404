/* A transport that does nothing, without the function that the environment variable MERIDIAN_TEST_LACKS names.
 * "unicast" and "requests" are without a capability and its functions, "size" has a table that is too small. */
#include <stdlib.h>
#include <string.h>

#include "meridian/plugin.h"

static meridian_status create(const meridian_host* host, const meridian_config* config, void** instance,
                              meridian_error* error) {
    (void)host, (void)config, (void)instance, (void)error;
    return MERIDIAN_NOT_SUPPORTED;
}
static void stop(void* instance, uint64_t deadline_us) {
    (void)instance, (void)deadline_us;
}
static void destroy(void* instance) {
    (void)instance;
}
static meridian_status start(void* instance, const meridian_transport_node* node, const meridian_transport_sink* sink,
                             meridian_error* error) {
    (void)instance, (void)node, (void)sink, (void)error;
    return MERIDIAN_NOT_SUPPORTED;
}
static uint64_t message_bytes_max(void* instance) {
    (void)instance;
    return 0;
}
static void address(void* instance, void* context, void (*text)(void* context, meridian_bytes address)) {
    (void)instance, (void)context, (void)text;
}
static void links(void* instance, void* context, void (*link)(void* context, const meridian_transport_link* link)) {
    (void)instance, (void)context, (void)link;
}
static meridian_status publish(void* instance, uint32_t channel, meridian_bytes namespace_name, meridian_bytes bytes,
                               const meridian_publish_sink* sink) {
    (void)instance, (void)channel, (void)namespace_name, (void)bytes, (void)sink;
    return MERIDIAN_NOT_SUPPORTED;
}
static meridian_status send(void* instance, meridian_bytes target, meridian_bytes bytes,
                            const meridian_publish_sink* sink) {
    (void)instance, (void)target, (void)bytes, (void)sink;
    return MERIDIAN_NOT_SUPPORTED;
}
static meridian_status request(void* instance, uint64_t request_id, uint32_t channel, meridian_bytes target,
                               meridian_bytes bytes, uint64_t deadline_us, const meridian_reply_sink* sink) {
    (void)instance, (void)request_id, (void)channel, (void)target, (void)bytes, (void)deadline_us, (void)sink;
    return MERIDIAN_NOT_SUPPORTED;
}
static void cancel(void* instance, uint64_t request_id) {
    (void)instance, (void)request_id;
}
static meridian_status reply(void* instance, uint64_t reply_id, meridian_bytes bytes) {
    (void)instance, (void)reply_id, (void)bytes;
    return MERIDIAN_NOT_SUPPORTED;
}
static void resume(void* instance) {
    (void)instance;
}

static meridian_transport_functions functions = {
    .struct_size = sizeof(meridian_transport_functions),
    .start = start,
    .message_bytes_max = message_bytes_max,
    .address = address,
    .links = links,
    .publish = publish,
    .send = send,
    .request = request,
    .cancel = cancel,
    .reply = reply,
    .resume = resume,
};

MERIDIAN_PLUGIN_NOTE(MERIDIAN_KIND_TRANSPORT, "transport-lacking", "1");

static meridian_plugin_descriptor descriptor = {
    .identity = MERIDIAN_IDENTITY(MERIDIAN_KIND_TRANSPORT, "transport-lacking", "1"),
    .struct_size = sizeof(meridian_plugin_descriptor),
    .capabilities = MERIDIAN_TRANSPORT_BROADCAST | MERIDIAN_TRANSPORT_UNICAST | MERIDIAN_TRANSPORT_REQUEST,
    .licence = "Apache-2.0",
    .summary = "A transport that lacks a function",
    .create = create,
    .stop = stop,
    .destroy = destroy,
    .transport = &functions,
};

MERIDIAN_EXPORT const meridian_plugin_descriptor* meridian_plugin(void);
const meridian_plugin_descriptor* meridian_plugin(void) {
    const char* const lacks = getenv("MERIDIAN_TEST_LACKS");
    const int unicast = strcmp(lacks, "unicast") == 0;
    const int requests = strcmp(lacks, "requests") == 0;
    if (unicast) descriptor.capabilities &= ~(uint32_t)MERIDIAN_TRANSPORT_UNICAST;
    if (requests) descriptor.capabilities &= ~(uint32_t)MERIDIAN_TRANSPORT_REQUEST;
    if (strcmp(lacks, "size") == 0) functions.struct_size -= 8;
    if (strcmp(lacks, "start") == 0) functions.start = NULL;
    if (strcmp(lacks, "message_bytes_max") == 0) functions.message_bytes_max = NULL;
    if (strcmp(lacks, "address") == 0) functions.address = NULL;
    if (strcmp(lacks, "links") == 0) functions.links = NULL;
    if (strcmp(lacks, "publish") == 0) functions.publish = NULL;
    if (unicast || strcmp(lacks, "send") == 0) functions.send = NULL;
    if (requests || strcmp(lacks, "request") == 0) functions.request = NULL;
    if (requests || strcmp(lacks, "cancel") == 0) functions.cancel = NULL;
    if (requests || strcmp(lacks, "reply") == 0) functions.reply = NULL;
    if (strcmp(lacks, "resume") == 0) functions.resume = NULL;
    return &descriptor;
}
