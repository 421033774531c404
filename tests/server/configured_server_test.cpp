// What an operator tells meridiand: files, variables and options, against the real binary.
#include <netinet/in.h>
#include <Poco/Net/SocketAddress.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>

#include "base/file_descriptor.h"
#include "held_loop.h"
#include "net/listener.h"
#include "server_fixture.h"

namespace {

using namespace meridian;
using namespace meridian::test;

void assert_contains(const std::string& text, const std::string& part) {
    CPPUNIT_ASSERT_MESSAGE("expected '" + part + "' in: " + text, text.find(part) != std::string::npos);
}
void assert_lacks(const std::string& text, const std::string& part) {
    CPPUNIT_ASSERT_MESSAGE("did not expect '" + part + "' in: " + text, text.find(part) == std::string::npos);
}

class ConfiguredServerTest : public ServerFixture {
    CPPUNIT_TEST_SUITE(ConfiguredServerTest);
    CPPUNIT_TEST(check_exits_with_0_or_names_the_fault);
    CPPUNIT_TEST(dump_shows_what_is_in_effect_and_hides_secrets);
    CPPUNIT_TEST(version_is_printed);
    CPPUNIT_TEST(variables_win_over_files_and_options_over_variables);
    CPPUNIT_TEST(variables_without_effect_are_logged_once_each);
    CPPUNIT_TEST(reload_takes_over_what_can_be_changed_and_names_what_cannot);
    CPPUNIT_TEST(reload_of_a_broken_file_keeps_the_old_settings);
    CPPUNIT_TEST(reload_gives_the_plugin_its_reloadable_keys);
    CPPUNIT_TEST(reload_gives_transports_their_reloadable_keys);
    CPPUNIT_TEST(reload_is_told_to_the_service_manager);
    CPPUNIT_TEST(listens_on_a_unix_socket_and_removes_it_at_the_end);
    CPPUNIT_TEST(replaces_a_dead_socket_file_and_nothing_else);
    CPPUNIT_TEST(a_unix_path_has_one_owner_also_before_it_listens);
    CPPUNIT_TEST(reload_does_not_wait_for_a_loop_when_it_is_to_stop);
    CPPUNIT_TEST(listens_on_every_address_of_the_list);
    CPPUNIT_TEST(listens_on_ipv6_and_takes_ipv4_too);
    CPPUNIT_TEST(a_stopping_node_refuses_new_connections);
    CPPUNIT_TEST_SUITE_END();

    std::string file(const std::string& name, const std::string& text) const {
        const std::string path = data_->path() + "/" + name;
        std::ofstream(path) << text;
        return path;
    }
    static ProgramResult meridiand(std::vector<std::string> options, const std::vector<std::string>& environment = {}) {
        options.insert(options.begin(), MERIDIAND);
        return run_program(options, environment);
    }

    void check_exits_with_0_or_names_the_fault() {
        const std::string main = file("meridiand.ini", "[server]\nbind = 127.0.0.1:0\n");
        CPPUNIT_ASSERT_EQUAL(0, ::mkdir((data_->path() + "/conf.d").c_str(), 0700));
        file("conf.d/50.ini", "[store]\nscrub_interval = 1h\n");
        const ProgramResult fine = meridiand({"-t", "--config", main});
        CPPUNIT_ASSERT_EQUAL_MESSAGE(fine.output, 0, fine.status);
        assert_contains(fine.output, "the configuration is valid");
        const auto refuses = [&](const std::string& text, const std::string& part) {
            file("conf.d/50.ini", text);
            const ProgramResult result = meridiand({"-t", "--config", main});
            CPPUNIT_ASSERT_EQUAL_MESSAGE(result.output, 1, result.status);
            assert_contains(result.output, "meridiand: " + data_->path() + "/conf.d/50.ini:" + part);
        };
        refuses("[sever]\n", "1: unknown section [sever]; did you mean 'server'?");
        refuses("[server]\n\ndata_dri = x\n", "3: [server] data_dri = 'x': unknown key; did you mean 'data_dir'?");
        refuses("[limits]\nconnections = 0\n",
                "2: [limits] connections = '0': expected a whole number from 1 to 10000000");
        refuses("[server]\nsigning_key = secret\n",
                "2: [server] signing_key: the value: expected 64 hexadecimal digits");
        refuses("[server]\nnonsense\n", "2: 'nonsense' is neither [section] nor key = value");
        // What belongs to the plug-in is checked by what the plug-in declares.
        refuses("[store]\nscrub_intervall = 1h\n",
                "2: [store] scrub_intervall: the plug-in 'store-kv' has no such key, did you mean 'scrub_interval'?");
        refuses("[store]\nscrub_interval = often\n",
                "2: [store] scrub_interval: found 'often', expected a duration such as");
    }

