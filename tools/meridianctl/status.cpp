#include "meridianctl/status.h"

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <optional>

namespace meridian::ctl {
namespace {

// The line of a page of metrics that begins with this name, without the name.
std::optional<std::string> metric(const std::string& page, const std::string& name) {
    const std::string mark = "\nmeridian_" + name;
    size_t at = page.find(mark);
    while (at != std::string::npos && page[at + mark.size()] != ' ' && page[at + mark.size()] != '{')
        at = page.find(mark, at + 1);
    if (at == std::string::npos) return std::nullopt;
    at += mark.size();
    return page.substr(at, page.find('\n', at) - at);
}

std::string number(const std::string& page, const std::string& name) {
    const auto found = metric(page, name);
    return found ? std::to_string(std::llround(std::atof(found->c_str()))) : "?";
}

// The value of a metric's only label.
std::string label(const std::string& page, const std::string& name) {
    const auto found = metric(page, name);
    if (!found || found->find('"') == std::string::npos) return "?";
    const size_t start = found->find('"') + 1;
    return found->substr(start, found->find('"', start) - start);
}

std::string duration(uint64_t seconds) {
    if (seconds < 120) return std::to_string(seconds) + " s";
    if (seconds < 2 * 3600) return std::to_string(seconds / 60) + " min";
    if (seconds < 48 * 3600) return std::to_string(seconds / 3600) + " h " + std::to_string(seconds / 60 % 60) + " min";
    return std::to_string(seconds / 86'400) + " d " + std::to_string(seconds / 3600 % 24) + " h";
}

void show(const char* name, const std::string& value) {
    std::string line = name;
    line.resize(13, ' ');
    std::cout << line << value << "\n";
}

void show_metrics(const std::string& page, uint64_t now_s) {
    show("version", label(page, "build_info"));
    show("node id", label(page, "node_info"));
    const uint64_t started_s = std::strtoull(number(page, "process_start_time_seconds").c_str(), nullptr, 10);
    show("up", duration(now_s > started_s ? now_s - started_s : 0));
    show("connections", number(page, "connections") + ", of them " + number(page, "ws_connections_active") +
                            " WebSockets, in " + number(page, "rooms") + " namespaces");
    show("ops", number(page, "ops_total") + " accepted, " + number(page, "writes_rejected_total") + " rejected, " +
                    number(page, "writes_refused_total") + " refused");
    show("durable", number(page, "wal_entries_total") + " log entries in " + number(page, "commit_groups_total") +
                        " groups; " + number(page, "commit_pending_entries") + " not yet");
    show("keys", number(page, "keys_resident") + " in memory, " + number(page, "keys_resident_bytes") + " bytes");
    show("memory", number(page, "process_resident_bytes") + " bytes");
}

}  // namespace

Result<void> show_status(NodeClient& node) {
    node.prepare_without_token();
    const Result<HttpAnswer> live = node.request("GET", "/health/live");
    if (!live) return live.error();
    if (live->status != 200) return refusal(*live);
    const Result<HttpAnswer> ready = node.request("GET", "/health/ready");
    if (!ready) return ready.error();
    show("ready", ready->status == 200 ? "yes" : "no: " + ready->body);
    const Result<HttpAnswer> page = node.request("GET", "/metrics");
    if (!page) return page.error();
    if (page->status == 200) {
        show_metrics("\n" + page->body, node.clock().wall_ms() / 1000);
    } else {
        show("metrics", "not for us (" + std::to_string(page->status) +
                            "): see the setting server.metrics, and --token with an admin token");
    }
    if (ready->status != 200) return Error{"the node is not ready"};
    return {};
}

}  // namespace meridian::ctl
