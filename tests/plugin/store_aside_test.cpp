// One key, or one page, that is damaged keeps nobody from writing: what cannot be in its place is in a second one, the
// log goes, and nothing that was acknowledged is lost.
#include <cppunit/extensions/HelperMacros.h>
#include <lmdb.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/binary.h"
#include "record.h"
#include "snapshot_tables.h"
#include "store_fixture.h"

namespace meridian::test {
namespace {

namespace fs = std::filesystem;
using node::CommitStatus;
using store_kv::PageNode;
using store_kv::PageNumber;

constexpr size_t page_size = 4096;
constexpr int key_count = 200;

std::string key_of(int i) {
    return std::to_string(1000 + i) + std::string(150, 'k');
}

std::string name_of(int i) {
    return std::string("room\0", 5) + key_of(i);
}

std::string metadata_of(int i) {
    return std::to_string(1000 + i) + std::string(150, 'm');
}

class StoreAsideTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(StoreAsideTest);
    CPPUNIT_TEST(a_key_that_cannot_be_read_keeps_neither_the_log_nor_its_entries_from_coming_back);
    CPPUNIT_TEST(a_key_whose_page_is_damaged_in_use_is_written_again_and_again);
    CPPUNIT_TEST(an_entry_that_cannot_be_read_is_given_up_only_when_the_log_is_full);
    CPPUNIT_TEST(metadata_of_a_damaged_page_keeps_neither_checkpoints_nor_the_log);
    CPPUNIT_TEST(a_damaged_page_of_deadlines_keeps_other_keys_neither_from_expiring_nor_from_being_written);
    CPPUNIT_TEST(a_row_on_a_free_page_ends_writing);
    CPPUNIT_TEST(a_store_without_the_table_gets_it);
    CPPUNIT_TEST(a_large_database_is_opened_with_a_damaged_page);
    CPPUNIT_TEST_SUITE_END();

    TemporaryDirectory temporary_;
    const std::string directory_ = temporary_.path() + "/s";
    const std::string file_ = directory_ + "/snapshots/data.mdb";
    const Section section_{{"directory", directory_},
                           {"spare_segments", "0"},
                           {"scrub_interval", "0"},
                           {"segment_size", "64KiB"},
                           {"log_bytes_max", "512KiB"}};
    TestHost host_;

    // Keys and metadata over several pages; key 100 has entries in the log after its snapshot.
    void make() {
        auto store = open_store(host_, section_);
        for (int i = 0; i < key_count; ++i) {
            const auto name = metadata_of(i);
            CPPUNIT_ASSERT(store.commit_metadata(name, "value of " + name).status == CommitStatus::durable);
        }
        std::vector<node::SnapshotWrite> writes;
        for (int i = 0; i < key_count; ++i) {
            node::SnapshotWrite write;
            write.name = {"room", key_of(i)};
            write.state = "state " + std::to_string(i);
            write.deadline_ms = 1000 + static_cast<uint64_t>(i);
            writes.push_back(std::move(write));
        }
        CPPUNIT_ASSERT_EQUAL(std::string(), store.checkpoint(writes));
        for (const char* payload : {"one", "two", "three"}) store.put("room", key_of(100), payload);
        store->close();
    }

    struct Tables {
        std::unique_ptr<store_kv::PageFile> file;
        store_kv::SnapshotTables tables;
    };
    Tables tables() const {
        auto file = store_kv::PageFile::open(store_kv::real_file_system(), file_);
        CPPUNIT_ASSERT(file.ok());
        const auto meta = (*file)->read_newest_meta();
        CPPUNIT_ASSERT(meta.ok());
        auto tables = store_kv::SnapshotTables::at(**file, *meta);
        CPPUNIT_ASSERT(tables.ok());
        return {std::move(*file), std::move(*tables)};
    }
    PageNumber leaf_of(store_kv::TableIndex table, const std::string& key) const {
        const auto opened = tables();
        const auto path = opened.tables[table].path_to(key);
        CPPUNIT_ASSERT(path.ok() && path->size() > 1);
        return path->back().number;
    }
    // Gives what was there.
    std::string overwrite(uint64_t offset, const std::string& bytes) const {
        std::fstream file(file_, std::ios::binary | std::ios::in | std::ios::out);
        std::string before(bytes.size(), '\0');
        file.seekg(static_cast<std::streamoff>(offset));
        file.read(before.data(), static_cast<std::streamsize>(before.size()));
        file.seekp(static_cast<std::streamoff>(offset));
        file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        return before;
    }
    std::string damage(PageNumber page) const { return overwrite(page * page_size, std::string(page_size, 'd')); }

