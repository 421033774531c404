// A transport plug-in behind replication::Transport: what is passed on, what comes back, what never reaches it. The
// plug-in is a class of this file, made into a descriptor by transport.hpp; the test plays its threads.
#include <cppunit/extensions/HelperMacros.h>

#include <map>
#include <set>

#include "meridian/transport.hpp"
#include "plugin/transport_adapter.h"
#include "store_fixture.h"

namespace meridian::test {
namespace {

using namespace abi;
using replication::Channel;
using replication::Delivery;
using replication::LinkState;
using replication::SendStatus;

constexpr uint64_t size_max = 1000;

// Notes what it is told to do, and answers as the test says.
class NotingTransport {
public:
    NotingTransport(Host host, const Config& config) : host_(host) {
        if (config.text("mode") == "broken") throw Failure(MERIDIAN_IO, "there is no such mode");
        made = this;
    }
    ~NotingTransport() {
        if (made == this) made = nullptr;
    }
    NotingTransport(const NotingTransport&) = delete;
    NotingTransport& operator=(const NotingTransport&) = delete;

    void reconfigure(const Config& config) {
        if (config.text("mode") == "broken") throw Failure(MERIDIAN_INVALID, "it would break");
        calls.push_back("reconfigure " + std::string(config.text("mode")));
    }
    void start(const NodeName& node, TransportSink sink) {
        if (fail_start) throw Failure(MERIDIAN_IN_USE, "the address is taken");
        calls.push_back("start " + std::to_string(node.node_id) + " " + node.text);
        to_host.emplace(sink);
    }
    void stop(uint64_t deadline_us) {
        calls.push_back("stop " + std::to_string(deadline_us));
        for (const auto& publish : publishes) publish.done(MERIDIAN_CANCELLED);
        publishes.clear();
    }
    uint64_t message_bytes_max() const noexcept { return size_max; }
    std::string address() const { return "here:1"; }
    template <class Link>
    void links(Link link) const {
        link(MERIDIAN_LINK_UP, "peer:2", "", 3, 40);
        link(MERIDIAN_LINK_DOWN, "peer:3", "refused", 0, 0);
        link(77, "peer:4", "", 0, 0);
    }
    meridian_status publish(uint32_t channel, std::string_view namespace_name, std::string_view message,
                            PublishSink sink) {
        return take(
            "publish " + std::to_string(channel) + " " + std::string(namespace_name) + " " + std::string(message),
            publishes, sink);
    }
    meridian_status send(std::string_view target, std::string_view message, PublishSink sink) {
        return take("send " + std::string(target) + " " + std::string(message), publishes, sink);
    }
    meridian_status request(uint64_t id, uint32_t channel, std::string_view target, std::string_view message,
                            uint64_t deadline_us, ReplySink sink) {
        request_ids.insert(id);
        return take("request " + std::to_string(channel) + " " + std::string(target) + " " + std::string(message) +
                        " " + std::to_string(deadline_us),
                    requests, sink);
    }
    void cancel(uint64_t) {}
    meridian_status reply(uint64_t reply_id, std::string_view message) {
        calls.push_back("reply " + std::to_string(reply_id) + " " + std::string(message));
        return MERIDIAN_INVALID;
    }
    void resume() { calls.push_back("resume"); }

