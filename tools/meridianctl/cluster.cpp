#include "meridianctl/cluster.h"

#include <Poco/Dynamic/Var.h>
#include <Poco/Exception.h>
#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>

#include <algorithm>
#include <iostream>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "protocol/percent.h"

namespace meridian::ctl {
namespace {

using Poco::JSON::Array;
using Poco::JSON::Object;

constexpr size_t page_keys = 1000;
constexpr int digests_timeout_s = 600;

Result<Object::Ptr> get_object(NodeClient& node, const std::string& path, int timeout_s) {
    const Result<HttpAnswer> answer = node.request("GET", path, {}, timeout_s);
    if (!answer) return answer.error();
    if (answer->status != 200) return refusal(*answer);
    try {
        return Poco::JSON::Parser().parse(answer->body).extract<Object::Ptr>();
    } catch (const Poco::Exception& error) {
        return Error{path + ": the node's answer is not what was expected: " + error.displayText()};
    }
}

std::string text(const Object& object, const char* name) {
    return object.has(name) ? object.get(name).toString() : "";
}
bool truth(const Object& object, const char* name) {
    return text(object, name) == "true";
}
Array::Ptr array(const Object& object, const char* name) {
    const Array::Ptr found = object.getArray(name);
    return found ? found : Array::Ptr(new Array);
}

void show_transport(const Object& transport) {
    std::cout << "transport " << text(transport, "name") << ": "
              << (truth(transport, "up") ? "up" : "down: " + text(transport, "reason")) << ", "
              << text(transport, "waiting_entries") << " entries to send\n";
    const Array::Ptr links = array(transport, "links");
    for (size_t i = 0; i < links->size(); ++i) {
        const Object::Ptr link = links->getObject(static_cast<unsigned>(i));
        const std::string error = text(*link, "error");
        std::cout << "  " << text(*link, "address") << ": " << text(*link, "state")
                  << (error.empty() ? "" : ", last error: " + error) << ", " << text(*link, "queued_messages")
                  << " messages queued\n";
    }
}

void show_peer(const Object& peer) {
    std::cout << "peer " << text(peer, "node") << ": " << text(peer, "state")
              << (truth(peer, "ready") ? "" : ", not ready") << ", heard " << text(peer, "heard_ms_ago")
              << " ms ago through " << text(peer, "transport") << ", we lack " << text(peer, "we_lack")
              << " entries, it lacks " << text(peer, "it_lacks");
    if (peer.has("clock_offset_ms")) std::cout << ", its clock is " << text(peer, "clock_offset_ms") << " ms ahead";
    std::cout << "\n";
}

// The digests of a node, one after the other.
class Digests {
public:
    explicit Digests(NodeClient& node) : node_(node) {}

    struct Key {
        std::string namespace_name, key, digest;
        auto name() const { return std::tie(namespace_name, key); }
    };
    // Null at the end.
    Result<const Key*> current() {
        while (next_ == page_.size() && !ended_) {
            if (Result<void> read = read_page(); !read) return read.error();
        }
        return next_ == page_.size() ? nullptr : &page_[next_];
    }
    void advance() { ++next_; }

private:
    Result<void> read_page() {
        std::string path = "/v1/cluster/digests?limit=" + std::to_string(page_keys);
        if (after_) {
            path += "&after_namespace=" + server::percent_encode(after_->first) +
                    "&after_key=" + server::percent_encode(after_->second);
        }
        const Result<Object::Ptr> answer = get_object(node_, path, digests_timeout_s);
        if (!answer) return answer.error();
        page_.clear();
        next_ = 0;
        const Array::Ptr digests = array(**answer, "digests");
        for (unsigned i = 0; i < digests->size(); ++i) {
            const Array::Ptr each = digests->getArray(i);
            if (!each || each->size() != 3) return Error{path + ": expected [namespace, key, digest]"};
            page_.push_back({each->get(0).toString(), each->get(1).toString(), each->get(2).toString()});
        }
        const Array::Ptr next = (*answer)->getArray("next");
        ended_ = !next || next->size() != 2;
        if (!ended_) after_.emplace(next->get(0).toString(), next->get(1).toString());
        return {};
    }