    // Four times as much as the log may take, to other keys, with checkpoints of them. `each` is called now and then.
    template <class Each>
    static void write_much(TestStore& store, Each each) {
        for (int i = 0; i < 420; ++i) {
            const uint64_t position = store.next_position();
            const auto result = store.commit({{entry(position, "other", "busy", std::string(5000, 'x'))}, {}});
            CPPUNIT_ASSERT_MESSAGE("write " + std::to_string(i) + ": " + result.message,
                                   result.status == CommitStatus::durable);
            store.set_next_position(position + 1);
            if (i % 10 != 9) continue;
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("other", "busy", position, "busy"));
            store->retain_from(position);
            each(position);
            // The segments go one after another, in the background.
            CPPUNIT_ASSERT(TestStore::eventually([&] { return store->usage().log_bytes_available >= 128 << 10; }));
        }
    }
    static void write_much(TestStore& store) {
        write_much(store, [](uint64_t) {});
    }

public:
    void a_key_that_cannot_be_read_keeps_neither_the_log_nor_its_entries_from_coming_back() {
        make();
        const PageNumber page = leaf_of(store_kv::snapshots_table, name_of(100));
        const std::string intact = damage(page);
        for (int round = 0; round < 2; ++round) {
            auto store = open_store(host_, section_);
            write_much(store);
            const std::string error = store.read("room", key_of(100)).error;
            CPPUNIT_ASSERT_MESSAGE(error, error.find("page " + std::to_string(page)) != std::string::npos);
            store->close();
        }
        CPPUNIT_ASSERT_MESSAGE(host_.warnings(),
                               host_.warnings().find("3 entries of the log were set aside") != std::string::npos);
        // The sector can be read again.
        overwrite(page * page_size, intact);
        auto store = open_store(host_, section_);
        const uint64_t last = store.put("room", key_of(100), "four");
        const auto record = store.read("room", key_of(100));
        CPPUNIT_ASSERT_EQUAL(std::string(), record.error);
        CPPUNIT_ASSERT_EQUAL(std::string("state 100"), record.snapshot.value_or("none"));
        CPPUNIT_ASSERT((record.tail == std::vector<std::string>{"one", "two", "three", "four"}));
        CPPUNIT_ASSERT_EQUAL(last, record.tail_position);
        // A snapshot covers them.
        CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", key_of(100), last, "all"));
        const auto covered = store.read("room", key_of(100));
        CPPUNIT_ASSERT(covered.error.empty() && covered.tail.empty());
        CPPUNIT_ASSERT_EQUAL(std::string("all"), covered.snapshot.value_or("none"));
        CPPUNIT_ASSERT(!tables().tables.has_aside());
    }

    void a_key_whose_page_is_damaged_in_use_is_written_again_and_again() {
        make();
        std::string newest;
        {
            auto store = open_store(host_, section_);
            damage(leaf_of(store_kv::snapshots_table, name_of(100)));
            write_much(store, [&](uint64_t) {
                const uint64_t last = store.put("room", key_of(100), "more");
                newest = "state at " + std::to_string(last);
                CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", key_of(100), last, newest));
                CPPUNIT_ASSERT_EQUAL(newest, store.read("room", key_of(100)).snapshot.value_or("none"));
            });
            CPPUNIT_ASSERT(!store->usage().failed);
            store->close();
        }
        auto store = open_store(host_, section_);
        CPPUNIT_ASSERT_EQUAL(newest, store.read("room", key_of(100)).snapshot.value_or("none"));
    }

    void an_entry_that_cannot_be_read_is_given_up_only_when_the_log_is_full() {
        make();
        const std::string segment = segments(directory_).back();
        std::string content = read_file(segment);
        const size_t place = content.rfind("two");
        CPPUNIT_ASSERT(place != std::string::npos);
        auto store = open_store(host_, section_);
        content[place] = 'T';
        write_file(segment, content);
        const std::string expected = segment + ": the entry of position 2 at offset";
        CPPUNIT_ASSERT(store.read("room", key_of(100)).error.find(expected) != std::string::npos);
        // While there is room it is waited for.
        content[place] = 't';
        write_file(segment, content);
        CPPUNIT_ASSERT_EQUAL(size_t{3}, store.read("room", key_of(100)).tail.size());
        content[place] = 'T';
        write_file(segment, content);
        CPPUNIT_ASSERT(!store.read("room", key_of(100)).error.empty());
        write_much(store);
        // An error still, although the log has gone: an acknowledged entry is missing.
        CPPUNIT_ASSERT(!fs::exists(segment));
        const std::string error = store.read("room", key_of(100)).error;
        CPPUNIT_ASSERT_MESSAGE(error, error.find(expected) != std::string::npos);
    }

