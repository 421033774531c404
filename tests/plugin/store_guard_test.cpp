// What LMDB must not be led to: pages beside those of a row, lists of free pages, pages of other rows. Through the
// parts of store-kv, so that any page can be damaged under an open database, and its reads can be counted and made to
// fail.
#include <cppunit/extensions/HelperMacros.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <set>

#include "snapshot_db.h"
#include "store_fixture.h"

namespace {

// Reads of the database's file, by name: LMDB does not use this function.
std::atomic<uint64_t> bytes_read{0};
std::atomic<uint64_t> unreadable_page{UINT64_MAX};
constexpr size_t page_size = 4096;

uint64_t number_from(const char* variable, uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

bool is_database(int file) {
    char path[PATH_MAX];
    const std::string link = "/proc/self/fd/" + std::to_string(file);
    const ssize_t size = ::readlink(link.c_str(), path, sizeof path);
    const std::string_view found(path, size < 0 ? 0 : static_cast<size_t>(size));
    return found.size() >= 8 && found.substr(found.size() - 8) == "data.mdb";
}

}  // namespace

extern "C" ssize_t pread(int file, void* bytes, size_t size, off_t offset);
ssize_t pread(int file, void* bytes, size_t size, off_t offset) {
    using Function = ssize_t (*)(int, void*, size_t, off_t);
    static const auto real = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "pread"));
    if (is_database(file)) {
        bytes_read += size;
        const uint64_t begin = unreadable_page * page_size;
        const auto from = static_cast<uint64_t>(offset);
        if (unreadable_page != UINT64_MAX && from < begin + page_size && from + size > begin) {
            errno = EIO;
            return -1;
        }
    }
    return real(file, bytes, size, offset);
}

namespace meridian::test {
namespace {

namespace fs = std::filesystem;
using store_kv::PageNode;
using store_kv::PageNumber;
using store_kv::SnapshotDb;

class StoreGuardTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(StoreGuardTest);
    CPPUNIT_TEST(no_page_beside_removed_rows_ends_the_process);
    CPPUNIT_TEST(a_page_that_two_lists_of_free_pages_have_is_refused);
    CPPUNIT_TEST(a_row_on_a_free_page_ends_the_transaction);
    CPPUNIT_TEST(a_large_value_gives_back_no_more_pages_than_it_needs);
    CPPUNIT_TEST(a_row_gives_back_no_pages_of_another);
    CPPUNIT_TEST(a_changed_meta_page_is_not_written_on);
    CPPUNIT_TEST(a_wrong_size_takes_no_memory);
    CPPUNIT_TEST(few_pages_are_read_to_remove_a_row_with_a_long_name);
    CPPUNIT_TEST(listing_names_does_not_read_large_values);
    CPPUNIT_TEST(a_free_page_that_cannot_be_read_does_not_end_a_copy);
    CPPUNIT_TEST(a_page_that_cannot_be_read_is_an_error_of_its_rows);
    CPPUNIT_TEST_SUITE_END();

    TemporaryDirectory temporary_;
    const std::string path_ = temporary_.path() + "/snapshots";
    const std::string file_ = path_ + "/data.mdb";
    store_kv::DatabaseState state_;

    static constexpr uint64_t map_size = 256 << 20;

    std::unique_ptr<SnapshotDb> create() {
        fs::remove_all(path_);
        fs::create_directory(path_);
        CPPUNIT_ASSERT(SnapshotDb::create(path_, map_size, state_).ok());
        return open();
    }

    std::unique_ptr<SnapshotDb> open() {
        auto db = SnapshotDb::open(path_, map_size);
        CPPUNIT_ASSERT_MESSAGE(db ? std::string() : db.error().message, db.ok());
        return std::move(*db);
    }

    // Gives what is wrong. Rows that are refused are left out.
    template <class Work>
    std::string write(SnapshotDb& db, Work work) {
        auto transaction = db.write();
        if (!transaction) return transaction.error().message;
        if (const std::string wrong = work(*transaction); !wrong.empty()) return wrong;
        if (auto put = transaction->put_state(state_); !put) return put.error().message;
        auto done = transaction->commit();
        return done ? std::string() : done.error().message;
    }

