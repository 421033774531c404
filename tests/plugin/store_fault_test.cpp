// store-kv over a file system that fails: what was acknowledged stays, what was not committed did not happen, and each
// kind of failure gets its documented answer.
#include <cppunit/extensions/HelperMacros.h>
#include <dlfcn.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <atomic>
#include <cerrno>
#include <filesystem>

#include "descriptor.h"
#include "faulty_file_system.h"
#include "store.h"
#include "store_fixture.h"

namespace {

// What becomes of the writes of LMDB, which does its own I/O: this program's functions come before those of the system.
enum class DatabaseWrites { work, fail_at_root, are_short };
std::atomic<DatabaseWrites> database_writes{DatabaseWrites::work};
constexpr size_t root_size = 120;  // of a meta page, what LMDB writes
constexpr size_t page_size = 4096;

}  // namespace

extern "C" ssize_t pwrite(int file, const void* bytes, size_t size, off_t offset);
ssize_t pwrite(int file, const void* bytes, size_t size, off_t offset) {
    using Function = ssize_t (*)(int, const void*, size_t, off_t);
    static const auto real = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "pwrite"));
    if (size == root_size && database_writes == DatabaseWrites::fail_at_root) {
        errno = EIO;
        return -1;
    }
    if (size == page_size && database_writes == DatabaseWrites::are_short) return real(file, bytes, size / 2, offset);
    return real(file, bytes, size, offset);
}

// Its way to write several pages at once.
extern "C" ssize_t writev(int file, const iovec* parts, int count);
ssize_t writev(int file, const iovec* parts, int count) {
    using Function = ssize_t (*)(int, const iovec*, int);
    static const auto real = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "writev"));
    return real(file, parts, database_writes == DatabaseWrites::are_short ? 1 : count);
}

namespace meridian::test {
namespace {

using node::CommitStatus;

FaultyFileSystem* faults = nullptr;

class FaultyStore : public store_kv::KvStore {
public:
    FaultyStore(abi::Host host, const abi::Config& config) : KvStore(host, config, *faults) {}
};

const plugin::LoadedPlugin& faulty_plugin() {
    static const meridian_plugin_descriptor descriptor = [] {
        meridian_plugin_descriptor out = *store_kv().descriptor;
        using Table = abi::StoreTable<FaultyStore>;
        out.config_keys = store_kv::config_keys;
        out.config_key_count = std::size(store_kv::config_keys);
        out.create = Table::create;
        out.stop = Table::stop;
        out.destroy = Table::destroy;
        out.store = &Table::functions;
        return out;
    }();
    static const plugin::LoadedPlugin loaded{"store-kv over faults", &descriptor};
    return loaded;
}

class StoreFaultTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(StoreFaultTest);
    CPPUNIT_TEST(a_failed_sync_ends_writing_and_leaves_reading);
    CPPUNIT_TEST(a_failed_write_ends_writing);
    CPPUNIT_TEST(a_full_disk_refuses_writes_and_clears_by_itself);
    CPPUNIT_TEST(short_writes_are_continued);
    CPPUNIT_TEST(a_segment_that_cannot_be_removed_leaves_no_gap);
    CPPUNIT_TEST(an_unreadable_entry_is_an_error_of_its_key_alone);
    CPPUNIT_TEST(a_database_whose_root_cannot_be_written_ends_writing_and_a_backup);
    CPPUNIT_TEST(a_short_write_of_the_database_is_a_full_disk);
    CPPUNIT_TEST(any_call_may_fail_and_nothing_acknowledged_is_lost);
    CPPUNIT_TEST_SUITE_END();

    TestHost host_;
    FaultyFileSystem files_;

public:
    void setUp() override { faults = &files_; }
    void tearDown() override {
        faults = nullptr;
        database_writes = DatabaseWrites::work;
    }

