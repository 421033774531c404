// A node whose disk fails or is full: the preloaded shim makes system calls of the real server fail.
#include <cppunit/extensions/HelperMacros.h>
#include <sodium.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "test_client.h"

namespace meridian::test {

class StoreFailureTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(StoreFailureTest);
    CPPUNIT_TEST(after_a_failed_sync_writes_are_refused_and_reads_go_on);
    CPPUNIT_TEST(a_full_disk_refuses_writes_until_there_is_space);
    CPPUNIT_TEST_SUITE_END();

    static constexpr const char* counter = "/v1/namespaces/room/crdts/gc:a";

    TemporaryDirectory temporary_;
    const std::string data_ = temporary_.path() + "/data";
    const std::string armed_ = temporary_.path() + "/armed";
    std::unique_ptr<ServerProcess> server_;

    // The fault happens only while it is armed.
    ServerProcess& start(const std::string& fault, std::vector<std::string> settings = {}) {
        settings.push_back("server.signing_key=" + signing_key_hex);
        std::vector<std::string> environment;
        if (!fault.empty()) {
            environment = {std::string("LD_PRELOAD=") + POWER_LOSS_SHIM, "MERIDIAN_POWER_LOSS_DIRECTORY=" + data_,
                           "MERIDIAN_POWER_LOSS_FAULT=" + fault, "MERIDIAN_POWER_LOSS_ARMED=" + armed_,
                           // The address sanitizer wants to be the first library.
                           "ASAN_OPTIONS=verify_asan_link_order=0"};
        }
        server_ = std::make_unique<ServerProcess>(data_, settings, environment);
        return *server_;
    }
    void arm() const { std::ofstream(armed_).put('x'); }
    void disarm() const { std::filesystem::remove(armed_); }
    int add_one() { return http(*server_, "POST", std::string(counter) + "/ops", token(), counter_op(1)).status; }

public:
    void setUp() override {
        CPPUNIT_ASSERT(sodium_init() >= 0);
        std::filesystem::create_directory(data_);
    }
    void tearDown() override { server_.reset(); }

    void after_a_failed_sync_writes_are_refused_and_reads_go_on() {
        ServerProcess& server = start("sync:EIO:0:0");
        CPPUNIT_ASSERT_EQUAL(200, add_one());
        const std::string before = http(server, "GET", counter, token()).body;
        CPPUNIT_ASSERT_EQUAL(200, http(server, "GET", "/health/ready", "").status);
        arm();
        CPPUNIT_ASSERT_EQUAL(503, add_one());
        // The disk works again, but what the system has dropped is not known.
        disarm();
        CPPUNIT_ASSERT_EQUAL(503, add_one());
        const HttpReply read = http(server, "GET", counter, token());
        CPPUNIT_ASSERT_EQUAL(200, read.status);
        CPPUNIT_ASSERT_EQUAL(before, read.body);
        const HttpReply ready = http(server, "GET", "/health/ready", "");
        CPPUNIT_ASSERT_EQUAL(503, ready.status);
        CPPUNIT_ASSERT_MESSAGE(ready.body, ready.body.find("not_ready") != std::string::npos);
        CPPUNIT_ASSERT_EQUAL(200, http(server, "GET", "/health/live", "").status);
        const std::string metrics = http(server, "GET", "/metrics", "").body;
        CPPUNIT_ASSERT(metrics.find("\nmeridian_store_failed 1\n") != std::string::npos);
        CPPUNIT_ASSERT(server.logs("syncing the log: Input/output error (5)"));
        server_.reset();
        ServerProcess& again = start("");
        CPPUNIT_ASSERT_EQUAL(200, add_one());
        CPPUNIT_ASSERT_EQUAL(200, http(again, "GET", "/health/ready", "").status);
    }

    void a_full_disk_refuses_writes_until_there_is_space() {
        ServerProcess& server = start(
            "allocate:ENOSPC:0:0", {"store.segment_size=64KiB", "store.log_bytes_max=8MiB", "store.spare_segments=0"});
        const auto write = [&] {
            const std::string op = register_op(std::string(20'000, 'x'), now_ms());
            return http(server, "POST", "/v1/namespaces/room/crdts/lww:b/ops", token(), op).status;
        };
        arm();
        int status = 200;
        for (int i = 0; i < 20 && status == 200; ++i) status = write();
        CPPUNIT_ASSERT_EQUAL(503, status);
        CPPUNIT_ASSERT_EQUAL(200, http(server, "GET", "/v1/namespaces/room/crdts/lww:b", token()).status);
        const std::string metrics = http(server, "GET", "/metrics", "").body;
        CPPUNIT_ASSERT(metrics.find("\nmeridian_store_failed 0\n") != std::string::npos);
        disarm();
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while ((status = write()) != 200 && std::chrono::steady_clock::now() < end) {
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
        CPPUNIT_ASSERT_EQUAL(200, status);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(StoreFailureTest);

}  // namespace meridian::test
