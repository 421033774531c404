// A process that commits is killed; what it was told is durable must be there, and nothing that it did not write.
// (Killing a process does not lose what it has written without syncing: this tests recovery, not the sync itself.)
#include <cppunit/extensions/HelperMacros.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash_workload.h"

extern char** environ;

namespace meridian::test {
namespace {

class StoreCrashTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(StoreCrashTest);
    CPPUNIT_TEST(nothing_acknowledged_is_lost_and_nothing_is_invented_when_the_process_is_killed);
    CPPUNIT_TEST_SUITE_END();

    TemporaryDirectory temporary_;
    TestHost host_;
    const std::string directory_ = temporary_.path() + "/store";

    // Runs the writer until it has acknowledged `acknowledgements` groups, kills it, and gives the last position it
    // acknowledged.
    uint64_t run_and_kill(int acknowledgements) {
        int ends[2];
        CPPUNIT_ASSERT_EQUAL(0, ::pipe2(ends, O_CLOEXEC));
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        std::string program = CRASH_WRITER_PATH;
        std::string directory = directory_;
        char* arguments[] = {program.data(), directory.data(), nullptr};
        pid_t child = -1;
        const int spawned = ::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments, environ);
        posix_spawn_file_actions_destroy(&actions);
        ::close(ends[1]);
        CPPUNIT_ASSERT_EQUAL(0, spawned);
        uint64_t last = 0;
        const auto take = [&] {
            uint64_t position = 0;
            if (::read(ends[0], &position, sizeof position) != sizeof position) return false;
            last = position;
            return true;
        };
        for (int i = 0; i < acknowledgements && take(); ++i) {}
        ::kill(child, SIGKILL);
        while (take()) {}
        ::close(ends[0]);
        int status = 0;
        CPPUNIT_ASSERT_EQUAL(child, ::waitpid(child, &status, 0));
        CPPUNIT_ASSERT_MESSAGE("the writer ended by itself with status " + std::to_string(status), WIFSIGNALED(status));
        return last;
    }

public:
    void nothing_acknowledged_is_lost_and_nothing_is_invented_when_the_process_is_killed() {
        const unsigned seed = std::random_device{}();
        std::mt19937 random(seed);
        const std::string context = "seed " + std::to_string(seed);
        for (int round = 0; round < 6; ++round) {
            const uint64_t acknowledged = run_and_kill(static_cast<int>(random() % 150) + 1);
            auto store =
                open_store(host_, {{"directory", directory_}, {"segment_size", "64KiB"}, {"log_bytes_max", "8MiB"}});
            const uint64_t last = store->opening().next_position - 1;
            CPPUNIT_ASSERT_MESSAGE(context, last >= acknowledged);
            // One group was in flight at most, and groups are whole.
            CPPUNIT_ASSERT_MESSAGE(context, last <= acknowledged + crash_group_size);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(context, uint64_t{0}, last % crash_group_size);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(context, std::to_string(last), store.metadata("last").value_or(""));
            for (uint64_t next = store->opening().floor; next <= last;) {
                const auto page = store.log(next, 50);
                CPPUNIT_ASSERT_EQUAL_MESSAGE(context, std::string(), page.error);
                CPPUNIT_ASSERT_MESSAGE(context, !page.entries.empty());
                for (const auto& item : page.entries) {
                    CPPUNIT_ASSERT_EQUAL_MESSAGE(context, next, item.position);
                    CPPUNIT_ASSERT_EQUAL_MESSAGE(context, crash_payload(next), item.payload);
                    CPPUNIT_ASSERT_EQUAL_MESSAGE(context, crash_key(next), item.name.key);
                    ++next;
                }
            }
            for (uint64_t k = 0; k < crash_keys; ++k) {
                const auto record = store.read("room", "key-" + std::to_string(k));
                CPPUNIT_ASSERT_EQUAL_MESSAGE(context, std::string(), record.error);
                // The snapshot is a count: with the tail it must give every entry of the key exactly once.
                const uint64_t counted = (record.snapshot ? std::stoull(*record.snapshot) : 0) + record.tail.size();
                uint64_t expected = 0;
                for (uint64_t position = 1; position <= last; ++position)
                    expected += position % crash_keys == k ? 1 : 0;
                CPPUNIT_ASSERT_EQUAL_MESSAGE(context, expected, counted);
            }
            store->close();
        }
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(StoreCrashTest);

}  // namespace
}  // namespace meridian::test
