// WebSocket frames, HTTP heads, chunked bodies.
#include <cppunit/extensions/HelperMacros.h>

#include "http/chunked_body.h"
#include "http/request_head.h"
#include "protocol/percent.h"
#include "protocol/websocket_codec.h"

namespace {

using namespace meridian::http;
using namespace meridian::server;
using Kind = WebSocketEvent::Kind;

constexpr std::array<uint8_t, 4> mask = {0x37, 0xfa, 0x21, 0x3d};

std::string client_frame(uint8_t first_byte, const std::string& payload) {
    std::string frame;
    append_masked_message(frame, Opcode::binary, payload, mask);
    frame[0] = static_cast<char>(first_byte);
    return frame;
}

// The events of a byte stream, as "kind:payload" or "kind:code:payload"; stops at an error.
std::string events_of(std::string bytes, size_t message_bytes_max = 1 << 20) {
    WebSocketReader reader(WebSocketReader::Role::server, message_bytes_max);
    std::string out;
    for (;;) {
        const WebSocketEvent event = reader.next(bytes.data(), bytes.size());
        if (event.kind == Kind::need_more) return out + (bytes.empty() ? "" : "...");
        const char* names[] = {"", "continued", "binary", "text", "ping", "pong", "close", "error"};
        out += names[static_cast<size_t>(event.kind)];
        if (event.code != 0) out += ":" + std::to_string(event.code);
        if (!event.payload.empty()) out += ":" + std::string(event.payload);
        out += ' ';
        if (event.kind == Kind::error) return out;
        bytes.erase(0, event.consumed);
    }
}

const HeadLimits limits;

int refused_status(const std::string& head) {
    const HeadResult result = parse_request_head(head, limits);
    CPPUNIT_ASSERT_MESSAGE(head, result.state == HeadResult::State::refused);
    return result.status;
}

HeadResult complete(const std::string& head) {
    HeadResult result = parse_request_head(head, limits);
    CPPUNIT_ASSERT_MESSAGE(head + result.message, result.state == HeadResult::State::complete);
    return result;
}

class ProtocolTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(ProtocolTest);
    CPPUNIT_TEST(unmasks_the_example_of_the_rfc);
    CPPUNIT_TEST(assembles_fragments_around_control_frames);
    CPPUNIT_TEST(reads_all_three_length_forms_from_any_cut);
    CPPUNIT_TEST(refuses_what_breaks_the_protocol);
    CPPUNIT_TEST(refuses_messages_larger_than_the_limit_before_they_arrive);
    CPPUNIT_TEST(checks_close_frames);
    CPPUNIT_TEST(checks_text_for_utf8);
    CPPUNIT_TEST(fragments_what_exceeds_a_frame);
    CPPUNIT_TEST(parses_a_request_head);
    CPPUNIT_TEST(refuses_ambiguous_heads);
    CPPUNIT_TEST(limits_heads);
    CPPUNIT_TEST(decodes_chunked_bodies_from_any_cut);
    CPPUNIT_TEST(refuses_malformed_chunks);
    CPPUNIT_TEST(decodes_percent_escapes_strictly);
    CPPUNIT_TEST_SUITE_END();

    void unmasks_the_example_of_the_rfc() {
        CPPUNIT_ASSERT_EQUAL(std::string("text:Hello "), events_of("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"));
    }

    void assembles_fragments_around_control_frames() {
        const std::string stream = client_frame(0x02, "ab") + client_frame(0x89, "p") + client_frame(0x00, "cd") +
                                   client_frame(0x80, "e") + client_frame(0x82, "next");
        CPPUNIT_ASSERT_EQUAL(std::string("continued ping:p continued binary:abcde binary:next "), events_of(stream));
    }

