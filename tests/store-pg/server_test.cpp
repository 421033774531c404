// Servers that are away, hang, cannot write, have lost data, or are not what they seem; nodes that want the same
// schema.
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <fstream>
#include <thread>

#include "pg_fixture.h"

namespace meridian::test {

using node::CommitStatus;

class PgServerTest : public PgFixture {
    CPPUNIT_TEST_SUITE(PgServerTest);
    CPPUNIT_TEST(without_a_server_writes_are_refused_until_it_is_back);
    CPPUNIT_TEST(a_server_that_hangs_is_given_up_and_found_again);
    CPPUNIT_TEST(a_server_that_cannot_write_is_named_so);
    CPPUNIT_TEST(a_server_that_becomes_read_only_is_used_again_when_it_is_not);
    CPPUNIT_TEST(a_server_that_lost_acknowledged_groups_gets_no_more);
    CPPUNIT_TEST(a_schema_that_another_node_wrote_to_gets_no_more);
    CPPUNIT_TEST(a_second_node_is_refused_with_the_name_of_the_first);
    CPPUNIT_TEST(nodes_of_one_id_exclude_each_other);
    CPPUNIT_TEST(an_exclusive_node_and_sharing_nodes_exclude_each_other);
    CPPUNIT_TEST(five_nodes_make_one_schema_together);
    CPPUNIT_TEST(a_newer_schema_is_refused);
    CPPUNIT_TEST(a_role_without_the_right_to_create_is_enough_for_a_schema_that_exists);
    CPPUNIT_TEST(strange_schema_names_are_refused);
    CPPUNIT_TEST(passwords_are_in_no_message);
    CPPUNIT_TEST(a_pooler_of_transactions_is_refused_and_one_of_sessions_is_not);
    CPPUNIT_TEST_SUITE_END();