    void dump_shows_what_is_in_effect_and_hides_secrets() {
        const std::string key(64, 'c');
        const std::string main = file("meridiand.ini", "[server]\nsigning_key = " + key +
                                                           "\n[limits]\nconnections = 7\n"
                                                           "[store]\nscrub_interval = 1h\n");
        const ProgramResult dump = meridiand({"--dump-config", "--config", main});
        CPPUNIT_ASSERT_EQUAL(0, dump.status);
        assert_contains(dump.output, "# signing_key = (hidden)\n");
        assert_contains(dump.output, "\nconnections = 7\n");
        assert_contains(dump.output, "\nscrub_interval = 1h\n");
        assert_lacks(dump.output, key);
        const ProgramResult again = meridiand({"--dump-config", "--config", file("dump.ini", dump.output)});
        // Read back, it says the same of everything that it shows.
        std::string shown = dump.output;
        shown.erase(shown.find(" (hidden)"), 9);
        CPPUNIT_ASSERT_EQUAL(shown, again.output);
    }

    void version_is_printed() {
        const ProgramResult result = meridiand({"--version"});
        CPPUNIT_ASSERT_EQUAL(0, result.status);
        CPPUNIT_ASSERT_EQUAL(std::string("meridiand "), result.output.substr(0, 10));
        CPPUNIT_ASSERT(result.output.find_first_of("0123456789") == 10);
    }

    void variables_win_over_files_and_options_over_variables() {
        const std::string main = file("meridiand.ini", "[server]\ndata_dir = /from-file\nbind = file:1\n");
        const std::vector<std::string> variables = {"MERIDIAN_BIND=variable:2",
                                                    "MERIDIAN_DATA_DIR=/from-variable",
                                                    "MERIDIAN_NODE_ID=77",
                                                    "MERIDIAN_CRDT_GC_GRACE_MS=60000",
                                                    "MERIDIAN_LOG_RETENTION_SECS=1000",
                                                    "MERIDIAN_LOG_RETENTION_BYTES=99999999",
                                                    "MERIDIAN_SIGNING_KEY=" + std::string(64, 'd')};
        const std::string dump =
            meridiand({"--dump-config", "--config", main, "--bind", "option:3", "--set", "limits.http_headers=33"},
                      variables)
                .output;
        for (const char* line : {"bind = option:3", "data_dir = /from-variable", "id = 77",
                                 "tombstone_grace_ms = 60000", "log_retention_ms = 1000000",
                                 "log_retention_bytes = 99999999", "http_headers = 33", "# signing_key = (hidden)"})
            assert_contains(dump, std::string("\n") + line + "\n");
        const ProgramResult wrong = meridiand({"-t"}, {"MERIDIAN_LOG_RETENTION_SECS=soon"});
        CPPUNIT_ASSERT_EQUAL(1, wrong.status);
        assert_contains(wrong.output,
                        "environment variable MERIDIAN_LOG_RETENTION_SECS = 'soon': expected a whole number from 600 ");
        CPPUNIT_ASSERT_EQUAL(0, meridiand({"-t"}, {"MERIDIAN_BIND=", "MERIDIAN_SIGNING_KEY="}).status);
    }

    void variables_without_effect_are_logged_once_each() {
        const std::string log =
            meridiand({"-t"}, {"PG_SYNC_DATABASE_URL=postgres://:hunter2@h", "RUST_LOG=debug"}).output;
        for (const char* text :
             {"environment variable PG_SYNC_DATABASE_URL has no effect in this build\n",
              "environment variable RUST_LOG has no effect in this build; use [server] log_level\n"}) {
            assert_contains(log, text);
            CPPUNIT_ASSERT_EQUAL(log.find(text), log.rfind(text));
        }
        assert_lacks(log, "hunter2");
    }

