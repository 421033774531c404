#include "api/cluster_api.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "base/json_writer.h"
#include "cluster/cluster.h"
#include "config/node_identity.h"
#include "http/request_head.h"
#include "net/edge_loop.h"
#include "protocol/percent.h"

namespace meridian::server {
namespace {

using replication::ClusterStatus;

constexpr uint64_t digests_default = 1000;
constexpr uint64_t digests_max = 10'000;

HttpResponse json_response(JsonWriter& json, int status = 200) {
    HttpResponse response;
    response.status = status;
    response.content_type = "application/json";
    response.body = json.take();
    return response;
}

HttpResponse admins_only() {
    return error_response(403, "forbidden", "expected an admin token");
}

void text_member(JsonWriter& json, std::string_view key, std::string_view text) {
    json.key(key);
    json.string(text);
}
void number_member(JsonWriter& json, std::string_view key, uint64_t number) {
    json.key(key);
    json.number(number);
}
void boolean_member(JsonWriter& json, std::string_view key, bool truth) {
    json.key(key);
    json.boolean(truth);
}

const char* peer_state(replication::PeerState state) {
    switch (state) {
        case replication::PeerState::alive:
            return "alive";
        case replication::PeerState::leaving:
            return "leaving";
        case replication::PeerState::dead:
            return "dead";
        default:
            return "expelled";
    }
}

const char* link_state(replication::LinkState state) {
    switch (state) {
        case replication::LinkState::connecting:
            return "connecting";
        case replication::LinkState::up:
            return "up";
        default:
            return "down";
    }
}

void add_origin(JsonWriter& json, const node::Origin& origin) {
    text_member(json, "node", config::node_id_text(origin.node_id));
    number_member(json, "incarnation", origin.incarnation);
}

void add_peers(JsonWriter& json, const ClusterStatus& status) {
    json.key("peers");
    json.begin_array();
    for (const replication::PeerStatus& peer : status.peers) {
        json.begin_object();
        add_origin(json, peer.origin);
        text_member(json, "state", peer_state(peer.state));
        boolean_member(json, "ready", peer.ready);
        number_member(json, "heard_ms_ago", peer.heard_ms_ago);
        text_member(json, "transport", peer.transport);
        number_member(json, "we_lack", peer.we_lack);
        number_member(json, "it_lacks", peer.it_lacks);
        if (peer.clock_offset_ms) {
            json.key("clock_offset_ms");
            json.number(*peer.clock_offset_ms);
        }
        json.end_object();
    }
    json.end_array();
}

void add_transports(JsonWriter& json, const ClusterStatus& status) {
    json.key("transports");
    json.begin_array();
    for (const replication::TransportStatus& transport : status.transports) {
        json.begin_object();
        text_member(json, "name", transport.name);
        boolean_member(json, "up", transport.up);
        number_member(json, "epoch", transport.epoch);
        if (!transport.up) text_member(json, "reason", transport.down_reason);
        number_member(json, "waiting_entries", transport.waiting_entries);
        json.key("links");
        json.begin_array();
        for (const replication::Link& link : transport.links) {
            json.begin_object();
            text_member(json, "address", link.address);
            text_member(json, "state", link_state(link.state));
            if (!link.error.empty()) text_member(json, "error", link.error);
            number_member(json, "queued_messages", link.queued_messages);
            number_member(json, "queued_bytes", link.queued_bytes);
            json.end_object();
        }
        json.end_array();
        json.end_object();
    }
    json.end_array();
}

void add_origins(JsonWriter& json, const ClusterStatus& status) {
    json.key("origins");
    json.begin_array();
    for (const replication::OriginStatus& origin : status.origins) {
        json.begin_object();
        add_origin(json, origin.origin);
        number_member(json, "held", origin.held);
        number_member(json, "highest", origin.highest);
        number_member(json, "lag", origin.highest > origin.held ? origin.highest - origin.held : 0);
        number_member(json, "waiting", origin.waiting);
        boolean_member(json, "pulling", origin.pulling);
        boolean_member(json, "stopped", origin.stopped);
        json.end_object();
    }
    json.end_array();
}

void add_alarms(JsonWriter& json, const ClusterStatus& status) {
    json.key("alarms");
    json.begin_array();
    for (const replication::Alarm& alarm : status.alarms) {
        json.begin_object();
        text_member(json, "kind", replication::alarm_name(alarm.kind));
        text_member(json, "text", alarm.text);
        number_member(json, "first_ms", alarm.first_wall_ms);
        number_member(json, "last_ms", alarm.last_wall_ms);
        number_member(json, "count", alarm.count);
        boolean_member(json, "active", alarm.active);
        json.end_object();
    }
    json.end_array();
}

std::optional<std::string> decoded_value(const std::string& query, std::string_view name) {
    const auto raw = http::query_value(query, name);
    return raw ? percent_decode(*raw) : std::nullopt;
}

HttpResponse digests_response(const node::DigestPage& page) {
    if (!page.error.empty()) return error_response(503, "unavailable", page.error);
    JsonWriter json;
    json.begin_object();
    json.key("digests");
    json.begin_array();
    for (const node::KeyDigest& each : page.digests) {
        json.begin_array();
        json.string(each.name.namespace_name);
        json.string(each.name.key);
        json.string(config::node_id_text(each.digest));
        json.end_array();
    }
    json.end_array();
    if (page.next) {
        json.key("next");
        json.begin_array();
        json.string(page.next->namespace_name);
        json.string(page.next->key);
        json.end_array();
    }
    json.end_object();
    return json_response(json);
}

}  // namespace

HttpResponse cluster_status_response(EdgeLoop& edge, const HttpRequest& request) {
    if (!request.session->claims.permissions.admin) return admins_only();
    JsonWriter json;
    json.begin_object();
    const Cluster* cluster = edge.shared().cluster;
    boolean_member(json, "clustered", cluster != nullptr);
    if (cluster != nullptr) {
        const ClusterStatus status = cluster->status();
        add_origin(json, status.self);
        boolean_member(json, "ready", status.ready);
        boolean_member(json, "converged", status.converged);
        number_member(json, "pulls_outstanding", status.pulls_outstanding);
        boolean_member(json, "transferring", status.transferring);
        number_member(json, "merge_backlog_bytes", status.merge_backlog_bytes);
        number_member(json, "covered_before_ms", status.covered_before_wall_ms);
        add_peers(json, status);
        add_transports(json, status);
        add_origins(json, status);
        add_alarms(json, status);
    }
    json.end_object();
    return json_response(json);
}

void cluster_digests(EdgeLoop& edge, const HttpRequest& request, std::function<void(HttpResponse)> answer) {
    if (!request.session->claims.permissions.admin) return answer(admins_only());
    Cluster* cluster = edge.shared().cluster;
    if (cluster == nullptr) return answer(error_response(404, "not_clustered", "the node is not in a cluster"));
    uint64_t limit = digests_default;
    if (const auto text = http::query_value(request.query, "limit")) {
        const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), limit);
        if (error != std::errc() || end != text->data() + text->size() || limit == 0 || limit > digests_max)
            return answer(error_response(400, "bad_query", "limit: expected a number from 1 to 10000"));
    }
    std::optional<node::KeyName> after;
    const auto after_namespace = decoded_value(request.query, "after_namespace");
    const auto after_key = decoded_value(request.query, "after_key");
    if (after_namespace.has_value() != after_key.has_value())
        return answer(error_response(400, "bad_query", "after_namespace and after_key: expected both or none"));
    if (after_namespace) after = node::KeyName{*after_namespace, *after_key};
    cluster->digests(std::move(after), limit, [&edge, answer = std::move(answer)](const node::DigestPage& page) {
        edge.loop().post([answer, response = digests_response(page)] { answer(response); });
    });
}

HttpResponse converged_response(EdgeLoop& edge) {
    const Cluster* cluster = edge.shared().cluster;
    const bool converged = cluster == nullptr || cluster->status().converged;
    JsonWriter json;
    json.begin_object();
    text_member(json, "status", converged ? "converged" : "not_converged");
    json.end_object();
    return json_response(json, converged ? 200 : 503);
}

}  // namespace meridian::server
