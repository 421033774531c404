// /metrics: who may read it, what it says; and what plug-ins may report.
#include <cppunit/extensions/HelperMacros.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

#include "metrics/plugin_metrics.h"
#include "server_fixture.h"

namespace meridian::test {

using server::PluginMetrics;

class MetricsTest : public ServerFixture {
    CPPUNIT_TEST_SUITE(MetricsTest);
    CPPUNIT_TEST(local_clients_and_admins_may_read_it_and_what_a_proxy_passes_on_may_not);
    CPPUNIT_TEST(on_a_unix_socket_only_root_and_the_own_user_are_local);
    CPPUNIT_TEST(it_can_be_for_admins_only_or_off);
    CPPUNIT_TEST(it_counts_what_happens);
    CPPUNIT_TEST(its_size_does_not_depend_on_keys_and_namespaces);
    CPPUNIT_TEST(every_metric_is_on_its_page);
    CPPUNIT_TEST(what_a_plugin_reports_is_summed_by_kind);
    CPPUNIT_TEST(a_plugin_cannot_make_the_page_grow_without_end);
    CPPUNIT_TEST_SUITE_END();

private:
    std::string page() { return http(*server_, "GET", "/metrics", "").body; }
    // The number behind a metric's name and labels.
    std::string value(const std::string& name) {
        const std::string text = page();
        const size_t at = text.find("\n" + name + " ");
        if (at == std::string::npos) return "none";
        const size_t start = at + name.size() + 2;
        return text.substr(start, text.find('\n', start) - start);
    }

public:
    // Defect 24.
    void local_clients_and_admins_may_read_it_and_what_a_proxy_passes_on_may_not() {
        ServerProcess& server = start();
        const HttpReply open = http(server, "GET", "/metrics", "");
        CPPUNIT_ASSERT_EQUAL(200, open.status);
        CPPUNIT_ASSERT(open.head.find("content-type: text/plain; version=0.0.4") != std::string::npos);
        for (const char* header :
             {"X-Forwarded-For: 10.0.0.1\r\n", "Forwarded: for=10.0.0.1\r\n", "X-Forwarded-Proto: https\r\n",
              "CF-Connecting-IP: 10.0.0.1\r\n", "Via: 1.1 proxy\r\n"}) {
            CPPUNIT_ASSERT_EQUAL(401, http(server, "GET", "/metrics", "", {}, header).status);
            CPPUNIT_ASSERT_EQUAL(403, http(server, "GET", "/metrics", token(), {}, header).status);
            CPPUNIT_ASSERT_EQUAL(200, http(server, "GET", "/metrics", token({.admin = true}), {}, header).status);
        }
        CPPUNIT_ASSERT_EQUAL(405, http(server, "POST", "/metrics", "").status);
    }