    // Statuses of posts with a body of 2000 bytes, on connections of both loops.
    static std::string statuses_of_posts(const ServerProcess& server) {
        std::string statuses;
        for (int i = 0; i < 4; ++i) {
            const HttpReply reply =
                http(server, "POST", "/v1/namespaces/room/crdts/gc:a/ops", token(), std::string(2000, '\xc1'));
            statuses += std::to_string(reply.status) + " ";
        }
        return statuses;
    }

    void reload_takes_over_what_can_be_changed_and_names_what_cannot() {
        const std::string main = file("a.ini", "[limits]\nhttp_body_bytes = 1024\n");
        ServerProcess& server = start({"--config=" + main});
        CPPUNIT_ASSERT_EQUAL(std::string("413 413 413 413 "), statuses_of_posts(server));
        file("a.ini", "[limits]\nhttp_body_bytes = 4096\n[node]\ncache_bytes = 1048576\nkey_bytes = 9\n");
        server.signal(SIGHUP);
        CPPUNIT_ASSERT(server.logs("reloaded the configuration changed=limits.http_body_bytes\n"));
        for (const char* name : {"node.cache_bytes", "node.key_bytes"})
            assert_contains(server.log(), "warning a changed setting takes effect only after a restart setting=" +
                                              std::string(name) + "\n");
        CPPUNIT_ASSERT_EQUAL(std::string("400 400 400 400 "), statuses_of_posts(server));
        const std::string path = "/v1/namespaces/room/crdts/gc:longer-than-nine/ops";
        CPPUNIT_ASSERT_EQUAL(200, http(server, "POST", path, token(), counter_op(1)).status);
    }

    void reload_of_a_broken_file_keeps_the_old_settings() {
        const std::string main = file("a.ini", "[limits]\nhttp_body_bytes = 1024\n");
        ServerProcess& server = start({"--config=" + main});
        const auto refuses = [&](const std::string& text, const std::string& reason) {
            file("a.ini", text);
            server.signal(SIGHUP);
            CPPUNIT_ASSERT_MESSAGE(
                reason + " in " + server.log(),
                server.logs("error the configuration is refused; the old settings stay reason=\"" + main + reason));
        };
        refuses("[limits]\nhttp_body_bytes = 4096\nconections = 5\n",
                ":3: [limits] conections = '5': unknown key; did you mean 'connections'?\"\n");
        refuses("[limits]\nhttp_body_bytes = 4096\n[store]\nscrub_interval = x\n",
                ":4: [store] scrub_interval: found 'x', expected a duration");
        CPPUNIT_ASSERT_EQUAL(0, ::unlink(main.c_str()));
        server.signal(SIGHUP);
        CPPUNIT_ASSERT(server.logs("old settings stay reason=\"" + main + ": No such file or directory\"\n"));
        CPPUNIT_ASSERT_EQUAL(std::string("413 413 413 413 "), statuses_of_posts(server));
    }

    void reload_gives_the_plugin_its_reloadable_keys() {
        const std::string main = file("a.ini", "[store]\nscrub_interval = 0\n");
        ServerProcess& server = start({"--config=" + main});
        assert_lacks(http(server, "GET", "/metrics", "").body, "scrub_passes");
        file("a.ini", "[store]\nscrub_interval = 20ms\nspare_segments = 3\n");
        server.signal(SIGHUP);
        CPPUNIT_ASSERT(server.logs("reloaded the configuration changed=store.scrub_interval\n"));
        assert_contains(server.log(), "only after a restart setting=store.spare_segments\n");
        const uint64_t deadline_ms = now_ms() + 20'000;
        while (http(server, "GET", "/metrics", "").body.find("scrub_passes") == std::string::npos)
            CPPUNIT_ASSERT_MESSAGE("the store does not scrub", now_ms() < deadline_ms);
    }

