// Damaged, truncated, missing and foreign files: the documented refusal or recovery, with a message that names the
// thing.
#include <cppunit/extensions/HelperMacros.h>

#include <filesystem>

#include "base/binary.h"
#include "crc32c.h"
#include "log_recovery.h"
#include "log_writer.h"
#include "record.h"
#include "snapshot_db.h"
#include "store_fixture.h"

namespace meridian::test {
namespace {

namespace fs = std::filesystem;
using store_kv::record_header_size;
using store_kv::segment_header_size;

class StoreCorruptionTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(StoreCorruptionTest);
    CPPUNIT_TEST(the_two_checksum_functions_agree);
    CPPUNIT_TEST(a_record_has_the_bytes_that_the_format_page_shows);
    CPPUNIT_TEST(an_unfinished_record_at_the_end_is_dropped);
    CPPUNIT_TEST(a_damaged_record_before_the_end_is_a_loud_error);
    CPPUNIT_TEST(a_record_lost_after_a_clean_close_is_a_loud_error);
    CPPUNIT_TEST(the_rest_of_an_unfinished_batch_does_not_come_back);
    CPPUNIT_TEST(any_flipped_bit_of_a_segment_header_is_refused);
    CPPUNIT_TEST(a_truncated_segment_is_refused);
    CPPUNIT_TEST(a_missing_segment_is_refused);
    CPPUNIT_TEST(a_segment_of_another_store_is_refused);
    CPPUNIT_TEST(a_newer_log_format_is_refused);
    CPPUNIT_TEST(a_newer_directory_format_is_refused);
    CPPUNIT_TEST(a_truncated_snapshot_database_is_refused);
    CPPUNIT_TEST(a_snapshot_database_without_its_last_free_pages_opens);
    CPPUNIT_TEST(a_newer_format_of_the_snapshot_database_is_refused);
    CPPUNIT_TEST(a_store_from_before_the_mark_of_a_clean_close_opens);
    CPPUNIT_TEST(a_removed_snapshot_database_is_refused);
    CPPUNIT_TEST(a_removed_log_is_refused);
    CPPUNIT_TEST(a_snapshot_database_of_another_store_is_refused);
    CPPUNIT_TEST(an_interrupted_making_of_a_store_is_begun_again);
    CPPUNIT_TEST(a_damaged_snapshot_is_an_error_of_its_key_alone);
    CPPUNIT_TEST(a_directory_with_other_files_is_refused);
    CPPUNIT_TEST_SUITE_END();

    TemporaryDirectory temporary_;
    TestHost host_;
    const std::string original_ = temporary_.path() + "/original";
    const std::string damaged_ = temporary_.path() + "/damaged";

    // A store with `count` entries of one key, as a crash would leave it: copied while it is open.
    void make_crashed(int count, size_t payload_size = 100) {
        auto store = open_store(host_, {{"directory", original_}, {"spare_segments", "0"}});
        for (int i = 0; i < count; ++i) store.put("room", "a", std::to_string(i) + std::string(payload_size, 'x'));
        fs::copy(original_, damaged_, fs::copy_options::recursive);
        store->close();
    }
    void restore() {
        fs::remove_all(damaged_);
        fs::copy(original_, damaged_, fs::copy_options::recursive);
    }
    Result<std::unique_ptr<plugin::LoadedStore>> open_damaged() {
        return try_open(host_, {{"directory", damaged_}, {"spare_segments", "0"}});
    }
    void must_refuse(const std::vector<std::string>& parts, const std::string& context = {}) {
        const auto store = open_damaged();
        CPPUNIT_ASSERT_MESSAGE(context + ": opened", !store.ok());
        for (const std::string& part : parts) {
            CPPUNIT_ASSERT_MESSAGE(context + ": '" + store.error().message + "' lacks '" + part + "'",
                                   store.error().message.find(part) != std::string::npos);
        }
    }
    std::string segment(size_t index = 0) { return segments(damaged_).at(index); }
    // Bytes of one record of make_crashed with payloads of `size` bytes.
    static void flip(const std::string& path, size_t offset, unsigned char mask = 1) {
        std::string bytes = read_file(path);
        bytes.at(offset) = static_cast<char>(static_cast<unsigned char>(bytes.at(offset)) ^ mask);
        write_file(path, bytes);
    }
    static size_t record_bytes(const std::string& path, size_t offset) {
        const std::string bytes = read_file(path);
        const auto header = store_kv::decode_record_header(std::string_view(bytes).substr(offset, record_header_size));
        return static_cast<size_t>(store_kv::record_size(header.length));
    }

public:
    void the_two_checksum_functions_agree() {
        // The check value of CRC32C.
        CPPUNIT_ASSERT_EQUAL(uint32_t{0xe3069283}, store_kv::crc32c("123456789"));
        std::string bytes;
        for (int i = 0; i < 300; ++i) {
            bytes.push_back(static_cast<char>(i * 7));
            CPPUNIT_ASSERT_EQUAL(store_kv::crc32c_portable(bytes.data(), bytes.size()), store_kv::crc32c(bytes));
            const size_t half = bytes.size() / 2;
            const uint32_t first = store_kv::crc32c(std::string_view(bytes).substr(0, half));
            CPPUNIT_ASSERT_EQUAL(store_kv::crc32c(bytes),
                                 store_kv::crc32c(std::string_view(bytes).substr(half), first));
        }
    }