    std::string put(SnapshotDb& db, const std::string& name, const std::string& value) {
        return write(db, [&](auto& transaction) {
            const auto put = transaction.put_snapshot(name, 1, 0, value);
            return put ? (put->written ? std::string() : put->damage) : put.error().message;
        });
    }

    static std::string state_of(SnapshotDb& db, const std::string& name) {
        const auto read = db.read();
        if (!read) return read.error().message;
        const auto row = read->snapshot(name);
        if (!row) return row.error().message;
        return *row ? std::string((*row)->state()) : "absent";
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

    void overwrite(uint64_t offset, const std::string& bytes) const {
        std::fstream file(file_, std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(static_cast<std::streamoff>(offset));
        file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    }

    template <class T>
    static std::string bytes_of(T value) {
        return std::string(reinterpret_cast<const char*>(&value), sizeof value);
    }

    static std::string long_name(int i) {
        return std::to_string(10000 + i) + std::string(static_cast<size_t>(400 - i % 7 * 40), 'n');
    }

    // Where a row's node is in the file.
    uint64_t node_of(const Tables& opened, store_kv::TableIndex table, const std::string& key) const {
        const auto path = opened.tables[table].path_to(key);
        CPPUNIT_ASSERT(path.ok() && opened.tables[table].row_at(*path, key));
        const uint64_t page = path->back().number * page_size;
        const std::string content = read_file(file_);
        uint16_t offset = 0;
        std::memcpy(&offset, content.data() + page + 16 + 2 * path->back().index, sizeof offset);
        return page + offset;
    }

    // In a process of its own. Gives what is wrong.
    static std::string in_child(const std::function<std::string()>& work) {
        int ends[2];
        CPPUNIT_ASSERT_EQUAL(0, ::pipe(ends));
        const pid_t child = ::fork();
        if (child == 0) {
            ::alarm(120);
            std::string wrong;
            try {
                wrong = work();
            } catch (const std::exception& error) { wrong = error.what(); }
            const ssize_t written = ::write(ends[1], wrong.data(), wrong.size());
            ::_exit(written == static_cast<ssize_t>(wrong.size()) ? 0 : 1);
        }
        ::close(ends[1]);
        std::string wrong;
        char buffer[512];
        for (ssize_t count = 0; (count = ::read(ends[0], buffer, sizeof buffer)) > 0;)
            wrong.append(buffer, static_cast<size_t>(count));
        ::close(ends[0]);
        int status = 0;
        CPPUNIT_ASSERT_EQUAL(child, ::waitpid(child, &status, 0));
        if (WIFSIGNALED(status)) return "ended by signal " + std::to_string(WTERMSIG(status));
        return status == 0 ? wrong : "ended with status " + std::to_string(status) + wrong;
    }

    static constexpr int rows = 300;

    // Rows of many sizes, put in any order, some removed again: pages of any fill.
    void make_tree(std::mt19937& random) {
        const auto db = create();
        std::vector<int> order(rows);
        std::iota(order.begin(), order.end(), 0);
        std::shuffle(order.begin(), order.end(), random);
        for (size_t begin = 0; begin < order.size(); begin += 100) {
            const std::string wrong = write(*db, [&](auto& transaction) -> std::string {
                for (size_t i = begin; i < begin + 100; ++i) {
                    const size_t size = random() % 4 == 0 ? 1000 + random() % 900 : random() % 60;
                    const auto put = transaction.put_metadata(long_name(order[i]), std::string(size, 'v'));
                    if (!put || !put->written) return "not put";
                }
                return {};
            });
            CPPUNIT_ASSERT_EQUAL(std::string(), wrong);
        }
        const std::string wrong = write(*db, [&](auto& transaction) -> std::string {
            for (int i = 0; i < rows / 3; ++i) {
                const auto removed = transaction.put_metadata(long_name(order[static_cast<size_t>(i)]), std::nullopt);
                if (!removed || !removed->written) return "not removed";
            }
            return {};
        });
        CPPUNIT_ASSERT_EQUAL(std::string(), wrong);
    }

    // Removes rows in some order, with a few written in between, and looks whether the others are as they were. LMDB
    // reads what it follows at once, so most attempts need not be made durable.
    std::string remove_rows(SnapshotDb& db, const std::vector<int>& order, size_t together, unsigned seed,
                            bool durable) {
        std::mt19937 random(seed);
        std::set<int> there;
        std::set<int> unknown;
        {
            const auto read = db.read();
            if (!read) return read.error().message;
            for (int i = 0; i < rows; ++i) {
                const auto value = read->metadata(long_name(i));
                if (!value) unknown.insert(i);
                if (value && *value) there.insert(i);
            }
        }
        for (size_t begin = 0; begin < order.size(); begin += together) {
            const auto change = [&](store_kv::WriteTransaction& transaction) -> std::string {
                for (size_t i = begin; i < std::min(order.size(), begin + together); ++i) {
                    const auto removed = transaction.put_metadata(long_name(order[i]), std::nullopt);
                    if (!removed) return removed.error().message;
                    if (removed->written) there.erase(order[i]);
                    if (random() % 8 != 0) continue;
                    const auto put = transaction.put_metadata(long_name(order[i]) + "+", "more");
                    if (!put) return put.error().message;
                }
                return {};
            };
            if (durable) {
                if (const std::string wrong = write(db, change); !wrong.empty()) return wrong;
            } else {
                auto transaction = db.write();
                if (!transaction) return transaction.error().message;
                if (const std::string wrong = change(*transaction); !wrong.empty()) return wrong;
            }
        }
        if (!durable) return {};
        const auto read = db.read();
        if (!read) return read.error().message;
        for (int i = 0; i < rows; ++i) {
            const auto value = read->metadata(long_name(i));
            // Beside a damaged page it is not believed that there is no row.
            if (!value || unknown.count(i) != 0) continue;
            if (value->has_value() != (there.count(i) != 0)) return "row " + std::to_string(i) + " is wrong";
        }
        return {};
    }

public:
    void tearDown() override { unreadable_page = UINT64_MAX; }

    // MERIDIAN_DAMAGE_COUNT: how many databases (2); MERIDIAN_DAMAGE_SEED: which (1).
    void no_page_beside_removed_rows_ends_the_process() {
        const uint64_t seed = number_from("MERIDIAN_DAMAGE_SEED", 1);
        std::string failures;
        for (uint64_t tree = seed; tree < seed + number_from("MERIDIAN_DAMAGE_COUNT", 2); ++tree) {
            std::mt19937 random(static_cast<unsigned>(tree));
            make_tree(random);
            std::vector<PageNumber> pages = {0};  // none
            {
                const auto opened = tables();
                CPPUNIT_ASSERT(opened.tables[store_kv::metadata_table].table().info.depth >= 3);
                store_kv::TreeVisitor visitor;
                visitor.page = [&](PageNumber page) {
                    pages.push_back(page);
                    return true;
                };
                CPPUNIT_ASSERT(opened.tables[store_kv::metadata_table].walk({}, visitor).ok());
            }
            const std::string intact = read_file(file_);
            std::vector<int> up(rows);
            std::iota(up.begin(), up.end(), 0);
            std::vector<int> down(up.rbegin(), up.rend());
            int attempts = 0;
            for (const PageNumber page : pages) {
                std::vector<int> mixed = up;
                std::shuffle(mixed.begin(), mixed.end(), random);
                for (const std::vector<int>* order : {&up, &down, &mixed}) {
                    const bool durable = attempts++ % 16 == 0;
                    std::string damage(page_size, '\0');
                    if (attempts % 2 == 0)
                        std::generate(damage.begin(), damage.end(), [&] { return static_cast<char>(random()); });
                    const auto next = static_cast<unsigned>(random());
                    const std::string wrong = in_child([&] {
                        const auto db = open();
                        if (page != 0) overwrite(page * page_size, damage);
                        return remove_rows(*db, *order, durable ? rows / 3 : rows, next, durable);
                    });
                    if (page != 0) overwrite(page * page_size, intact.substr(page * page_size, page_size));
                    if (durable) write_file(file_, intact);
                    if (wrong.empty()) continue;
                    failures += "seed " + std::to_string(tree) + ", attempt " + std::to_string(attempts) + ", page " +
                                std::to_string(page) + ": " + wrong + "\n";
                }
            }
        }
        CPPUNIT_ASSERT_EQUAL(std::string(), failures);
    }

    // A database with several lists of free pages.
    std::unique_ptr<SnapshotDb> with_free_pages() {
        auto db = create();
        for (int i = 0; i < 40; ++i)
            CPPUNIT_ASSERT_EQUAL(std::string(), put(*db, "k" + std::to_string(i), std::string(9000, 'a')));
        for (int i = 0; i < 40; i += 2) CPPUNIT_ASSERT_EQUAL(std::string(), put(*db, "k" + std::to_string(i), "small"));
        return db;
    }

    // Changes an element of a list of free pages, keeping its order. Gives the list's place in the file.
    struct List {
        uint64_t offset = 0;
        std::vector<PageNumber> pages;
    };
    std::vector<List> free_lists() const {
        std::vector<List> out;
        const auto opened = tables();
        const std::string content = read_file(file_);
        store_kv::TreeVisitor visitor;
        visitor.row = [&](std::string_view key, const PageNode& node) {
            if (node.overflow != store_kv::no_page) return true;
            const size_t at = content.find(std::string(key) + std::string(node.value));
            CPPUNIT_ASSERT(at != std::string::npos);
            List list;
            list.offset = at + key.size();
            CPPUNIT_ASSERT(store_kv::read_free_list(node.value, opened.tables.view.meta.last, [&](PageNumber page) {
                               list.pages.push_back(page);
                           }).ok());
            out.push_back(std::move(list));
            return true;
        };
        CPPUNIT_ASSERT(opened.tables.view.free.walk({}, visitor).ok());
        return out;
    }

    // Makes some list have this page too.
    void list_as_free(PageNumber page) const {
        for (const List& list : free_lists()) {
            for (size_t i = 0; i < list.pages.size(); ++i) {
                const bool fits =
                    (i == 0 || list.pages[i - 1] > page) && (i + 1 == list.pages.size() || list.pages[i + 1] < page);
                if (!fits || list.pages[i] == page) continue;
                overwrite(list.offset + 8 * (i + 1), bytes_of(page));
                return;
            }
        }
        CPPUNIT_FAIL("no list has a place for the page");
    }

    void a_page_that_two_lists_of_free_pages_have_is_refused() {
        auto db = with_free_pages();
        PageNumber page = 0;
        const auto lists = free_lists();
        for (const List& list : lists) {
            if (list.pages.size() > 1) page = list.pages[0];
        }
        CPPUNIT_ASSERT(lists.size() > 1 && page != 0);
        list_as_free(page);
        const std::string expected = file_ + ": page " + std::to_string(page) + ": the list of free pages has it twice";
        CPPUNIT_ASSERT_EQUAL(expected, put(*db, "k1", "new"));
        CPPUNIT_ASSERT_EQUAL(std::string(9000, 'a'), state_of(*db, "k1"));
        db.reset();
        const auto again = SnapshotDb::open(path_, map_size);
        CPPUNIT_ASSERT(!again.ok());
        CPPUNIT_ASSERT_EQUAL(expected, again.error().message);
    }

    void a_row_on_a_free_page_ends_the_transaction() {
        for (const bool large : {false, true}) {
            auto db = with_free_pages();
            PageNumber page = 0;
            {
                const auto opened = tables();
                const auto path = opened.tables[store_kv::snapshots_table].path_to("k1");
                CPPUNIT_ASSERT(path.ok());
                const auto row = opened.tables[store_kv::snapshots_table].row_at(*path, "k1");
                CPPUNIT_ASSERT(row && row->overflow != store_kv::no_page);
                // Of a large value the last page, which says nothing about itself.
                page = large ? row->overflow + 2 : path->back().number;
            }
            list_as_free(page);
            bool conflict = false;
            const std::string wrong = write(*db, [&](auto& transaction) {
                const auto put = transaction.put_snapshot("k1", 2, 0, "new");
                conflict = transaction.conflict();
                CPPUNIT_ASSERT(!transaction.commit().ok());
                return put ? std::string("no error") : put.error().message;
            });
            CPPUNIT_ASSERT_MESSAGE(wrong, wrong.find("in use, and in the list of free pages") != std::string::npos);
            CPPUNIT_ASSERT(conflict);
            CPPUNIT_ASSERT_EQUAL(std::string(9000, 'a'), state_of(*db, "k1"));
        }
    }

    void a_large_value_gives_back_no_more_pages_than_it_needs() {
        auto db = create();
        for (const char* name : {"a", "b", "c"})
            CPPUNIT_ASSERT_EQUAL(std::string(), put(*db, name, std::string(9000, *name)));
        PageNumber first = 0;
        {
            const auto opened = tables();
            const auto path = opened.tables[store_kv::snapshots_table].path_to("a");
            first = opened.tables[store_kv::snapshots_table].row_at(*path, "a")->overflow;
        }
        overwrite(first * page_size + 12, bytes_of(uint32_t{6}));  // 3
        CPPUNIT_ASSERT(state_of(*db, "a").find("the number of pages of a large value is 6, expected 3") !=
                       std::string::npos);
        // It gets a second place, and what lies behind it is not written on.
        CPPUNIT_ASSERT_EQUAL(std::string(), put(*db, "a", "new"));
        for (int i = 0; i < 10; ++i)
            CPPUNIT_ASSERT_EQUAL(std::string(), put(*db, "more" + std::to_string(i), std::string(20'000, 'm')));
        CPPUNIT_ASSERT_EQUAL(std::string("new"), state_of(*db, "a"));
        CPPUNIT_ASSERT_EQUAL(std::string(9000, 'b'), state_of(*db, "b"));
        CPPUNIT_ASSERT_EQUAL(std::string(9000, 'c'), state_of(*db, "c"));
    }

    void a_row_gives_back_no_pages_of_another() {
        auto db = create();
        const auto put_both = [&](const std::string& name) {
            return write(*db, [&](auto& transaction) -> std::string {
                const auto snapshot = transaction.put_snapshot(name, 1, 0, std::string(9000, name[0]));
                const auto metadata = transaction.put_metadata(name, std::string(9000, name[0]));
                return snapshot && metadata && snapshot->written && metadata->written ? "" : "not put";
            });
        };
        for (const char* name : {"a", "b"}) CPPUNIT_ASSERT_EQUAL(std::string(), put_both(name));
        {
            const auto opened = tables();
            for (const auto table : {store_kv::snapshots_table, store_kv::metadata_table}) {
                const auto path = opened.tables[table].path_to("b");
                const auto other = opened.tables[table].row_at(*path, "b");
                CPPUNIT_ASSERT(other && other->overflow != store_kv::no_page);
                overwrite(node_of(opened, table, "a") + 8 + 1, bytes_of(other->overflow));
            }
        }
        for (const char* value : {"new", "newer"}) {
            const std::string wrong = write(*db, [&](auto& transaction) -> std::string {
                const auto snapshot = transaction.put_snapshot("a", 2, 0, value);
                const auto metadata = transaction.put_metadata("a", value);
                return snapshot && metadata && snapshot->written && metadata->written ? "" : "not put";
            });
            CPPUNIT_ASSERT_EQUAL(std::string(), wrong);
        }
        for (int i = 0; i < 10; ++i)
            CPPUNIT_ASSERT_EQUAL(std::string(), put(*db, "more" + std::to_string(i), std::string(20'000, 'm')));
        CPPUNIT_ASSERT_EQUAL(std::string("newer"), state_of(*db, "a"));
        CPPUNIT_ASSERT_EQUAL(std::string(9000, 'b'), state_of(*db, "b"));
        const auto read = db->read();
        CPPUNIT_ASSERT_EQUAL(std::string("newer"), read->metadata("a")->value_or("absent"));
        CPPUNIT_ASSERT_EQUAL(std::string(9000, 'b'), read->metadata("b")->value_or("absent"));
    }

    void a_changed_meta_page_is_not_written_on() {
        auto db = create();
        CPPUNIT_ASSERT_EQUAL(std::string(), put(*db, "a", "x"));
        const std::string content = read_file(file_);
        const uint64_t newest = tables().tables.view.meta.transaction % 2 * page_size;
        const uint64_t other = page_size - newest;
        const struct {
            uint64_t offset;
            const char* text;
        } places[] = {{newest + 16 + 120, "is not as it was written"},  // its last page
                      {newest + 16 + 16, "is not as it was written"},   // the size of the map
                      {newest + 16 + 72 + 8, "is not as it was written"},
                      {other + 10, "its kind"},
                      {other + 16, "its magic number"},
                      {other + 16 + 4, "the version of its format"},
                      {other + 16 + 8, "the address of its map"}};
        for (const auto& place : places) {
            const char flipped = static_cast<char>(content[place.offset] ^ 2);
            overwrite(place.offset, std::string(1, flipped));
            const std::string wrong = put(*db, "a", "new");
            CPPUNIT_ASSERT_MESSAGE(std::string(place.text) + ": " + wrong, wrong.find(place.text) != std::string::npos);
            CPPUNIT_ASSERT_MESSAGE(
                wrong, wrong.find(file_ + ": page " + (place.offset < page_size ? "0" : "1")) != std::string::npos);
            overwrite(place.offset, content.substr(place.offset, 1));
        }
        // As large as a number can be: no memory is taken for it.
        overwrite(newest + 16 + 120 + 4, std::string(1, '\x10'));
        CPPUNIT_ASSERT(state_of(*db, "a") != "x");
        db.reset();
        const auto refused = SnapshotDb::open(path_, map_size);
        CPPUNIT_ASSERT(!refused.ok());
        CPPUNIT_ASSERT_MESSAGE(refused.error().message,
                               refused.error().message.find(": its last page is ") != std::string::npos);
        overwrite(newest + 16 + 120 + 4, std::string(1, '\0'));
        db = open();
        CPPUNIT_ASSERT_EQUAL(std::string(), put(*db, "a", "new"));
    }

    void a_wrong_size_takes_no_memory() {
        auto db = create();
        CPPUNIT_ASSERT_EQUAL(std::string(), put(*db, "a", std::string(9000, 'a')));
        const auto opened = tables();
        const auto& tree = opened.tables[store_kv::snapshots_table];
        const auto path = tree.path_to("a");
        PageNode node = *tree.row_at(*path, "a");
        node.value_size = uint64_t{1} << 50;
        const auto value = tree.value(node);
        CPPUNIT_ASSERT(!value.ok());
        CPPUNIT_ASSERT_MESSAGE(
            value.error().message,
            value.error().message.find("the number of pages of a large value is 3") != std::string::npos);
    }

    void few_pages_are_read_to_remove_a_row_with_a_long_name() {
        auto db = create();
        constexpr int count = 3000;
        for (int i = 0; i < count; i += 100) {
            const std::string wrong = write(*db, [&](auto& transaction) -> std::string {
                for (int k = i; k < i + 100; ++k) {
                    const auto put = transaction.put_metadata(long_name(k), "v");
                    if (!put || !put->written) return "not put";
                }
                return {};
            });
            CPPUNIT_ASSERT_EQUAL(std::string(), wrong);
        }
        uint64_t most = 0;
        const auto opened = tables();
        auto guarded = store_kv::SnapshotTables::at(*opened.file, opened.tables.view.meta);
        store_kv::WriteGuard guard(std::move(*guarded));
        CPPUNIT_ASSERT(guard.check_begin().ok());
        for (int i = 0; i < count; i += 7) {
            bytes_read = 0;
            CPPUNIT_ASSERT(guard.check_remove(store_kv::metadata_table, long_name(i)).ok());
            most = std::max<uint64_t>(most, bytes_read / page_size);
        }
        const uint64_t pages = opened.tables[store_kv::metadata_table].table().info.leaf_pages;
        CPPUNIT_ASSERT_MESSAGE(std::to_string(most) + " of " + std::to_string(pages), pages > 200 && most < 40);
    }

    void listing_names_does_not_read_large_values() {
        auto db = create();
        for (int i = 0; i < 4; ++i) {
            CPPUNIT_ASSERT_EQUAL(std::string(), put(*db, "short" + std::to_string(i), std::string(1 << 20, 's')));
            CPPUNIT_ASSERT_EQUAL(std::string(),
                                 put(*db, std::string(600, 'l') + std::to_string(i), std::string(1 << 20, 's')));
        }
        const auto read = db->read();
        CPPUNIT_ASSERT(read.ok());
        bytes_read = 0;
        const auto names = read->names_after({}, {}, 100);
        CPPUNIT_ASSERT(names.ok());
        CPPUNIT_ASSERT_EQUAL(size_t{8}, names->size());
        CPPUNIT_ASSERT_MESSAGE(std::to_string(bytes_read), bytes_read < 128 << 10);
    }

    void a_free_page_that_cannot_be_read_does_not_end_a_copy() {
        auto db = with_free_pages();
        PageNumber free_page = 0;
        for (const List& list : free_lists()) {
            if (!list.pages.empty()) free_page = list.pages.front();
        }
        PageNumber used = 0;
        {
            const auto opened = tables();
            used = opened.tables[store_kv::snapshots_table].path_to("k1")->back().number;
        }
        const auto copy = [&](const std::string& to) {
            const auto read = db->read();
            std::ofstream out(to, std::ios::binary);
            const auto copied = read->copy(128 << 10, [&](std::string_view piece) {
                out.write(piece.data(), static_cast<std::streamsize>(piece.size()));
                return Result<void>();
            });
            return copied ? std::string() : copied.error().message;
        };
        unreadable_page = free_page;
        const std::string target = temporary_.path() + "/copy";
        fs::create_directory(target);
        CPPUNIT_ASSERT_EQUAL(std::string(), copy(target + "/data.mdb"));
        unreadable_page = used;
        const std::string wrong = copy(temporary_.path() + "/other.mdb");
        CPPUNIT_ASSERT_EQUAL(file_ + ": page " + std::to_string(used) + ": Input/output error (5)", wrong);
        unreadable_page = UINT64_MAX;
        auto copied = SnapshotDb::open(target, map_size);
        CPPUNIT_ASSERT(copied.ok());
        for (int i = 1; i < 40; i += 2)
            CPPUNIT_ASSERT_EQUAL(std::string(9000, 'a'), state_of(**copied, "k" + std::to_string(i)));
    }

    void a_page_that_cannot_be_read_is_an_error_of_its_rows() {
        auto db = create();
        for (int i = 0; i < 300; i += 50) {
            const std::string wrong = write(*db, [&](auto& transaction) -> std::string {
                for (int k = i; k < i + 50; ++k) {
                    const auto put = transaction.put_snapshot(long_name(k), 1, 0, "v");
                    if (!put || !put->written) return "not put";
                }
                return {};
            });
            CPPUNIT_ASSERT_EQUAL(std::string(), wrong);
        }
        {
            const auto opened = tables();
            unreadable_page = opened.tables[store_kv::snapshots_table].path_to(long_name(150))->back().number;
        }
        const std::string found = state_of(*db, long_name(150));
        CPPUNIT_ASSERT_EQUAL(file_ + ": page " + std::to_string(unreadable_page) + ": Input/output error (5)", found);
        CPPUNIT_ASSERT_EQUAL(std::string("v"), state_of(*db, long_name(10)));
        CPPUNIT_ASSERT_EQUAL(std::string(), put(*db, long_name(150), "second"));
        CPPUNIT_ASSERT_EQUAL(std::string("second"), state_of(*db, long_name(150)));
        // Readable again: the second place is the newer one.
        unreadable_page = UINT64_MAX;
        CPPUNIT_ASSERT_EQUAL(std::string("second"), state_of(*db, long_name(150)));
        CPPUNIT_ASSERT_EQUAL(std::string(), put(*db, long_name(150), "third"));
        CPPUNIT_ASSERT_EQUAL(std::string("third"), state_of(*db, long_name(150)));
        const auto read = db->read();
        CPPUNIT_ASSERT_EQUAL(size_t{300}, read->names_after({}, {}, 1000)->size());
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(StoreGuardTest);

}  // namespace
}  // namespace meridian::test