    void reads_all_three_length_forms_from_any_cut() {
        for (const size_t size : {size_t{0}, size_t{125}, size_t{126}, size_t{65535}, size_t{65536}}) {
            const std::string payload(size, 'x');
            const std::string frame = client_frame(0x82, payload);
            for (size_t cut = 0; cut < std::min<size_t>(frame.size(), 20); ++cut) {
                WebSocketReader reader(WebSocketReader::Role::server, 1 << 20);
                std::string begun = frame.substr(0, cut);
                CPPUNIT_ASSERT(reader.next(begun.data(), begun.size()).kind == Kind::need_more);
                std::string whole = frame;
                const WebSocketEvent event = reader.next(whole.data(), whole.size());
                CPPUNIT_ASSERT(event.kind == Kind::binary);
                CPPUNIT_ASSERT(event.payload == payload);
                CPPUNIT_ASSERT_EQUAL(frame.size(), event.consumed);
            }
        }
    }

    void refuses_what_breaks_the_protocol() {
        CPPUNIT_ASSERT_EQUAL(std::string("error:1002 "), events_of(client_frame(0xc2, "rsv")));
        CPPUNIT_ASSERT_EQUAL(std::string("error:1002 "), events_of(client_frame(0x83, "opcode")));
        CPPUNIT_ASSERT_EQUAL(std::string("error:1002 "), events_of(client_frame(0x8b, "opcode")));
        CPPUNIT_ASSERT_EQUAL(std::string("error:1002 "), events_of("\x82\x01x"));             // unmasked
        CPPUNIT_ASSERT_EQUAL(std::string("error:1002 "), events_of(client_frame(0x09, "")));  // fragmented ping
        CPPUNIT_ASSERT_EQUAL(std::string("error:1002 "), events_of(client_frame(0x89, std::string(126, 'x'))));
        CPPUNIT_ASSERT_EQUAL(std::string("error:1002 "), events_of(client_frame(0x80, "continuation")));
        CPPUNIT_ASSERT_EQUAL(std::string("continued error:1002 "),
                             events_of(client_frame(0x02, "a") + client_frame(0x82, "b")));
        CPPUNIT_ASSERT_EQUAL(std::string("error:1002 "),
                             events_of(std::string("\x82\xfe\x00\x05", 4)));  // not the shortest length
        CPPUNIT_ASSERT_EQUAL(std::string("error:1002 "), events_of("\x82\xff\x80" + std::string(7, '\0')));
    }

    void refuses_messages_larger_than_the_limit_before_they_arrive() {
        CPPUNIT_ASSERT_EQUAL(std::string("error:1009 "),
                             events_of(client_frame(0x82, std::string(1001, 'x')).substr(0, 8), 1000));
        CPPUNIT_ASSERT_EQUAL(
            std::string("continued error:1009 "),
            events_of(client_frame(0x02, std::string(600, 'x')) + client_frame(0x80, std::string(600, 'x')), 1000));
        CPPUNIT_ASSERT_EQUAL(std::string("..."),
                             events_of(client_frame(0x82, std::string(1000, 'x')).substr(0, 8), 1000));
    }

    void checks_close_frames() {
        CPPUNIT_ASSERT_EQUAL(std::string("close:1005 "), events_of(client_frame(0x88, "")));
        CPPUNIT_ASSERT_EQUAL(std::string("close:1000:bye "), events_of(client_frame(0x88, close_payload(1000, "bye"))));
        CPPUNIT_ASSERT_EQUAL(std::string("error:1002 "), events_of(client_frame(0x88, "x")));
        for (const uint16_t code : {0, 999, 1004, 1005, 1006, 1015, 2999, 5000}) {
            CPPUNIT_ASSERT_EQUAL(std::string("error:1002 "), events_of(client_frame(0x88, close_payload(code, ""))));
        }
        CPPUNIT_ASSERT_EQUAL(std::string("close:4999 "), events_of(client_frame(0x88, close_payload(4999, ""))));
        CPPUNIT_ASSERT_EQUAL(std::string("error:1007 "), events_of(client_frame(0x88, close_payload(1000, "\xff"))));
    }

