// Backup of a running node and restore, with the commands that operators use.
#include <cppunit/extensions/HelperMacros.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <future>

#include "loop/system_environment.h"
#include "loop/thread_lane.h"
#include "node/committer.h"
#include "plugin/store_adapter.h"
#include "server_fixture.h"
#include "store_setup.h"

namespace meridian::test {

class BackupTest : public ServerFixture {
    CPPUNIT_TEST_SUITE(BackupTest);
    CPPUNIT_TEST(a_restored_backup_has_all_that_was_acknowledged_before_it_and_begins_a_new_incarnation);
    CPPUNIT_TEST(a_backup_is_made_for_admins_on_this_machine_only);
    CPPUNIT_TEST(a_backup_overwrites_nothing);
    CPPUNIT_TEST(a_restore_overwrites_nothing_and_leaves_nothing_behind_when_it_fails);
    CPPUNIT_TEST_SUITE_END();

private:
    void increment(int times) {
        for (int i = 0; i < times; ++i) {
            const auto reply = http(*server_, "POST", "/v1/namespaces/room/crdts/gc:a/ops", token(), counter_op(1));
            CPPUNIT_ASSERT_EQUAL(200, reply.status);
        }
    }
    std::string value() { return http(*server_, "GET", "/v1/namespaces/room/crdts/gc:a", token()).body; }
    ProgramResult control(std::vector<std::string> words) {
        words.insert(words.begin(), MERIDIANCTL);
        return run_program(words, {"MERIDIAN_SIGNING_KEY=" + signing_key_hex});
    }
    HttpReply back_up(const std::string& query, const std::string& bearer, const std::string& headers = {}) {
        return http(*server_, "POST", "/v1/backup" + query, bearer, {}, headers);
    }

    // The record node/head of the store of a data directory that no node uses.
    static node::Committer::Start head(const std::string& data_directory) {
        config::Settings settings;
        settings.data_dir = data_directory;
        settings.plugin_path = std::filesystem::path(MERIDIAND).parent_path();
        const auto plugin = server::load_store_plugin(settings);
        CPPUNIT_ASSERT(plugin.ok());
        server::SystemClock clock;
        server::SystemRandom random;
        server::ThreadLane lane(clock);
        plugin::HostServices services;
        services.clock = &clock;
        services.random = &random;
        services.lane = &lane;
        const auto store = plugin::open_store(plugin->loaded, plugin->configuration, services);
        CPPUNIT_ASSERT_MESSAGE(store ? "" : store.error().message, store.ok());
        std::promise<std::string> read;
        (*store)->read_metadata({std::string(node::head_metadata_name)},
                                [&](const auto& values) { read.set_value((*values)[0].value_or("")); });
        const auto decoded = node::decode_head(read.get_future().get());
        (*store)->close();
        lane.stop();
        CPPUNIT_ASSERT(decoded.has_value());
        return *decoded;
    }

public:
    void a_restored_backup_has_all_that_was_acknowledged_before_it_and_begins_a_new_incarnation() {
        const std::string data = data_->path() + "/old", restored = data_->path() + "/new";
        ServerProcess& server = start_on(data);
        increment(30);
        const ProgramResult made = control({"backup", "first", "--url", "http://" + server.address()});
        CPPUNIT_ASSERT_EQUAL_MESSAGE(made.output, 0, made.status);
        const std::string directory = data + "/backups/first";
        CPPUNIT_ASSERT_MESSAGE(made.output,
                               made.output.find("\"directory\":\"" + directory + "\"") != std::string::npos);
        increment(5);
        server_->signal(SIGTERM);
        CPPUNIT_ASSERT_EQUAL(0, server_->wait());

        const ProgramResult done = control({"restore", directory, "--data-dir", restored});
        CPPUNIT_ASSERT_EQUAL_MESSAGE(done.output, 0, done.status);
        CPPUNIT_ASSERT_MESSAGE(done.output, done.output.find(restored + "/store") != std::string::npos);
        const node::Committer::Start before = head(data), after = head(restored);
        CPPUNIT_ASSERT_LESS(after.incarnation, before.incarnation);
        CPPUNIT_ASSERT_EQUAL(uint64_t{0}, after.sequence);
        start_on(restored);
        CPPUNIT_ASSERT_EQUAL(std::string(R"({"counters":{"42":30},"total":30})"), value());
        increment(1);
        CPPUNIT_ASSERT_EQUAL(std::string(R"({"counters":{"42":31},"total":31})"), value());
    }

    void a_backup_is_made_for_admins_on_this_machine_only() {
        start();
        CPPUNIT_ASSERT_EQUAL(401, back_up("", "").status);
        CPPUNIT_ASSERT_EQUAL(403, back_up("", token()).status);
        CPPUNIT_ASSERT_EQUAL(403, back_up("", token({.admin = true}), "X-Forwarded-For: 10.0.0.1\r\n").status);
        CPPUNIT_ASSERT(!std::filesystem::exists(data_->path() + "/backups"));
        for (const char* name : {"", "..", ".hidden", "a/b", "a%2fb", "%ff"}) {
            CPPUNIT_ASSERT_EQUAL_MESSAGE(name, 400,
                                         back_up("?name=" + std::string(name), token({.admin = true})).status);
        }
        CPPUNIT_ASSERT_EQUAL(200, back_up("", token({.admin = true})).status);
        CPPUNIT_ASSERT_EQUAL(405, http(*server_, "GET", "/v1/backup", token({.admin = true})).status);
    }

    void a_backup_overwrites_nothing() {
        start();
        CPPUNIT_ASSERT_EQUAL(200, back_up("?name=a", token({.admin = true})).status);
        CPPUNIT_ASSERT_EQUAL(409, back_up("?name=a", token({.admin = true})).status);
    }

    void a_restore_overwrites_nothing_and_leaves_nothing_behind_when_it_fails() {
        const std::string data = data_->path() + "/data", no_backup = data_->path() + "/no-backup";
        std::filesystem::create_directories(no_backup);
        std::filesystem::create_directories(data_->path() + "/empty");
        std::ofstream(no_backup + "/file") << "text";
        for (const std::string& from : {no_backup, data_->path() + "/none", data_->path() + "/empty"}) {
            CPPUNIT_ASSERT_EQUAL(1, control({"restore", from, "--data-dir", data}).status);
            CPPUNIT_ASSERT(!std::filesystem::exists(data + "/store"));
            CPPUNIT_ASSERT(!std::filesystem::exists(data + "/store.restoring"));
        }
        start_on(data);
        increment(3);
        CPPUNIT_ASSERT_EQUAL(200, back_up("?name=a", token({.admin = true})).status);
        increment(1);
        server_->signal(SIGTERM);
        CPPUNIT_ASSERT_EQUAL(0, server_->wait());
        const ProgramResult refused = control({"restore", data + "/backups/a", "--data-dir", data});
        CPPUNIT_ASSERT_EQUAL(1, refused.status);
        CPPUNIT_ASSERT_MESSAGE(refused.output, refused.output.find("there is something already") != std::string::npos);
        start_on(data);
        CPPUNIT_ASSERT_EQUAL(std::string(R"({"counters":{"42":4},"total":4})"), value());
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(BackupTest);

}  // namespace meridian::test
