// What goes over the wire, both ways, beside a client that is not of us.
#include <cppunit/extensions/HelperMacros.h>

#include "fixture.h"

namespace meridian::test {

class WireTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(WireTest);
    CPPUNIT_TEST(publishes_the_bytes_as_they_are_on_the_channels_of_the_specification);
    CPPUNIT_TEST(delivers_what_others_publish);
    CPPUNIT_TEST(two_nodes_exchange_messages_and_count_receivers_without_themselves);
    CPPUNIT_TEST(sends_to_one_node_only);
    CPPUNIT_TEST(keeps_the_order_of_many_messages);
    CPPUNIT_TEST(carries_the_largest_message_and_refuses_a_larger_one);
    CPPUNIT_TEST(refuses_what_breaks_the_contract);
    CPPUNIT_TEST(says_what_it_can_and_who_it_is);
    CPPUNIT_TEST(counts_for_the_metrics);
    CPPUNIT_TEST_SUITE_END();

    static std::string all_bytes() {
        std::string out;
        for (int i = 0; i < 256; ++i) out.push_back(static_cast<char>(i));
        return out + "\r\n$5\r\n*3\r\n";
    }

public:
    void publishes_the_bytes_as_they_are_on_the_channels_of_the_specification() {
        const RedisProcess redis;
        Node node("a1", {{"url", redis.url()}});
        CPPUNIT_ASSERT(node.is_up());
        RedisClient client(redis.port());
        client.command({"PSUBSCRIBE", "*"});
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK},
                             node.transport.publish(MERIDIAN_CHANNEL_DELTA, "room:1/x", all_bytes(), 1));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK},
                             node.transport.publish(MERIDIAN_CHANNEL_CONTROL, "", "hello", 2));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, node.transport.send("b2", "", 3));
        using Words = std::vector<std::string>;
        CPPUNIT_ASSERT(client.next() == (Words{"pmessage", "*", "meridian:delta:room:1/x", all_bytes()}));
        CPPUNIT_ASSERT(client.next() == (Words{"pmessage", "*", "meridian:osp1:all", "hello"}));
        CPPUNIT_ASSERT(client.next() == (Words{"pmessage", "*", "meridian:osp1:n:b2", ""}));
        CPPUNIT_ASSERT(node.completes(3));
        for (const Completion& done : node.host.seen().completions) {
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, done.status);
            CPPUNIT_ASSERT_EQUAL(uint64_t{1}, done.receivers);
        }
    }

    void delivers_what_others_publish() {
        const RedisProcess redis;
        Node node("a1", {{"url", redis.url()}});
        CPPUNIT_ASSERT(node.is_up());
        RedisClient client(redis.port());
        client.command({"PUBLISH", "meridian:delta:room:1/x", all_bytes()});
        client.command({"PUBLISH", "meridian:osp1:all", "to all"});
        client.command({"PUBLISH", "meridian:osp1:n:a1", "to a1"});
        client.command({"PUBLISH", "meridian:osp1:n:a11", "to another"});
        client.command({"PUBLISH", "meridian:osp1:aw:room", "not ours"});
        client.command({"PUBLISH", "meridian:delta:y", ""});
        CPPUNIT_ASSERT(node.receives(4));
        const auto deliveries = node.host.seen().deliveries;
        CPPUNIT_ASSERT_EQUAL(size_t{4}, deliveries.size());
        const auto is = [&](size_t at, uint32_t channel, const std::string& name, const std::string& bytes) {
            const Delivery& found = deliveries[at];
            return found.channel == channel && found.namespace_name == name && found.bytes == bytes &&
                   found.source.empty() && found.reply_id == 0;
        };
        CPPUNIT_ASSERT(is(0, MERIDIAN_CHANNEL_DELTA, "room:1/x", all_bytes()));
        CPPUNIT_ASSERT(is(1, MERIDIAN_CHANNEL_CONTROL, "", "to all"));
        CPPUNIT_ASSERT(is(2, MERIDIAN_CHANNEL_CONTROL, "", "to a1"));
        CPPUNIT_ASSERT(is(3, MERIDIAN_CHANNEL_DELTA, "y", ""));
    }

    void two_nodes_exchange_messages_and_count_receivers_without_themselves() {
        const RedisProcess redis;
        Node a("a", {{"url", redis.url()}}), b("b", {{"url", redis.url()}});
        CPPUNIT_ASSERT(a.is_up() && b.is_up());
        a.transport.publish(MERIDIAN_CHANNEL_DELTA, "n", "from a", 1);
        CPPUNIT_ASSERT(b.receives(1));
        b.transport.publish(MERIDIAN_CHANNEL_CONTROL, "", "from b", 2);
        CPPUNIT_ASSERT(a.receives(2));  // its own, too
        CPPUNIT_ASSERT(a.completes(1) && b.completes(1));
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, a.host.seen().completions[0].receivers);
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, b.host.seen().completions[0].receivers);
        b.transport.stop();
        a.transport.publish(MERIDIAN_CHANNEL_DELTA, "n", "to nobody", 3);
        CPPUNIT_ASSERT(a.completes(2));
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, a.host.seen().completions[1].receivers);
    }

    void sends_to_one_node_only() {
        const RedisProcess redis;
        Node a("a", {{"url", redis.url()}}), b("b", {{"url", redis.url()}}), c("c", {{"url", redis.url()}});
        CPPUNIT_ASSERT(a.is_up() && b.is_up() && c.is_up());
        a.transport.send("b", "for b", 1);
        a.transport.send("nobody", "for nobody", 2);
        a.transport.publish(MERIDIAN_CHANNEL_CONTROL, "", "for all", 3);
        CPPUNIT_ASSERT(a.completes(3) && b.receives(2) && c.receives(1));
        CPPUNIT_ASSERT_EQUAL(std::string("for b"), b.host.seen().deliveries[0].bytes);
        CPPUNIT_ASSERT_EQUAL(std::string("for all"), c.host.seen().deliveries[0].bytes);
        const auto done = a.host.seen().completions;
        CPPUNIT_ASSERT_EQUAL(uint64_t{1}, done[0].receivers);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, done[1].receivers);
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, done[2].receivers);
    }

    void keeps_the_order_of_many_messages() {
        const RedisProcess redis;
        Node a("a", {{"url", redis.url()}}), b("b", {{"url", redis.url()}});
        CPPUNIT_ASSERT(a.is_up() && b.is_up());
        constexpr uint64_t count = 20'000;
        for (uint64_t i = 0; i < count; ++i) {
            // Of many sizes, so that they are cut anywhere by reads and writes.
            const std::string bytes = std::to_string(i) + std::string(i % 997, 'x');
            const auto status = i % 3 == 0 ? a.transport.send("b", bytes, i)
                                           : a.transport.publish(MERIDIAN_CHANNEL_DELTA, "n", bytes, i);
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, status);
        }
        CPPUNIT_ASSERT(a.completes(count) && b.receives(count));
        const Seen at_a = a.host.seen(), at_b = b.host.seen();
        for (uint64_t i = 0; i < count; ++i) {
            CPPUNIT_ASSERT_EQUAL(i, at_a.completions[i].id);
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, at_a.completions[i].status);
            CPPUNIT_ASSERT(at_b.deliveries[i].bytes == std::to_string(i) + std::string(i % 997, 'x'));
        }
    }

    void carries_the_largest_message_and_refuses_a_larger_one() {
        const RedisProcess redis;
        Node node("a", {{"url", redis.url()}});
        CPPUNIT_ASSERT(node.is_up());
        const uint64_t most = node.transport.functions().message_bytes_max(node.transport.instance());
        CPPUNIT_ASSERT_EQUAL(uint64_t{8} << 20, most);
        const std::string bytes(most, 'm');
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, node.transport.send("a", bytes, 1));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_INVALID}, node.transport.send("a", bytes + "m", 2));
        CPPUNIT_ASSERT(node.receives(1) && node.completes(1));
        CPPUNIT_ASSERT(node.host.seen().deliveries[0].bytes == bytes);
    }

    void refuses_what_breaks_the_contract() {
        const RedisProcess redis;
        Node node("a", {{"url", redis.url()}});
        CPPUNIT_ASSERT(node.is_up());
        const meridian_status invalid = MERIDIAN_INVALID;
        CPPUNIT_ASSERT_EQUAL(invalid, node.transport.publish(MERIDIAN_CHANNEL_DELTA, "", "x", 1));
        CPPUNIT_ASSERT_EQUAL(invalid, node.transport.publish(MERIDIAN_CHANNEL_DELTA, std::string(256, 'n'), "x", 2));
        CPPUNIT_ASSERT_EQUAL(invalid, node.transport.publish(MERIDIAN_CHANNEL_CONTROL, "n", "x", 3));
        CPPUNIT_ASSERT_EQUAL(invalid, node.transport.publish(MERIDIAN_CHANNEL_PULL, "", "x", 4));
        CPPUNIT_ASSERT_EQUAL(invalid, node.transport.send("", "x", 5));
        CPPUNIT_ASSERT_THROW(node.transport.start("a"), std::runtime_error);
    }

    void says_what_it_can_and_who_it_is() {
        const auto& descriptor = *transport_redis().descriptor;
        const uint32_t expected = MERIDIAN_TRANSPORT_BROADCAST | MERIDIAN_TRANSPORT_UNICAST |
                                  MERIDIAN_TRANSPORT_ORDERED | MERIDIAN_TRANSPORT_RECEIVER_COUNT |
                                  MERIDIAN_TRANSPORT_NODE_NAMES;
        CPPUNIT_ASSERT_EQUAL(expected, descriptor.capabilities);
        CPPUNIT_ASSERT(descriptor.transport->request == nullptr && descriptor.transport->reply == nullptr);
        const RedisProcess redis;
        Node node("00ff", {{"url", redis.url()}});
        CPPUNIT_ASSERT(node.is_up());
        CPPUNIT_ASSERT_EQUAL(std::string("00ff"), node.transport.address());
        const auto links = node.transport.links();
        CPPUNIT_ASSERT_EQUAL(size_t{2}, links.size());
        CPPUNIT_ASSERT_EQUAL(redis.url() + " (publisher)", links[0].address);
        CPPUNIT_ASSERT_EQUAL(redis.url() + " (subscriber)", links[1].address);
        for (const TransportLink& link : links) CPPUNIT_ASSERT_EQUAL(uint32_t{MERIDIAN_LINK_UP}, link.state);
    }

    void counts_for_the_metrics() {
        const RedisProcess redis;
        Node node("a", {{"url", redis.url()}});
        CPPUNIT_ASSERT(node.is_up());
        for (uint64_t i = 0; i < 10; ++i) node.transport.send("a", "x", i);
        CPPUNIT_ASSERT(node.receives(10) && node.completes(10));
        node.transport.stop();
        auto metrics = node.host.seen().metrics;
        CPPUNIT_ASSERT_EQUAL(10.0, metrics["published"]);
        CPPUNIT_ASSERT_EQUAL(10.0, metrics["delivered"]);
        CPPUNIT_ASSERT_EQUAL(0.0, metrics["publish_queue_messages"]);
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(WireTest);

}  // namespace meridian::test
