// Issuing and describing tokens over HTTP (client-api.md sections 5.10 and 5.11). Pure functions.
#pragma once

#include "auth/token.h"
#include "net/http_message.h"

namespace meridian::server {

HttpResponse issue_token_response(const HttpRequest& request, const SigningKey& key, uint64_t now_ms);
HttpResponse describe_token_response(const HttpRequest& request);

// The JSON text of claims, as `tokens/me` shows them.
std::string describe_claims(const Claims& claims);

}  // namespace meridian::server