    // The status that another user is answered with, or -1.
    static int status_for_another_user(const std::string& address, const std::string& request) {
        const pid_t child = ::fork();
        if (child == 0) {
            constexpr uid_t nobody = 65534;
            if (::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(255);
            try {
                const std::string answer = raw_exchange(address, request);
                ::_exit(answer.size() < 12 ? 255 : std::stoi(answer.substr(9, 3)) - 200);  // 0 to 255 is what fits
            } catch (const std::exception&) { ::_exit(255); }
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        return WIFEXITED(status) && WEXITSTATUS(status) != 255 ? WEXITSTATUS(status) + 200 : -1;
    }

    void on_a_unix_socket_only_root_and_the_own_user_are_local() {
        const std::string address = "unix:" + data_->path() + "/node.sock";
        start({"server.bind=" + address, "server.unix_socket_mode=0666"});
        const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
        CPPUNIT_ASSERT_EQUAL(std::string("HTTP/1.1 200"), raw_exchange(address, request).substr(0, 12));
        if (::geteuid() != 0) return;  // only root can be somebody else
        CPPUNIT_ASSERT_EQUAL(0, ::chmod(data_->path().c_str(), 0755));
        CPPUNIT_ASSERT_EQUAL(401, status_for_another_user(address, request));
        const std::string admin = "GET /metrics?token=" + token({.admin = true}) + " HTTP/1.0\r\n\r\n";
        CPPUNIT_ASSERT_EQUAL(200, status_for_another_user(address, admin));
    }

    void it_can_be_for_admins_only_or_off() {
        ServerProcess& strict = start({"server.metrics=admin"});
        CPPUNIT_ASSERT_EQUAL(401, http(strict, "GET", "/metrics", "").status);
        CPPUNIT_ASSERT_EQUAL(403, http(strict, "GET", "/metrics", token()).status);
        CPPUNIT_ASSERT_EQUAL(200, http(strict, "GET", "/metrics", token({.admin = true})).status);
        server_.reset();
        ServerProcess& off = start({"server.metrics=off"});
        CPPUNIT_ASSERT_EQUAL(404, http(off, "GET", "/metrics", token({.admin = true})).status);
    }

    void it_counts_what_happens() {
        ServerProcess& server = start();
        auto watcher = websocket(server, token({.client_id = 7}), "&keys=string");
        CPPUNIT_ASSERT_EQUAL(std::string("1"), value("meridian_ws_connections_active"));
        CPPUNIT_ASSERT_EQUAL(std::string("1"), value("meridian_rooms"));
        for (int i = 0; i < 3; ++i) {
            http(server, "POST", "/v1/namespaces/room/crdts/gc:a/ops", token(), counter_op(1));
            expect<wire::DeltaMessage>(watcher);
        }
        http(server, "POST", "/v1/namespaces/room/crdts/gc:a/ops", token(), register_op("x", now_ms()));
        CPPUNIT_ASSERT_EQUAL(std::string("3"), value("meridian_ops_total"));
        CPPUNIT_ASSERT_EQUAL(std::string("1"), value("meridian_writes_rejected_total"));
        CPPUNIT_ASSERT_EQUAL(std::string("3"), value("meridian_wal_entries_total"));
        CPPUNIT_ASSERT_EQUAL(std::string("3"), value("meridian_deltas_total"));
        CPPUNIT_ASSERT_EQUAL(std::string("3"), value("meridian_delta_sends_total"));
        CPPUNIT_ASSERT_EQUAL(std::string("1"), value("meridian_http_responses_total{class=\"4xx\"}"));
        CPPUNIT_ASSERT_EQUAL(std::string("1"), value("meridian_writable"));
        CPPUNIT_ASSERT_EQUAL(std::string("0"), value("meridian_store_failed"));
        CPPUNIT_ASSERT(value("meridian_process_resident_bytes").size() > 6);
    }

    // Defect 24.
    void its_size_does_not_depend_on_keys_and_namespaces() {
        ServerProcess& server = start();
        const auto lines = [this] {
            const std::string text = page();
            return std::count(text.begin(), text.end(), '\n');
        };
        http(server, "POST", "/v1/namespaces/room/crdts/gc:a/ops", token(), counter_op(1));
        const auto before = lines();
        for (int i = 0; i < 20; ++i) {
            const std::string name = "room" + std::to_string(i);
            http(server, "POST", "/v1/namespaces/" + name + "/crdts/gc:" + name + "/ops",
                 token({.namespace_name = name}), counter_op(1));
        }
        CPPUNIT_ASSERT_EQUAL(before, lines());
        CPPUNIT_ASSERT_EQUAL(std::string("21"), value("meridian_ops_total"));
        CPPUNIT_ASSERT(page().find("room1") == std::string::npos);
    }

    void every_metric_is_on_its_page() {
        start();
        std::ifstream file(MERIDIAN_DOCS "/METRICS.md");
        std::stringstream documented;
        documented << file.rdbuf();
        std::istringstream lines(page());
        size_t metrics = 0;
        for (std::string line; std::getline(lines, line);) {
            if (line.rfind("# TYPE ", 0) != 0 || line.rfind("# TYPE meridian_plugin_store_", 0) == 0) continue;
            const std::string name = line.substr(7, line.find(' ', 7) - 7);
            CPPUNIT_ASSERT_MESSAGE(name + " is not in docs/METRICS.md",
                                   documented.str().find("`" + name + "`") != std::string::npos);
            ++metrics;
        }
        CPPUNIT_ASSERT_GREATER(size_t{30}, metrics);
    }

    void what_a_plugin_reports_is_summed_by_kind() {
        PluginMetrics metrics;
        using Kind = plugin::MetricKind;
        for (const double value : {1.0, 2.0}) {
            metrics.report("store", Kind::counter, "reads", value);
            metrics.report("store", Kind::gauge, "depth", value);
            metrics.report("store", Kind::histogram, "seconds", value);
        }
        metrics.report("store", Kind::gauge, "reads", 9);     // another kind
        metrics.report("store", Kind::counter, "reads", -1);  // a counter does not go back
        metrics.report("store", Kind::counter, "Bad Name", 1);
        metrics.report("store", Kind::gauge, "reads_total", 1);  // the name under which the counter is shown
        metrics.report("store", Kind::gauge, "depth", std::numeric_limits<double>::quiet_NaN());
        std::string all;
        metrics.visit([&](const std::string& instance, const std::string& name, const PluginMetrics::Value& value) {
            all += instance + "." + name + "=" + std::to_string(static_cast<int>(value.sum)) + "/" +
                   std::to_string(value.count) + " ";
        });
        CPPUNIT_ASSERT_EQUAL(std::string("store.depth=2/2 store.reads=3/2 store.seconds=3/2 "), all);
        CPPUNIT_ASSERT_EQUAL(uint64_t{5}, metrics.dropped());
    }

    void a_plugin_cannot_make_the_page_grow_without_end() {
        PluginMetrics metrics;
        for (int i = 0; i < 1000; ++i) {
            metrics.report("store", plugin::MetricKind::counter, "name_" + std::to_string(i), 1);
        }
        size_t names = 0;
        metrics.visit([&](const std::string&, const std::string&, const PluginMetrics::Value&) { ++names; });
        CPPUNIT_ASSERT_EQUAL(PluginMetrics::names_max, names);
        CPPUNIT_ASSERT_EQUAL(uint64_t{800}, metrics.dropped());
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(MetricsTest);

}  // namespace meridian::test
