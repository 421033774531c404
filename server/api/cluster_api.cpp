#include "api/cluster_api.h"

#include <utility>

#include "base/json_writer.h"
#include "cluster/cluster.h"
#include "config/node_identity.h"
#include "net/edge_loop.h"

namespace meridian::server {
namespace {

using replication::ClusterStatus;

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

HttpResponse alone() {
    JsonWriter json;
    json.begin_object();
    boolean_member(json, "clustered", false);
    json.end_object();
    return json_response(json);
}

HttpResponse status_response(const ClusterStatus& status) {
    JsonWriter json;
    json.begin_object();
    boolean_member(json, "clustered", true);
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
    json.end_object();
    return json_response(json);
}

HttpResponse converged_response(bool converged) {
    JsonWriter json;
    json.begin_object();
    text_member(json, "status", converged ? "converged" : "not_converged");
    json.end_object();
    return json_response(json, converged ? 200 : 503);
}

}  // namespace

void cluster_status(EdgeLoop& edge, const HttpRequest& request, std::function<void(HttpResponse)> answer) {
    if (!request.session->claims.permissions.admin) return answer(admins_only());
    Cluster* cluster = edge.shared().cluster;
    if (cluster == nullptr) return answer(alone());
    cluster->status([&edge, answer = std::move(answer)](const ClusterStatus& status) {
        edge.loop().post([answer, response = status_response(status)] { answer(response); });
    });
}

void cluster_converged(EdgeLoop& edge, std::function<void(HttpResponse)> answer) {
    Cluster* cluster = edge.shared().cluster;
    if (cluster == nullptr) return answer(converged_response(true));
    cluster->status([&edge, answer = std::move(answer)](const ClusterStatus& status) {
        edge.loop().post([answer, response = converged_response(status.converged)] { answer(response); });
    });
}

}  // namespace meridian::server