    static inline NotingTransport* made = nullptr;  // the last one
    static inline bool fail_start = false;
    std::vector<std::string> calls;
    std::optional<TransportSink> to_host;
    meridian_status answer = MERIDIAN_OK;  // of submits
    std::vector<PublishSink> publishes;
    std::vector<ReplySink> requests;
    std::set<uint64_t> request_ids;

private:
    template <class Sink>
    meridian_status take(const std::string& call, std::vector<Sink>& sinks, Sink sink) {
        calls.push_back(call);
        if (answer == MERIDIAN_OK) sinks.push_back(sink);
        return answer;
    }
    Host host_;
};

constexpr meridian_config_key keys[] = {{sizeof(meridian_config_key), MERIDIAN_TYPE_STRING, MERIDIAN_KEY_RELOADABLE, 0,
                                         "mode", "good", 0, 0, nullptr, nullptr, "A mode."}};

// Has every capability, or none.
constexpr meridian_plugin_descriptor able = TransportTable<NotingTransport>::descriptor(
    MERIDIAN_IDENTITY(MERIDIAN_KIND_TRANSPORT, "transport-noting", "1"),
    MERIDIAN_TRANSPORT_BROADCAST | MERIDIAN_TRANSPORT_RECEIVER_COUNT | MERIDIAN_TRANSPORT_NODE_NAMES, "MIT", "Notes",
    keys);
constexpr meridian_plugin_descriptor without(uint32_t capabilities) {
    meridian_plugin_descriptor out = able;
    out.capabilities &= ~capabilities;
    return out;
}
constexpr meridian_plugin_descriptor unable = without(~uint32_t{0});

class NotingListener : public replication::TransportListener {
public:
    Delivery on_message(Channel channel, std::string_view namespace_name, std::string_view message,
                        std::string_view source, uint64_t reply_id) override {
        events.push_back("message " + std::to_string(static_cast<int>(channel)) + " " + std::string(namespace_name) +
                         " " + std::string(message) + " " + std::string(source) + " " + std::to_string(reply_id));
        return delivery;
    }
    void on_gap(Channel channel) override { events.push_back("gap " + std::to_string(static_cast<int>(channel))); }
    void on_up(uint64_t epoch) override { events.push_back("up " + std::to_string(epoch)); }
    void on_down(std::string_view reason) override { events.push_back("down " + std::string(reason)); }
    void on_writable() override { events.push_back("writable"); }

    Delivery delivery = Delivery::taken;
    std::vector<std::string> events;
};

class TransportAdapterTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(TransportAdapterTest);
    CPPUNIT_TEST(says_what_the_plugin_can_do);
    CPPUNIT_TEST(gives_the_reason_of_a_failed_create_and_start);
    CPPUNIT_TEST(passes_every_call_on);
    CPPUNIT_TEST(completes_once_with_what_the_plugin_says);
    CPPUNIT_TEST(a_refused_submit_never_completes);
    CPPUNIT_TEST(requests_have_different_ids);
    CPPUNIT_TEST(does_not_call_functions_that_the_plugin_lacks);
    CPPUNIT_TEST(does_not_pass_on_what_is_no_address);
    CPPUNIT_TEST(delivers_and_answers);
    CPPUNIT_TEST(refuses_channels_and_sources_that_do_not_exist);
    CPPUNIT_TEST(shows_address_and_links_between_start_and_stop);
    CPPUNIT_TEST(stops_once_and_refuses_afterwards);
    CPPUNIT_TEST(gives_new_values);
    CPPUNIT_TEST(logs_the_first_defect);
    CPPUNIT_TEST_SUITE_END();

    TestHost host_;
    NotingListener listener_;

    Result<std::unique_ptr<plugin::LoadedTransport>> open(const plugin::Configuration& configuration,
                                                          const meridian_plugin_descriptor& descriptor = able) {
        return plugin::open_transport({"made", &descriptor}, "east", configuration, host_.services(), {0xabc, "abc"});
    }
    std::unique_ptr<plugin::LoadedTransport> started(const meridian_plugin_descriptor& descriptor = able) {
        auto transport = open({{{"mode", "good"}}}, descriptor);
        CPPUNIT_ASSERT_MESSAGE(transport ? "" : transport.error().message, transport.ok());
        const auto result = (*transport)->start(listener_);
        CPPUNIT_ASSERT_MESSAGE(result ? "" : result.error().message, result.ok());
        return std::move(*transport);
    }
    static NotingTransport& plugin() { return *NotingTransport::made; }
    static std::string last_call() { return plugin().calls.empty() ? "" : plugin().calls.back(); }

public:
    void tearDown() override { NotingTransport::fail_start = false; }

    void says_what_the_plugin_can_do() {
        const auto transport = started();
        CPPUNIT_ASSERT_EQUAL(std::string("east"), transport->name());
        CPPUNIT_ASSERT(transport->has_broadcast() && transport->has_unicast() && transport->has_request());
        CPPUNIT_ASSERT(transport->counts_receivers() && transport->addresses_nodes_by_name());
        CPPUNIT_ASSERT_EQUAL(size_max, transport->message_bytes_max());
        const auto other = started(unable);
        CPPUNIT_ASSERT(!other->has_broadcast() && !other->has_unicast() && !other->has_request());
        CPPUNIT_ASSERT(!other->counts_receivers() && !other->addresses_nodes_by_name());
    }

