// Requests of browsers from pages of other origins (the Fetch standard's CORS protocol), allowed by configuration only.
//
// `allowed` is Settings::cors_origins: "*", a list of origins separated by commas, or empty for none. Tokens are sent
// by the page's own code, never by the browser, so no answer allows credentials. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/request_head.h"

namespace meridian::server {

bool is_origin_allowed(std::string_view allowed, std::string_view origin);

// Header lines for the answer to a request with this Origin header: whole lines, perhaps none.
std::string cors_headers(std::string_view allowed, std::optional<std::string_view> origin);

// Further lines for the answer to OPTIONS, if it asks for a later request (a preflight) of an allowed origin.
// `methods`: what the path takes, as for `Allow`.
std::string preflight_headers(std::string_view allowed, const http::RequestHead& head, std::string_view methods);

}  // namespace meridian::server
