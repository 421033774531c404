// The plug-in's entry: its note, its descriptor.
#include "descriptor.h"
#include "meridian/transport.hpp"
#include "transport.h"

MERIDIAN_TRANSPORT_PLUGIN(meridian::transport_redis::RedisTransport, "transport-redis", "0.1.0",
                          MERIDIAN_TRANSPORT_BROADCAST | MERIDIAN_TRANSPORT_ORDERED |
                              MERIDIAN_TRANSPORT_RECEIVER_COUNT | MERIDIAN_TRANSPORT_NODE_NAMES,
                          "Apache-2.0", "Carries messages between nodes over Redis publish and subscribe",
                          meridian::transport_redis::config_keys)