    void a_record_has_the_bytes_that_the_format_page_shows() {
        store_kv::GroupWriter group(1, 1, 0);
        store_kv::EntryView view;
        view.origin_node_id = 7;
        view.origin_incarnation = 1;
        view.origin_sequence = 1;
        view.wall_ms = 1000;
        view.payload = "hi";
        group.entry(view, "room", "a");
        group.begin_metadata(0);
        const size_t size = group.payload_size();
        std::string record = group.take();
        store_kv::RecordHeader header;
        header.generation = 1;
        header.sequence = 1;
        store_kv::finish_record(record, static_cast<uint32_t>(size), 42, header);
        const unsigned char expected[] = {1,    1,    7,    0,   0,   0,   0,   0, 0,   0,    1,   1,   0xe8,
                                          0x07, 0x00, 0x06, 'r', 'o', 'o', 'm', 0, 'a', 0x02, 'h', 'i', 0x00};
        CPPUNIT_ASSERT_EQUAL(size_t{26}, size);
        CPPUNIT_ASSERT_EQUAL(size_t{64}, record.size());
        CPPUNIT_ASSERT_EQUAL(std::string(reinterpret_cast<const char*>(expected), sizeof expected),
                             record.substr(record_header_size, size));
        CPPUNIT_ASSERT_EQUAL(std::string("\x1a\0\0\0", 4), record.substr(0, 4));
        CPPUNIT_ASSERT_EQUAL(std::string("\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24),
                             record.substr(8, 24));
        // What the checksum covers.
        const auto read = store_kv::decode_record_header(record);
        const std::string_view payload = std::string_view(record).substr(record_header_size, size);
        CPPUNIT_ASSERT(store_kv::record_intact(read, payload, 42));
        CPPUNIT_ASSERT(!store_kv::record_intact(read, payload, 43));
    }

    void an_unfinished_record_at_the_end_is_dropped() {
        make_crashed(5);
        const std::string path = segment();
        size_t last = segment_header_size;
        for (int i = 0; i < 4; ++i) last += record_bytes(path, last);
        flip(path, last + record_header_size + 20);
        {
            auto store = open_store(host_, {{"directory", damaged_}});
            CPPUNIT_ASSERT_EQUAL(uint64_t{5}, store->opening().next_position);
            CPPUNIT_ASSERT_EQUAL(size_t{4}, store.read("room", "a").tail.size());
            store.put("room", "a", "in its place");
        }
        auto store = open_store(host_, {{"directory", damaged_}});
        CPPUNIT_ASSERT_EQUAL(std::string("in its place"), store.read("room", "a").tail.at(4));
    }

    void a_damaged_record_before_the_end_is_a_loud_error() {
        make_crashed(5);
        const std::string intact = temporary_.path() + "/intact.seg";
        const std::string path = segment();
        fs::copy_file(path, intact);
        const size_t second = segment_header_size + record_bytes(path, segment_header_size);
        // Every byte of its header and some of the payload.
        for (size_t offset = second; offset < second + record_header_size + 40; ++offset) {
            fs::copy_file(intact, path, fs::copy_options::overwrite_existing);
            flip(path, offset, 0x10);
            must_refuse({path, "record 2", "offset " + std::to_string(second), "damaged"},
                        "byte " + std::to_string(offset));
        }
        // Undamaged it opens.
        fs::copy_file(intact, path, fs::copy_options::overwrite_existing);
        CPPUNIT_ASSERT(open_damaged().ok());
    }

    void a_record_lost_after_a_clean_close_is_a_loud_error() {
        make_crashed(3);
        restore();  // the original has been closed
        const std::string path = segment();
        const size_t second = segment_header_size + record_bytes(path, segment_header_size);
        const size_t third = second + record_bytes(path, second);
        flip(path, third + record_header_size);
        must_refuse({path, "record 3", "damaged"});
    }

    void the_rest_of_an_unfinished_batch_does_not_come_back() {
        const std::string directory = temporary_.path() + "/log";
        fs::create_directory(directory);
        std::mutex mutex;
        store_kv::LogWriterOptions options;
        options.directory = directory;
        options.segment_size = 64 << 10;
        const auto record = [](uint64_t position, const std::string& payload) {
            store_kv::GroupWriter group(position, 1, 100);
            store_kv::EntryView view;
            view.payload = payload;
            group.entry(view, "room", "a");
            group.begin_metadata(0);
            store_kv::PendingRecord out;
            out.payload_size = group.payload_size();
            out.first_position = position;
            out.entry_count = 1;
            out.bytes = group.take();
            return out;
        };
        std::vector<std::string> seen;
        std::string remark;
        // Opens the log, remembers its payloads, and appends records in one batch; gives their offsets.
        const auto append = [&](const std::vector<std::string>& payloads, bool create) {
            auto& files = store_kv::real_file_system();
            store_kv::SegmentList list;
            store_kv::SparePool spares(files, directory, options.segment_size, 0);
            store_kv::LogWriter writer(files, options, spares, list, mutex, [] { return uint64_t{42}; });
            seen.clear();
            if (create) {
                CPPUNIT_ASSERT_EQUAL(0, writer.create_first());
            } else {
                store_kv::LogRecoveryRequest request;
                request.directory = directory;
                const auto recovered = store_kv::recover_log(
                    files, request, list, [&](store_kv::Segment& in, const store_kv::RecordAt& at) -> Result<void> {
                        const auto summary = store_kv::read_group(
                            at.payload, [&](const store_kv::EntryView& view) { seen.emplace_back(view.payload); },
                            [](const store_kv::MetadataView&) {});
                        in.next_position += summary->entry_count;
                        return {};
                    });
                CPPUNIT_ASSERT_MESSAGE(recovered ? "" : recovered.error().message, recovered.ok());
                remark = recovered->remark;
                writer.resume(recovered->seal_last);
            }
            std::vector<store_kv::PendingRecord> records;
            uint64_t position = writer.next_position();
            for (const auto& payload : payloads) records.push_back(record(position++, payload));
            std::vector<store_kv::PendingRecord*> pointers;
            for (auto& item : records) pointers.push_back(&item);
            if (pointers.empty()) return std::vector<uint64_t>();
            return writer.append(pointers).offsets;
        };
        const auto offsets = append({"one", "two", "three"}, true);
        flip(directory + "/0000000000000001.seg", static_cast<size_t>(offsets[1]) + record_header_size);
        // Of the batch, which nobody was told about, the first record is whole and the others go.
        append({"TWO"}, false);
        CPPUNIT_ASSERT((seen == std::vector<std::string>{"one"}));
        CPPUNIT_ASSERT(remark.find("unfinished batch") != std::string::npos);
        // "TWO" has the place and the size of "two", behind which "three" still lies intact.
        append({}, false);
        CPPUNIT_ASSERT((seen == std::vector<std::string>{"one", "TWO"}));
    }

    void any_flipped_bit_of_a_segment_header_is_refused() {
        make_crashed(3);
        const std::string path = segment();
        for (size_t offset = 0; offset < 72; ++offset) {
            flip(path, offset, 0x40);
            must_refuse({path}, "byte " + std::to_string(offset));
            flip(path, offset, 0x40);
        }
        CPPUNIT_ASSERT(open_damaged().ok());
    }

    void a_truncated_segment_is_refused() {
        make_crashed(3);
        fs::resize_file(segment(), 5000);
        must_refuse({segment(), "5000 bytes", "65536"});
        fs::resize_file(segment(), 10);
        must_refuse({segment(), "10 bytes"});
    }

    void a_missing_segment_is_refused() {
        make_crashed(60, 4000);
        CPPUNIT_ASSERT(segments(damaged_).size() >= 3);
        const std::string second = segment(1);
        fs::remove(second);
        must_refuse({fs::path(second).filename(), "missing"});
        restore();
        for (const std::string& path : segments(damaged_)) {
            if (path != segments(damaged_).back()) fs::remove(path);
        }
        // The last one alone: the key's entries are in the others.
        must_refuse({"missing"});
    }

    void a_segment_of_another_store_is_refused() {
        make_crashed(3);
        const std::string other = temporary_.path() + "/other";
        { open_store(host_, {{"directory", other}}).put("room", "a", "x"); }
        fs::copy_file(segments(other).at(0), segment(), fs::copy_options::overwrite_existing);
        must_refuse({segment(), "another store"});
    }

    void a_newer_log_format_is_refused() {
        make_crashed(3);
        std::string bytes = read_file(segment());
        bytes[8] = 2;
        const uint32_t checksum = store_kv::crc32c(std::string_view(bytes).substr(16, 56),
                                                   store_kv::crc32c(std::string_view(bytes).substr(0, 12)));
        for (size_t i = 0; i < 4; ++i) bytes[12 + i] = static_cast<char>(checksum >> (8 * i));
        write_file(segment(), bytes);
        must_refuse({segment(), "log format 2", "reads 1"});
    }

    void a_newer_directory_format_is_refused() {
        make_crashed(1);
        std::string text = read_file(damaged_ + "/FORMAT");
        text.replace(text.find("format 1"), 8, "format 9");
        write_file(damaged_ + "/FORMAT", text);
        must_refuse({"FORMAT", "format 9", "up to format 1"});
    }

    void a_truncated_snapshot_database_is_refused() {
        {
            auto store = open_store(host_, {{"directory", damaged_}});
            store.put("room", "a", "x");
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "a", 1, std::string(1 << 20, 's')));
        }
        const std::string path = damaged_ + "/snapshots/data.mdb";
        fs::resize_file(path, fs::file_size(path) / 2);
        must_refuse({path, "truncated"});
        fs::resize_file(path, 100);
        must_refuse({"snapshots"});
    }

