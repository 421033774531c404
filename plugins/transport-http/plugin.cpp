// The plug-in's entry: its note, its descriptor.
#include "descriptor.h"
#include "meridian/transport.hpp"
#include "transport.h"

MERIDIAN_TRANSPORT_PLUGIN(meridian::transport_http::HttpTransport, "transport-http", "0.1.0",
                          MERIDIAN_TRANSPORT_BROADCAST | MERIDIAN_TRANSPORT_ORDERED | MERIDIAN_TRANSPORT_RECEIVER_COUNT,
                          "Apache-2.0", "Nodes that talk to each other over HTTP",
                          meridian::transport_http::config_keys)
