#include "replication/state_server.h"

#include <algorithm>
#include <utility>

#include "node/key_digest.h"
#include "replication/digest_scan.h"

namespace meridian::replication {

namespace {

constexpr uint64_t busy_after_us = 2'000'000;
constexpr size_t tree_node_bytes = 64;
constexpr size_t vector_entry_bytes = 32;
constexpr size_t key_overhead_bytes = 32;
constexpr size_t states_asked_max = 1'000;

size_t name_bytes(const node::KeyName& name) {
    return name.namespace_name.size() + name.key.size() + key_overhead_bytes;
}

}  // namespace

void StateServer::drop_unused() {
    const uint64_t now_us = context_.now_us();
    for (auto it = scans_.begin(); it != scans_.end();) {
        const bool unused = it->second->used_us + context_.options.scan_timeout_ms * 1000 < now_us;
        it = unused ? scans_.erase(it) : std::next(it);
    }
}

StateServer::Scan* StateServer::find(const Origin& peer, uint64_t id) {
    const auto found = scans_.find(peer);
    if (found == scans_.end() || found->second->id != id || !found->second->finished) return nullptr;
    found->second->used_us = context_.now_us();
    return found->second.get();
}

void StateServer::serve(const ReplyPath& path, const TreeRequest& request) {
    drop_unused();
    if (request.scan != 0) {
        Scan* scan = find(path.to, request.scan);
        if (scan != nullptr) return answer_tree(path, *scan, request.paths);
        TreeReply reply;
        reply.scan = request.scan;
        reply.error = scan_unknown;
        return messenger_.reply(path, std::move(reply));
    }
    const auto found = scans_.find(path.to);
    if (found != scans_.end() && !found->second->told) {
        Scan& scan = *found->second;
        scan.used_us = context_.now_us();
        if (scan.finished) return answer_tree(path, scan, request.paths);
        if (scan.waiting) messenger_.reply(*scan.waiting, Refusal{"busy", busy_retry_ms});
        scan.waiting = path;
        scan.waiting_paths = request.paths;
        return;
    }
    if (found != scans_.end()) scans_.erase(found);
    if (scans_.size() >= context_.options.scans_served_max)
        return messenger_.reply(path, Refusal{"busy", busy_retry_ms * 10});
    begin(path, request.paths);
}

void StateServer::begin(const ReplyPath& path, const std::vector<std::string>& paths) {
    ++context_.counters.scans_served;
    const auto scan = std::make_shared<Scan>();
    scans_[path.to] = scan;
    scan->id = context_.random_below(UINT64_MAX - 1) + 1;
    scan->vector = context_.port.vector();
    scan->used_us = context_.now_us();
    scan->waiting = path;
    scan->waiting_paths = paths;
    const std::weak_ptr<Scan> token = scan;
    context_.post_after(busy_after_us, [this, token] {
        const std::shared_ptr<Scan> slow = token.lock();
        if (slow && slow->waiting)
            messenger_.reply(*std::exchange(slow->waiting, std::nullopt), Refusal{"busy", busy_retry_ms});
    });
    scan_digests(
        context_, key_, token,
        [this, token](const std::vector<node::KeyDigest>& digests) {
            const std::shared_ptr<Scan> filled = token.lock();
            for (const node::KeyDigest& digest : digests) {
                const uint64_t key_path = node::key_path(key_, digest.name);
                filled->tree.add(key_path, digest.digest);
                if (filled->names_bytes > context_.options.scan_names_bytes_max) continue;
                filled->names_bytes += name_bytes(digest.name) + sizeof(node::KeyDigest);
                filled->keys.emplace_back(key_path, digest);
            }
            if (filled->names_bytes > context_.options.scan_names_bytes_max) filled->keys = {};
            filled->used_us = context_.now_us();
        },
        [this, token, peer = path.to](const std::string& error) {
            const std::shared_ptr<Scan> filled = token.lock();
            const std::optional<ReplyPath> waiting = std::exchange(filled->waiting, std::nullopt);
            if (!error.empty()) {
                scans_.erase(peer);
                if (waiting) messenger_.reply(*waiting, Refusal{"failed", 5'000});
                return;
            }
            filled->tree.finish();
            filled->finished = true;
            if (waiting) answer_tree(*waiting, *filled, filled->waiting_paths);
        });
}

void StateServer::answer_tree(const ReplyPath& path, Scan& scan, const std::vector<std::string>& paths) {
    const size_t limit = messenger_.message_bytes_max(path);
    TreeReply reply;
    reply.scan = scan.id;
    reply.vector = scan.vector;
    size_t bytes = message_overhead_bytes + scan.vector.size() * vector_entry_bytes;
    for (const std::string& asked : paths) {
        std::vector<TreeNode> children = scan.tree.children(asked);
        bytes += children.size() * tree_node_bytes;
        if (bytes > limit) {
            reply.error = answer_too_large;
            break;
        }
        std::move(children.begin(), children.end(), std::back_inserter(reply.children));
    }
    scan.told = true;
    messenger_.reply(path, std::move(reply));
}

void StateServer::serve(const ReplyPath& path, KeysRequest request) {
    Scan* scan = find(path.to, request.scan);
    if (scan == nullptr) {
        KeysReply reply;
        reply.scan = request.scan;
        reply.error = scan_unknown;
        return messenger_.reply(path, std::move(reply));
    }
    const PathSet asked(request.paths);
    if (scan->names_bytes <= context_.options.scan_names_bytes_max) {
        std::vector<node::KeyDigest> keys;
        for (const auto& [key_path, digest] : scan->keys) {
            if (asked.contains(key_path)) keys.push_back(digest);
        }
        return answer_keys(path, request.scan, std::move(keys));
    }
    const auto keys = std::make_shared<std::vector<node::KeyDigest>>();
    scan_digests(
        context_, key_, scans_.at(path.to),
        [this, asked, keys](const std::vector<node::KeyDigest>& digests) {
            for (const node::KeyDigest& digest : digests) {
                if (asked.contains(node::key_path(key_, digest.name))) keys->push_back(digest);
            }
        },
        [this, path, keys, id = request.scan](const std::string& error) {
            if (!error.empty()) return messenger_.reply(path, Refusal{"failed", 5'000});
            find(path.to, id);  // it is in use
            answer_keys(path, id, std::move(*keys));
        });
}

void StateServer::answer_keys(const ReplyPath& path, uint64_t scan, std::vector<node::KeyDigest> keys) {
    const size_t limit = messenger_.message_bytes_max(path);
    KeysReply reply;
    reply.scan = scan;
    size_t bytes = message_overhead_bytes;
    for (node::KeyDigest& digest : keys) {
        bytes += name_bytes(digest.name);
        if (bytes > limit) {
            reply.error = answer_too_large;
            break;
        }
        reply.keys.push_back(std::move(digest));
    }
    messenger_.reply(path, std::move(reply));
}

void StateServer::serve(const ReplyPath& path, StatesRequest request) {
    if (states_serving_ >= context_.options.pulls_served_max)
        return messenger_.reply(path, Refusal{"busy", busy_retry_ms});
    if (request.names.size() > states_asked_max) request.names.resize(states_asked_max);
    ++states_serving_;
    context_.port.read_states(
        std::move(request.names), context_.here([this, path](Result<std::vector<node::KeyState>> states) {
            --states_serving_;
            StatesReply reply;
            if (!states) {
                reply.error = states.error().message;
                return messenger_.reply(path, std::move(reply));
            }
            const size_t limit = messenger_.message_bytes_max(path);
            size_t bytes = message_overhead_bytes;
            for (node::KeyState& state : *states) {
                bytes += name_bytes(state.name) + (state.payload ? state.payload->size() : 0);
                if (bytes > limit) {
                    if (reply.states.empty()) {
                        context_.alarm(AlarmKind::entry_too_large, state.name.namespace_name + "/" + state.name.key,
                                       "the state of key '" + state.name.key + "' of namespace '" +
                                           state.name.namespace_name + "' needs a message of " + std::to_string(bytes) +
                                           " bytes; transport " + path.endpoint->transport().name() +
                                           " and its peer take at most " + std::to_string(limit));
                        reply.error = answer_too_large;
                    }
                    break;
                }
                reply.states.push_back(std::move(state));
            }
            messenger_.reply(path, std::move(reply));
        }));
}

}  // namespace meridian::replication