    void metadata_of_a_damaged_page_keeps_neither_checkpoints_nor_the_log() {
        make();
        const PageNumber page = leaf_of(store_kv::metadata_table, metadata_of(100));
        {
            auto store = open_store(host_, section_);
            damage(page);
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", key_of(100), 3, "covers what it has"));
            CPPUNIT_ASSERT(store.commit_metadata(metadata_of(100), "new").status == CommitStatus::durable);
            CPPUNIT_ASSERT(store.commit_metadata(metadata_of(101), std::nullopt).status == CommitStatus::durable);
            write_much(store);
            CPPUNIT_ASSERT_EQUAL(std::string("new"), store.metadata(metadata_of(100)).value_or("none"));
            CPPUNIT_ASSERT(store.commit_metadata(metadata_of(100), "newer").status == CommitStatus::durable);
            store->close();
        }
        CPPUNIT_ASSERT(host_.warnings().find("page " + std::to_string(page)) != std::string::npos);
        auto store = open_store(host_, section_);
        CPPUNIT_ASSERT_EQUAL(std::string("newer"), store.metadata(metadata_of(100)).value_or("none"));
        CPPUNIT_ASSERT(!store.metadata(metadata_of(101)));
        CPPUNIT_ASSERT_EQUAL("value of " + metadata_of(10), store.metadata(metadata_of(10)).value_or("none"));
    }

    void a_damaged_page_of_deadlines_keeps_other_keys_neither_from_expiring_nor_from_being_written() {
        make();
        auto store = open_store(host_, section_);
        const PageNumber page = leaf_of(store_kv::deadlines_table, store_kv::numbered_key(1100, name_of(100)));
        damage(page);
        const auto due = store.due(5000);
        const auto has = [&](int i) {
            return std::any_of(due.begin(), due.end(), [&](const auto& key) { return key.name.key == key_of(i); });
        };
        CPPUNIT_ASSERT(has(0) && has(key_count - 1) && !has(100));
        CPPUNIT_ASSERT_MESSAGE(host_.warnings(),
                               host_.warnings().find("page " + std::to_string(page)) != std::string::npos);
        // Key 100 has its old deadline there, key 0 gets a new one there.
        for (const int i : {100, 0}) {
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", key_of(i), 3, "new", i == 0 ? 1100 : 2100));
            CPPUNIT_ASSERT_EQUAL(std::string("new"), store.read("room", key_of(i)).snapshot.value_or("none"));
        }
        const auto later = store.due(5000);
        CPPUNIT_ASSERT(std::any_of(later.begin(), later.end(), [&](const auto& key) {
            return key.name.key == key_of(100) && key.deadline_ms == 2100;
        }));
        CPPUNIT_ASSERT(!store->usage().failed);
    }

    void a_row_on_a_free_page_ends_writing() {
        make();
        auto store = open_store(host_, section_);
        const PageNumber used = leaf_of(store_kv::snapshots_table, name_of(100));
        uint64_t place = 0;
        {
            const auto opened = tables();
            const std::string content = read_file(file_);
            store_kv::TreeVisitor visitor;
            visitor.row = [&](std::string_view key, const PageNode& node) {
                const uint64_t count = store_kv::load_u64(node.value, 0);
                for (size_t i = 1; i <= count && place == 0; ++i) {
                    const bool fits = (i == 1 || store_kv::load_u64(node.value, 8 * (i - 1)) > used) &&
                                      (i == count || store_kv::load_u64(node.value, 8 * (i + 1)) < used);
                    if (fits) place = content.find(std::string(key) + std::string(node.value)) + key.size() + 8 * i;
                }
                return true;
            };
            CPPUNIT_ASSERT(opened.tables.view.free.walk({}, visitor).ok());
        }
        CPPUNIT_ASSERT(place != 0);
        const std::string before = overwrite(place, std::string(reinterpret_cast<const char*>(&used), sizeof used));
        CPPUNIT_ASSERT(store.commit_metadata("waits", "to be moved").status == CommitStatus::durable);
        const std::string error = store.snapshot("room", key_of(100), 0, "new");
        CPPUNIT_ASSERT_MESSAGE(error, error.find(file_ + ": page " + std::to_string(used) + ": ") != std::string::npos);
        CPPUNIT_ASSERT(store->usage().failed);
        CPPUNIT_ASSERT(store.commit({{entry(store.next_position(), "room", "a", "x")}, {}}).status ==
                       CommitStatus::not_committed);
        CPPUNIT_ASSERT_EQUAL(std::string("state 7"), store.read("room", key_of(7)).snapshot.value_or("none"));
        // Nothing is written any more, metadata neither.
        overwrite(place, before);
        const std::string content = read_file(file_);
        CPPUNIT_ASSERT(!store.snapshot("room", key_of(7), 0, "new").empty());
        store.checkpoint({});
        CPPUNIT_ASSERT(read_file(file_) == content);
    }

