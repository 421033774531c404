// Requests and their replies: deadlines, cancels, late answers, nodes that do not know them.
#include <cppunit/extensions/HelperMacros.h>

#include <string>

#include "fake_peer.h"
#include "fixture.h"

using namespace meridian::test;

namespace {

constexpr uint64_t never = ~uint64_t{0};
constexpr uint64_t side_by_side = 32;  // requests to one peer that do not wait for each other

uint64_t in_ms(Node& node, uint64_t ms) {
    return node.host().monotonic_us() + ms * 1000;
}

}  // namespace

class RequestTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(RequestTest);
    CPPUNIT_TEST(brings_replies_to_those_who_asked);
    CPPUNIT_TEST(brings_a_large_reply);
    CPPUNIT_TEST(brings_an_empty_reply);
    CPPUNIT_TEST(asks_a_node_that_is_no_configured_peer);
    CPPUNIT_TEST(fails_when_the_deadline_passes);
    CPPUNIT_TEST(fails_behind_others_when_the_deadline_passes);
    CPPUNIT_TEST(answers_requests_in_any_order);
    CPPUNIT_TEST(cancels_what_waits_and_what_is_under_way);
    CPPUNIT_TEST(waits_for_a_reply_until_the_deadline);
    CPPUNIT_TEST(drops_late_replies);
    CPPUNIT_TEST(refuses_an_id_that_is_in_use);
    CPPUNIT_TEST(does_not_wait_behind_deltas_or_pulls);
    CPPUNIT_TEST(is_not_supported_by_older_nodes);
    CPPUNIT_TEST(fails_when_the_peer_refuses);
    CPPUNIT_TEST(fails_at_once_when_the_peer_is_down);
    CPPUNIT_TEST(repeats_once_what_met_a_closed_connection);
    CPPUNIT_TEST(refuses_a_reply_that_is_too_large);
    CPPUNIT_TEST_SUITE_END();