    void gives_the_reason_of_a_failed_create_and_start() {
        const auto refused = open({{{"mode", "broken"}}});
        CPPUNIT_ASSERT(!refused.ok());
        CPPUNIT_ASSERT_EQUAL(std::string("transport transport-noting: there is no such mode"), refused.error().message);
        auto transport = open({{{"mode", "good"}}});
        CPPUNIT_ASSERT(transport.ok());
        NotingTransport::fail_start = true;
        const auto failed = (*transport)->start(listener_);
        CPPUNIT_ASSERT(!failed.ok());
        CPPUNIT_ASSERT_EQUAL(std::string("transport transport-noting: the address is taken"), failed.error().message);
        CPPUNIT_ASSERT((*transport)->publish(Channel::control, "", "x", {}) == SendStatus::stopped);
        CPPUNIT_ASSERT(plugin().calls.empty());
    }

    void passes_every_call_on() {
        const auto transport = started();
        CPPUNIT_ASSERT_EQUAL(std::string("start 2748 abc"), last_call());
        CPPUNIT_ASSERT(transport->publish(Channel::delta, "room", "bytes", {}) == SendStatus::ok);
        CPPUNIT_ASSERT_EQUAL(std::string("publish 1 room bytes"), last_call());
        CPPUNIT_ASSERT(transport->send("peer", "hello", {}) == SendStatus::ok);
        CPPUNIT_ASSERT_EQUAL(std::string("send peer hello"), last_call());
        CPPUNIT_ASSERT(transport->request(Channel::pull, "peer", "more", 77, {}) == SendStatus::ok);
        CPPUNIT_ASSERT_EQUAL(std::string("request 3 peer more 77"), last_call());
        transport->reply(5, "answer");
        CPPUNIT_ASSERT_EQUAL(std::string("reply 5 answer"), last_call());
        transport->resume();
        CPPUNIT_ASSERT_EQUAL(std::string("resume"), last_call());
        // Completions that nobody waits for.
        for (const PublishSink& sink : std::exchange(plugin().publishes, {})) sink.done(MERIDIAN_OK);
        plugin().requests[0].reply("x");
    }

    void completes_once_with_what_the_plugin_says() {
        const std::map<meridian_status, SendStatus> expected = {
            {MERIDIAN_OK, SendStatus::ok},
            {MERIDIAN_CANCELLED, SendStatus::stopped},
            {MERIDIAN_NOT_SUPPORTED, SendStatus::unsupported},
            {MERIDIAN_TIMEOUT, SendStatus::unavailable},
            {MERIDIAN_UNAVAILABLE, SendStatus::unavailable},
            {MERIDIAN_IO, SendStatus::unavailable},
            {MERIDIAN_INTERNAL, SendStatus::unavailable},
            {99, SendStatus::unavailable},
        };
        const auto transport = started();
        for (const auto& [status, wanted] : expected) {
            std::vector<std::pair<SendStatus, uint64_t>> done;
            const auto note = [&done](SendStatus result, uint64_t receivers) { done.emplace_back(result, receivers); };
            CPPUNIT_ASSERT(transport->publish(Channel::control, "", "x", note) == SendStatus::ok);
            CPPUNIT_ASSERT(transport->send("peer", "x", note) == SendStatus::ok);
            CPPUNIT_ASSERT(done.empty());
            for (const PublishSink& sink : std::exchange(plugin().publishes, {})) sink.done(status, "why", 4);
            CPPUNIT_ASSERT_EQUAL(size_t{2}, done.size());
            for (const auto& [result, receivers] : done) {
                CPPUNIT_ASSERT(result == wanted);
                CPPUNIT_ASSERT_EQUAL(uint64_t{4}, receivers);
            }
            std::vector<std::pair<SendStatus, std::string>> replies;
            CPPUNIT_ASSERT(
                transport->request(Channel::control, "peer", "x", 1, [&](SendStatus result, std::string text) {
                    replies.emplace_back(result, std::move(text));
                }) == SendStatus::ok);
            const ReplySink sink = std::exchange(plugin().requests, {}).at(0);
            status == MERIDIAN_OK ? sink.reply("answer") : sink.failed(status, "why");
            CPPUNIT_ASSERT_EQUAL(size_t{1}, replies.size());
            CPPUNIT_ASSERT(replies[0].first == wanted);
            CPPUNIT_ASSERT_EQUAL(std::string(status == MERIDIAN_OK ? "answer" : ""), replies[0].second);
        }
    }

