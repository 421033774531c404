// The hash tree against a plain model, and the comparison of two nodes over real messages.
#include "replication/hash_tree.h"

#include <cppunit/extensions/HelperMacros.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "node/key_digest.h"
#include "replication/hex.h"

namespace meridian::test {

namespace {

using namespace replication;
using node::DigestKey;
using node::KeyName;

using Keys = std::map<KeyName, uint64_t>;

const DigestKey cluster_key = node::digest_key("blue");
const Seal seal("blue", "a secret", true);

HashTree tree_of(const Keys& keys) {
    HashTree tree;
    for (const auto& [name, digest] : keys) tree.add(node::key_path(cluster_key, name), digest);
    tree.finish();
    return tree;
}

std::string digits_of(uint64_t path) {
    std::string text;
    for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[path >> shift & 15];
    return text;
}

// The model: paths as texts, nothing sorted, nothing summed up.
struct Model {
    std::vector<std::pair<std::string, uint64_t>> keys;

    HashTree::Summary summary(const std::string& prefix) const {
        HashTree::Summary sum;
        for (const auto& [path, digest] : keys) {
            if (!path.starts_with(prefix)) continue;
            ++sum.keys;
            sum.digest += digest;
        }
        return sum;
    }
};

// One side of the wire: answers requests from its keys, and counts what it sent.
class Responder {
public:
    explicit Responder(const Keys& keys) : keys_(keys), tree_(tree_of(keys)) {}

    TreeReply answer(const TreeRequest& request) {
        ++rounds;
        TreeReply reply;
        for (const std::string& path : request.paths) {
            for (TreeNode& node : tree_.children(path)) reply.children.push_back(std::move(node));
        }
        nodes_sent += reply.children.size();
        return sent(request, std::move(reply));
    }
    KeysReply answer(const KeysRequest& request) {
        KeysReply reply;
        const PathSet wanted(request.paths);
        for (const auto& [name, digest] : keys_) {
            if (wanted.contains(node::key_path(cluster_key, name))) reply.keys.push_back({name, digest});
        }
        keys_sent += reply.keys.size();
        return sent(request, std::move(reply));
    }

    size_t bytes = 0, nodes_sent = 0, keys_sent = 0, rounds = 0;

private:
    // Through the codec, both ways.
    template <class Request, class Reply>
    Reply sent(const Request& request, Reply reply) {
        Message message;
        message.body = request;
        bytes += encode_message(message, seal).size();
        message.body = std::move(reply);
        const std::string wire = encode_message(message, seal);
        bytes += wire.size();
        auto decoded = decode_message(wire, seal);
        CPPUNIT_ASSERT_MESSAGE(decoded ? "" : decoded.error().message, decoded.ok());
        return std::get<Reply>(std::get<Message>(std::move(*decoded)).body);
    }

    const Keys& keys_;
    const HashTree tree_;
};

// The requester: what of the responder's keys it lacks or holds otherwise.
std::set<KeyName> find_differences(const Keys& own_keys, Responder& responder) {
    const HashTree own = tree_of(own_keys);
    std::vector<std::string> paths = {""};
    std::set<KeyName> found;
    while (!paths.empty()) {
        const TreeReply reply = responder.answer(TreeRequest{1, paths});
        const TreeDifference difference = compare_children(own, paths, reply.children);
        if (!difference.with_keys.empty()) {
            const KeysReply keys = responder.answer(KeysRequest{1, difference.with_keys});
            for (KeyName& name : differing_keys(own, cluster_key, keys.keys)) {
                CPPUNIT_ASSERT(found.insert(std::move(name)).second);
            }
        }
        paths = difference.descend;
    }
    return found;
}

std::set<KeyName> expected_differences(const Keys& own, const Keys& other) {
    std::set<KeyName> differing;
    for (const auto& [name, digest] : other) {
        const auto found = own.find(name);
        if (found == own.end() || found->second != digest) differing.insert(name);
    }
    return differing;
}

Keys random_keys(std::mt19937_64& random, size_t count) {
    Keys keys;
    for (size_t i = 0; i < count; ++i) {
        keys[{"n" + std::to_string(random() % 20), "k" + std::to_string(random())}] = random();
    }
    return keys;
}

// Changes, removes and adds about `count` keys.
Keys changed(std::mt19937_64& random, const Keys& keys, size_t count) {
    Keys out = keys;
    for (size_t i = 0; i < count && !out.empty(); ++i) {
        auto at = out.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(random() % out.size()));
        switch (random() % 3) {
            case 0:
                at->second = random();
                break;
            case 1:
                out.erase(at);
                break;
            default:
                out[{"n", "new" + std::to_string(random())}] = random();
        }
    }
    return out;
}

}  // namespace

class HashTreeTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(HashTreeTest);
    CPPUNIT_TEST(digests_are_blake2b_of_the_documented_bytes);
    CPPUNIT_TEST(ranges_follow_the_digits);
    CPPUNIT_TEST(agrees_with_a_plain_model);
    CPPUNIT_TEST(an_empty_tree_has_nothing_anywhere);
    CPPUNIT_TEST(holds_every_key_also_where_paths_collide);
    CPPUNIT_TEST(path_sets_contain_what_is_under_their_prefixes);
    CPPUNIT_TEST(ignores_children_that_were_not_asked_for);
    CPPUNIT_TEST(asks_for_keys_where_the_peer_has_few);
    CPPUNIT_TEST(finds_exactly_the_differing_keys);
    CPPUNIT_TEST(equal_trees_cost_one_round);
    CPPUNIT_TEST(sends_in_proportion_to_what_differs);
    CPPUNIT_TEST_SUITE_END();

public:
    void digests_are_blake2b_of_the_documented_bytes() {
        // Computed with hashlib.blake2b of Python's standard library.
        CPPUNIT_ASSERT_EQUAL(
            std::string("2e3e23159ea8ec93533bca26ccc07e8d484c7a3bc9ab5a8029fd48a634640859"),
            to_hex(std::string_view(reinterpret_cast<const char*>(cluster_key.data()), cluster_key.size())));
        const KeyName name{"room", "gc:views"};
        CPPUNIT_ASSERT_EQUAL(std::string("8ac79929628e8fe8"), digits_of(node::key_path(cluster_key, name)));
        CPPUNIT_ASSERT_EQUAL(std::string("55ff30fcd240a665"), digits_of(node::key_digest(cluster_key, name, "state")));
        CPPUNIT_ASSERT(node::digest_key("") != node::digest_key("blue"));
    }

    void ranges_follow_the_digits() {
        const auto range = [](const char* prefix) {
            const auto found = range_of_path(prefix);
            return found ? digits_of(found->first) + "-" + digits_of(found->last) : "none";
        };
        CPPUNIT_ASSERT_EQUAL(std::string("0000000000000000-ffffffffffffffff"), range(""));
        CPPUNIT_ASSERT_EQUAL(std::string("f000000000000000-ffffffffffffffff"), range("f"));
        CPPUNIT_ASSERT_EQUAL(std::string("0a30000000000000-0a3fffffffffffff"), range("0a3"));
        CPPUNIT_ASSERT_EQUAL(std::string("0123456789abcdef-0123456789abcdef"), range("0123456789abcdef"));
        for (const char* none : {"0123456789abcdef0", "g", "A", "0x", " "}) {
            CPPUNIT_ASSERT_EQUAL_MESSAGE(none, std::string("none"), range(none));
        }
    }

    void agrees_with_a_plain_model() {
        const bool held = rc::check("the tree agrees with a model", [](uint64_t seed) {
            std::mt19937_64 random(seed);
            HashTree tree;
            Model model;
            const size_t count = random() % 300;
            const uint64_t mask = random() % 2 == 0 ? UINT64_MAX : 0xf00000000000000f;  // crowded
            for (size_t i = 0; i < count; ++i) {
                uint64_t path = random() & mask;
                if (random() % 20 == 0) path = random() % 2 == 0 ? 0 : UINT64_MAX;
                const uint64_t digest = random();
                tree.add(path, digest);
                model.keys.emplace_back(digits_of(path), digest);
            }
            tree.finish();
            std::set<std::string> prefixes = {"", "0", "f", "0000000000000000", "ffffffffffffffff"};
            for (const auto& [path, digest] : model.keys) prefixes.insert(path.substr(0, random() % 17));
            for (const std::string& prefix : prefixes) {
                RC_ASSERT(tree.summary(prefix) == model.summary(prefix));
                RC_ASSERT(tree.keys_under(prefix) == model.summary(prefix).keys);
                std::vector<TreeNode> children = tree.children(prefix);
                if (prefix.size() == path_depth_max) {
                    RC_ASSERT(children.empty());
                    continue;
                }
                size_t next = 0;
                for (const char digit : std::string("0123456789abcdef")) {
                    const HashTree::Summary expected = model.summary(prefix + digit);
                    if (expected.keys == 0) continue;
                    RC_ASSERT(next < children.size());
                    RC_ASSERT(children[next].path == prefix + digit);
                    RC_ASSERT(children[next].keys == expected.keys);
                    RC_ASSERT(children[next].digest == expected.digest);
                    ++next;
                }
                RC_ASSERT(next == children.size());
            }
        });
        CPPUNIT_ASSERT(held);
    }

    void an_empty_tree_has_nothing_anywhere() {
        const HashTree tree = tree_of({});
        CPPUNIT_ASSERT(tree.children("").empty() && tree.keys() == 0 && !tree.holds(0, 0));
        CPPUNIT_ASSERT(tree.summary("") == HashTree::Summary{});
        CPPUNIT_ASSERT(tree.summary("no path") == HashTree::Summary{});
    }

    void holds_every_key_also_where_paths_collide() {
        HashTree tree;
        for (const uint64_t digest : {7, 3, 5, 3}) tree.add(1, digest);
        tree.add(2, 9);
        tree.add(0, 11);
        tree.finish();
        for (const uint64_t digest : {3, 5, 7}) CPPUNIT_ASSERT(tree.holds(1, digest));
        CPPUNIT_ASSERT(!tree.holds(1, 9) && !tree.holds(1, 11) && !tree.holds(1, 10) && !tree.holds(3, 9));
        CPPUNIT_ASSERT(tree.holds(2, 9) && tree.holds(0, 11) && !tree.holds(2, 3));
    }

    void path_sets_contain_what_is_under_their_prefixes() {
        const bool held = rc::check("path sets contain what is under their prefixes", [](uint64_t seed) {
            std::mt19937_64 random(seed);
            std::vector<std::string> prefixes = {"not a path"};
            for (size_t left = random() % 8; left > 0; --left)
                prefixes.push_back(digits_of(random()).substr(0, random() % 4));
            // Neighbours of what is inside, too.
            std::vector<uint64_t> paths = {0, UINT64_MAX, random()};
            for (const std::string& prefix : prefixes) {
                if (const auto range = range_of_path(prefix)) {
                    for (const uint64_t edge : {range->first, range->last}) {
                        paths.insert(paths.end(), {edge - 1, edge, edge + 1});
                    }
                }
            }
            const PathSet set(prefixes);
            for (const uint64_t path : paths) {
                const std::string text = digits_of(path);
                RC_ASSERT(set.contains(path) ==
                          std::any_of(prefixes.begin(), prefixes.end(),
                                      [&](const std::string& prefix) { return text.starts_with(prefix); }));
            }
        });
        CPPUNIT_ASSERT(held);
    }

    void ignores_children_that_were_not_asked_for() {
        const HashTree own = tree_of({});
        const std::vector<TreeNode> told = {{"", 5, 1},   {"a1", 5, 1},  {"a2", 0, 1},  {"b1", 5, 1}, {"a1", 5, 1},
                                            {"a", 99, 1}, {"a33", 5, 1}, {"a4", 99, 1}, {"ag", 5, 1}};
        const TreeDifference difference = compare_children(own, {"a"}, told);
        CPPUNIT_ASSERT(difference.with_keys == (std::vector<std::string>{"a1"}));
        CPPUNIT_ASSERT(difference.descend == (std::vector<std::string>{"a4"}));
        // Nothing is deeper than a whole path, however much is under it.
        const std::string whole(path_depth_max, 'a');
        const TreeDifference deep =
            compare_children(own, {whole.substr(1), whole}, {{whole, 99, 1}, {whole + "a", 9, 1}});
        CPPUNIT_ASSERT(deep.descend.empty() && deep.with_keys == (std::vector<std::string>{whole}));
    }

    void asks_for_keys_where_the_peer_has_few() {
        HashTree own;
        for (uint64_t i = 0; i < 100; ++i) own.add(i, i);
        own.finish();
        const auto compared = [&](uint64_t keys) { return compare_children(own, {""}, {{"0", keys, 1}}); };
        CPPUNIT_ASSERT_EQUAL(size_t{1}, compared(16).with_keys.size());
        CPPUNIT_ASSERT_EQUAL(size_t{0}, compared(16).descend.size());
        CPPUNIT_ASSERT_EQUAL(size_t{1}, compared(17).descend.size());
        const TreeDifference same = compare_children(own, {""}, own.children(""));
        CPPUNIT_ASSERT(same.descend.empty() && same.with_keys.empty());
    }

    void finds_exactly_the_differing_keys() {
        const bool held = rc::check("exactly the differing keys are found", [](uint64_t seed) {
            std::mt19937_64 random(seed);
            const Keys own = random_keys(random, random() % 2000);
            const Keys other =
                random() % 8 == 0 ? random_keys(random, random() % 2000) : changed(random, own, random() % 100);
            Responder responder(other);
            RC_ASSERT(find_differences(own, responder) == expected_differences(own, other));
        });
        CPPUNIT_ASSERT(held);
    }

    void equal_trees_cost_one_round() {
        std::mt19937_64 random(5);
        const Keys keys = random_keys(random, 5000);
        Responder responder(keys);
        CPPUNIT_ASSERT(find_differences(keys, responder).empty());
        CPPUNIT_ASSERT_EQUAL(size_t{1}, responder.rounds);
        CPPUNIT_ASSERT_EQUAL(size_t{16}, responder.nodes_sent);
        CPPUNIT_ASSERT_EQUAL(size_t{0}, responder.keys_sent);
    }

    void sends_in_proportion_to_what_differs() {
        std::mt19937_64 random(6);
        constexpr size_t key_count = 20000;
        const Keys own = random_keys(random, key_count);
        for (const size_t changes : {1, 10, 100}) {
            const Keys other = changed(random, own, changes);
            Responder responder(other);
            CPPUNIT_ASSERT(find_differences(own, responder) == expected_differences(own, other));
            // On the way to a differing key: 16 nodes a level, of which there are about log16(keys / 16) and a few
            // more where keys crowd; at the end at most 16 keys.
            constexpr size_t levels_max = 6, node_bytes = 24, key_bytes = 48, request_bytes = 200;
            CPPUNIT_ASSERT(responder.rounds <= levels_max);
            CPPUNIT_ASSERT(responder.nodes_sent <= 16 + changes * 16 * (responder.rounds - 1));
            CPPUNIT_ASSERT(responder.keys_sent <= changes * keys_asked_max);
            const size_t bound = responder.nodes_sent * node_bytes + responder.keys_sent * key_bytes +
                                 levels_max * (2 * request_bytes + changes * 2 * node_bytes);
            CPPUNIT_ASSERT_MESSAGE(std::to_string(responder.bytes) + " of " + std::to_string(bound),
                                   responder.bytes <= bound);
        }
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(HashTreeTest);

}  // namespace meridian::test
