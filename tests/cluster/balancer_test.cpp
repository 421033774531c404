// The nginx configuration of docs/CLUSTERING.md as it stands there, with other addresses, before three real nodes.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <Poco/Exception.h>

#include <csignal>
#include <fstream>
#include <iterator>

#include "cluster_fixture.h"
#include "wire/client_message.h"
#include "wire/op_codec.h"

namespace meridian::test {
namespace {

void replace(std::string& text, const std::string& what, const std::string& with) {
    const size_t at = text.find(what);
    CPPUNIT_ASSERT_MESSAGE(what + " in " + text, at != std::string::npos);
    text.replace(at, what.size(), with);
}

// In one process, which ends with this one; its log is the file `log` of the directory.
class Nginx {
public:
    Nginx(const std::string& directory, const std::string& sites) : log_(directory + "/log") {
        std::string paths;
        for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
            paths += std::string(kind) + "_temp_path " + directory + "/" + kind + ";\n";
        std::ofstream(directory + "/nginx.conf")
            << "daemon off;\nmaster_process off;\npid " << directory << "/pid;\nerror_log " << directory
            << "/log;\nevents {}\nhttp {\naccess_log off;\n"
            << paths << sites << "}\n";
        const std::string file = directory + "/nginx.conf";
        process_ = ::fork();
        if (process_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            const int err = ::open((directory + "/stderr").c_str(), O_WRONLY | O_CREAT, 0600);
            ::dup2(err, STDERR_FILENO);
            ::execl("/usr/sbin/nginx", "nginx", "-p", directory.c_str(), "-e", log_.c_str(), "-c", file.c_str(),
                    nullptr);
            ::_exit(127);
        }
    }
    ~Nginx() {
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
    }
    std::string log() const {
        std::ifstream file(log_);
        return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    }
    Nginx(const Nginx&) = delete;
    Nginx& operator=(const Nginx&) = delete;

private:
    const std::string log_;
    pid_t process_;
};

class BalancerTest : public ClusterFixture {
    CPPUNIT_TEST_SUITE(BalancerTest);
    CPPUNIT_TEST(the_example_for_nginx_works_as_written);
    CPPUNIT_TEST_SUITE_END();

    static std::string example() {
        std::ifstream file(MERIDIAN_DOCS "/CLUSTERING.md");
        const std::string page((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        const std::string mark = "```nginx\n";
        const size_t begin = page.find(mark);
        CPPUNIT_ASSERT(begin != std::string::npos);
        return page.substr(begin + mark.size(), page.find("```", begin + mark.size()) - begin - mark.size());
    }

    static client::WebSocketClient connect(const std::string& address, uint64_t client_id) {
        auto connected = client::WebSocketClient::connect(
            address, "/v1/namespaces/room/connect?keys=string&token=" + token({.client_id = client_id}));
        CPPUNIT_ASSERT_MESSAGE(connected ? "" : connected.error().message, connected.ok());
        return std::move(connected).value();
    }

public:
    void the_example_for_nginx_works_as_written() {
        CPPUNIT_ASSERT_MESSAGE("/usr/sbin/nginx: expected the Debian package nginx",
                               ::access("/usr/sbin/nginx", X_OK) == 0);
        start_cluster(3, Through::http);
        std::string sites = example();
        for (size_t i = 0; i < 3; ++i) replace(sites, "10.0.0." + std::to_string(i + 1) + ":3000", server(i).address());
        TemporaryDirectory directory;
        const std::string socket = directory.path() + "/http";
        const std::string address = "unix:" + socket;
        replace(sites, "listen 80;", "listen " + address + ";");
        const Nginx nginx(directory.path(), sites);
        eventually("nginx listens", [&] {
            try {
                connect_to(address);
                return true;
            } catch (const Poco::Exception&) { return false; }
        });
        const std::string live = "GET /health/live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        auto http_socket = connect_to(address);
        http_socket.sendBytes(live.data(), static_cast<int>(live.size()));
        const std::string answer = read_all(http_socket);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(answer + nginx.log(), size_t{0}, answer.find("HTTP/1.1 200 OK\r\n"));
        // What is written through one connection arrives at all of them, on whichever node each ends.
        std::vector<client::WebSocketClient> sockets;
        for (uint64_t client_id = 1; client_id <= 6; ++client_id) sockets.push_back(connect(address, client_id));
        sockets.front().send(wire::Subscribe{"gc:x"});
        expect<wire::Ack>(sockets.front());
        CPPUNIT_ASSERT_EQUAL(200, increment(0, "gc:x", 3));
        for (auto& each : sockets) CPPUNIT_ASSERT_EQUAL(std::string("gc:x"), expect<wire::DeltaMessage>(each).crdt_id);
        uint64_t connections = 0;
        for (size_t i = 0; i < 3; ++i) {
            const uint64_t here = metric(i, "ws_connections_active");
            CPPUNIT_ASSERT_MESSAGE("node " + std::to_string(i + 1) + " has none", here > 0);
            connections += here;
        }
        CPPUNIT_ASSERT_EQUAL(uint64_t{6}, connections);
        // A node that stops: its clients come to the others.
        stop(node(1), SIGTERM);
        size_t closed = 0;
        for (auto& each : sockets) {
            auto message = each.receive_message(300);
            if (message.ok()) continue;
            ++closed;
            each = connect(address, 7);
        }
        CPPUNIT_ASSERT(closed > 0);
        CPPUNIT_ASSERT_EQUAL(200, increment(2, "gc:x", 1));
        for (auto& each : sockets) CPPUNIT_ASSERT_EQUAL(std::string("gc:x"), expect<wire::DeltaMessage>(each).crdt_id);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(BalancerTest);

}  // namespace
}  // namespace meridian::test
