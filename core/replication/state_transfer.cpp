#include "replication/state_transfer.h"

#include <algorithm>
#include <set>
#include <utility>

#include "node/key_digest.h"
#include "replication/digest_scan.h"
#include "replication/state_server.h"

namespace meridian::replication {

namespace {

constexpr uint32_t failures_max = 8;
constexpr size_t batch_paths_max = 256;
constexpr size_t batch_names_max = 200;
constexpr size_t batch_name_bytes_max = 64 << 10;
// The answer about a node of the tree, at most: 16 children; about the keys under it likewise.
constexpr size_t answer_bytes_per_path = 16 * 64;

// Takes the last `count` out of `from`.
template <class T>
std::vector<T> take_last(std::vector<T>& from, size_t count) {
    count = std::min(count, from.size());
    std::vector<T> taken(std::make_move_iterator(from.end() - static_cast<std::ptrdiff_t>(count)),
                         std::make_move_iterator(from.end()));
    from.resize(from.size() - count);
    return taken;
}

}  // namespace

StateTransfer::StateTransfer(Context& context, Peers& peers, Messenger& messenger, Inbox& inbox,
                             const node::DigestKey& key, std::function<void()> finished)
    : context_(context),
      peers_(peers),
      messenger_(messenger),
      inbox_(inbox),
      key_(key),
      finished_(std::move(finished)) {}

void StateTransfer::start(const Peer& peer) {
    if (run_ || context_.stopping) return;
    ++context_.counters.transfers_started;
    run_ = std::make_shared<Run>();
    run_->peer = peer.origin;
    run_->batch_max =
        std::clamp<size_t>(messenger_.message_bytes_max(peer) / answer_bytes_per_path, 1, batch_paths_max);
    const std::weak_ptr<Run> token = run_;
    scan_digests(
        context_, key_, token,
        [this](const std::vector<node::KeyDigest>& digests) {
            for (const node::KeyDigest& digest : digests)
                run_->own.add(node::key_path(key_, digest.name), digest.digest);
        },
        [this](const std::string& error) {
            if (!error.empty()) return end(false);
            run_->own.finish();
            step();
        });
}

void StateTransfer::step() {
    if (run_->scan == 0 || (run_->names.empty() && run_->with_keys.size() < run_->batch_max && !run_->descend.empty()))
        return ask_tree();
    if (!run_->names.empty()) return ask_states();
    if (!run_->with_keys.empty()) return ask_keys();
    raise();
}

template <class Expected>
void StateTransfer::ask(Body question, std::function<void(Expected)> take) {
    const Peer* peer = peers_.find(run_->peer.node_id);
    if (peer == nullptr || peer->origin != run_->peer || !peers_.alive(*peer)) return end(false);
    const std::weak_ptr<Run> token = run_;
    messenger_.request(*peer, std::move(question), [this, token, take = std::move(take)](Result<Message> answer) {
        if (token.expired()) return;
        if (!answer) return again(answer.error().message, 0);
        if (const Refusal* refusal = std::get_if<Refusal>(&answer->body))
            return again(refusal->code, std::min<uint64_t>(refusal->retry_ms, 10'000) * 1000);
        Expected* expected = std::get_if<Expected>(&answer->body);
        if (expected == nullptr) return again("an answer to another question", 0);
        if (expected->error == scan_unknown) return end(false);
        take(std::move(*expected));
    });
}

void StateTransfer::ask_tree() {
    const bool first = run_->scan == 0;
    const std::vector<std::string> paths =
        first ? std::vector<std::string>{""} : take_last(run_->descend, run_->batch_max);
    // They are asked for again unless they are answered.
    if (!first) run_->descend.insert(run_->descend.end(), paths.begin(), paths.end());
    ask<TreeReply>(TreeRequest{run_->scan, paths}, [this, first, paths](TreeReply reply) {
        if (!reply.error.empty()) return again(reply.error, 0);
        run_->failures = 0;
        if (first) {
            if (reply.scan == 0) return end(false);
            run_->scan = reply.scan;
            run_->vector = std::move(reply.vector);
        } else {
            run_->descend.resize(run_->descend.size() - paths.size());
        }
        TreeDifference difference = compare_children(run_->own, paths, reply.children);
        std::move(difference.descend.begin(), difference.descend.end(), std::back_inserter(run_->descend));
        std::move(difference.with_keys.begin(), difference.with_keys.end(), std::back_inserter(run_->with_keys));
        step();
    });
}

void StateTransfer::ask_keys() {
    const size_t count = std::min(run_->batch_max, run_->with_keys.size());
    const std::vector<std::string> paths(run_->with_keys.end() - static_cast<std::ptrdiff_t>(count),
                                         run_->with_keys.end());
    ask<KeysReply>(KeysRequest{run_->scan, paths}, [this, count](KeysReply reply) {
        // One path is asked no further: the next transfer finds more, when these keys are equal.
        if (!reply.error.empty() && !(reply.error == answer_too_large && count == 1)) return again(reply.error, 0);
        if (!reply.error.empty()) run_->incomplete = true;
        run_->failures = 0;
        run_->with_keys.resize(run_->with_keys.size() - count);
        run_->names = differing_keys(run_->own, key_, reply.keys);
        step();
    });
}

void StateTransfer::ask_states() {
    std::vector<node::KeyName> names;
    size_t bytes = 0;
    for (auto it = run_->names.rbegin(); it != run_->names.rend() && names.size() < batch_names_max; ++it) {
        bytes += it->namespace_name.size() + it->key.size();
        if (!names.empty() && bytes > batch_name_bytes_max) break;
        names.push_back(*it);
    }
    ask<StatesReply>(StatesRequest{std::move(names)}, [this](StatesReply reply) { take_states(std::move(reply)); });
}

void StateTransfer::take_states(StatesReply reply) {
    if (!reply.error.empty()) return again(reply.error, 0);
    std::set<node::KeyName> answered;
    std::vector<node::RemoteEntry> states;
    for (node::KeyState& state : reply.states) {
        answered.insert(state.name);
        if (!state.payload) continue;
        states.push_back({{}, 0, context_.wall_ms(), std::move(state.name), *std::move(state.payload)});
    }
    const size_t before = run_->names.size();
    run_->names.erase(std::remove_if(run_->names.begin(), run_->names.end(),
                                     [&answered](const node::KeyName& name) { return answered.count(name) != 0; }),
                      run_->names.end());
    if (run_->names.size() == before) return again("none of the states that were asked for", 0);
    run_->failures = 0;
    context_.counters.states_received += states.size();
    if (states.empty()) return step();
    const std::weak_ptr<Run> token = run_;
    inbox_.add_states(std::move(states), [this, token](const Result<void>& result) {
        if (token.expired()) return;
        if (!result) return end(false);
        step();
    });
}

void StateTransfer::raise() {
    if (run_->incomplete) return end(false);
    VersionVector vector = run_->vector;
    // What this node has written it numbers itself.
    vector.erase(context_.self);
    const std::weak_ptr<Run> token = run_;
    context_.port.raise_vector(std::move(vector), context_.here([this, token](Result<void> result) {
        if (token.expired()) return;
        if (result) inbox_.raised();
        end(result.ok());
    }));
}

void StateTransfer::again(const std::string& why, uint64_t at_least_us) {
    if (why == answer_too_large && run_->batch_max > 1) {
        run_->batch_max /= 2;
        return step();
    }
    if (++run_->failures > failures_max) return end(false);
    const std::weak_ptr<Run> token = run_;
    context_.post_after(std::max(at_least_us, context_.backoff_us(run_->failures)), [this, token] {
        if (!token.expired()) step();
    });
}

void StateTransfer::end(bool success) {
    ++(success ? context_.counters.transfers_finished : context_.counters.transfers_failed);
    run_.reset();
    finished_();
}

}  // namespace meridian::replication
