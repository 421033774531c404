// A real node that keeps its data in PostgreSQL.
#include <csignal>

#include "pg_fixture.h"
#include "server/test_client.h"
#include "sodium.h"

namespace meridian::test {

class PgNodeTest : public PgFixture {
    CPPUNIT_TEST_SUITE(PgNodeTest);
    CPPUNIT_TEST(a_killed_node_has_what_it_acknowledged);
    CPPUNIT_TEST(database_url_chooses_the_store);
    CPPUNIT_TEST(writes_are_refused_without_the_server_and_go_on_without_a_restart);
    CPPUNIT_TEST(a_second_node_on_the_schema_does_not_start);
    CPPUNIT_TEST(a_shared_store_is_refused);
    CPPUNIT_TEST_SUITE_END();

    static constexpr const char* counter = "/v1/namespaces/room/crdts/gc:a";

    std::unique_ptr<ServerProcess> start_node(const std::vector<std::string>& more = {},
                                              const std::vector<std::string>& environment = {}) {
        std::vector<std::string> settings = {"server.signing_key=" + signing_key_hex};
        settings.insert(settings.end(), more.begin(), more.end());
        data_.emplace_back(std::make_unique<TemporaryDirectory>());
        return std::make_unique<ServerProcess>(data_.back()->path() + "/data", settings, environment);
    }
    std::vector<std::string> on_postgres() const {
        return {"store.plugin=" STORE_PG_PATH, "store.url=" + server_->url(), "store.unavailable_after=300ms"};
    }
    static int add_one(const ServerProcess& node) {
        return http(node, "POST", std::string(counter) + "/ops", token(), counter_op(1)).status;
    }
    static std::string read(const ServerProcess& node) { return http(node, "GET", counter, token()).body; }

    std::vector<std::unique_ptr<TemporaryDirectory>> data_;

public:
    void setUp() override {
        CPPUNIT_ASSERT(sodium_init() >= 0);
        start_server();
    }

    void a_killed_node_has_what_it_acknowledged() {
        std::string before;
        {
            const auto node = start_node(on_postgres());
            for (int i = 0; i < 20; ++i) CPPUNIT_ASSERT_EQUAL(200, add_one(*node));
            before = read(*node);
            node->signal(SIGKILL);
            node->wait();
        }
        // With another data directory: nothing of it is needed.
        const auto node = start_node(on_postgres());
        CPPUNIT_ASSERT_EQUAL(before, read(*node));
        CPPUNIT_ASSERT_MESSAGE(before, before.find("20") != std::string::npos);
        CPPUNIT_ASSERT_EQUAL(200, add_one(*node));
        CPPUNIT_ASSERT(read(*node) != before);
    }

    void database_url_chooses_the_store() {
        const auto node = start_node({"plugins.path=" STORE_PG_DIRECTORY}, {"DATABASE_URL=" + server_->url()});
        CPPUNIT_ASSERT_EQUAL(200, add_one(*node));
        CPPUNIT_ASSERT(client().value("SELECT count(*) FROM meridian.log") != "0");
    }

    void writes_are_refused_without_the_server_and_go_on_without_a_restart() {
        const auto node = start_node(on_postgres());
        CPPUNIT_ASSERT_EQUAL(200, add_one(*node));
        const std::string before = read(*node);
        server_->stop();
        CPPUNIT_ASSERT_EQUAL(503, add_one(*node));
        CPPUNIT_ASSERT_EQUAL(503, add_one(*node));
        server_->start();
        await("a write that is taken", [&] { return add_one(*node) == 200; });
        CPPUNIT_ASSERT(read(*node).find("2") != std::string::npos);
        CPPUNIT_ASSERT(node->is_running());
    }

    void a_second_node_on_the_schema_does_not_start() {
        const auto node = start_node(on_postgres());
        std::string why;
        try {
            start_node(on_postgres());
        } catch (const std::runtime_error& error) { why = error.what(); }
        CPPUNIT_ASSERT_MESSAGE(why, why.find("schema 'meridian' is in use by meridian process " +
                                             std::to_string(node->pid())) != std::string::npos);
    }

    void a_shared_store_is_refused() {
        auto settings = on_postgres();
        settings.push_back("store.sharing=shared");
        std::string why;
        try {
            start_node(settings);
        } catch (const std::runtime_error& error) { why = error.what(); }
        CPPUNIT_ASSERT_MESSAGE(why, why.find("does not share a store with other nodes") != std::string::npos);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(PgNodeTest);

}  // namespace meridian::test