    void reload_gives_transports_their_reloadable_keys() {
        const std::string transport =
            "[transport lan]\nplugin = " BROKEN_TRANSPORT_PATH "\ndirectory = " + data_->path();
        const std::string main = file("a.ini", transport + "\ndefect = reconfigure-disconnects\n");
        ServerProcess& server = start({"--config=" + main});
        const auto link = [&] { return http(server, "GET", "/v1/cluster", token({.admin = true})).body; };
        assert_contains(link(), R"("state":"up")");
        file("a.ini", transport + "\ndefect = none\nport = 7\n[transport other]\nplugin = transport-redis\n");
        server.signal(SIGHUP);
        CPPUNIT_ASSERT(server.logs("reloaded the configuration changed=transport.lan.defect\n"));
        for (const char* name : {"transport.lan.port", "transport.other"})
            assert_contains(server.log(), "only after a restart setting=" + std::string(name) + "\n");
        assert_contains(link(), R"("state":"down")");
        file("a.ini", transport + "\nport = seven\n");
        server.signal(SIGHUP);
        CPPUNIT_ASSERT(server.logs("[transport lan] port: found 'seven', expected"));
    }

    void reload_is_told_to_the_service_manager() {
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        const std::string path = data_->path() + "/notify";
        path.copy(name.sun_path, sizeof name.sun_path - 1);
        const FileDescriptor manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        const timeval patience{20, 0};
        ::setsockopt(manager.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        CPPUNIT_ASSERT_EQUAL(0, ::bind(manager.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name));
        const auto told = [&manager] {
            char text[256];
            const ssize_t size = ::recv(manager.get(), text, sizeof text, 0);
            return std::string(text, size > 0 ? static_cast<size_t>(size) : 0);
        };
        const std::string main = file("a.ini", "");
        ServerProcess server(data_->path(), {"--config=" + main}, {"NOTIFY_SOCKET=" + path});
        CPPUNIT_ASSERT_EQUAL(std::string("READY=1"), told());
        // At this level the reload itself is not logged; the next, which undoes it, is.
        for (const char* level : {"error", "info"}) {
            file("a.ini", std::string("[server]\nlog_level = ") + level + "\n");
            server.signal(SIGHUP);
            CPPUNIT_ASSERT_EQUAL(std::string("RELOADING=1\nMONOTONIC_USEC="), told().substr(0, 27));
            CPPUNIT_ASSERT_EQUAL(std::string("READY=1"), told());
        }
        CPPUNIT_ASSERT(server.logs("reloaded the configuration changed=server.log_level\n"));
        CPPUNIT_ASSERT_EQUAL(server.log().find("reloaded"), server.log().rfind("reloaded"));
        server.signal(SIGTERM);
        CPPUNIT_ASSERT_EQUAL(std::string("STOPPING=1"), told());
        CPPUNIT_ASSERT_EQUAL(0, server.wait());
    }

    inline static const std::string live = "GET /health/live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

    std::string unix_path() const { return data_->path() + "/node.sock"; }
    static mode_t mode_of(const std::string& path) {
        struct stat status {};
        return ::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_mode & 0777 : 0;
    }

    void listens_on_a_unix_socket_and_removes_it_at_the_end() {
        const std::string address = "unix:" + unix_path();
        ServerProcess& server = start({"server.bind=" + address});
        CPPUNIT_ASSERT_EQUAL(address, server.address());
        CPPUNIT_ASSERT_EQUAL(mode_t{0660}, mode_of(unix_path()));
        assert_contains(raw_exchange(address, live), R"({"status":"ok"})");
        // Writes, and what is for clients on this machine only.
        const std::string path = "/v1/namespaces/room/crdts/gc:a";
        CPPUNIT_ASSERT_EQUAL(200, http(server, "POST", path + "/ops", token(), counter_op(5)).status);
        CPPUNIT_ASSERT_EQUAL(200, http(server, "GET", "/metrics", "").status);
        const std::string upgraded =
            raw_exchange(address, "GET /v1/namespaces/room/connect?token=" + token() +
                                      " HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n");
        assert_contains(upgraded, "HTTP/1.1 101 ");
        server.signal(SIGTERM);
        CPPUNIT_ASSERT_EQUAL(0, server.wait());
        CPPUNIT_ASSERT(::access(unix_path().c_str(), F_OK) != 0);
        start({"server.bind=" + address, "server.unix_socket_mode=0600"});
        CPPUNIT_ASSERT_EQUAL(mode_t{0600}, mode_of(unix_path()));
    }

    void replaces_a_dead_socket_file_and_nothing_else() {
        const std::string bind = "server.bind=unix:" + unix_path();
        start({bind});
        // Somebody listens.
        const TemporaryDirectory other;
        ProgramResult refused = meridiand({"--data-dir", other.path(), "--set", bind});
        CPPUNIT_ASSERT_EQUAL(1, refused.status);
        assert_contains(refused.output, "cannot listen on unix:" + unix_path() + ": another node, or another address");
        assert_contains(raw_exchange(server_->address(), live), R"({"status":"ok"})");
        // Nobody does any more.
        server_->signal(SIGKILL);
        server_->wait();
        CPPUNIT_ASSERT(mode_of(unix_path()) != 0);
        start({bind});
        assert_contains(raw_exchange(server_->address(), live), R"({"status":"ok"})");
        server_.reset();
        // A file of somebody else's.
        CPPUNIT_ASSERT_EQUAL(0, ::unlink(unix_path().c_str()));
        file("node.sock", "precious");
        refused = meridiand({"--data-dir", data_->path(), "--set", bind});
        CPPUNIT_ASSERT_EQUAL(1, refused.status);
        std::string content;
        std::ifstream(unix_path()) >> content;
        CPPUNIT_ASSERT_EQUAL(std::string("precious"), content);
    }

    // A node that recovers its data has bound its addresses and does not listen yet.
    void a_unix_path_has_one_owner_also_before_it_listens() {
        const std::string address = "unix:" + unix_path();
        {
            const auto starting = server::bind_addresses({address}, 0600);
            CPPUNIT_ASSERT(starting.ok());
            const auto second = server::bind_addresses({address}, 0600);
            CPPUNIT_ASSERT(!second.ok());
            CPPUNIT_ASSERT_EQUAL(
                "cannot listen on " + address + ": another node, or another address of this one, has it",
                second.error().message);
            CPPUNIT_ASSERT(mode_of(unix_path()) != 0);
            CPPUNIT_ASSERT(server::start_listening(starting->front()).ok());
            connect_to(address);
        }
        CPPUNIT_ASSERT(::access(unix_path().c_str(), F_OK) != 0);
        CPPUNIT_ASSERT(::access((unix_path() + ".lock").c_str(), F_OK) != 0);
        const ProgramResult twice =
            meridiand({"--data-dir", data_->path(), "--set", "server.bind=" + address + "," + address});
        CPPUNIT_ASSERT_EQUAL(1, twice.status);
        assert_contains(twice.output, "another address of this one, has it");
        CPPUNIT_ASSERT(::access(unix_path().c_str(), F_OK) != 0);
    }

    void reload_does_not_wait_for_a_loop_when_it_is_to_stop() {
        const std::string main = file("a.ini", "");
        ServerProcess& server = start({"--config=" + main});
        HeldLoop hung(server, 1);
        file("a.ini", "[limits]\nhttp_body_bytes = 4096\n");
        server.signal(SIGHUP);
        server.signal(SIGTERM);
        CPPUNIT_ASSERT(server.logs("stopping signal=SIGTERM"));
        hung.release();
        CPPUNIT_ASSERT_EQUAL(0, server.wait());
    }

    void listens_on_every_address_of_the_list() {
        ServerProcess& server = start({"server.bind=127.0.0.1:0, unix:" + unix_path() + ",127.0.0.1:0"});
        CPPUNIT_ASSERT(server.logs("listening address=unix:" + unix_path() + " "));
        for (const std::string& address : {server.address(), "unix:" + unix_path()})
            assert_contains(raw_exchange(address, live), R"({"status":"ok"})");
        CPPUNIT_ASSERT(server.logs("listening address=127.0.0.1:", 2));
        const size_t third = server.log().rfind("listening address=127.0.0.1:");
        CPPUNIT_ASSERT(third != server.log().find("listening address=127.0.0.1:"));
        const std::string address = server.log().substr(third + 18, server.log().find(' ', third + 18) - third - 18);
        assert_contains(raw_exchange(address, live), R"({"status":"ok"})");
        server.signal(SIGTERM);
        CPPUNIT_ASSERT_EQUAL(0, server.wait());
        for (const char* wrong : {"127.0.0.1:0,", "127.0.0.1", "/path:1", "127.0.0.1:65536", ":1"}) {
            const ProgramResult refused = meridiand({"-t", "--bind", wrong});
            CPPUNIT_ASSERT_EQUAL_MESSAGE(wrong, 1, refused.status);
            assert_contains(refused.output, "server.bind = '" + std::string(wrong) + "': expected host:port");
        }
    }

    static bool has_ipv6() {
        const FileDescriptor socket(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in6 loopback{};
        loopback.sin6_family = AF_INET6;
        loopback.sin6_addr = IN6ADDR_LOOPBACK_INIT;
        return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&loopback), sizeof loopback) == 0;
    }