    void a_failed_sync_ends_writing_and_leaves_reading() {
        TemporaryDirectory temporary;
        const Section section{{"directory", temporary.path() + "/s"}, {"spare_segments", "0"}};
        auto store = open_store(host_, section, faulty_plugin());
        store.put("room", "a", "kept");
        files_.fail("sync", 1, EIO);
        const auto unknown = store.commit({{entry(2, "room", "a", "lost?")}, {}});
        CPPUNIT_ASSERT(unknown.status == CommitStatus::outcome_unknown);
        CPPUNIT_ASSERT(unknown.message.find("syncing the log") != std::string::npos);
        CPPUNIT_ASSERT(store->usage().failed);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, store->usage().log_bytes_available);
        // Never tried again, although it would succeed now.
        const auto refused = store.commit({{entry(2, "room", "a", "x")}, {}});
        CPPUNIT_ASSERT(refused.status == CommitStatus::not_committed);
        CPPUNIT_ASSERT(store.snapshot("room", "a", 1, "s") != "");
        CPPUNIT_ASSERT((store.read("room", "a").tail == std::vector<std::string>{"kept"}));
        store->close();
        auto again = open_store(host_, section, faulty_plugin());
        CPPUNIT_ASSERT(!again->usage().failed);
        CPPUNIT_ASSERT_EQUAL(std::string("kept"), again.read("room", "a").tail.at(0));
        again.put("room", "a", "goes on");
    }

    void a_failed_write_ends_writing() {
        TemporaryDirectory temporary;
        const Section section{{"directory", temporary.path() + "/s"}, {"spare_segments", "0"}};
        {
            auto store = open_store(host_, section, faulty_plugin());
            store.put("room", "a", "kept");
            files_.fail("write", 1, ENOSPC);
            const auto unknown = store.commit({{entry(2, "room", "a", std::string(500, 'x'))}, {}});
            CPPUNIT_ASSERT(unknown.status == CommitStatus::outcome_unknown);
            CPPUNIT_ASSERT(store->usage().failed);
        }
        auto again = open_store(host_, section, faulty_plugin());
        CPPUNIT_ASSERT((again.read("room", "a").tail == std::vector<std::string>{"kept"}));
        again.put("room", "a", "second");
        CPPUNIT_ASSERT_EQUAL(size_t{2}, again.read("room", "a").tail.size());
    }

    void a_full_disk_refuses_writes_and_clears_by_itself() {
        TemporaryDirectory temporary;
        auto store =
            open_store(host_, {{"directory", temporary.path() + "/s"}, {"spare_segments", "0"}}, faulty_plugin());
        files_.fail("allocate", 1, ENOSPC, true);
        node::CommitResult result;
        do {
            result = store.commit({{entry(store.next_position(), "room", "a", std::string(5000, 'x'))}, {}});
        } while (result.status == CommitStatus::durable);
        CPPUNIT_ASSERT(result.status == CommitStatus::not_committed);
        CPPUNIT_ASSERT(result.message.find("No space left on device") != std::string::npos);
        CPPUNIT_ASSERT(!store->usage().failed);
        const std::string said = host_.warnings();
        CPPUNIT_ASSERT_MESSAGE(
            said, said.find(result.message + "; writes that need the space are refused until") != std::string::npos);
        // Once, not for each group.
        store.commit({{entry(store.next_position(), "room", "a", std::string(5000, 'x'))}, {}});
        CPPUNIT_ASSERT_EQUAL(said, host_.warnings());
        const size_t before = store.read("room", "a").tail.size();
        files_.fail("allocate", 0, 0);
        store.put("room", "a", std::string(5000, 'y'));
        CPPUNIT_ASSERT_EQUAL(before + 1, store.read("room", "a").tail.size());
    }