    void checks_text_for_utf8() {
        CPPUNIT_ASSERT_EQUAL(std::string("continued text:\xc3\xa9 "),
                             events_of(client_frame(0x01, "\xc3") + client_frame(0x80, "\xa9")));
        CPPUNIT_ASSERT_EQUAL(std::string("error:1007 "), events_of(client_frame(0x81, "\xc3")));
    }

    void fragments_what_exceeds_a_frame() {
        const std::string payload(frame_payload_bytes_max + 5, 'x');
        std::string wire;
        append_message(wire, Opcode::binary, payload);
        WebSocketReader reader(WebSocketReader::Role::client, payload.size());
        const WebSocketEvent first = reader.next(wire.data(), wire.size());
        CPPUNIT_ASSERT(first.kind == Kind::continued);
        wire.erase(0, first.consumed);
        const WebSocketEvent second = reader.next(wire.data(), wire.size());
        CPPUNIT_ASSERT(second.kind == Kind::binary);
        CPPUNIT_ASSERT(second.payload == payload);
    }

    void parses_a_request_head() {
        const std::string text =
            "\r\nPOST //v1/a%20b?x=1&token=t HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nContent-Length: "
            "12\r\nX:\t y \r\n\r\nbody";
        const HeadResult result = complete(text);
        CPPUNIT_ASSERT_EQUAL(text.size() - 4, result.size);
        CPPUNIT_ASSERT(result.head.method == "POST");
        CPPUNIT_ASSERT(result.head.path == "//v1/a%20b");
        CPPUNIT_ASSERT(query_value(result.head.query, "token") == std::string_view("t"));
        CPPUNIT_ASSERT(result.head.header("x") == std::string_view("y"));
        CPPUNIT_ASSERT(result.head.header_has_token("connection", "upgrade"));
        CPPUNIT_ASSERT_EQUAL(uint64_t{12}, *result.head.content_length);
        CPPUNIT_ASSERT(result.head.keep_alive);
        CPPUNIT_ASSERT(!complete("GET / HTTP/1.0\r\n\r\n").head.keep_alive);
        CPPUNIT_ASSERT(!complete("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").head.keep_alive);
        CPPUNIT_ASSERT(complete("GET http://h/p?q HTTP/1.1\r\nHost: h\r\n\r\n").head.path == "/p");
        for (size_t size = 0; size < text.size() - 4; ++size) {
            CPPUNIT_ASSERT(parse_request_head(text.substr(0, size), limits).state == HeadResult::State::incomplete);
        }
    }