    NodeClient& node_;
    std::vector<Key> page_;
    size_t next_ = 0;
    std::optional<std::pair<std::string, std::string>> after_;
    bool ended_ = false;
};

}  // namespace

Result<void> show_cluster(NodeClient& node) {
    const Result<Object::Ptr> answer = get_object(node, "/v1/cluster", 30);
    if (!answer) return answer.error();
    const Object& cluster = **answer;
    if (!truth(cluster, "clustered")) {
        std::cout << "the node is alone: no transport is configured\n";
        return {};
    }
    std::cout << "node " << text(cluster, "node") << ", incarnation " << text(cluster, "incarnation") << ": "
              << (truth(cluster, "ready") ? "ready" : "catching up") << ", "
              << (truth(cluster, "converged") ? "converged" : "not converged")
              << (truth(cluster, "transferring") ? ", states are being transferred" : "") << "\n";
    const Array::Ptr transports = array(cluster, "transports");
    for (unsigned i = 0; i < transports->size(); ++i) show_transport(*transports->getObject(i));
    const Array::Ptr peers = array(cluster, "peers");
    for (unsigned i = 0; i < peers->size(); ++i) show_peer(*peers->getObject(i));
    const Array::Ptr origins = array(cluster, "origins");
    for (unsigned i = 0; i < origins->size(); ++i) {
        const Object::Ptr origin = origins->getObject(i);
        if (text(*origin, "lag") == "0" && !truth(*origin, "stopped")) continue;
        std::cout << "origin " << text(*origin, "node") << "/" << text(*origin, "incarnation") << ": held to "
                  << text(*origin, "held") << " of " << text(*origin, "highest")
                  << (truth(*origin, "stopped") ? ", stopped" : "") << "\n";
    }
    bool alarmed = false;
    const Array::Ptr alarms = array(cluster, "alarms");
    for (unsigned i = 0; i < alarms->size(); ++i) {
        const Object::Ptr alarm = alarms->getObject(i);
        if (!truth(*alarm, "active")) continue;
        alarmed = true;
        std::cout << "ALARM " << text(*alarm, "kind") << ": " << text(*alarm, "text") << "\n";
    }
    if (!truth(cluster, "ready")) return Error{"the node is not ready"};
    if (alarmed) return Error{"an alarm holds"};
    return {};
}

Result<void> show_namespaces(NodeClient& node) {
    std::string path = "/v1/cluster/namespaces";
    for (;;) {
        const Result<Object::Ptr> answer = get_object(node, path, digests_timeout_s);
        if (!answer) return answer.error();
        const Array::Ptr namespaces = array(**answer, "namespaces");
        for (unsigned i = 0; i < namespaces->size(); ++i) {
            const Object::Ptr each = namespaces->getObject(i);
            std::cout << "namespace " << text(*each, "namespace") << ": " << text(*each, "keys") << " keys, digest "
                      << text(*each, "digest") << "\n";
        }
        if (!(*answer)->has("next")) return {};
        path = "/v1/cluster/namespaces?after=" + server::percent_encode(text(**answer, "next"));
    }
}

Result<void> show_differences(NodeClient& node, NodeClient& other) {
    Digests here(node), there(other);
    size_t same = 0, different = 0;
    for (;;) {
        const Result<const Digests::Key*> left = here.current();
        if (!left) return left.error();
        const Result<const Digests::Key*> right = there.current();
        if (!right) return right.error();
        if (*left == nullptr && *right == nullptr) break;
        const bool only_left = *right == nullptr || (*left != nullptr && (*left)->name() < (*right)->name());
        const bool only_right = !only_left && (*left == nullptr || (*right)->name() < (*left)->name());
        const bool equal = !only_left && !only_right && (*left)->digest == (*right)->digest;
        ++(equal ? same : different);
        if (!equal) {
            const Digests::Key& key = only_right ? **right : **left;
            std::cout << key.namespace_name << " " << key.key << ": "
                      << (only_left    ? "only the first node has it"
                          : only_right ? "only the second node has it"
                                       : "they differ")
                      << "\n";
        }
        if (!only_right) here.advance();
        if (!only_left) there.advance();
    }
    std::cout << same << " keys are equal, " << different << " are not\n";
    if (different != 0) return Error{"the nodes differ"};
    return {};
}

}  // namespace meridian::ctl