    void listens_on_ipv6_and_takes_ipv4_too() {
        if (!has_ipv6()) return;  // nothing to test on a machine without it
        const std::string port_mark = "[::1]:";
        ServerProcess& one = start({"server.bind=[::1]:0"});
        CPPUNIT_ASSERT_EQUAL(port_mark, one.address().substr(0, 6));
        assert_contains(raw_exchange(one.address(), live), R"({"status":"ok"})");
        CPPUNIT_ASSERT_THROW(connect_to("127.0.0.1:" + one.address().substr(6)), Poco::Exception);
        server_.reset();
        std::string port = start({"server.bind=[::]:0"}).address().substr(5);
        for (const std::string& address : {"[::1]:" + port, "127.0.0.1:" + port}) {
            assert_contains(raw_exchange(address, live), R"({"status":"ok"})");
            // An IPv4 client of an IPv6 socket is still one of this machine.
            assert_contains(raw_exchange(address, "GET /metrics HTTP/1.0\r\n\r\n"), "HTTP/1.1 200 ");
        }
        server_.reset();
        // With an address of its own for IPv4 the two do not get in each other's way. Somebody else may take the port
        // before it is taken again.
        for (int attempt = 1;; ++attempt) {
            try {
                start({"server.bind=0.0.0.0:" + port + ", [::]:" + port});
                break;
            } catch (const std::runtime_error& refused) {
                if (attempt == 10 || !std::strstr(refused.what(), "Address already in use")) throw;
                port = start({"server.bind=[::]:0"}).address().substr(5);
                server_.reset();
            }
        }
        for (const std::string& address : {"[::1]:" + port, "127.0.0.1:" + port})
            assert_contains(raw_exchange(address, live), R"({"status":"ok"})");
    }

    void a_stopping_node_refuses_new_connections() {
        ServerProcess& server = start({"server.bind=127.0.0.1:0,unix:" + unix_path(), "server.stop_timeout_ms=10000"});
        // A request that is not complete keeps the node for the while.
        Poco::Net::StreamSocket busy = connect_to(server.address());
        const std::string begun = "POST /v1/namespaces/room/crdts/gc:a/ops?token=" + token() +
                                  " HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
        busy.sendBytes(begun.data(), static_cast<int>(begun.size()));
        char buffer[64];
        CPPUNIT_ASSERT(busy.receiveBytes(buffer, sizeof buffer) > 0);
        server.signal(SIGTERM);
        CPPUNIT_ASSERT(server.logs("stopping"));
        const uint64_t deadline_ms = now_ms() + 9'000;
        for (const std::string& address : {server.address(), "unix:" + unix_path()}) {
            for (bool refused = false; !refused;) {
                CPPUNIT_ASSERT_MESSAGE(address, now_ms() < deadline_ms);
                try {
                    connect_to(address);
                } catch (const Poco::Exception&) { refused = true; }
            }
        }
        CPPUNIT_ASSERT(server.is_running());
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ConfiguredServerTest);

}  // namespace