    void a_refused_submit_never_completes() {
        const std::map<meridian_status, SendStatus> expected = {
            {MERIDIAN_BUSY, SendStatus::busy},
            {MERIDIAN_CANCELLED, SendStatus::stopped},
            {MERIDIAN_NOT_SUPPORTED, SendStatus::unsupported},
            {MERIDIAN_UNAVAILABLE, SendStatus::unavailable},
            {MERIDIAN_INVALID, SendStatus::unavailable},
        };
        const auto transport = started();
        const auto held = std::make_shared<int>(0);
        for (const auto& [status, wanted] : expected) {
            plugin().answer = status;
            const auto count = [held](SendStatus, uint64_t) { *held += 1; };
            CPPUNIT_ASSERT(transport->publish(Channel::control, "", "x", count) == wanted);
            CPPUNIT_ASSERT(transport->send("peer", "x", count) == wanted);
            CPPUNIT_ASSERT(transport->request(Channel::control, "peer", "x", 1,
                                              [held](SendStatus, std::string) { *held += 1; }) == wanted);
        }
        CPPUNIT_ASSERT_EQUAL(0, *held);
        CPPUNIT_ASSERT_EQUAL(1L, held.use_count());  // nothing is kept
    }

    void requests_have_different_ids() {
        const auto transport = started();
        for (int i = 0; i < 100; ++i)
            CPPUNIT_ASSERT(transport->request(Channel::control, "peer", "x", 1, {}) == SendStatus::ok);
        CPPUNIT_ASSERT_EQUAL(size_t{100}, plugin().request_ids.size());
        for (const ReplySink& sink : plugin().requests) sink.failed(MERIDIAN_TIMEOUT);
    }

    void does_not_call_functions_that_the_plugin_lacks() {
        const auto transport = started(unable);
        CPPUNIT_ASSERT(transport->publish(Channel::delta, "room", "x", {}) == SendStatus::unsupported);
        CPPUNIT_ASSERT(transport->send("peer", "x", {}) == SendStatus::unsupported);
        CPPUNIT_ASSERT(transport->request(Channel::control, "peer", "x", 1, {}) == SendStatus::unsupported);
        CPPUNIT_ASSERT_EQUAL(std::string("start 2748 abc"), last_call());
    }

    void does_not_pass_on_what_is_no_address() {
        // transport.hpp refuses it as well: this plug-in has functions without it.
        meridian_transport_functions bare = *able.transport;
        bare.send = [](void*, meridian_bytes, meridian_bytes, const meridian_publish_sink*) -> meridian_status {
            plugin().calls.push_back("bare send");
            return MERIDIAN_BUSY;
        };
        bare.request = [](void*, uint64_t, uint32_t, meridian_bytes, meridian_bytes, uint64_t,
                          const meridian_reply_sink*) -> meridian_status {
            plugin().calls.push_back("bare request");
            return MERIDIAN_BUSY;
        };
        meridian_plugin_descriptor descriptor = able;
        descriptor.transport = &bare;
        const auto transport = started(descriptor);
        for (const std::string& target : {std::string(), std::string(1025, 'a')}) {
            CPPUNIT_ASSERT(transport->send(target, "x", {}) == SendStatus::unavailable);
            CPPUNIT_ASSERT(transport->request(Channel::control, target, "x", 1, {}) == SendStatus::unavailable);
        }
        CPPUNIT_ASSERT_EQUAL(std::string("start 2748 abc"), last_call());
        CPPUNIT_ASSERT(transport->send(std::string(1024, 'a'), "x", {}) == SendStatus::busy);
        CPPUNIT_ASSERT_EQUAL(std::string("bare send"), last_call());
    }