    // LMDB counts the highest page that it ever took, but may not have written it when it was free again at once.
    void a_snapshot_database_without_its_last_free_pages_opens() {
        {
            auto store = open_store(host_, {{"directory", damaged_}});
            store.put("room", "a", "x");
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "a", 1, "state"));
        }
        const std::string path = damaged_ + "/snapshots/data.mdb";
        const uint64_t pages = fs::file_size(path) / 4096;
        constexpr size_t last_page_offset = 136;
        std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
        for (const std::streamoff page : {0, 4096}) {
            uint64_t last = 0;
            file.seekg(page + static_cast<std::streamoff>(last_page_offset));
            file.read(reinterpret_cast<char*>(&last), sizeof last);
            CPPUNIT_ASSERT(last < pages);
            last = pages + 2;
            file.seekp(page + static_cast<std::streamoff>(last_page_offset));
            file.write(reinterpret_cast<const char*>(&last), sizeof last);
        }
        file.close();
        const std::string copy = temporary_.path() + "/copy";
        {
            auto store = open_store(host_, {{"directory", damaged_}});
            CPPUNIT_ASSERT_EQUAL(std::string("state"), store.read("room", "a").snapshot.value_or("none"));
            Awaited<std::string> copied;
            store->backup(copy, copied.completion());
            CPPUNIT_ASSERT_EQUAL(std::string(), copied.get());
        }
        auto store = open_store(host_, {{"directory", copy}});
        CPPUNIT_ASSERT_EQUAL(std::string("state"), store.read("room", "a").snapshot.value_or("none"));
    }

    void a_newer_format_of_the_snapshot_database_is_refused() {
        make_crashed(1);
        const std::string path = damaged_ + "/snapshots/data.mdb";
        for (const size_t page : {0, 4096}) flip(path, page + 20, 3);  // 1 becomes 2
        must_refuse({path, "page 0", "version of its format is 2", "expected 1"});
    }

    // The state of such stores ends before what was added later.
    void a_store_from_before_the_mark_of_a_clean_close_opens() {
        make_crashed(3);
        const std::string path = damaged_ + "/snapshots";
        std::string state;
        {
            auto database = store_kv::SnapshotDb::open(path, 64 << 20);
            CPPUNIT_ASSERT(database.ok());
            const auto written = (*database)->state();
            CPPUNIT_ASSERT(written.ok());
            BinaryWriter body;
            body.fixed(written->store_id.data(), written->store_id.size());
            for (const uint64_t number :
                 {written->recovery.segment, written->recovery.offset, written->recovery.sequence,
                  written->recovery.position, written->sequence_known}) {
                body.varint(number);
            }
            state = store_kv::seal("state", body.data());
        }
        MDB_env* environment = nullptr;
        MDB_txn* transaction = nullptr;
        MDB_dbi table = 0;
        CPPUNIT_ASSERT_EQUAL(0, mdb_env_create(&environment));
        CPPUNIT_ASSERT_EQUAL(0, mdb_env_set_maxdbs(environment, 8));
        CPPUNIT_ASSERT_EQUAL(0, mdb_env_open(environment, path.c_str(), 0, 0600));
        CPPUNIT_ASSERT_EQUAL(0, mdb_txn_begin(environment, nullptr, 0, &transaction));
        CPPUNIT_ASSERT_EQUAL(0, mdb_dbi_open(transaction, "system", 0, &table));
        MDB_val key{5, const_cast<char*>("state")};
        MDB_val value{state.size(), state.data()};
        CPPUNIT_ASSERT_EQUAL(0, mdb_put(transaction, table, &key, &value, 0));
        CPPUNIT_ASSERT_EQUAL(0, mdb_txn_commit(transaction));
        mdb_env_close(environment);
        auto store = open_store(host_, {{"directory", damaged_}});
        CPPUNIT_ASSERT_EQUAL(size_t{3}, store.read("room", "a").tail.size());
        store.put("room", "a", "goes on");
        store->close();
        // From then on it has the mark.
        auto database = store_kv::SnapshotDb::open(path, 64 << 20);
        CPPUNIT_ASSERT(database.ok() && (*database)->state().ok() && (*database)->state()->closed);
    }

    void a_removed_snapshot_database_is_refused() {
        make_crashed(3);
        fs::remove_all(damaged_ + "/snapshots");
        must_refuse({"snapshots", "3 records", "removed or replaced"});
    }

    void a_removed_log_is_refused() {
        make_crashed(3);
        fs::remove_all(damaged_ + "/log");
        must_refuse({"log", "missing"});
    }

    void a_snapshot_database_of_another_store_is_refused() {
        make_crashed(3);
        const std::string other = temporary_.path() + "/other";
        open_store(host_, {{"directory", other}})->close();
        fs::copy_file(other + "/snapshots/data.mdb", damaged_ + "/snapshots/data.mdb",
                      fs::copy_options::overwrite_existing);
        must_refuse({"snapshots", "belongs to store", "the directory is of store"});
    }

    void an_interrupted_making_of_a_store_is_begun_again() {
        // Before the first segment has its name; before the database has; and with all that is left in the way.
        make_crashed(0);
        fs::rename(damaged_ + "/log/0000000000000001.seg", damaged_ + "/log/new-1.seg");
        fs::rename(damaged_ + "/snapshots/data.mdb", damaged_ + "/snapshots/new.mdb");
        fs::resize_file(damaged_ + "/snapshots/new.mdb", 100);
        open_store(host_, {{"directory", damaged_}}).put("room", "a", "x");
        restore();
        fs::remove(damaged_ + "/snapshots/data.mdb");
        open_store(host_, {{"directory", damaged_}}).put("room", "a", "x");
    }

    void a_damaged_snapshot_is_an_error_of_its_key_alone() {
        const std::string state = "a state that is easy to find in the file";
        {
            auto store = open_store(host_, {{"directory", damaged_}});
            store.put("room", "a", "x");
            store.put("room", "b", "y");
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "a", 2, state));
            CPPUNIT_ASSERT_EQUAL(std::string(), store.snapshot("room", "b", 2, "fine"));
        }
        const std::string path = damaged_ + "/snapshots/data.mdb";
        std::string bytes = read_file(path);
        size_t found = 0;
        for (size_t at = bytes.find(state); at != std::string::npos; at = bytes.find(state, at + 1)) {
            bytes[at + 3] = 'X';
            ++found;
        }
        CPPUNIT_ASSERT(found > 0);
        write_file(path, bytes);
        auto store = open_store(host_, {{"directory", damaged_}});
        CPPUNIT_ASSERT(store.read("room", "a").error.find("checksum") != std::string::npos);
        CPPUNIT_ASSERT_EQUAL(std::string("fine"), store.read("room", "b").snapshot.value_or("none"));
        CPPUNIT_ASSERT_EQUAL(size_t{2}, store.keys().names.size());
        store.put("room", "b", "goes on");
    }

    void a_directory_with_other_files_is_refused() {
        fs::create_directory(damaged_);
        write_file(damaged_ + "/notes.txt", "mine");
        must_refuse({damaged_, "notes.txt", "empty directory"});
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(StoreCorruptionTest);

}  // namespace
}  // namespace meridian::test