    void a_store_without_the_table_gets_it() {
        make();
        {
            // As the first versions left it: no such table, and a state that does not say who wrote it.
            MDB_env* environment = nullptr;
            CPPUNIT_ASSERT_EQUAL(0, mdb_env_create(&environment));
            CPPUNIT_ASSERT_EQUAL(0, mdb_env_set_maxdbs(environment, 8));
            CPPUNIT_ASSERT_EQUAL(0, mdb_env_open(environment, (directory_ + "/snapshots").c_str(), 0, 0600));
            MDB_txn* transaction = nullptr;
            CPPUNIT_ASSERT_EQUAL(0, mdb_txn_begin(environment, nullptr, 0, &transaction));
            MDB_dbi aside = 0;
            MDB_dbi system = 0;
            CPPUNIT_ASSERT_EQUAL(0, mdb_dbi_open(transaction, "aside", 0, &aside));
            CPPUNIT_ASSERT_EQUAL(0, mdb_dbi_open(transaction, "system", 0, &system));
            CPPUNIT_ASSERT_EQUAL(0, mdb_drop(transaction, aside, 1));
            std::string name = "state";
            MDB_val key{name.size(), name.data()};
            MDB_val value{};
            CPPUNIT_ASSERT_EQUAL(0, mdb_get(transaction, system, &key, &value));
            const auto body =
                store_kv::unseal(name, std::string_view(static_cast<const char*>(value.mv_data), value.mv_size));
            CPPUNIT_ASSERT(body.ok());
            BinaryReader reader(*body);
            store_kv::StoreId id{};
            reader.fixed(id.data(), id.size());
            for (int i = 0; i < 5; ++i) reader.varint();
            std::string old = store_kv::seal(name, body->substr(0, body->size() - reader.remaining()));
            MDB_val stored{old.size(), old.data()};
            CPPUNIT_ASSERT_EQUAL(0, mdb_put(transaction, system, &key, &stored, 0));
            CPPUNIT_ASSERT_EQUAL(0, mdb_txn_commit(transaction));
            mdb_env_close(environment);
        }
        auto store = open_store(host_, section_);
        CPPUNIT_ASSERT_EQUAL(std::string("state 100"), store.read("room", key_of(100)).snapshot.value_or("none"));
        damage(leaf_of(store_kv::snapshots_table, name_of(100)));
        for (const char* state : {"second", "third"}) {
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", key_of(100), 3, state));
            CPPUNIT_ASSERT_EQUAL(std::string(state), store.read("room", key_of(100)).snapshot.value_or("none"));
        }
        CPPUNIT_ASSERT(tables().tables.has_aside());
    }

    void a_large_database_is_opened_with_a_damaged_page() {
        constexpr int count = 17'000;  // more pages than are looked at when a store is opened
        const auto large_key = [](int i) { return std::to_string(100'000 + i); };
        const auto state = [](int i) { return std::to_string(i) + std::string(3000, 's'); };
        {
            auto store = open_store(host_, section_);
            std::vector<node::SnapshotWrite> writes;
            for (int i = 0; i < count; ++i) {
                node::SnapshotWrite write;
                write.name = {"room", large_key(i)};
                write.state = state(i);
                writes.push_back(std::move(write));
            }
            CPPUNIT_ASSERT_EQUAL(std::string(), store.checkpoint(writes));
            store->close();
        }
        const PageNumber page = leaf_of(store_kv::snapshots_table, std::string("room\0", 5) + large_key(9000));
        damage(page);
        const std::string named = file_ + ": page " + std::to_string(page) + ": ";
        auto store = open_store(host_, section_);
        CPPUNIT_ASSERT_EQUAL(std::string(), host_.warnings());
        const std::string error = store.read("room", large_key(9000)).error;
        CPPUNIT_ASSERT_MESSAGE(error, error.find(named) != std::string::npos);
        CPPUNIT_ASSERT_EQUAL(state(2), store.read("room", large_key(2)).snapshot.value_or("none"));
        for (const int i : {2, 9000, count - 1}) {
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", large_key(i), 0, "new"));
            CPPUNIT_ASSERT_EQUAL(std::string("new"), store.read("room", large_key(i)).snapshot.value_or("none"));
        }
        store->close();
        TestHost host;
        auto scrubbed = section_;
        scrubbed["scrub_interval"] = "1ms";
        scrubbed["scrub_bytes_per_second"] = "1GiB";
        auto again = open_store(host, scrubbed);
        CPPUNIT_ASSERT(TestStore::eventually([&] { return host.warnings().find(named) != std::string::npos; }));
        CPPUNIT_ASSERT_EQUAL(std::string("new"), again.read("room", large_key(9000)).snapshot.value_or("none"));
        CPPUNIT_ASSERT(!again->usage().failed);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(StoreAsideTest);

}  // namespace
}  // namespace meridian::test
