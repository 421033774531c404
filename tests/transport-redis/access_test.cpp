// Ways in: passwords, users, databases, Unix sockets, TLS; and what the configuration refuses.
#include <cppunit/extensions/HelperMacros.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "fixture.h"

namespace meridian::test {

// A certificate authority, and what it has signed, as files below a directory.
class Certificates {
public:
    Certificates() {
        authority("ca");
        authority("other-ca");
        signed_by_ca("local", "DNS:localhost,IP:127.0.0.1");
        signed_by_ca("elsewhere", "DNS:redis.example");
        signed_by_ca("client", "DNS:client.example");
    }
    std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
    RedisProcess server(const std::string& certificate, const std::string& clients) const {
        return RedisProcess({"port 0", "tls-port {port}", "tls-cert-file " + path(certificate + ".pem"),
                             "tls-key-file " + path(certificate + ".key"), "tls-ca-cert-file " + path("ca.pem"),
                             "tls-auth-clients " + clients});
    }

private:
    void run(const std::string& command) const {
        const std::string line = "cd '" + directory_.path() + "' && openssl " + command + " >log 2>&1";
        CPPUNIT_ASSERT_EQUAL_MESSAGE(command, 0, std::system(line.c_str()));
    }
    void authority(const std::string& name) const {
        run("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=" + name +
            " -keyout " + name + ".key -out " + name + ".pem");
    }
    void signed_by_ca(const std::string& name, const std::string& names) const {
        std::ofstream(path(name + ".ext")) << "subjectAltName=" << names << "\n";
        run("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=" + name + " -keyout " + name +
            ".key -out " + name + ".csr");
        run("x509 -req -days 2 -in " + name + ".csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile " + name +
            ".ext -out " + name + ".pem");
    }

    TemporaryDirectory directory_;
};

class AccessTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(AccessTest);
    CPPUNIT_TEST(gives_the_password_of_the_url);
    CPPUNIT_TEST(gives_user_and_password_of_the_configuration);
    CPPUNIT_TEST(says_why_a_wrong_password_is_refused_without_the_password);
    CPPUNIT_TEST(says_why_subscribing_is_refused);
    CPPUNIT_TEST(says_that_a_password_is_needed);
    CPPUNIT_TEST(hides_a_password_that_redis_repeats);
    CPPUNIT_TEST(selects_the_database_that_matters_to_no_channel);
    CPPUNIT_TEST(goes_through_a_unix_socket);
    CPPUNIT_TEST(takes_the_url_from_the_environment_or_a_file);
    CPPUNIT_TEST(talks_tls_to_a_server_whose_certificate_is_right);
    CPPUNIT_TEST(refuses_a_certificate_of_another_authority);
    CPPUNIT_TEST(refuses_a_certificate_for_another_host);
    CPPUNIT_TEST(refuses_tls_with_a_server_that_does_not_talk_it);
    CPPUNIT_TEST(shows_a_certificate_of_its_own);
    CPPUNIT_TEST(carries_many_and_large_messages_over_tls);
    CPPUNIT_TEST(survives_the_end_of_a_tls_connection);
    CPPUNIT_TEST(refuses_configurations_with_a_reason);
    CPPUNIT_TEST(the_page_lists_all_keys_with_their_defaults);
    CPPUNIT_TEST_SUITE_END();

    // Up, and what it publishes comes back.
    static void check_works(Node& node) {
        CPPUNIT_ASSERT(node.is_up());
        CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, node.transport.send("a", "x", 1));
        CPPUNIT_ASSERT(node.receives(1) && node.completes(1));
    }
    // Down for a reason with this text, which no text with `secret` explains.
    static void check_fails(const TransportSection& section, const std::string& reason,
                            const std::string& secret = "secret") {
        Node node("a", quick(section));
        CPPUNIT_ASSERT(node.is_down());
        Seen seen = node.host.seen();
        CPPUNIT_ASSERT_MESSAGE(seen.downs[0], seen.downs[0].find(reason) != std::string::npos);
        CPPUNIT_ASSERT(seen.ups.empty());
        CPPUNIT_ASSERT(!seen.log.empty());
        for (const TransportLink& link : node.transport.links()) seen.log.push_back(link.address + link.error);
        seen.log.push_back(seen.downs[0]);
        CPPUNIT_ASSERT_EQUAL(size_t{0}, seen.logged(secret));
    }