    void delivers_and_answers() {
        const auto transport = started();
        const TransportSink& sink = *plugin().to_host;
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, sink.deliver(MERIDIAN_CHANNEL_DELTA, "room", "x", "peer"));
        CPPUNIT_ASSERT_EQUAL(std::string("message 1 room x peer 0"), listener_.events.back());
        listener_.delivery = Delivery::busy;
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_BUSY}, sink.deliver(MERIDIAN_CHANNEL_PULL, "", "y", "", 9));
        CPPUNIT_ASSERT_EQUAL(std::string("message 3  y  9"), listener_.events.back());
        listener_.delivery = Delivery::invalid;
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_INVALID}, sink.deliver(MERIDIAN_CHANNEL_LEGACY_LOG, "", "1"));
        CPPUNIT_ASSERT_EQUAL(std::string("message 4  1  0"), listener_.events.back());
        sink.up(7);
        sink.gap(MERIDIAN_CHANNEL_CONTROL);
        sink.writable();
        sink.down("the broker left");
        const std::vector<std::string> events(listener_.events.end() - 4, listener_.events.end());
        CPPUNIT_ASSERT(events == (std::vector<std::string>{"up 7", "gap 2", "writable", "down the broker left"}));
    }

    void refuses_channels_and_sources_that_do_not_exist() {
        const auto transport = started();
        const TransportSink& sink = *plugin().to_host;
        for (const uint32_t channel : {0u, 5u, ~0u}) {
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_INVALID}, sink.deliver(channel, "", "x"));
            sink.gap(channel);
        }
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_INVALID},
                             sink.deliver(MERIDIAN_CHANNEL_CONTROL, "", "x", std::string(1025, 'a')));
        CPPUNIT_ASSERT(listener_.events.empty());
    }

    void shows_address_and_links_between_start_and_stop() {
        auto opened = open({{{"mode", "good"}}});
        auto& transport = **opened;
        CPPUNIT_ASSERT(transport.address().empty() && transport.links().empty());
        CPPUNIT_ASSERT(transport.publish(Channel::control, "", "x", {}) == SendStatus::stopped);
        CPPUNIT_ASSERT(transport.start(listener_).ok());
        CPPUNIT_ASSERT_EQUAL(std::string("here:1"), transport.address());
        const auto links = transport.links();
        CPPUNIT_ASSERT_EQUAL(size_t{3}, links.size());
        CPPUNIT_ASSERT(links[0].state == LinkState::up && links[1].state == LinkState::down);
        CPPUNIT_ASSERT(links[2].state == LinkState::connecting);  // a state that this host does not know
        CPPUNIT_ASSERT_EQUAL(std::string("peer:2"), links[0].address);
        CPPUNIT_ASSERT_EQUAL(std::string("refused"), links[1].error);
        CPPUNIT_ASSERT(links[0].queued_messages == 3 && links[0].queued_bytes == 40);
        transport.stop(1);
        CPPUNIT_ASSERT(transport.address().empty() && transport.links().empty());
    }

    void stops_once_and_refuses_afterwards() {
        auto transport = started();
        int stopped = 0;
        CPPUNIT_ASSERT(transport->publish(Channel::control, "", "x", [&](SendStatus status, uint64_t) {
            stopped += status == SendStatus::stopped ? 1 : 100;
        }) == SendStatus::ok);
        transport->stop(99);
        CPPUNIT_ASSERT_EQUAL(std::string("stop 99"), last_call());
        CPPUNIT_ASSERT_EQUAL(1, stopped);
        transport->stop(100);
        transport->resume();
        transport->reply(1, "late");
        CPPUNIT_ASSERT_EQUAL(std::string("stop 99"), last_call());
        CPPUNIT_ASSERT(transport->publish(Channel::control, "", "x", {}) == SendStatus::stopped);
        CPPUNIT_ASSERT(transport->send("peer", "x", {}) == SendStatus::stopped);
        CPPUNIT_ASSERT(transport->request(Channel::control, "peer", "x", 1, {}) == SendStatus::stopped);
        CPPUNIT_ASSERT(NotingTransport::made != nullptr);
        transport.reset();
        CPPUNIT_ASSERT(NotingTransport::made == nullptr);
    }

    void gives_new_values() {
        const auto transport = started();
        CPPUNIT_ASSERT(transport->reconfigure({{{"mode", "better"}}}).ok());
        CPPUNIT_ASSERT_EQUAL(std::string("reconfigure better"), last_call());
        const auto refused = transport->reconfigure({{{"mode", "broken"}}});
        CPPUNIT_ASSERT(!refused.ok());
        CPPUNIT_ASSERT_EQUAL(std::string("transport transport-noting: it would break"), refused.error().message);
    }

    void logs_the_first_defect() {
        const auto transport = started();
        plugin().answer = MERIDIAN_INVALID;
        transport->send("peer", "x", {});
        CPPUNIT_ASSERT_EQUAL(std::string("transport transport-noting: the transport refused the call as invalid\n"),
                             host_.warnings());
        const std::string once = host_.warnings();
        transport->send("peer", "x", {});
        CPPUNIT_ASSERT_EQUAL(once, host_.warnings());
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(TransportAdapterTest);

}  // namespace
}  // namespace meridian::test
