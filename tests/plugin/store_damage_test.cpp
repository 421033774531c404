// A snapshot database that is damaged at any place: LMDB has no checksums, so store-kv looks at what LMDB would follow.
// Whatever is damaged, the process lives, and everything that the store gives is right: it refuses to open with a
// text, or gives an error for a key, or is not affected.
//
// MERIDIAN_DAMAGE_COUNT: how many places of each kind (2); MERIDIAN_DAMAGE_SEED: which (1).
#include <cppunit/extensions/HelperMacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "snapshot_tables.h"
#include "store_fixture.h"

namespace meridian::test {
namespace {

namespace fs = std::filesystem;
using store_kv::PageNode;
using store_kv::PageNumber;

constexpr size_t page_size = 4096;
constexpr int key_count = 260;

uint64_t number_from(const char* variable, uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// Long names make branches small, so that there are some; every tenth value is too large for a leaf.
std::string key_of(int i) {
    const std::string number = std::to_string(1000 + i);
    return number + std::string(static_cast<size_t>(i % 3 == 0 ? 300 : 120), 'k');
}

std::string state_of(int i) {
    return std::to_string(i) + std::string(static_cast<size_t>(i % 10 == 0 ? 9000 : 40 + i % 7 * 50), 's');
}

std::string metadata_of(int i) {
    return "value " + std::to_string(i) + std::string(static_cast<size_t>(i * 20), 'm');
}

constexpr int metadata_count = 30;

// What is done to the file: bits that change, from an offset on.
struct Damage {
    size_t offset = 0;
    std::string bits;
    bool while_open = false;  // instead of before

    void apply(const std::string& path) const {
        std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
        std::string bytes(bits.size(), '\0');
        file.seekg(static_cast<std::streamoff>(offset));
        file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(bytes[i] ^ bits[i]);
        file.seekp(static_cast<std::streamoff>(offset));
        file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    }
};

// Places in the file that are of one kind.
struct Places {
    std::string kind;
    std::vector<size_t> offsets;
};

class StoreDamageTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(StoreDamageTest);
    CPPUNIT_TEST(no_damaged_place_ends_the_process_or_gives_wrong_values);
    CPPUNIT_TEST(a_damaged_key_does_not_look_like_one_that_does_not_exist);
    CPPUNIT_TEST(a_page_that_is_in_use_and_free_is_refused);
    CPPUNIT_TEST(a_list_of_free_pages_that_is_damaged_in_use_is_not_followed);
    CPPUNIT_TEST(an_older_root_is_refused);
    CPPUNIT_TEST(a_damaged_page_keeps_no_key_from_being_written);
    CPPUNIT_TEST_SUITE_END();

    TemporaryDirectory temporary_;
    const std::string original_ = temporary_.path() + "/original";
    const std::string damaged_ = temporary_.path() + "/damaged";
    const std::string file_ = damaged_ + "/snapshots/data.mdb";
    std::string intact_;  // content of the file

    static Section section(const std::string& directory) {
        return {{"directory", directory},
                {"spare_segments", "0"},
                {"scrub_interval", "1ms"},
                {"scrub_bytes_per_second", "1GiB"},
                {"map_size", "64MiB"}};
    }

    void make() {
        TestHost host;
        auto options = section(original_);
        options["scrub_interval"] = "0";
        auto store = open_store(host, options);
        std::vector<node::SnapshotWrite> writes;
        for (int i = 0; i < key_count; ++i) {
            node::SnapshotWrite write;
            write.name = {"room", key_of(i)};
            write.state = state_of(i);
            if (i % 4 == 0) write.deadline_ms = 1'000'000 + static_cast<uint64_t>(i);
            writes.push_back(std::move(write));
        }
        // Some are written again and some removed, so that there are free pages and rows that remember deletions.
        for (int i = 0; i < metadata_count; ++i) store.commit_metadata("m" + std::to_string(i), metadata_of(i));
        for (int round = 0; round < 3; ++round) CPPUNIT_ASSERT_EQUAL(std::string(), store.checkpoint(writes));
        const uint64_t last = store.put("room", "removed", "x");
        for (int i = 0; i < 20; ++i) store.snapshot("room", "removed" + std::to_string(i), last, std::nullopt);
        store->close();
        intact_ = read_file(original_ + "/snapshots/data.mdb");
    }

    void copy() {
        fs::remove_all(damaged_);
        fs::copy(original_, damaged_, fs::copy_options::recursive);
    }

    struct Opened {
        std::unique_ptr<store_kv::PageFile> file;
        store_kv::SnapshotTables tables;
    };
    static Opened tables_of(const std::string& path) {
        auto file = store_kv::PageFile::open(store_kv::real_file_system(), path);
        CPPUNIT_ASSERT(file.ok());
        const auto meta = (*file)->read_newest_meta();
        CPPUNIT_ASSERT(meta.ok());
        auto tables = store_kv::SnapshotTables::at(**file, *meta);
        CPPUNIT_ASSERT(tables.ok());
        return {std::move(*file), std::move(*tables)};
    }

    template <class T>
    T load(size_t offset) const {
        T value;
        std::memcpy(&value, intact_.data() + offset, sizeof value);
        return value;
    }

    // All places that mean something, by what they are.
    std::vector<Places> places() const {
        std::vector<Places> out;
        const auto range = [&](const std::string& kind, size_t from, size_t size) {
            const auto found =
                std::find_if(out.begin(), out.end(), [&](const Places& places) { return places.kind == kind; });
            Places& places = found != out.end() ? *found : out.emplace_back(Places{kind, {}});
            for (size_t i = 0; i < size; ++i) places.offsets.push_back(from + i);
        };
        const size_t newest = load<uint64_t>(16 + 128) > load<uint64_t>(page_size + 16 + 128) ? 0 : page_size;
        range("newest meta page, header", newest, 16);
        range("newest meta page", newest + 16, 136);
        range("other meta page", page_size - newest, 152);
        const auto opened = tables_of(original_ + "/snapshots/data.mdb");
        std::vector<store_kv::TreeReader> trees = opened.tables.tables;
        trees.push_back(opened.tables.view.main);
        trees.push_back(opened.tables.view.free);
        for (const auto& tree : trees) {
            const std::string& name = tree.table().name;
            store_kv::TreeVisitor visitor;
            visitor.page = [&](PageNumber number) {
                const size_t page = static_cast<size_t>(number) * page_size;
                const bool leaf = load<uint16_t>(page + 10) == 2;
                const std::string kind = name + (leaf ? ", leaf: " : ", branch: ");
                range(kind + "header", page, 16);
                const size_t count = (load<uint16_t>(page + 12) - 16u) / 2;
                range(kind + "offsets", page + 16, 2 * count);
                for (size_t i = 0; i < count; ++i) {
                    const size_t node = page + load<uint16_t>(page + 16 + 2 * i);
                    range(kind + "node header", node, 8);
                    range(kind + "key", node + 8, load<uint16_t>(node + 6));
                }
                return true;
            };
            visitor.row = [&](std::string_view key, const PageNode& node) {
                if (node.overflow == store_kv::no_page) {
                    const size_t found = intact_.find(std::string(key) + std::string(node.value));
                    if (found != std::string::npos) range(name + ": value", found + key.size(), node.value.size());
                } else {
                    range(name + ": large value, header", static_cast<size_t>(node.overflow) * page_size, 16);
                    range(name + ": large value", static_cast<size_t>(node.overflow) * page_size + 16, 200);
                }
                return true;
            };
            CPPUNIT_ASSERT(tree.walk({}, visitor).ok());
        }
        return out;
    }

    // What may be an error because of the damage: rows whose path or value it touches, or all if it touches what leads
    // to all.
    struct Reach {
        std::vector<bool> keys = std::vector<bool>(key_count, false);
        std::vector<bool> metadata = std::vector<bool>(metadata_count, false);
    };
    Reach reach_of(const Damage& damage) const {
        Reach reach;
        if (damage.bits.empty()) return reach;
        const PageNumber first = damage.offset / page_size;
        const PageNumber last = (damage.offset + damage.bits.size() - 1) / page_size;
        const auto touched = [&](PageNumber from, uint64_t count = 1) { return from <= last && from + count > first; };
        const auto opened = tables_of(original_ + "/snapshots/data.mdb");
        bool all = touched(0, store_kv::meta_pages);
        for (const auto* tree :
             {&opened.tables.view.main, &opened.tables.view.free, &opened.tables[store_kv::system_table]}) {
            store_kv::TreeVisitor visitor;
            visitor.page = [&](PageNumber page) {
                all = all || touched(page);
                return true;
            };
            CPPUNIT_ASSERT(tree->walk({}, visitor).ok());
        }
        const auto reaches = [&](store_kv::TableIndex table, const std::string& name) {
            const auto& tree = opened.tables[table];
            const auto path = tree.path_to(name);
            CPPUNIT_ASSERT(path.ok());
            const auto row = tree.row_at(*path, name);
            CPPUNIT_ASSERT(row);
            return all ||
                   std::any_of(path->begin(), path->end(), [&](const auto& step) { return touched(step.number); }) ||
                   (row->overflow != store_kv::no_page &&
                    touched(row->overflow, store_kv::overflow_page_count(row->value_size, page_size)));
        };
        for (int i = 0; i < key_count; ++i) {
            const std::string name = std::string("room\0", 5) + key_of(i);
            reach.keys[static_cast<size_t>(i)] = reaches(store_kv::snapshots_table, name);
        }
        for (int i = 0; i < metadata_count; ++i)
            reach.metadata[static_cast<size_t>(i)] = reaches(store_kv::metadata_table, "m" + std::to_string(i));
        return reach;
    }

    // ---- in the child process: everything is a text of what is wrong

    struct Seen {
        bool refused = false;
        int quarantined = 0;
        std::vector<bool> right = std::vector<bool>(key_count, false);
    };

    static bool says_what_is_wrong(const std::string& error) {
        return error.find("data.mdb") != std::string::npos || error.find("the stored ") != std::string::npos;
    }

    static std::string look(TestStore& store, const Reach& reach, Seen& seen) {
        for (int i = 0; i < key_count; ++i) {
            const auto record = store.read("room", key_of(i));
            if (!record.error.empty()) {
                ++seen.quarantined;
                if (!reach.keys[static_cast<size_t>(i)] || !says_what_is_wrong(record.error))
                    return "key " + std::to_string(i) + " is an error: " + record.error;
            } else if (record.snapshot != state_of(i)) {
                return "key " + std::to_string(i) + (record.snapshot ? " has another value" : " is gone");
            } else {
                seen.right[static_cast<size_t>(i)] = true;
            }
        }
        for (int i = 0; i < metadata_count; ++i) {
            Awaited<Result<std::vector<std::optional<std::string>>>> result;
            store->read_metadata({"m" + std::to_string(i)}, result.completion());
            const auto values = result.get();
            if (!values && (!reach.metadata[static_cast<size_t>(i)] || !says_what_is_wrong(values.error().message)))
                return "metadata " + std::to_string(i) + " is an error: " + values.error().message;
            if (values && values->at(0) != metadata_of(i)) return "metadata " + std::to_string(i) + " is wrong";
        }
        const auto page = store.keys("room");
        if (!page.error.empty()) return {};
        for (int i = 0; i < key_count; ++i) {
            if (!seen.right[static_cast<size_t>(i)]) continue;
            const node::KeyName name{"room", key_of(i)};
            if (std::find(page.names.begin(), page.names.end(), name) == page.names.end())
                return "key " + std::to_string(i) + " is not listed";
        }
        return {};
    }

    static std::string use(const std::string& directory, const Damage& damage, const Reach& reach, Seen& seen) {
        const std::string path = directory + "/snapshots/data.mdb";
        if (!damage.while_open) damage.apply(path);
        TestHost host;
        auto opened = try_open(host, section(directory));
        if (!opened) {
            seen.refused = true;
            const bool named = opened.error().message.find("snapshots") != std::string::npos;
            return named ? "" : "refused with '" + opened.error().message + "'";
        }
        bool written = false;
        {
            TestStore store(std::move(*opened));
            if (damage.while_open) damage.apply(path);
            if (auto wrong = look(store, reach, seen); !wrong.empty()) return wrong;
            store.due(2'000'000);
            // Written again, one by one and together; then many are removed, so that pages are merged.
            std::vector<node::SnapshotWrite> writes;
            for (int i = 0; i < key_count; i += 3) {
                node::SnapshotWrite write;
                write.name = {"room", key_of(i)};
                write.state = state_of(i);
                writes.push_back(std::move(write));
            }
            written = store.checkpoint(writes).empty();
            if (!written && !store->usage().failed &&
                std::find(reach.keys.begin(), reach.keys.end(), false) != reach.keys.end())
                return "keys were not written because of others";
            for (int i = 1; i < key_count; i += 60) store.snapshot("room", key_of(i), 0, state_of(i));
            // Refused if what was found makes it dangerous to write.
            const auto put = [&](const char* room, const std::string& key, const std::string& payload) {
                return store.commit({{entry(store.next_position(), room, key, payload)}, {}}).status;
            };
            for (int i = 0; i < 40; ++i) put("gone", key_of(i), "x");
            std::vector<node::SnapshotWrite> removals;
            for (int i = 0; i < 40; ++i) {
                node::SnapshotWrite write;
                write.name = {"gone", key_of(i)};
                write.position = store.next_position() - 1;
                removals.push_back(std::move(write));
            }
            store.checkpoint(removals);
            for (int i = 0; i < 3; ++i) put("room", "large" + std::to_string(i), std::string(40'000, 'x'));
            // The metric is that of one pass: two more have begun after everything above.
            const uint64_t before = host.passes();
            if (!TestStore::eventually([&] { return host.passes() >= before + 2; }))
                return "no pass that looks for damage";
            store->close();
        }
        opened = try_open(host, section(directory));
        if (!opened) return {};
        TestStore store(std::move(*opened));
        Seen again;
        if (auto wrong = look(store, reach, again); !wrong.empty()) return wrong;
        for (int i = 0; written && i < key_count; i += 3) {
            if (!again.right[static_cast<size_t>(i)])
                return "key " + std::to_string(i) + " was written and is an error";
        }
        return {};
    }

    // Gives what is wrong with what a process makes of the damaged store, and what it saw.
    std::string outcome(const Damage& damage, Seen& seen) {
        copy();
        const Reach reach = reach_of(damage);
        int ends[2];
        CPPUNIT_ASSERT_EQUAL(0, ::pipe(ends));
        const pid_t child = ::fork();
        if (child == 0) {
            ::alarm(120);
            std::string wrong;
            try {
                wrong = use(damaged_, damage, reach, seen);
            } catch (const std::exception& error) { wrong = error.what(); }
            const std::string text =
                std::string(seen.refused ? "r" : "-") + (seen.quarantined != 0 ? "q" : "-") + wrong;
            const ssize_t written = ::write(ends[1], text.data(), text.size());
            ::_exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
        }
        ::close(ends[1]);
        std::string text;
        char buffer[512];
        for (ssize_t count = 0; (count = ::read(ends[0], buffer, sizeof buffer)) > 0;)
            text.append(buffer, static_cast<size_t>(count));
        ::close(ends[0]);
        int status = 0;
        CPPUNIT_ASSERT_EQUAL(child, ::waitpid(child, &status, 0));
        if (WIFSIGNALED(status)) return "ended by signal " + std::to_string(WTERMSIG(status));
        if (status != 0 || text.size() < 2) return "ended with status " + std::to_string(status);
        seen.refused = text[0] == 'r';
        seen.quarantined = text[1] == 'q' ? 1 : 0;
        return text.substr(2);
    }

public:
    void no_damaged_place_ends_the_process_or_gives_wrong_values() {
        make();
        Seen sound;
        CPPUNIT_ASSERT_EQUAL(std::string(), outcome({}, sound));
        CPPUNIT_ASSERT(!sound.refused && sound.quarantined == 0);

        std::mt19937_64 random(number_from("MERIDIAN_DAMAGE_SEED", 1));
        const uint64_t count = number_from("MERIDIAN_DAMAGE_COUNT", 2);
        int refused = 0;
        int quarantined = 0;
        int unaffected = 0;
        std::string failures;
        const auto attempt = [&](const std::string& what, const Damage& damage) {
            Seen seen;
            const std::string wrong = outcome(damage, seen);
            if (!wrong.empty()) failures += what + (damage.while_open ? " while open: " : ": ") + wrong + "\n";
            (seen.refused ? refused : seen.quarantined != 0 ? quarantined : unaffected) += 1;
        };
        const auto found = places();
        CPPUNIT_ASSERT(found.size() > 20);
        for (const Places& places : found) {
            if (places.offsets.empty()) continue;
            for (uint64_t i = 0; i < count; ++i) {
                const size_t offset = places.offsets[random() % places.offsets.size()];
                const auto bit = static_cast<unsigned>(random() % 8);
                attempt(places.kind + ", bit " + std::to_string(bit) + " of byte " + std::to_string(offset),
                        {offset, std::string(1, static_cast<char>(1U << bit)), i % 2 == 1});
            }
        }
        const size_t pages = intact_.size() / page_size;
        for (uint64_t i = 0; i < 3 * count; ++i) {
            const size_t page = random() % pages;
            const size_t other = random() % pages;
            std::string bits(page_size, '\0');
            if (i % 3 == 1) std::generate(bits.begin(), bits.end(), [&] { return static_cast<char>(random()); });
            if (i % 3 == 2) bits = intact_.substr(other * page_size, page_size);
            for (size_t k = 0; k < page_size; ++k) bits[k] = static_cast<char>(bits[k] ^ intact_[page * page_size + k]);
            const char* const how[] = {"zeros", "anything", "page "};
            attempt("page " + std::to_string(page) + " replaced by " + how[i % 3] +
                        (i % 3 == 2 ? std::to_string(other) : std::string()),
                    {page * page_size, bits, i % 2 == 1});
        }
        CPPUNIT_ASSERT_EQUAL(std::string(), failures);
        CPPUNIT_ASSERT(refused > 0 && quarantined > 0 && unaffected > 0);
    }

    void a_damaged_key_does_not_look_like_one_that_does_not_exist() {
        make();
        copy();
        std::string content = intact_;
        // In the row, in its value, and perhaps in what is left of older pages.
        const std::string key = std::string("room\0", 5) + key_of(100);
        for (size_t at = content.find(key); at != std::string::npos; at = content.find(key, at + 1))
            content[at + key.size() - 1] = 'l';
        // The value says the name too, and is in the checksum: that is put back.
        for (size_t at = content.find(key.substr(0, key.size() - 1) + 'l'); at != std::string::npos;
             at = content.find(key.substr(0, key.size() - 1) + 'l', at + 1)) {
            if (static_cast<unsigned char>(content[at - 1]) == (key.size() & 0x7f)) content[at + key.size() - 1] = 'k';
        }
        write_file(file_, content);
        TestHost host;
        auto store = open_store(host, {{"directory", damaged_}});
        const auto record = store.read("room", key_of(100));
        CPPUNIT_ASSERT_MESSAGE(record.error, !record.error.empty());
        CPPUNIT_ASSERT_EQUAL(state_of(101), store.read("room", key_of(101)).snapshot.value_or("none"));
        CPPUNIT_ASSERT_EQUAL(std::string(), store.read("room", key_of(100) + "x").error);
    }

    void a_page_that_is_in_use_and_free_is_refused() {
        make();
        copy();
        PageNumber free_page = 0;
        size_t place = 0;
        const auto opened = tables_of(file_);
        store_kv::TreeVisitor visitor;
        visitor.row = [&](std::string_view, const PageNode& node) {
            if (node.value.size() < 16) return true;
            free_page = store_kv::load_u64(node.value, 8);
            place = intact_.find(std::string(node.value)) + 8;
            return false;
        };
        CPPUNIT_ASSERT(opened.tables.view.free.walk({}, visitor).ok());
        CPPUNIT_ASSERT(place > 8);
        // The first page of a list may be any greater one.
        const PageNumber used = opened.tables[store_kv::snapshots_table].table().info.root;
        std::string content = intact_;
        const PageNumber wrong = std::max(used, free_page + 1);
        std::memcpy(&content[place], &wrong, sizeof wrong);
        write_file(file_, content);
        TestHost host;
        const auto store = try_open(host, {{"directory", damaged_}});
        CPPUNIT_ASSERT(!store.ok());
        CPPUNIT_ASSERT_MESSAGE(store.error().message, store.error().message.find(file_) != std::string::npos);
    }

    void a_list_of_free_pages_that_is_damaged_in_use_is_not_followed() {
        make();
        copy();
        TestHost host;
        auto store = open_store(host, {{"directory", damaged_}});
        // Every list that is in a leaf says that it is longer than any memory.
        const std::string content = read_file(file_);
        const auto opened = tables_of(file_);
        int lists = 0;
        store_kv::TreeVisitor visitor;
        visitor.row = [&](std::string_view key, const PageNode& node) {
            const size_t row = content.find(std::string(key) + std::string(node.value));
            if (node.value.empty() || row == std::string::npos) return true;
            Damage{row + key.size() + 5, "\x7f"}.apply(file_);
            ++lists;
            return true;
        };
        CPPUNIT_ASSERT(opened.tables.view.free.walk({}, visitor).ok());
        CPPUNIT_ASSERT(lists > 0);
        const std::string error = store.snapshot("room", key_of(7), 0, "new");
        CPPUNIT_ASSERT_MESSAGE(error, error.find(file_ + ": a list of") != std::string::npos);
        CPPUNIT_ASSERT_EQUAL(state_of(7), store.read("room", key_of(7)).snapshot.value_or("none"));
        store.put("room", "a", "goes on");
    }

    void an_older_root_is_refused() {
        make();
        copy();
        std::string content = intact_;
        const size_t newest = load<uint64_t>(16 + 128) > load<uint64_t>(page_size + 16 + 128) ? 0 : page_size;
        const size_t roots = 16 + 24;
        content.replace(newest + roots, 96, intact_.substr(page_size - newest + roots, 96));
        write_file(file_, content);
        TestHost host;
        const auto store = try_open(host, {{"directory", damaged_}});
        CPPUNIT_ASSERT(!store.ok());
        CPPUNIT_ASSERT_MESSAGE(store.error().message, store.error().message.find("snapshots") != std::string::npos);
    }

    void a_damaged_page_keeps_no_key_from_being_written() {
        make();
        copy();
        const auto opened = tables_of(file_);
        const std::string name = std::string("room\0", 5) + key_of(130);
        const auto path = opened.tables[store_kv::snapshots_table].path_to(name);
        CPPUNIT_ASSERT(path.ok() && path->size() > 1);
        std::string content = intact_;
        content.replace(static_cast<size_t>(path->back().number) * page_size, page_size, std::string(page_size, '\0'));
        write_file(file_, content);
        const std::string page = "page " + std::to_string(path->back().number);
        for (int round = 0; round < 2; ++round) {
            TestHost host;
            auto store = open_store(host, {{"directory", damaged_}});
            CPPUNIT_ASSERT_MESSAGE(host.warnings(), host.warnings().find(page) != std::string::npos);
            // A key that the node still has in memory gets a second place, which counts from then on.
            const auto record = store.read("room", key_of(130));
            CPPUNIT_ASSERT_EQUAL(round == 0, !record.error.empty());
            if (round == 1) CPPUNIT_ASSERT_EQUAL(std::string("newer 0"), record.snapshot.value_or("none"));
            for (const char* state : {"new ", "newer "}) {
                std::vector<node::SnapshotWrite> writes;
                for (const int i : {20, 130, 240}) {
                    node::SnapshotWrite write;
                    write.name = {"room", key_of(i)};
                    write.state = state + std::to_string(round);
                    writes.push_back(std::move(write));
                }
                CPPUNIT_ASSERT_EQUAL(std::string(), store.checkpoint(writes));
                for (const int i : {20, 130, 240}) {
                    CPPUNIT_ASSERT_EQUAL(state + std::to_string(round),
                                         store.read("room", key_of(i)).snapshot.value_or("none"));
                }
            }
            CPPUNIT_ASSERT(!store->usage().failed);
            store->close();
        }
        TestHost host;
        auto store = open_store(host, {{"directory", damaged_}});
        CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", key_of(130), 0, std::nullopt));
        const auto record = store.read("room", key_of(130));
        CPPUNIT_ASSERT(record.error.empty() && !record.snapshot);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(StoreDamageTest);

}  // namespace
}  // namespace meridian::test
