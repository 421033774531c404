// backup: a whole store, made while it is written. The copy is opened with the same configuration, {dir} being the
// target.
#include <filesystem>

#include "fixture.h"

namespace meridian::plugin_test {
namespace {

void require_backup(const Fixture& fixture) {
    if (!fixture.has(MERIDIAN_STORE_BACKUP)) throw Skipped("the store has no backup");
}

void a_missing_backup_is_not_supported(Fixture& fixture) {
    if (fixture.has(MERIDIAN_STORE_BACKUP)) throw Skipped("the store has a backup");
    auto store = fixture.open();
    if (store.functions().backup == nullptr) return;
    const auto result = store.submit_backup(fixture.missing_place().directory)->wait();
    require_equal(status_name(result.status), "MERIDIAN_NOT_SUPPORTED", "backup without MERIDIAN_STORE_BACKUP");
}

void a_backup_made_under_writes_is_a_whole_store(Fixture& fixture) {
    require_backup(fixture);
    const Place target = fixture.missing_place();
    uint64_t before = 0;
    uint64_t after = 0;
    {
        auto store = fixture.open();
        // Each group has one entry of two keys and their number as metadata.
        const auto write = [&] {
            const uint64_t first = store.next_position();
            store.put_group({{entry(first, "room", "a", std::string(3000, 'x')), entry(first + 1, "room", "b", "y")},
                             {{"last", std::to_string(first + 1)}}});
        };
        for (int i = 0; i < 30; ++i) write();
        store.snapshot("room", "a", 60, "30");
        before = store.next_position() - 1;
        const auto backup = store.submit_backup(target.directory);
        for (int i = 0; !backup->is_done() || i < 20; ++i) write();
        const auto result = backup->wait();
        require(result.ok(), "backup: found " + status_name(result.status) + ", " + result.message);
        after = store.next_position() - 1;
        const auto again = store.submit_backup(target.directory)->wait();
        require(again.status != MERIDIAN_OK, "backup into a directory that exists: found MERIDIAN_OK");
        require(!again.message.empty(), "backup into a directory that exists: failed without a message");
    }
    auto copy = fixture.open(target);
    require_equal(copy.opening().created, 0u, "created, of the copy");
    const uint64_t last = copy.opening().next_position - 1;
    require(last >= before && last <= after && last % 2 == 0,
            "the copy ends at position " + std::to_string(last) + ", expected a whole group from " +
                std::to_string(before) + " to " + std::to_string(after));
    require_equal(copy.metadata_value("last").value_or("(none)"), std::to_string(last), "metadata of the copy");
    const auto a = copy.read("room", "a");
    const uint64_t covered = a.snapshot ? std::stoull(*a.snapshot) : 0;
    require_equal(covered + a.tail.size(), last / 2, "entries of room/a in the copy");
    require_equal(copy.read("room", "b").tail.size(), size_t{last / 2}, "entries of room/b in the copy");
    copy.put("room", "a", "goes on");
}

}  // namespace

std::vector<Check> backup_checks() {
    return {
        {"a missing backup is not supported", a_missing_backup_is_not_supported},
        {"a backup made under writes is a whole store", a_backup_made_under_writes_is_a_whole_store},
    };
}

}  // namespace meridian::plugin_test
