// What each WebSocket message of a client does (client-api.md sections 6.3 to 6.6).
#pragma once

#include <cstdint>
#include <string_view>

namespace meridian::server {

class WebSocketConnection;

// Handles one binary message, which came at `now_ms`. On the connection's loop; `payload` is borrowed for the call.
void handle_message(WebSocketConnection& connection, std::string_view payload, uint64_t now_ms);

}  // namespace meridian::server