public:
    void brings_replies_to_those_who_asked() {
        Node second, third;
        second.set_answers([](const Delivery& delivery) { return "second:" + delivery.bytes; });
        third.set_answers([](const Delivery& delivery) { return "third:" + delivery.bytes; });
        Node first{{"peers", second.url() + "," + third.url()}};
        for (uint64_t i = 0; i < 50; ++i) {
            const uint32_t channel = i % 3 == 0 ? MERIDIAN_CHANNEL_PULL : MERIDIAN_CHANNEL_CONTROL;
            CPPUNIT_ASSERT_EQUAL(
                meridian_status{MERIDIAN_OK},
                first.request(i, channel, i % 2 == 0 ? second.url() : third.url(), std::to_string(i), never));
        }
        for (uint64_t i = 0; i < 50; ++i) {
            const Reply reply = first.reply_of(i);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(reply.message, meridian_status{MERIDIAN_OK}, reply.status);
            CPPUNIT_ASSERT_EQUAL((i % 2 == 0 ? "second:" : "third:") + std::to_string(i), reply.bytes);
        }
        // Replies to requests are not delivered besides.
        CPPUNIT_ASSERT(first.host().seen().deliveries.empty());
        CPPUNIT_ASSERT_EQUAL(size_t{9}, second.delivered(MERIDIAN_CHANNEL_PULL).size());
    }
    void brings_a_large_reply() {
        Node second;
        std::string large(2 << 20, 'x');
        for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 31);
        second.set_answers([&](const Delivery&) { return large; });
        Node first{{"peers", second.url()}};
        const std::string want(48 << 10, '\xff');
        first.request(1, MERIDIAN_CHANNEL_PULL, second.url(), want, never);
        CPPUNIT_ASSERT(first.reply_of(1).bytes == large);
        CPPUNIT_ASSERT(second.delivered(MERIDIAN_CHANNEL_PULL) == std::vector<std::string>{want});
    }
    void brings_an_empty_reply() {
        Node second;
        second.set_answers([](const Delivery&) { return ""; });
        Node first{{"peers", second.url()}};
        for (const uint32_t channel : {MERIDIAN_CHANNEL_PULL, MERIDIAN_CHANNEL_CONTROL}) {
            first.request(channel, channel, second.url(), "x", never);
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, first.reply_of(channel).status);
            CPPUNIT_ASSERT_EQUAL(std::string(), first.reply_of(channel).bytes);
        }
    }
    void asks_a_node_that_is_no_configured_peer() {
        Node second, first;
        second.set_answers([](const Delivery&) { return "reply"; });
        first.request(1, MERIDIAN_CHANNEL_PULL, second.url(), "x", never);
        CPPUNIT_ASSERT_EQUAL(std::string("reply"), first.reply_of(1).bytes);
    }
    void fails_when_the_deadline_passes() {
        Node second;  // which does not answer
        Node first{{"peers", second.url()}};
        first.wait_for_ups(1);
        first.request(1, MERIDIAN_CHANNEL_PULL, second.url(), "x", in_ms(first, 30));
        first.request(2, MERIDIAN_CHANNEL_CONTROL, second.url(), "x", in_ms(first, 30));
        first.request(3, MERIDIAN_CHANNEL_CONTROL, second.url(), "x", 0);
        for (const uint64_t id : {1, 2, 3})
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_TIMEOUT}, first.reply_of(id).status);
        // The peer is none the worse for it.
        second.set_answers([](const Delivery&) { return "reply"; });
        first.request(4, MERIDIAN_CHANNEL_PULL, second.url(), "x", never);
        CPPUNIT_ASSERT_EQUAL(std::string("reply"), first.reply_of(4).bytes);
        CPPUNIT_ASSERT(first.host().seen().downs.empty());
    }
    void fails_behind_others_when_the_deadline_passes() {
        Node second;
        Node first{{"peers", second.url()}};
        for (uint64_t id = 1; id <= side_by_side; ++id)
            first.request(id, MERIDIAN_CHANNEL_PULL, second.url(), std::to_string(id), never);
        second.delivered(MERIDIAN_CHANNEL_PULL, side_by_side);
        first.request(100, MERIDIAN_CHANNEL_PULL, second.url(), "late", in_ms(first, 20));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_TIMEOUT}, first.reply_of(100).status);
        CPPUNIT_ASSERT(!first.has_reply(1));
        second.set_answers([](const Delivery& delivery) { return "re:" + delivery.bytes; });
        CPPUNIT_ASSERT_EQUAL(std::string("re:1"), first.reply_of(1).bytes);
        CPPUNIT_ASSERT_EQUAL(size_t{side_by_side}, second.delivered(MERIDIAN_CHANNEL_PULL).size());
    }
    void cancels_what_waits_and_what_is_under_way() {
        Node second;
        Node first{{"peers", second.url()}};
        for (uint64_t id = 1; id <= side_by_side; ++id)
            first.request(id, MERIDIAN_CHANNEL_PULL, second.url(), std::to_string(id), never);
        second.delivered(MERIDIAN_CHANNEL_PULL, side_by_side);
        first.request(100, MERIDIAN_CHANNEL_PULL, second.url(), "waiting", never);
        first.request(101, MERIDIAN_CHANNEL_PULL, second.url(), "last", never);
        first.cancel(100);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_CANCELLED}, first.reply_of(100).status);
        first.cancel(1);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_CANCELLED}, first.reply_of(1).status);
        first.cancel(1);
        first.cancel(999);
        second.set_answers([](const Delivery& delivery) { return "re:" + delivery.bytes; });
        CPPUNIT_ASSERT_EQUAL(std::string("re:2"), first.reply_of(2).bytes);
        CPPUNIT_ASSERT_EQUAL(std::string("re:last"), first.reply_of(101).bytes);
        CPPUNIT_ASSERT_EQUAL(size_t{side_by_side + 1}, second.delivered(MERIDIAN_CHANNEL_PULL).size());
        first.cancel(101);
    }
    void answers_requests_in_any_order() {
        Node second;
        Node first{{"peers", second.url()}};
        for (uint64_t id = 1; id <= side_by_side; ++id)
            first.request(id, id % 2 == 0 ? MERIDIAN_CHANNEL_PULL : MERIDIAN_CHANNEL_CONTROL, second.url(),
                          std::to_string(id), never);
        CPPUNIT_ASSERT(
            second.host().wait_until([](const Seen& seen) { return seen.deliveries.size() == side_by_side; }));
        const auto deliveries = second.host().seen().deliveries;
        for (auto at = deliveries.rbegin(); at != deliveries.rend(); ++at) {
            second.reply(at->reply_id, "re:" + at->bytes);
            CPPUNIT_ASSERT_EQUAL("re:" + at->bytes, first.reply_of(std::stoull(at->bytes)).bytes);
        }
    }
    void waits_for_a_reply_until_the_deadline() {
        Node second{{"reply_timeout", "1ms"}};
        Node first{{"peers", second.url()}};
        first.request(1, MERIDIAN_CHANNEL_CONTROL, second.url(), "x", in_ms(first, 100));
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_TIMEOUT}, first.reply_of(1).status);
    }
    void drops_late_replies() {
        Node second;
        Node first{{"peers", second.url()}};
        first.wait_for_ups(1);
        for (uint64_t id = 1; id <= 5; ++id) {
            first.request(id, MERIDIAN_CHANNEL_CONTROL, second.url(), std::to_string(id), in_ms(first, 20));
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_TIMEOUT}, first.reply_of(id).status);
        }
        // Now they come, and the next request must not take one of them for its own.
        second.set_answers([](const Delivery& delivery) { return "re:" + delivery.bytes; });
        first.request(6, MERIDIAN_CHANNEL_CONTROL, second.url(), "6", never);
        CPPUNIT_ASSERT_EQUAL(std::string("re:6"), first.reply_of(6).bytes);
        CPPUNIT_ASSERT(first.host().seen().deliveries.empty());
    }
    void refuses_an_id_that_is_in_use() {
        Node second;
        Node first{{"peers", second.url()}};
        first.request(1, MERIDIAN_CHANNEL_PULL, second.url(), "x", never);
        second.delivered(MERIDIAN_CHANNEL_PULL, 1);
        FakePeer other(good_node);
        first.request(1, MERIDIAN_CHANNEL_PULL, other.url(), "x", never);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_INVALID}, first.reply_of(1).status);
    }
    void does_not_wait_behind_deltas_or_pulls() {
        Node second{{"busy_timeout", "60s"}};
        Node first{{"peers", second.url()}};
        second.host().answer([&](const Delivery& delivery) {
            return delivery.channel == MERIDIAN_CHANNEL_DELTA ? MERIDIAN_BUSY : MERIDIAN_OK;
        });
        first->publish(MERIDIAN_CHANNEL_DELTA, "", "held", 1);
        first.request(1, MERIDIAN_CHANNEL_PULL, second.url(), "unanswered", never);
        CPPUNIT_ASSERT(second.host().wait_until(
            [](const Seen& seen) { return seen.refused == 1 && seen.deliveries.size() == 1; }));
        first.request(2, MERIDIAN_CHANNEL_CONTROL, second.url(), "quick", never);
        second.delivered(MERIDIAN_CHANNEL_CONTROL, 1);
        second.reply(second.host().seen().deliveries.back().reply_id, "reply");
        CPPUNIT_ASSERT_EQUAL(std::string("reply"), first.reply_of(2).bytes);
        CPPUNIT_ASSERT(!first.has_reply(1));
        CPPUNIT_ASSERT(first.host().seen().completions.empty());
    }
    void is_not_supported_by_older_nodes() {
        FakePeer older(older_node);
        Node first{{"peers", older.url()}};
        first.request(1, MERIDIAN_CHANNEL_PULL, older.url(), "x", never);
        first.request(2, MERIDIAN_CHANNEL_CONTROL, older.url(), "x", never);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_NOT_SUPPORTED}, first.reply_of(1).status);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_NOT_SUPPORTED}, first.reply_of(2).status);
        // Once known, it is not asked again.
        const size_t asked = older.requests().size();
        first.request(3, MERIDIAN_CHANNEL_CONTROL, older.url(), "x", never);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_NOT_SUPPORTED}, first.reply_of(3).status);
        first->publish(MERIDIAN_CHANNEL_CONTROL, "", "x", 1);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_NOT_SUPPORTED}, first.done(1).status);
        CPPUNIT_ASSERT_EQUAL(asked, older.requests().size());
    }
    void fails_when_the_peer_refuses() {
        Node second{{"busy_timeout", "1ms"}};
        Node first{{"peers", second.url()}};
        second.set_status(MERIDIAN_INVALID);
        first.request(1, MERIDIAN_CHANNEL_PULL, second.url(), "x", never);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_UNAVAILABLE}, first.reply_of(1).status);
        CPPUNIT_ASSERT_EQUAL(second.url() + ": it answered 400", first.reply_of(1).message);
        second.set_status(MERIDIAN_BUSY);
        first.request(2, MERIDIAN_CHANNEL_CONTROL, second.url(), "x", never);
        CPPUNIT_ASSERT_EQUAL(second.url() + ": it answered 503", first.reply_of(2).message);
    }
    void fails_at_once_when_the_peer_is_down() {
        const uint16_t nobody = free_port();
        Node first{{"peers", url_of(nobody)}, {"reconnect_delay_max", "600s"}};
        CPPUNIT_ASSERT(first.host().wait_until([](const Seen& seen) { return seen.logged("cannot be reached") == 1; }));
        first.request(1, MERIDIAN_CHANNEL_PULL, url_of(nobody), "x", never);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_UNAVAILABLE}, first.reply_of(1).status);
        CPPUNIT_ASSERT_EQUAL(url_of(nobody) + ": Connection refused", first.reply_of(1).message);
    }
    void repeats_once_what_met_a_closed_connection() {
        // Answers each second request of a connection by closing it.
        std::atomic<int> count{0};
        FakePeer peer([&](const FakeRequest& request) -> std::optional<std::string> {
            if (request.line.find("osp1") == std::string::npos) return http_answer(200);
            if (++count == 2) return std::string();
            return http_answer(200, "re:" + request.body);
        });
        Node first{{"peers", peer.url()}};
        first.request(1, MERIDIAN_CHANNEL_CONTROL, peer.url(), "1", never);
        CPPUNIT_ASSERT_EQUAL(std::string("re:1"), first.reply_of(1).bytes);
        first.request(2, MERIDIAN_CHANNEL_CONTROL, peer.url(), "2", never);
        CPPUNIT_ASSERT_EQUAL(std::string("re:2"), first.reply_of(2).bytes);
        CPPUNIT_ASSERT_EQUAL(size_t{3}, peer.requests().size());
    }
    void refuses_a_reply_that_is_too_large() {
        Node second{{"message_bytes", "1024"}};
        Node first{{"peers", second.url()}};
        first.request(1, MERIDIAN_CHANNEL_PULL, second.url(), "x", never);
        second.delivered(MERIDIAN_CHANNEL_PULL, 1);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_INVALID},
                             second.reply(second.host().seen().deliveries[0].reply_id, std::string(1025, 'x')));
        CPPUNIT_ASSERT_EQUAL(std::string(), first.reply_of(1).bytes);
        // And one that is too large for the asker.
        FakePeer peer([](const FakeRequest&) { return http_answer(200, std::string(2000, 'x')); });
        Node small{{"message_bytes", "1024"}};
        small.request(1, MERIDIAN_CHANNEL_PULL, peer.url(), "x", never);
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_UNAVAILABLE}, small.reply_of(1).status);
        CPPUNIT_ASSERT(small.reply_of(1).message.find("2000 bytes; expected at most 1024") != std::string::npos);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(RequestTest);