    void refuses_ambiguous_heads() {
        const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n";
        CPPUNIT_ASSERT_EQUAL(400, refused_status("GET / HTTP/1.1\nHost: h\n\n"));
        CPPUNIT_ASSERT_EQUAL(400, refused_status(get + " folded\r\n\r\n"));
        CPPUNIT_ASSERT_EQUAL(400, refused_status(get + "A : b\r\n\r\n"));
        CPPUNIT_ASSERT_EQUAL(400, refused_status(get + "A: b\rc\r\n\r\n"));
        CPPUNIT_ASSERT_EQUAL(400, refused_status(get + std::string("A: b\0c\r\n\r\n", 10)));
        CPPUNIT_ASSERT_EQUAL(400, refused_status(get + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"));
        CPPUNIT_ASSERT_EQUAL(400, refused_status(get + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"));
        CPPUNIT_ASSERT_EQUAL(400, refused_status(get + "Content-Length: +1\r\n\r\n"));
        CPPUNIT_ASSERT_EQUAL(400, refused_status(get + "Content-Length: 99999999999999999999\r\n\r\n"));
        CPPUNIT_ASSERT_EQUAL(501, refused_status(get + "Transfer-Encoding: gzip, chunked\r\n\r\n"));
        CPPUNIT_ASSERT_EQUAL(400, refused_status("GET / HTTP/1.1\r\n\r\n"));
        CPPUNIT_ASSERT_EQUAL(400, refused_status(get + "Host: i\r\n\r\n"));
        CPPUNIT_ASSERT_EQUAL(400, refused_status("GET  / HTTP/1.1\r\nHost: h\r\n\r\n"));
        CPPUNIT_ASSERT_EQUAL(505, refused_status("GET / HTTP/2.0\r\nHost: h\r\n\r\n"));
        CPPUNIT_ASSERT_EQUAL(400, refused_status("G@T / HTTP/1.1\r\nHost: h\r\n\r\n"));
        CPPUNIT_ASSERT_EQUAL(400, refused_status("GET path HTTP/1.1\r\nHost: h\r\n\r\n"));
        CPPUNIT_ASSERT_EQUAL(417, refused_status(get + "Expect: miracles\r\n\r\n"));
    }

    void limits_heads() {
        CPPUNIT_ASSERT_EQUAL(431, refused_status("GET /" + std::string(limits.bytes_max, 'a')));
        std::string many = "GET / HTTP/1.1\r\nHost: h\r\n";
        for (size_t i = 0; i < limits.headers_max; ++i) many += "A: b\r\n";
        CPPUNIT_ASSERT_EQUAL(431, refused_status(many + "\r\n"));
    }

    void decodes_chunked_bodies_from_any_cut() {
        const std::string text = "4;ext=1\r\nWiki\r\nA\r\npedia in c\r\n0\r\nTrailer: x\r\n\r\nGET";
        for (size_t cut = 0; cut <= text.size() - 3; ++cut) {
            ChunkedBody body(100);
            std::string_view first(text.data(), cut);
            ChunkedBody::State state = body.feed(first);
            std::string_view rest(text.data() + cut, text.size() - cut);
            if (state == ChunkedBody::State::more) state = body.feed(rest);
            CPPUNIT_ASSERT(state == ChunkedBody::State::complete);
            CPPUNIT_ASSERT_EQUAL(std::string("Wikipedia in c"), body.take());
            CPPUNIT_ASSERT(rest == "GET");
        }
    }

    void refuses_malformed_chunks() {
        const auto state_of = [](std::string_view text) { return ChunkedBody(10).feed(text); };
        CPPUNIT_ASSERT(state_of("x\r\n") == ChunkedBody::State::malformed);
        CPPUNIT_ASSERT(state_of("\r\n") == ChunkedBody::State::malformed);
        CPPUNIT_ASSERT(state_of("1\nA") == ChunkedBody::State::malformed);
        CPPUNIT_ASSERT(state_of("1\r\nABC\r\n") == ChunkedBody::State::malformed);
        CPPUNIT_ASSERT(state_of("-1\r\n") == ChunkedBody::State::malformed);
        CPPUNIT_ASSERT(state_of("b\r\n") == ChunkedBody::State::too_large);
        CPPUNIT_ASSERT(state_of("ffffffffffffffff\r\n") == ChunkedBody::State::too_large);
        CPPUNIT_ASSERT(state_of("fffffffffffffffff\r\n") == ChunkedBody::State::malformed);
        CPPUNIT_ASSERT(state_of(std::string(5000, '1')) == ChunkedBody::State::malformed);
    }

    void decodes_percent_escapes_strictly() {
        CPPUNIT_ASSERT(percent_decode("gc%3Aa%2Fb") == std::string("gc:a/b"));
        CPPUNIT_ASSERT(!percent_decode("%"));
        CPPUNIT_ASSERT(!percent_decode("%4"));
        CPPUNIT_ASSERT(!percent_decode("%zz"));
        CPPUNIT_ASSERT(!percent_decode("%ff"));
        CPPUNIT_ASSERT(percent_decode(percent_encode("a/\xc3\xa9 %")) == std::string("a/\xc3\xa9 %"));
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ProtocolTest);

}  // namespace
