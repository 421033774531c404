// Commits whose connection dies, at each point at which it matters: each is carried out once or not at all, and what is
// reported is so.
#include <csignal>
#include <functional>
#include <thread>

#include "pg_fixture.h"

namespace meridian::test {

using node::CommitStatus;

class PgCommitTest : public PgFixture {
    CPPUNIT_TEST_SUITE(PgCommitTest);
    CPPUNIT_TEST(a_commit_that_was_done_when_its_backend_died_is_found);
    CPPUNIT_TEST(a_commit_whose_backend_died_before_it_is_done_again);
    CPPUNIT_TEST(a_connection_that_was_given_up_cannot_write_later);
    CPPUNIT_TEST(a_group_waits_for_a_row_that_another_holds);
    CPPUNIT_TEST(a_deadlock_is_repeated);
    CPPUNIT_TEST(acknowledged_groups_survive_kills_of_the_server);
    CPPUNIT_TEST_SUITE_END();

    using Result = Awaited<node::CommitResult>;
    static Result submit(TestStore& store, const node::CommitGroup& group) {
        Result result;
        (*store).commit(group, result.completion());
        return result;
    }
    static node::CommitGroup one(uint64_t position, const std::string& payload) {
        return {{entry(position, "room", "a", payload)}, {}};
    }
    static void assert_durable(const node::CommitResult& result) {
        CPPUNIT_ASSERT_MESSAGE(result.message, result.status == CommitStatus::durable);
    }

public:
    void a_commit_that_was_done_when_its_backend_died_is_found() {
        start_server();
        auto store = open();
        store.put("room", "a", "before");
        auto other = client();
        // A standby that is not there: COMMIT has been done and waits before it says so.
        other.query("SET synchronous_commit = local");
        other.query("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
        other.query("SELECT pg_reload_conf()");
        // The process that makes the setting count takes its time: groups are committed until one of them waits.
        std::string expected = "before";
        std::string backend;
        uint64_t position = 1;
        std::optional<Result> result;
        while (backend.empty()) {
            position += 1;
            expected += " " + std::to_string(position);
            result.emplace(submit(store, one(position, std::to_string(position))));
            await("a commit that waits or is done", [&] {
                backend = other.value("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
                return !backend.empty() || result->count() != 0;
            });
        }
        CPPUNIT_ASSERT_EQUAL(0, result->count());
        other.query("SELECT pg_terminate_backend(" + backend + ")");
        await("the end of the backend",
              [&] { return other.query("SELECT 1 FROM pg_stat_activity WHERE pid = " + backend).empty(); });
        other.query("ALTER SYSTEM RESET synchronous_standby_names");
        other.query("SELECT pg_reload_conf()");
        assert_durable(result->get());
        CPPUNIT_ASSERT_EQUAL(expected, log_of(store));
        CPPUNIT_ASSERT(host_.warnings().find("the connection was lost during a commit") != std::string::npos);
        // It was found, not written once more: its number is one of the first connection.
        CPPUNIT_ASSERT_EQUAL(std::to_string((uint64_t{1} << 32) + position),
                             other.value("SELECT group_number FROM s.writers"));
        store.set_next_position(position + 1);
        store.put("room", "a", "after");
        CPPUNIT_ASSERT_EQUAL(expected + " after", log_of(store));
    }

    void a_commit_whose_backend_died_before_it_is_done_again() {
        start_server();
        auto store = open({{"unavailable_after", "60s"}});
        store.put("room", "a", "before");
        auto holder = client();
        holder.query("BEGIN");
        holder.query("SELECT 1 FROM s.log_head FOR UPDATE");
        Result result = submit(store, one(2, "in doubt"));
        auto other = client();
        const std::string backend = await_backend(other, "wait_event_type = 'Lock' AND query LIKE '%log_head%'");
        other.query("SELECT pg_terminate_backend(" + backend + ")");
        holder.query("COMMIT");
        assert_durable(result.get());
        CPPUNIT_ASSERT_EQUAL(std::string("before in doubt"), log_of(store));
    }

    // The server has not read what was sent when this side gives up, and carries it out when nobody asks any more.
    void a_connection_that_was_given_up_cannot_write_later() {
        start_server();
        auto store = open({{"sharing", "shared"}, {"statement_timeout", "200ms"}, {"unavailable_after", "60s"}});
        const auto write = [](const std::string& value) {
            node::CommitGroup group;
            group.metadata.push_back({"name", value});
            return group;
        };
        assert_durable(store.commit(write("1")));
        auto other = client();
        const std::string backend = other.value(
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE 'COMMIT' AND pid IN (SELECT "
            "pid FROM pg_locks WHERE locktype = 'advisory')");
        const pid_t process = std::stoi(backend);
        ::kill(process, SIGSTOP);
        Result result = submit(store, write("2"));
        assert_durable(result.get());  // over another connection
        assert_durable(store.commit(write("3")));
        ::kill(process, SIGCONT);
        await("the end of the old connection",
              [&] { return other.query("SELECT pid FROM pg_stat_activity WHERE pid = " + backend).empty(); });
        CPPUNIT_ASSERT_EQUAL(std::string("3"), store.metadata("name").value_or("(none)"));
    }

    void a_group_waits_for_a_row_that_another_holds() {
        start_server();
        auto store = open({{"lock_timeout", "20ms"}});
        store.put("room", "a", "before");
        auto holder = client();
        holder.query("BEGIN");
        holder.query("SELECT 1 FROM s.keys FOR UPDATE");
        Result result = submit(store, one(2, "waited"));
        auto other = client();
        // More than one try.
        std::string first = await_backend(other, "wait_event_type = 'Lock' AND query LIKE '%s\".keys%'");
        const std::string began = other.value("SELECT xact_start FROM pg_stat_activity WHERE pid = " + first);
        await("another try", [&] {
            const auto now = other.value("SELECT xact_start FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
            return !now.empty() && now != began;
        });
        holder.query("COMMIT");
        assert_durable(result.get());
        CPPUNIT_ASSERT_EQUAL(std::string("before waited"), log_of(store));
    }

    void a_deadlock_is_repeated() {
        start_server({"deadlock_timeout=10ms"});
        auto store = open({{"lock_timeout", "60s"}});
        CPPUNIT_ASSERT(store.commit({{entry(1, "room", "a", "1"), entry(2, "room", "b", "2")}, {}}).status ==
                       CommitStatus::durable);
        // The group has row a and waits for row b; another has the head and waits for row a, and will not be told. When
        // b is free, the group waits for the head: it is the one that closes the circle, and is told.
        auto holder = client();
        holder.query("BEGIN");
        holder.query("SELECT 1 FROM s.keys WHERE key_start = 'b' FOR UPDATE");
        auto other = client();
        other.query("SET deadlock_timeout = '1h'");
        other.query("BEGIN");
        other.query("SELECT 1 FROM s.log_head FOR UPDATE");
        Result result = submit(store, {{entry(3, "room", "a", "3"), entry(4, "room", "b", "4")}, {}});
        auto looker = client();
        await_backend(looker, "wait_event_type = 'Lock'");
        std::thread waiting([&] {
            other.query("SELECT 1 FROM s.keys WHERE key_start = 'a' FOR UPDATE");
            other.query("COMMIT");
        });
        await_backend(looker, "wait_event_type = 'Lock' AND query LIKE '%key_start = ''a''%'");
        holder.query("COMMIT");
        waiting.join();
        assert_durable(result.get());
        CPPUNIT_ASSERT_EQUAL(std::string("1 2 3 4"), log_of(store));
        CPPUNIT_ASSERT(server_->log().find("deadlock detected") != std::string::npos);
    }

    void acknowledged_groups_survive_kills_of_the_server() {
        start_server({}, true);
        auto store = open({{"unavailable_after", "60s"}});
        std::string expected;
        uint64_t position = 1;
        for (int kill = 0; kill < 4; ++kill) {
            for (int i = 0; i < 50; ++i, ++position) {
                const std::string payload = std::to_string(position);
                Result result = submit(store, one(position, payload));
                if (i == 25) {
                    server_->kill();
                    server_->start();
                }
                assert_durable(result.get());
                expected += (expected.empty() ? "" : " ") + payload;
            }
        }
        CPPUNIT_ASSERT_EQUAL(expected, log_of(store));
        store->close();
        auto again = open();
        CPPUNIT_ASSERT_EQUAL(position, again->opening().next_position);
        CPPUNIT_ASSERT_EQUAL(expected, log_of(again));
        CPPUNIT_ASSERT_EQUAL(size_t{200}, again.read("room", "a").tail.size());
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(PgCommitTest);

}  // namespace meridian::test
