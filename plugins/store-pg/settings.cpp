#include "settings.h"

#include <libpq-fe.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace meridian::store_pg {
namespace {

constexpr size_t identifier_bytes_max = 63;

[[noreturn]] void refuse(const std::string& text) {
    throw abi::Failure(MERIDIAN_INVALID, text);
}

std::map<std::string, std::string> parsed(const std::string& url) {
    // A string without '=' would be taken for the name of a database.
    const bool is_uri = url.rfind("postgresql://", 0) == 0 || url.rfind("postgres://", 0) == 0;
    char* error = nullptr;
    const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> options(
        is_uri || url.find('=') != std::string::npos ? PQconninfoParse(url.c_str(), &error) : nullptr, PQconninfoFree);
    PQfreemem(error);  // it may repeat a part of the string
    if (!options) {
        refuse(
            "url: it is not shown here because of the password that it may have; expected "
            "postgresql://user@host:port/database?option=value or host=... dbname=... as libpq takes them");
    }
    std::map<std::string, std::string> out;
    for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
        if (option->val != nullptr && option->val[0] != '\0') out[option->keyword] = option->val;
    }
    return out;
}

std::string checked_schema(std::string_view name) {
    const bool valid = !name.empty() && name.size() <= identifier_bytes_max && !(name[0] >= '0' && name[0] <= '9') &&
                       std::all_of(name.begin(), name.end(),
                                   [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
    if (!valid || name.rfind("pg_", 0) == 0 || name == "information_schema") {
        refuse("schema = '" + std::string(name) +
               "': expected 1 to 63 letters a-z, digits and _, not beginning with a digit or pg_");
    }
    return std::string(name);
}

uint64_t milliseconds(const abi::Config& config, const char* name) {
    return static_cast<uint64_t>(config.integer(name));
}

std::string application_name() {
    char host[256] = "";
    ::gethostname(host, sizeof host - 1);
    return "meridian process " + std::to_string(::getpid()) + " on " + host;
}

}  // namespace

Settings Settings::from(const abi::Config& config) {
    Settings out;
    out.connection = parsed(std::string(config.text("url")));
    if (const auto password = config.find("password")) out.connection["password"] = *password;
    out.schema = checked_schema(config.text("schema"));
    out.shared = config.text("sharing") == "shared";
    out.node_id = config.find("node_id").value_or("");
    out.log_bytes_max = static_cast<uint64_t>(config.integer("log_bytes_max"));
    out.read_connections = static_cast<size_t>(config.integer("read_connections"));
    out.connect_timeout_ms = milliseconds(config, "connect_timeout");
    out.unavailable_after_ms = milliseconds(config, "unavailable_after");
    out.lock_timeout_ms = milliseconds(config, "lock_timeout");
    out.statement_timeout_ms = milliseconds(config, "statement_timeout");
    out.idle_transaction_timeout_ms = milliseconds(config, "idle_transaction_timeout");
    out.poll_interval_ms = milliseconds(config, "poll_interval");

    auto& connection = out.connection;
    connection.emplace("application_name", application_name());
    connection.emplace("tcp_user_timeout", std::to_string(config.integer("tcp_user_timeout")));
    // Of several hosts the one that can write. A standby is refused at once, and not by the first commit.
    connection.emplace("target_session_attrs", "read-write");
    connection["client_encoding"] = "UTF8";
    return out;
}

std::string Settings::server() const {
    const auto value = [&](const char* name, const char* other) {
        const auto found = connection.find(name);
        return found == connection.end() ? std::string(other) : found->second;
    };
    return "database '" + value("dbname", "(the role's)") + "' on " +
           value("host", value("hostaddr", "local").c_str()) + ":" + value("port", "5432");
}

std::string Settings::without_secrets(std::string text) const {
    const auto password = connection.find("password");
    if (password == connection.end() || password->second.empty()) return text;
    for (size_t at = 0; (at = text.find(password->second, at)) != std::string::npos; at += 3)
        text.replace(at, password->second.size(), "***");
    return text;
}

}  // namespace meridian::store_pg