    void short_writes_are_continued() {
        TemporaryDirectory temporary;
        const Section section{{"directory", temporary.path() + "/s"}};
        files_.limit_writes(1000);
        const std::string payload(10'000, 'z');
        {
            auto store = open_store(host_, section, faulty_plugin());
            store.put("room", "a", payload);
        }
        files_.limit_writes(SIZE_MAX);
        auto store = open_store(host_, section, faulty_plugin());
        CPPUNIT_ASSERT_EQUAL(payload, store.read("room", "a").tail.at(0));
    }

    void a_segment_that_cannot_be_removed_leaves_no_gap() {
        TemporaryDirectory temporary;
        const std::string directory = temporary.path() + "/s";
        const Section section{{"directory", directory}, {"spare_segments", "0"}};
        auto store = open_store(host_, section, faulty_plugin());
        uint64_t last = 0;
        for (int i = 0; i < 60; ++i) last = store.put("room", "a", std::string(5000, 'x'));
        const size_t before = segments(directory).size();
        CPPUNIT_ASSERT(before > 3);
        CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "a", last, "state"));
        files_.fail("remove", 1, EIO, true);
        store->retain_from(last);
        CPPUNIT_ASSERT(TestStore::eventually([&] { return files_.fired(); }));
        CPPUNIT_ASSERT_EQUAL(before, segments(directory).size());
        // The next attempt begins with the same segment.
        files_.fail("remove", 2, EIO);
        CPPUNIT_ASSERT(TestStore::eventually([&] { return segments(directory).size() < before; }));
        store->close();
        open_store(host_, section, faulty_plugin()).put("room", "a", "goes on");
    }

    void an_unreadable_entry_is_an_error_of_its_key_alone() {
        TemporaryDirectory temporary;
        auto store = open_store(host_, {{"directory", temporary.path() + "/s"}}, faulty_plugin());
        store.put("room", "a", "x");
        store.put("room", "b", "y");
        files_.fail("read", 1, EIO);
        CPPUNIT_ASSERT(store.read("room", "a").error.find("Input/output error") != std::string::npos);
        CPPUNIT_ASSERT_EQUAL(std::string(), store.read("room", "b").error);
        CPPUNIT_ASSERT_EQUAL(std::string(), store.read("room", "a").error);
    }

    void a_database_whose_root_cannot_be_written_ends_writing_and_a_backup() {
        TemporaryDirectory temporary;
        const std::string target = temporary.path() + "/backup";
        const Section section{{"directory", temporary.path() + "/s"}, {"spare_segments", "0"}};
        auto store = open_store(host_, section, faulty_plugin());
        store.put("room", "a", "x");
        // Seconds of backup.
        const std::string large(8 << 20, 's');
        for (const char* key : {"a", "b", "c", "d", "e", "f"})
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", key, 1, large));
        Awaited<std::string> copied;
        store->backup(target, copied.completion());
        CPPUNIT_ASSERT(TestStore::eventually([&] { return std::filesystem::exists(target + "/snapshots/data.mdb"); }));
        database_writes = DatabaseWrites::fail_at_root;
        const std::string error = store.snapshot("room", "a", 1, "new");
        CPPUNIT_ASSERT_MESSAGE(error, error.find("committing: Input/output error") != std::string::npos);
        CPPUNIT_ASSERT(store->usage().failed);
        const std::string backup_error = copied.get();
        CPPUNIT_ASSERT_MESSAGE(backup_error, backup_error.find("failed while it was copied") != std::string::npos);
        CPPUNIT_ASSERT(!std::filesystem::exists(target));
        CPPUNIT_ASSERT_EQUAL(large, store.read("room", "b").snapshot.value_or("none"));
        CPPUNIT_ASSERT(store.commit({{entry(2, "room", "a", "x")}, {}}).status == CommitStatus::not_committed);
        database_writes = DatabaseWrites::work;
        store->close();
        auto again = open_store(host_, section, faulty_plugin());
        CPPUNIT_ASSERT_EQUAL(large, again.read("room", "a").snapshot.value_or("none"));
        CPPUNIT_ASSERT_EQUAL(std::string(), again.snapshot("room", "a", 1, "new"));
    }

    void a_short_write_of_the_database_is_a_full_disk() {
        TemporaryDirectory temporary;
        auto store =
            open_store(host_, {{"directory", temporary.path() + "/s"}, {"spare_segments", "0"}}, faulty_plugin());
        store.put("room", "a", "x");
        database_writes = DatabaseWrites::are_short;
        const std::string error = store.snapshot("room", "a", 1, "state");
        CPPUNIT_ASSERT_MESSAGE(error, error.find("No space left on device") != std::string::npos);
        CPPUNIT_ASSERT(!store->usage().failed);
        database_writes = DatabaseWrites::work;
        CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "a", 1, "state"));
        CPPUNIT_ASSERT_EQUAL(std::string("state"), store.read("room", "a").snapshot.value_or("none"));
    }

    void any_call_may_fail_and_nothing_acknowledged_is_lost() {
        const char* operations[] = {"open",       "create", "rename", "remove", "sync_directory", "list",
                                    "free_bytes", "read",   "write",  "sync",   "allocate",       "size"};
        int fired = 0;
        for (const char* operation : operations) {
            for (const int count : {1, 2, 3, 5, 8, 13, 30}) {
                for (const int error : {EIO, ENOSPC}) {
                    files_.fail("", 0, 0);
                    const std::string context = std::string(operation) + " call " + std::to_string(count) +
                                                " fails with " + std::to_string(error);
                    fired += run_with_fault(operation, count, error, context) ? 1 : 0;
                }
            }
        }
        CPPUNIT_ASSERT(fired > 40);
    }