public:
    void gives_the_password_of_the_url() {
        const RedisProcess redis({"requirepass se@cret"});
        Node node("a", {{"url", "redis://:se%40cret@" + redis.address()}});
        check_works(node);
        CPPUNIT_ASSERT_EQUAL(redis.url() + " (publisher)", node.transport.links()[0].address);
    }

    void gives_user_and_password_of_the_configuration() {
        // All that the documentation says is needed.
        const RedisProcess redis({"user default off",
                                  "user node on >secret resetchannels &meridian:delta:* &meridian:osp1:* -@all "
                                  "+publish +subscribe +psubscribe +ping +select"});
        Node node("a", {{"url", redis.url() + "/3"}, {"username", "node"}, {"password", "secret"}});
        check_works(node);
        Node by_url("a", {{"url", "redis://node:secret@" + redis.address()}});
        check_works(by_url);
    }

    void says_why_a_wrong_password_is_refused_without_the_password() {
        const RedisProcess redis({"requirepass right", "user node on >right ~* &* +@all"});
        check_fails({{"url", "redis://:secret@" + redis.address()}},
                    redis.address() + ": AUTH with a password and no user was refused: WRONGPASS");
        check_fails({{"url", redis.url()}, {"username", "node"}, {"password", "secret"}},
                    redis.address() + ": AUTH as user 'node' was refused: WRONGPASS");
    }

    void says_why_subscribing_is_refused() {
        const RedisProcess redis({"user node on >secret resetchannels &meridian:* +@all"});
        check_fails({{"url", redis.url()}, {"username", "node"}, {"password", "secret"}},
                    redis.address() + ": subscribing was refused: NOPERM");
    }

    void says_that_a_password_is_needed() {
        const RedisProcess redis({"requirepass right"});
        check_fails({{"url", redis.url()}}, "NOAUTH");
    }

    void hides_a_password_that_redis_repeats() {
        const RedisProcess redis({"rename-command AUTH LOGIN"});
        check_fails({{"url", "redis://:secret@" + redis.address()}}, "with args beginning with: '***'");
    }

    void selects_the_database_that_matters_to_no_channel() {
        const RedisProcess redis;
        Node node("a", {{"url", redis.url() + "/2"}, {"database", "5"}});
        check_works(node);
        RedisClient client(redis.port());
        const std::string clients = client.command({"CLIENT", "LIST"})[0];
        size_t in_database = 0;
        for (size_t at = 0; (at = clients.find(" db=5 ", at)) != std::string::npos; ++at) ++in_database;
        CPPUNIT_ASSERT_EQUAL(size_t{2}, in_database);
        Node other("b", {{"url", redis.url()}});
        CPPUNIT_ASSERT(other.is_up());
        other.transport.send("a", "from another", 1);
        CPPUNIT_ASSERT(node.receives(2));
        check_fails({{"url", redis.url() + "/99"}}, "SELECT 99 was refused: ERR DB index is out of range");
    }

    void goes_through_a_unix_socket() {
        RedisProcess redis({"unixsocket {dir}/socket"});
        const std::string path = redis.directory() + "/socket";
        Node node("a", quick({{"url", "unix://" + path + "?db=1"}}));
        check_works(node);
        CPPUNIT_ASSERT_EQUAL("unix:" + path + " (publisher)", node.transport.links()[0].address);
        redis.kill();
        CPPUNIT_ASSERT(node.is_down());
        redis.restart();
        CPPUNIT_ASSERT(node.is_up(2));
        check_fails({{"url", "unix:///nowhere/socket"}}, "/nowhere/socket: No such file or directory");
    }

    void takes_the_url_from_the_environment_or_a_file() {
        const RedisProcess redis;
        TransportHost host;
        TransportInstance by_environment(transport_redis(), host, {}, {{"REDIS_URL", redis.url()}});
        by_environment.start("a");
        CPPUNIT_ASSERT(host.wait_until([](const Seen& seen) { return seen.ups.size() == 1; }));
        std::ofstream(redis.directory() + "/url") << redis.url() << "\n";
        Node by_file("a", {{"url_file", redis.directory() + "/url"}});
        check_works(by_file);
    }

    void talks_tls_to_a_server_whose_certificate_is_right() {
        const Certificates certificates;
        const RedisProcess redis = certificates.server("local", "no");
        Node by_address("a", {{"url", "rediss://" + redis.address()}, {"ca_file", certificates.path("ca.pem")}});
        check_works(by_address);
        CPPUNIT_ASSERT_EQUAL("rediss://" + redis.address() + " (publisher)", by_address.transport.links()[0].address);
        const std::string port = std::to_string(redis.port());
        Node by_name("a",
                     {{"url", "redis://localhost:" + port}, {"tls", "true"}, {"ca_file", certificates.path("ca.pem")}});
        check_works(by_name);
    }

    void refuses_a_certificate_of_another_authority() {
        const Certificates certificates;
        const RedisProcess redis = certificates.server("local", "no");
        check_fails({{"url", "rediss://:secret@" + redis.address()}, {"ca_file", certificates.path("other-ca.pem")}},
                    "TLS: certificate verify failed");
        // The authorities of the system.
        check_fails({{"url", "rediss://:secret@" + redis.address()}}, "TLS: certificate verify failed");
    }

    void refuses_a_certificate_for_another_host() {
        const Certificates certificates;
        const RedisProcess redis = certificates.server("elsewhere", "no");
        const std::string by_name = "rediss://:secret@localhost:" + std::to_string(redis.port());
        check_fails({{"url", by_name}, {"ca_file", certificates.path("ca.pem")}}, "certificate from localhost");
        check_fails({{"url", "rediss://:secret@" + redis.address()}, {"ca_file", certificates.path("ca.pem")}},
                    "certificate from 127.0.0.1");
        Node node("a", {{"url", "rediss://" + redis.address()},
                        {"ca_file", certificates.path("ca.pem")},
                        {"tls_host_name", "redis.example"}});
        check_works(node);
    }

    void refuses_tls_with_a_server_that_does_not_talk_it() {
        const Certificates certificates;
        const RedisProcess redis;
        // Redis waits for the end of a command that never comes.
        check_fails({{"url", "rediss://" + redis.address()},
                     {"ca_file", certificates.path("ca.pem")},
                     {"connect_timeout", "200ms"}},
                    "no end of the TLS handshake within 200 ms");
        const RedisProcess with_tls = certificates.server("local", "no");
        check_fails({{"url", with_tls.url()}}, with_tls.address() + ": ");
    }

    void shows_a_certificate_of_its_own() {
        const Certificates certificates;
        const RedisProcess redis = certificates.server("local", "yes");
        const TransportSection without = {{"url", "rediss://" + redis.address()},
                                          {"ca_file", certificates.path("ca.pem")}};
        check_fails(without, "TLS: ");
        TransportSection with = without;
        with["certificate_file"] = certificates.path("client.pem");
        with["private_key_file"] = certificates.path("client.key");
        Node node("a", with);
        check_works(node);
    }

    void carries_many_and_large_messages_over_tls() {
        const Certificates certificates;
        const RedisProcess redis = certificates.server("local", "no");
        Node node("a", {{"url", "rediss://" + redis.address()}, {"ca_file", certificates.path("ca.pem")}});
        CPPUNIT_ASSERT(node.is_up());
        constexpr uint64_t count = 3000;
        const auto bytes = [](uint64_t i) {
            return std::to_string(i) + std::string(i % 300 == 0 ? 1 << 20 : i % 1000, 'x');
        };
        for (uint64_t i = 0; i < count; ++i)
            CPPUNIT_ASSERT_EQUAL(meridian_status{MERIDIAN_OK}, node.transport.send("a", bytes(i), i));
        CPPUNIT_ASSERT(node.receives(count) && node.completes(count));
        const Seen seen = node.host.seen();
        for (uint64_t i = 0; i < count; ++i) {
            CPPUNIT_ASSERT(seen.deliveries[i].bytes == bytes(i));
            CPPUNIT_ASSERT_EQUAL(i, seen.completions[i].id);
        }
    }

    void survives_the_end_of_a_tls_connection() {
        const Certificates certificates;
        RedisProcess redis = certificates.server("local", "no");
        Node node("a", quick({{"url", "rediss://" + redis.address()}, {"ca_file", certificates.path("ca.pem")}}));
        CPPUNIT_ASSERT(node.is_up());
        redis.kill();
        // A write that meets the broken connection must not raise SIGPIPE.
        for (uint64_t i = 0; i < 1000; ++i) node.transport.send("a", std::string(1000, 'x'), i);
        CPPUNIT_ASSERT(node.is_down());
        redis.restart();
        CPPUNIT_ASSERT(node.is_up(2));
    }

    void refuses_configurations_with_a_reason() {
        const auto refused = [](const TransportSection& section, const std::string& reason) {
            const std::string text = refusal(section);
            CPPUNIT_ASSERT_MESSAGE("found: " + text, text.find(reason) != std::string::npos);
            CPPUNIT_ASSERT_MESSAGE(text, text.find("secret_") == std::string::npos);
        };
        refused({}, "'url': has no value; expected redis://");
        refused({{"url", ""}}, "'url'");
        refused({{"url", "secret_"}}, "'url': the scheme is not redis, rediss or unix; expected");
        refused({{"url", "http://secret_"}}, "the scheme is not");
        refused({{"url", "redis://"}}, "the host is empty");
        refused({{"url", "redis://secret_@h"}}, "a user but no password");
        refused({{"url", "redis://u:secret_@x/y@h"}}, "percent-encoded");
        refused({{"url", "redis://u:secret_%zz@h"}}, "two hex digits");
        refused({{"url", "redis://u:secret_@h:0"}}, "the port is not a number from 1 to 65535");
        refused({{"url", "redis://u:secret_@h:65536"}}, "the port is not");
        refused({{"url", "redis://u:secret_@h/x"}}, "the database is not a number");
        refused({{"url", "redis://h/1?x=secret_"}}, "the database is not a number");
        refused({{"url", "redis://[::1"}}, "is not closed");
        refused({{"url", "unix://relative"}}, "absolute path");
        refused({{"url", "unix:///path?db=x"}}, "db=");
        refused({{"url", "redis://h"}, {"username", "u"}}, "'username': 'u' has no password");
        refused({{"url", "unix:///path"}, {"tls", "true"}}, "'tls'");
        refused({{"url", "redis://h"}, {"ca_file", "/f"}}, "'ca_file': has a value, but nothing uses TLS");
        refused({{"url", "rediss://h"}, {"certificate_file", "/f"}}, "'private_key_file': has no value");
        refused({{"url", "rediss://h"}, {"ca_file", "/does/not/exist"}}, "ca_file '/does/not/exist'");
        refused({{"url", "redis://h"}, {"sentinel_master", "m"}},
                "'sentinel_master': has a value, but sentinels has none");
        refused({{"sentinels", "h"}}, "'sentinel_master': has no value");
        refused({{"sentinels", "h,"}, {"sentinel_master", "m"}}, "'sentinels': '': the host is empty");
        refused({{"sentinels", "h:x"}, {"sentinel_master", "m"}}, "'sentinels': 'h:x': the port");
        refused({{"url", "unix:///path"}, {"sentinels", "h"}, {"sentinel_master", "m"}}, "names a Unix socket");
        refused({{"url", "redis://h"}, {"publish_queue_bytes_max", "1MiB"}},
                "'publish_queue_bytes_max': 1048576; expected");
        refused({{"url", "redis://h"}, {"connect_timeout", "1ms"}}, "connect_timeout");
        for (const char* url : {"redis://h", "redis://u:p@h:1/0", "redis://[::1]:6380", "redis://h/", "unix:///p?db=0"})
            CPPUNIT_ASSERT_EQUAL(std::string(), refusal({{"url", url}}));
        CPPUNIT_ASSERT_EQUAL(std::string(), refusal({{"sentinels", "h, [::1]:26380"}, {"sentinel_master", "m"}}));
        // A third of a short anti-entropy interval may be less than the first wait.
        CPPUNIT_ASSERT_EQUAL(std::string(), refusal({{"url", "redis://h"}, {"reconnect_delay_max", "100ms"}}));
    }

    void the_page_lists_all_keys_with_their_defaults() {
        std::ostringstream text;
        text << std::ifstream(TRANSPORT_REDIS_PAGE).rdbuf();
        const auto& descriptor = *transport_redis().descriptor;
        for (uint64_t i = 0; i < descriptor.config_key_count; ++i) {
            const meridian_config_key& key = descriptor.config_keys[i];
            std::string row = std::string("\n| `") + key.name + "` | ";
            if (key.default_value != nullptr) row += std::string("`") + key.default_value + "` | ";
            CPPUNIT_ASSERT_MESSAGE(row, text.str().find(row) != std::string::npos);
        }
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(AccessTest);

}  // namespace meridian::test
