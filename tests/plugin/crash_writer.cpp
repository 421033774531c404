// Commits until it is killed, and says on standard output which position became durable (8 bytes each). The test that
// starts it is store_crash_test.cpp.
#include <unistd.h>

#include <cstdio>

#include "crash_workload.h"
#include "store_fixture.h"

int main(int argc, char** argv) {
    using namespace meridian::test;
    if (argc != 2) return 2;
    TestHost host;
    auto store = open_store(host, {{"directory", argv[1]}, {"segment_size", "64KiB"}, {"log_bytes_max", "8MiB"}});
    for (;;) {
        const uint64_t first = store.next_position();
        if (store.commit(crash_group(first)).status != meridian::node::CommitStatus::durable) return 1;
        const uint64_t last = first + crash_group_size - 1;
        if (::write(STDOUT_FILENO, &last, sizeof last) != sizeof last) return 3;
        if (last % (10 * crash_group_size) != 0) continue;
        const std::string key = crash_key(last);
        const auto record = store.read("room", key);
        const uint64_t counted = (record.snapshot ? std::stoull(*record.snapshot) : 0) + record.tail.size();
        if (!store.snapshot("room", key, last, std::to_string(counted)).empty()) return 4;
        store->retain_from(last > 300 ? last - 300 : 1);
    }
}