    bool warned(const std::string& text) const { return host_.warnings().find(text) != std::string::npos; }
    static bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
    static void assert_has(const std::string& text, const std::string& part) {
        CPPUNIT_ASSERT_MESSAGE(text, has(text, part));
    }

public:
    void without_a_server_writes_are_refused_until_it_is_back() {
        start_server();
        auto store = open();
        store.put("room", "a", "1");
        CPPUNIT_ASSERT(store->usage().log_bytes_available > 0);
        server_->stop();
        const auto refused = store.commit({{entry(2, "room", "a", "x")}, {}});
        CPPUNIT_ASSERT(refused.status == CommitStatus::not_committed);
        assert_has(refused.message, "database 'postgres' on ");
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, store->usage().log_bytes_available);
        CPPUNIT_ASSERT(!store->usage().failed);
        CPPUNIT_ASSERT(!store.read("room", "a").error.empty());
        server_->start();
        await("space for writes", [&] { return store->usage().log_bytes_available > 0; });
        CPPUNIT_ASSERT_EQUAL(std::string("1"), log_of(store));
        store.put("room", "a", "2");
        CPPUNIT_ASSERT_EQUAL(std::string("1 2"), log_of(store));
        CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "a", 2, "state"));
    }

    void a_server_that_hangs_is_given_up_and_found_again() {
        start_server();
        auto store = open({{"statement_timeout", "100ms"}, {"connect_timeout", "200ms"}});
        store.put("room", "a", "1");
        server_->hang();
        Awaited<node::CommitResult> result;
        (*store).commit({{entry(2, "room", "a", "2")}, {}}, result.completion());
        await("a warning", [&] { return warned("finding out what has become of it"); });
        CPPUNIT_ASSERT_EQUAL(0, result.count());
        server_->wake();
        // Carried out or not: that is known now.
        const bool is_there = result.get().status == CommitStatus::durable;
        CPPUNIT_ASSERT(result.get().status != CommitStatus::outcome_unknown);
        CPPUNIT_ASSERT_EQUAL(std::string(is_there ? "1 2" : "1"), log_of(store));
    }

    void a_server_that_cannot_write_is_named_so() {
        start_server();
        open();
        server_->stop();
        server_ = nullptr;
        start_server({"default_transaction_read_only=on"});
        assert_has(refusal(), "session is read-only");
    }

    void a_server_that_becomes_read_only_is_used_again_when_it_is_not() {
        start_server();
        auto store = open();
        store.put("room", "a", "1");
        auto other = client();
        const auto set = [&](const std::string& value) {
            other.query("ALTER SYSTEM SET default_transaction_read_only = " + value);
            other.query("SELECT pg_reload_conf()");
            await("the setting", [&] { return client().value("SHOW default_transaction_read_only") == value; });
        };
        set("on");
        // The store's own session is told a little later, perhaps.
        node::CommitResult refused;
        await("a refusal", [&] {
            refused = store.commit_metadata("probe", "x");
            return refused.status == CommitStatus::not_committed;
        });
        assert_has(refused.message, "read-only");
        set("off");
        await("space for writes", [&] { return store->usage().log_bytes_available > 0; });
        store.put("room", "a", "2");
        CPPUNIT_ASSERT_EQUAL(std::string("1 2"), log_of(store));
    }

    // As when a standby that lagged is promoted.
    void a_server_that_lost_acknowledged_groups_gets_no_more() {
        start_server();
        auto store = open();
        store.put("room", "a", "1");
        server_->stop();
        server_->save();
        server_->start();
        await("space for writes", [&] {
            store.commit_metadata("probe", "x");
            return store->usage().log_bytes_available > 0;
        });
        store.put("room", "a", "2");
        server_->stop();
        server_->restore_saved();
        server_->start();
        await("a refusal for good", [&] {
            return store.commit({{entry(3, "room", "a", "3")}, {}}).status == CommitStatus::not_committed &&
                   store->usage().failed;
        });
        CPPUNIT_ASSERT(warned("it has lost groups that it had committed"));
        CPPUNIT_ASSERT_EQUAL(std::string("1"), log_of(store));
    }

    // It had the schema while this node's connection was lost.
    void a_schema_that_another_node_wrote_to_gets_no_more() {
        start_server();
        auto store = open();
        store.put("room", "a", "1");
        auto other = client();
        other.query("UPDATE s.log_head SET next_position = 7");
        other.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename <> ''");
        await("a refusal for good", [&] { return store->usage().failed; });
        CPPUNIT_ASSERT(warned("another node has written to schema 's' (found next position 7, expected 2)"));
        CPPUNIT_ASSERT(store.commit({{entry(2, "room", "a", "x")}, {}}).status == CommitStatus::not_committed);
    }

    void a_second_node_is_refused_with_the_name_of_the_first() {
        start_server();
        auto store = open();
        const std::string text = refusal();
        assert_has(text, "schema 's' is in use by meridian process " + std::to_string(::getpid()));
        open({{"schema", "other"}}).put("room", "a", "1");
        store->close();
        open();
    }

    void nodes_of_one_id_exclude_each_other() {
        start_server();
        auto store = open({{"sharing", "shared"}, {"node_id", "7"}});
        assert_has(refusal({{"sharing", "shared"}, {"node_id", "7"}}), "is in use by meridian process");
        open({{"sharing", "shared"}, {"node_id", "8"}});
    }

    void an_exclusive_node_and_sharing_nodes_exclude_each_other() {
        start_server();
        {
            auto store = open();
            assert_has(refusal({{"sharing", "shared"}}), "is in use");
        }
        auto store = open({{"sharing", "shared"}});
        assert_has(refusal(), "is in use");
    }

    void five_nodes_make_one_schema_together() {
        start_server();
        std::vector<std::thread> threads;
        std::vector<node::StoreOpening> openings(5);
        std::vector<std::string> errors(5);
        for (size_t i = 0; i < 5; ++i) {
            threads.emplace_back([&, i] {
                auto store = try_to_open({{"sharing", "shared"}});
                if (!store) errors[i] = store.error().message;
                if (store) openings[i] = (*store)->opening();
            });
        }
        for (std::thread& thread : threads) thread.join();
        size_t made = 0;
        for (size_t i = 0; i < 5; ++i) {
            CPPUNIT_ASSERT_EQUAL(std::string(), errors[i]);
            CPPUNIT_ASSERT(openings[i].store_id == openings[0].store_id);
            made += openings[i].created ? 1 : 0;
        }
        CPPUNIT_ASSERT_EQUAL(size_t{1}, made);
    }

    void a_newer_schema_is_refused() {
        start_server();
        open();
        client().query("INSERT INTO s.migrations (version) VALUES (99)");
        assert_has(refusal(), "schema 's' has version 99, expected at most 1");
    }

    void a_role_without_the_right_to_create_is_enough_for_a_schema_that_exists() {
        start_server();
        auto administrator = client();
        administrator.query("CREATE ROLE node LOGIN");
        const Section as_node = {{"url", server_->url("node")}};
        assert_has(refusal(as_node), "permission denied");
        open();
        administrator.query("GRANT USAGE ON SCHEMA s TO node");
        administrator.query("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA s TO node");
        auto store = open(as_node);
        store.put("room", "a", "1");
        CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "a", 1, "state"));
        store->retain_from(2);
        await("the end of the log", [&] { return store.log(1).gone; });
    }

    void strange_schema_names_are_refused() {
        start_server();
        for (const char* name : {"", "a b", "a\"b", "A", "1a", "pg_x", "information_schema"})
            CPPUNIT_ASSERT_MESSAGE(name, has(refusal({{"schema", name}}), "schema"));
        assert_has(refusal({{"schema", std::string(64, 'a')}}), "expected 1 to 63 letters");
        open({{"schema", std::string(63, 'a')}});
    }

    void passwords_are_in_no_message() {
        start_server();
        const std::string malformed = refusal({{"url", "postgresql://hunter2@[x"}});
        assert_has(malformed, "url: it is not shown here");
        CPPUNIT_ASSERT(!has(malformed, "hunter2"));
        // A server that repeats it.
        const std::string repeated = refusal({{"url", server_->url("hunter2", "hunter2")}});
        assert_has(repeated, "role \"***\" does not exist");
        CPPUNIT_ASSERT(!has(repeated + host_.warnings(), "hunter2"));
        const std::string apart = refusal({{"url", server_->url("hunter3")}, {"password", "hunter3"}});
        CPPUNIT_ASSERT(!has(apart, "hunter3"));
    }

    void a_pooler_of_transactions_is_refused_and_one_of_sessions_is_not() {
        start_server();
        const std::string directory = server_->socket_directory();
        const auto start = [&](const std::string& mode, const std::string& port) {
            std::ofstream(directory + "/" + mode + ".ini")
                << "[databases]\npostgres = host=" << directory
                << " port=5432 user=meridian\n[pgbouncer]\nauth_type = any\n"
                << "pool_mode = " << mode << "\nlisten_port = " << port << "\nunix_socket_dir = " << directory << "\n"
                << "ignore_startup_parameters = extra_float_digits\n";
            const pid_t process = server_->run_beside({"/usr/sbin/pgbouncer", directory + "/" + mode + ".ini"});
            const std::string url = server_->url() + " port=" + port;
            await("the pooler", [&] { return PQping(url.c_str()) == PQPING_OK; });
            return std::make_pair(process, url);
        };
        const auto transactions = start("transaction", "6432");
        const auto sessions = start("session", "6433");
        assert_has(refusal({{"url", transactions.second}}), "PgBouncer with pool_mode = transaction");
        {
            auto store = open({{"url", sessions.second}});
            store.put("room", "a", "1");
            CPPUNIT_ASSERT_EQUAL(std::string("1"), log_of(store));
        }
        for (const pid_t process : {transactions.first, sessions.first}) {
            ::kill(process, SIGKILL);
            ::waitpid(process, nullptr, 0);
        }
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(PgServerTest);

}  // namespace meridian::test
