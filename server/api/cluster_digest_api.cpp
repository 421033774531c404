#include "api/cluster_digest_api.h"

#include <charconv>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/json_writer.h"
#include "cluster/cluster.h"
#include "config/node_identity.h"
#include "http/request_head.h"
#include "net/edge_loop.h"
#include "protocol/percent.h"

namespace meridian::server {
namespace {

constexpr uint64_t limit_default = 1000;
constexpr uint64_t limit_max = 10'000;
constexpr size_t keys_per_step = 1000;

using Answer = std::function<void(HttpResponse)>;

HttpResponse response_with(JsonWriter& json) {
    HttpResponse response;
    response.content_type = "application/json";
    response.body = json.take();
    return response;
}

// The cluster, if the request may ask it; else null, and the request is answered.
Cluster* asked_cluster(EdgeLoop& edge, const HttpRequest& request, const Answer& answer) {
    Cluster* const cluster = edge.shared().cluster;
    if (!request.session->claims.permissions.admin) {
        answer(error_response(403, "forbidden", "expected an admin token"));
        return nullptr;
    }
    if (cluster == nullptr) answer(error_response(404, "not_clustered", "the node is not in a cluster"));
    return cluster;
}

std::optional<std::string> decoded_value(const std::string& query, std::string_view name) {
    const auto raw = http::query_value(query, name);
    return raw ? percent_decode(*raw) : std::nullopt;
}

// Nothing if the value is not one of those allowed; then the request is answered.
std::optional<uint64_t> limit_of(const HttpRequest& request, const Answer& answer) {
    uint64_t limit = limit_default;
    if (const auto text = http::query_value(request.query, "limit")) {
        const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), limit);
        if (error != std::errc() || end != text->data() + text->size() || limit == 0 || limit > limit_max) {
            answer(error_response(400, "bad_query", "limit: expected a number from 1 to 10000"));
            return std::nullopt;
        }
    }
    return limit;
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
    return response_with(json);
}

struct NamespaceDigest {
    std::string name;
    uint64_t keys = 0;
    uint64_t digest = 0;
};

// Adds up the digests of all keys, page by page. On the replication lane, which other work has between two pages.
class NamespaceScan : public std::enable_shared_from_this<NamespaceScan> {
public:
    NamespaceScan(Cluster& cluster, uint64_t limit, Answer answer)
        : cluster_(cluster), limit_(limit), answer_(std::move(answer)) {}

    void go_on(std::optional<node::KeyName> after) {
        cluster_.digests(std::move(after), keys_per_step,
                         [self = shared_from_this()](const node::DigestPage& page) { self->add(page); });
    }

private:
    void add(const node::DigestPage& page) {
        if (!page.error.empty()) return answer_(error_response(503, "unavailable", page.error));
        for (const node::KeyDigest& each : page.digests) {
            if (namespaces_.empty() || namespaces_.back().name != each.name.namespace_name) {
                if (namespaces_.size() == limit_) return finish(true);
                namespaces_.push_back({each.name.namespace_name});
            }
            namespaces_.back().keys += 1;
            namespaces_.back().digest += each.digest;
        }
        if (!page.next) return finish(false);
        go_on(page.next);
    }

    void finish(bool has_more) {
        JsonWriter json;
        json.begin_object();
        json.key("namespaces");
        json.begin_array();
        for (const NamespaceDigest& each : namespaces_) {
            json.begin_object();
            json.key("digest");
            json.string(config::node_id_text(each.digest));
            json.key("keys");
            json.number(each.keys);
            json.key("namespace");
            json.string(each.name);
            json.end_object();
        }
        json.end_array();
        if (has_more) {
            json.key("next");
            json.string(namespaces_.back().name);
        }
        json.end_object();
        answer_(response_with(json));
    }

    Cluster& cluster_;
    const uint64_t limit_;
    const Answer answer_;
    std::vector<NamespaceDigest> namespaces_;  // at most limit_
};

}  // namespace

void cluster_digests(EdgeLoop& edge, const HttpRequest& request, std::function<void(HttpResponse)> answer) {
    Cluster* const cluster = asked_cluster(edge, request, answer);
    if (cluster == nullptr) return;
    const auto limit = limit_of(request, answer);
    if (!limit) return;
    std::optional<node::KeyName> after;
    const auto after_namespace = decoded_value(request.query, "after_namespace");
    const auto after_key = decoded_value(request.query, "after_key");
    if (after_namespace.has_value() != after_key.has_value())
        return answer(error_response(400, "bad_query", "after_namespace and after_key: expected both or none"));
    if (after_namespace) after = node::KeyName{*after_namespace, *after_key};
    cluster->digests(std::move(after), *limit, [&edge, answer = std::move(answer)](const node::DigestPage& page) {
        edge.loop().post([answer, response = digests_response(page)] { answer(response); });
    });
}

void cluster_namespaces(EdgeLoop& edge, const HttpRequest& request, std::function<void(HttpResponse)> answer) {
    Cluster* const cluster = asked_cluster(edge, request, answer);
    if (cluster == nullptr) return;
    const auto limit = limit_of(request, answer);
    if (!limit) return;
    std::optional<node::KeyName> after;
    // Behind all keys of the namespace: they are UTF-8, in which this byte does not occur.
    if (const auto name = decoded_value(request.query, "after")) after = node::KeyName{*name, "\xff"};
    const auto scan = std::make_shared<NamespaceScan>(
        *cluster, *limit, [&edge, answer = std::move(answer)](const HttpResponse& response) {
            edge.loop().post([answer, response] { answer(response); });
        });
    scan->go_on(std::move(after));
}

}  // namespace meridian::server