private:
    bool run_with_fault(const std::string& operation, int count, int error, const std::string& context) {
        TemporaryDirectory temporary;
        const Section section{{"directory", temporary.path() + "/s"}};
        std::vector<std::string> acknowledged;
        uint64_t unknown = 0;
        { open_store(host_, section, faulty_plugin()).put("room", "a", "first"); }
        acknowledged.emplace_back("first");
        files_.fail(operation, count, error);
        if (auto opened = try_open(host_, section, faulty_plugin())) {
            TestStore store(std::move(*opened));
            bool failed = false;
            for (int i = 0; i < 30; ++i) {
                const std::string payload = std::to_string(i) + std::string(5000, 'x');
                const auto result = store.commit({{entry(store.next_position(), "room", "a", payload)}, {}});
                if (result.status == CommitStatus::durable) {
                    CPPUNIT_ASSERT_MESSAGE(context + ": accepted after a failure", !failed);
                    acknowledged.push_back(payload);
                } else if (result.status == CommitStatus::outcome_unknown) {
                    CPPUNIT_ASSERT_MESSAGE(context, !failed);
                    failed = true;
                    unknown += 1;
                }
                if (i == 15) {
                    store.snapshot("other", "b", 0, "irrelevant");
                    store->retain_from(10);
                }
            }
        } else {
            CPPUNIT_ASSERT_MESSAGE(context + ": " + opened.error().message, files_.fired());
        }
        const bool fired = files_.fired();
        files_.fail("", 0, 0);
        auto again = try_open(host_, section, faulty_plugin());
        CPPUNIT_ASSERT_MESSAGE(context + ": " + (again ? "" : again.error().message), again.ok());
        TestStore store(std::move(*again));
        const auto tail = store.read("room", "a").tail;
        CPPUNIT_ASSERT_MESSAGE(context, tail.size() >= acknowledged.size());
        CPPUNIT_ASSERT_MESSAGE(context, tail.size() <= acknowledged.size() + unknown);
        for (size_t i = 0; i < acknowledged.size(); ++i) CPPUNIT_ASSERT_MESSAGE(context, tail[i] == acknowledged[i]);
        store.put("room", "a", "goes on");
        return fired;
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(StoreFaultTest);

}  // namespace
}  // namespace meridian::test
