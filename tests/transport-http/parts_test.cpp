// The parts that need no network: addresses, batches, base64url, response heads.
#include <cppunit/extensions/HelperMacros.h>

#include <fstream>
#include <map>
#include <random>
#include <string>

#include "descriptor.h"
#include "http/response_head.h"
#include "meridian/plugin.hpp"
#include "peer_url.h"
#include "wire.h"

using namespace meridian::transport_http;
using meridian::http::HeadState;

namespace {

std::string refusal_of(const std::string& url) {
    std::string problem;
    CPPUNIT_ASSERT_MESSAGE(url, !parse_peer_url(url, problem));
    return problem;
}

std::string normal(const std::string& url) {
    std::string problem;
    const auto parsed = parse_peer_url(url, problem);
    CPPUNIT_ASSERT_MESSAGE(problem, parsed.has_value());
    return parsed->text();
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

std::string failure_of(const std::function<void()>& function) {
    try {
        function();
    } catch (const meridian::abi::Failure& failure) { return failure.what(); }
    return {};
}

HeadState state_of(const std::string& head) {
    return meridian::http::parse_response_head(head, {1024, 10}).state;
}

}  // namespace

class PartsTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(PartsTest);
    CPPUNIT_TEST(gives_two_spellings_of_a_peer_one_address);
    CPPUNIT_TEST(refuses_urls_that_are_not_peers_and_says_why);
    CPPUNIT_TEST(never_repeats_a_password);
    CPPUNIT_TEST(splits_the_list_of_peers);
    CPPUNIT_TEST(names_the_malformed_peer_of_a_list);
    CPPUNIT_TEST(reads_listening_addresses);
    CPPUNIT_TEST(encodes_base64url_as_the_rfc_does);
    CPPUNIT_TEST(refuses_other_base64);
    CPPUNIT_TEST(takes_batches_apart);
    CPPUNIT_TEST(recognises_what_is_no_batch);
    CPPUNIT_TEST(reads_response_heads);
    CPPUNIT_TEST(refuses_responses_that_can_be_read_in_two_ways);
    CPPUNIT_TEST(documents_every_key_with_its_default);
    CPPUNIT_TEST_SUITE_END();

public:
    void gives_two_spellings_of_a_peer_one_address() {
        CPPUNIT_ASSERT_EQUAL(std::string("http://node-b:3001"), normal("HTTP://Node-B:3001/some/path?query=1#part"));
        CPPUNIT_ASSERT_EQUAL(std::string("http://node-b"), normal("http://node-b:80"));
        CPPUNIT_ASSERT_EQUAL(std::string("http://[fe80::1]:3001"), normal("http://[FE80::1]:3001/"));
        CPPUNIT_ASSERT_EQUAL(std::string("http://10.0.0.1:1"), normal("http://10.0.0.1:1"));
    }
    void refuses_urls_that_are_not_peers_and_says_why() {
        CPPUNIT_ASSERT(contains(refusal_of("https://node-b:3001"), "https is not supported"));
        CPPUNIT_ASSERT(contains(refusal_of("node-b:3001"), "'node-b:3001' is not the URL of a peer"));
        for (const char* url : {"", "node-b", "http://", "http:///path", "http:node-b", "ftp://node-b", "http://a b",
                                "http://node_b/\n", "http://[::1", "http://[nonsense]:1", "http://a:b:c", "//node-b"})
            CPPUNIT_ASSERT_MESSAGE(url, contains(refusal_of(url), "is not the URL of a peer"));
        for (const char* url :
             {"http://a:0", "http://a:65536", "http://a:x", "http://a:", "http://[::1]:", "http://a:-1"})
            CPPUNIT_ASSERT_MESSAGE(url, contains(refusal_of(url), "is not the URL of a peer"));
        refusal_of("http://" + std::string(300, 'a'));
        refusal_of("http://a/" + std::string(2000, 'a'));
    }
    void never_repeats_a_password() {
        const std::string problem = refusal_of("http://user:secret@node-b:3001");
        CPPUNIT_ASSERT(!contains(problem, "secret"));
        CPPUNIT_ASSERT(contains(problem, "node-b:3001"));
        CPPUNIT_ASSERT(!contains(refusal_of("https://user:secret@node-b"), "secret"));
    }
    void splits_the_list_of_peers() {
        const auto peers = parse_peers(" http://a:1 ,,http://b:2\t, http://A:1/,");
        CPPUNIT_ASSERT_EQUAL(size_t{2}, peers.size());
        CPPUNIT_ASSERT_EQUAL(std::string("http://a:1"), peers[0].text());
        CPPUNIT_ASSERT_EQUAL(std::string("http://b:2"), peers[1].text());
        CPPUNIT_ASSERT(parse_peers("").empty());
    }
    void names_the_malformed_peer_of_a_list() {
        const std::string text = failure_of([] { parse_peers("http://a:1,node-b:3001"); });
        CPPUNIT_ASSERT(contains(text, "peers: 'node-b:3001'"));
        CPPUNIT_ASSERT(contains(text, "expected http://host[:port]"));
    }
    void reads_listening_addresses() {
        CPPUNIT_ASSERT(parse_bind("0.0.0.0:3001").wildcard());
        CPPUNIT_ASSERT(parse_bind("[::]:3001").wildcard());
        CPPUNIT_ASSERT(parse_bind(":3001").wildcard());
        CPPUNIT_ASSERT(!parse_bind("[::1]:3001").wildcard());
        CPPUNIT_ASSERT_EQUAL(std::string("::1"), parse_bind("[::1]:3001").host);
        CPPUNIT_ASSERT_EQUAL(uint16_t{3001}, parse_bind("node-a:3001").port);
        for (const char* text : {"", "3001", "a:", "a:x", "a:65536", "::1:3001", "a b:1"})
            CPPUNIT_ASSERT_MESSAGE(text, contains(failure_of([&] { parse_bind(text); }), "is not host:port"));
    }
    void encodes_base64url_as_the_rfc_does() {
        // RFC 4648 section 10, without padding.
        const char* vectors[][2] = {{"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
                                    {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
        for (const auto& vector : vectors) {
            CPPUNIT_ASSERT_EQUAL(std::string(vector[1]), base64url_encode(vector[0]));
            CPPUNIT_ASSERT_EQUAL(std::string(vector[0]), *base64url_decode(vector[1]));
        }
        std::mt19937 random(1);
        for (size_t size = 0; size < 300; ++size) {
            std::string bytes;
            for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(random()));
            const std::string text = base64url_encode(bytes);
            CPPUNIT_ASSERT(text.find_first_of("+/=") == std::string::npos);
            CPPUNIT_ASSERT(base64url_decode(text) == bytes);
        }
        CPPUNIT_ASSERT_EQUAL(std::string("__-_"), base64url_encode("\xff\xff\xbf"));
    }
    void refuses_other_base64() {
        for (const char* text : {"Zg==", "Z", "Zm9v Zg", "Zm+v", "Zm/v", "Zh", "Zm9", "Zm8\n"})
            CPPUNIT_ASSERT_MESSAGE(text, !base64url_decode(text));
    }
    void takes_batches_apart() {
        std::string batch;
        append_to_batch(batch, {"room", "one"});
        append_to_batch(batch, {"", ""});
        const std::string name(255, 'n'), large(70'000, 'x');
        append_to_batch(batch, {name, large});
        CPPUNIT_ASSERT_EQUAL(std::string("\4room\0\0\0\3one\0\0\0\0\0\xff", 18), batch.substr(0, 18));
        std::string_view rest = batch;
        const auto first = take_from_batch(rest);
        CPPUNIT_ASSERT(first->namespace_name == "room" && first->envelope == "one");
        CPPUNIT_ASSERT(take_from_batch(rest)->envelope == "");
        const auto last = take_from_batch(rest);
        CPPUNIT_ASSERT(last->namespace_name == name && last->envelope == large);
        CPPUNIT_ASSERT(rest.empty());
        CPPUNIT_ASSERT(is_batch(batch));
    }
    void recognises_what_is_no_batch() {
        CPPUNIT_ASSERT(is_batch(""));
        CPPUNIT_ASSERT(!is_batch(std::string("\0\0\0\0", 4)));
        CPPUNIT_ASSERT(!is_batch(std::string("\2a\0\0\0\0", 6)));
        CPPUNIT_ASSERT(!is_batch(std::string("\0\0\0\0\4abc", 8)));
        CPPUNIT_ASSERT(!is_batch(std::string("\0\xff\xff\xff\xff", 5)));
        CPPUNIT_ASSERT(!is_batch(std::string("\0\0\0\0\1ab", 7)));
    }
    void reads_response_heads() {
        const std::string text = "HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\nConnection: close\r\n\r\nbody";
        const auto result = meridian::http::parse_response_head(text, {1024, 10});
        CPPUNIT_ASSERT(result.state == HeadState::complete);
        CPPUNIT_ASSERT_EQUAL(404, result.head.status);
        CPPUNIT_ASSERT_EQUAL(text.size() - 4, result.size);
        CPPUNIT_ASSERT(!result.head.keep_alive);
        CPPUNIT_ASSERT(result.head.content_length == 12U);
        CPPUNIT_ASSERT(!result.head.body_until_close());
        for (size_t size = 0; size < result.size; ++size)
            CPPUNIT_ASSERT(state_of(text.substr(0, size)) == HeadState::incomplete);
        const auto bare = meridian::http::parse_response_head("HTTP/1.0 200\r\n\r\n", {1024, 10});
        CPPUNIT_ASSERT(bare.state == HeadState::complete);
        CPPUNIT_ASSERT(bare.head.body_until_close() && !bare.head.keep_alive);
        const auto none = meridian::http::parse_response_head("HTTP/1.1 204 No Content\r\n\r\n", {1024, 10});
        CPPUNIT_ASSERT(!none.head.has_body() && none.head.keep_alive);
    }
    void refuses_responses_that_can_be_read_in_two_ways() {
        for (const char* head :
             {"HTTP/1.1 200 OK\n\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 2000\r\n\r\n", "HTTP/1.1 20\r\n\r\n",
              "HTTP/1.1 099 \r\n\r\n", "HTTP/1.1 600 \r\n\r\n", "HTTP/1.1  200\r\n\r\n", "garbage\r\n\r\n",
              "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
              "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
              "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
              "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"})
            CPPUNIT_ASSERT_MESSAGE(head, state_of(head) == HeadState::refused);
        CPPUNIT_ASSERT(state_of("HTTP/1.1 200 " + std::string(2000, 'a')) == HeadState::refused);
    }
    void documents_every_key_with_its_default() {
        std::map<std::string, std::string> known, documented;
        for (const meridian_config_key& key : config_keys)
            known[key.name] = key.default_value == nullptr ? "" : "`" + std::string(key.default_value) + "`";
        std::ifstream page(MERIDIAN_DOCS "/TRANSPORT-HTTP.md");
        bool is_table = false;
        for (std::string line; std::getline(page, line);) {
            if (line.rfind("| Key |", 0) == 0) is_table = true;
            if (line.empty()) is_table = false;
            if (!is_table || line.rfind("| `", 0) != 0) continue;
            const size_t name_end = line.find('`', 3);
            const size_t cell = line.find('|', name_end) + 2;
            const size_t cell_end = line.find('|', cell - 1);
            const std::string value = cell_end > cell ? line.substr(cell, cell_end - cell - 1) : std::string();
            documented[line.substr(3, name_end - 3)] = value;
        }
        CPPUNIT_ASSERT(!known.empty());
        for (const auto& [name, value] : known) CPPUNIT_ASSERT_EQUAL_MESSAGE(name, value, documented[name]);
        CPPUNIT_ASSERT_EQUAL(known.size(), documented.size());
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(PartsTest);
