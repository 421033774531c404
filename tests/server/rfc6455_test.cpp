// RFC 6455 against the real server, case by case: the names are those of groups 1 to 7 of the Autobahn test suite.
// Where that suite expects an echo, this server must take the message (a text is ignored, a binary one that is not ours
// is answered with an Error) and stay open, which a ping behind it shows.
#include <cppunit/extensions/HelperMacros.h>

#include "server_fixture.h"

namespace {

using namespace meridian;
using namespace meridian::test;

constexpr uint8_t continuation = 0, text = 1, binary = 2, close_frame = 8, ping = 9, pong = 10;
constexpr uint16_t stays_open = 0;
constexpr uint16_t dropped = 1;  // not a code: closed, with any

std::string frame(uint8_t opcode, const std::string& payload = {}, bool final = true, uint8_t reserved = 0) {
    std::string out;
    out += static_cast<char>((final ? 0x80 : 0) | reserved << 4 | opcode);
    if (payload.size() < 126) {
        out += static_cast<char>(0x80 | payload.size());
    } else {
        const int width = payload.size() <= 0xffff ? 2 : 8;
        out += static_cast<char>(0x80 | (width == 2 ? 126 : 127));
        for (int i = width - 1; i >= 0; --i) out += static_cast<char>(payload.size() >> (8 * i));
    }
    const char mask[4] = {'\x37', '\xfa', '\x21', '\x3d'};
    out.append(mask, 4);
    for (size_t i = 0; i < payload.size(); ++i) out += static_cast<char>(payload[i] ^ mask[i % 4]);
    return out;
}

std::string part(uint8_t opcode, const std::string& payload = {}) {
    return frame(opcode, payload, false);
}

std::string times(int count, const std::string& bytes) {
    std::string out;
    for (int i = 0; i < count; ++i) out += bytes;
    return out;
}

std::string code(uint16_t value, const std::string& reason = {}) {
    return frame(close_frame, std::string{static_cast<char>(value >> 8), static_cast<char>(value & 0xff)} + reason);
}

struct Case {
    Case(std::string the_name, std::string the_bytes, uint16_t close_code = stays_open,
         std::vector<std::string> pongs_first = {}, int error_count = 0, size_t bytes_per_write = 0)
        : name(std::move(the_name)),
          bytes(std::move(the_bytes)),
          closes(close_code),
          pongs(std::move(pongs_first)),
          errors(error_count),
          chop(bytes_per_write) {}
    std::string name;
    std::string bytes;
    uint16_t closes;                 // with this code
    std::vector<std::string> pongs;  // that come first
    int errors;                      // messages of kind Error
    size_t chop;                     // bytes per write; 0: all at once
};

class Rfc6455Test : public ServerFixture {
    CPPUNIT_TEST_SUITE(Rfc6455Test);
    CPPUNIT_TEST(group_1_framing);
    CPPUNIT_TEST(group_2_pings_and_pongs);
    CPPUNIT_TEST(group_3_reserved_bits);
    CPPUNIT_TEST(group_4_opcodes);
    CPPUNIT_TEST(group_5_fragmentation);
    CPPUNIT_TEST(group_6_utf8);
    CPPUNIT_TEST(group_7_close_handling);
    CPPUNIT_TEST_SUITE_END();

private:
    void run(const std::vector<Case>& cases) {
        ServerProcess& server = start();
        for (const Case& each : cases) {
            try {
                check(server, each);
            } catch (const std::exception& problem) { CPPUNIT_FAIL(each.name + ": " + problem.what()); }
        }
        CPPUNIT_ASSERT(server.is_running());
    }

    static void require(bool condition, const std::string& problem) {
        if (!condition) throw std::runtime_error(problem);
    }

    static void check(ServerProcess& server, const Case& each) {
        using Kind = server::WebSocketEvent::Kind;
        auto socket = websocket(server, token());
        const std::string marker = "marker";
        // A pong may overtake an answer that is still being made.
        const bool marker_behind = each.closes == stays_open && each.errors == 0;
        const std::string bytes = marker_behind ? each.bytes + frame(ping, marker) : each.bytes;
        const size_t chop = each.chop != 0 ? each.chop : bytes.size();
        for (size_t at = 0; at < bytes.size(); at += chop) socket.send_raw(bytes.substr(at, chop));
        size_t pongs = 0;
        int errors = 0;
        for (;;) {
            auto incoming = socket.receive(20'000);
            require(bool(incoming), "closed without a close frame");
            require(incoming->has_value(), "nothing came");
            if ((*incoming)->kind == Kind::binary) {
                if (++errors == each.errors) socket.send_raw(frame(ping, marker));
            } else if ((*incoming)->kind == Kind::pong && (*incoming)->payload == marker) {
                require(each.closes == stays_open, "expected a close");
                break;
            } else if ((*incoming)->kind == Kind::pong) {
                require(pongs < each.pongs.size() && (*incoming)->payload == each.pongs[pongs], "unexpected pong");
                ++pongs;
            } else {
                require((*incoming)->kind == Kind::close, "unexpected frame");
                require(each.closes != stays_open, "closed with " + std::to_string((*incoming)->code));
                require(
                    each.closes == dropped || (*incoming)->code == each.closes,
                    "expected " + std::to_string(each.closes) + ", closed with " + std::to_string((*incoming)->code));
                // Then the server ends the connection, and answers nothing that follows.
                incoming = socket.receive(20'000);
                require(!incoming, "something came behind the close frame");
                break;
            }
        }
        require(pongs == each.pongs.size(), std::to_string(pongs) + " pongs");
        require(errors == each.errors, std::to_string(errors) + " errors");
    }

    void group_1_framing() {
        std::vector<Case> cases;
        const std::vector<size_t> sizes = {0, 125, 126, 127, 128, 65535, 65536, 65536};
        const char* texts[] = {"1.1.1", "1.1.2", "1.1.3", "1.1.4", "1.1.5", "1.1.6", "1.1.7", "1.1.8"};
        const char* binaries[] = {"1.2.1", "1.2.2", "1.2.3", "1.2.4", "1.2.5", "1.2.6", "1.2.7", "1.2.8"};
        for (size_t i = 0; i < sizes.size(); ++i) {
            const size_t chop = i == 7 ? 997 : 0;
            cases.push_back({texts[i], frame(text, std::string(sizes[i], '*')), stays_open, {}, 0, chop});
            cases.push_back({binaries[i], frame(binary, std::string(sizes[i], '\xfe')), stays_open, {}, 1, chop});
        }
        run(cases);
    }

    void group_2_pings_and_pongs() {
        const std::string long_one(125, '\xfe');
        std::string many;
        std::vector<std::string> answers;
        for (int i = 0; i < 10; ++i) {
            answers.push_back("payload-" + std::to_string(i));
            many += frame(ping, answers.back());
        }
        run({{"2.1", frame(ping), stays_open, {""}},
             {"2.2", frame(ping, "Hello, world!"), stays_open, {"Hello, world!"}},
             {"2.3",
              frame(ping, std::string("\0\xff\xfe\xfd\xfc\xfb\0\xff", 8)),
              stays_open,
              {std::string("\0\xff\xfe\xfd\xfc\xfb\0\xff", 8)}},
             {"2.4", frame(ping, long_one), stays_open, {long_one}},
             {"2.5", frame(ping, long_one + "x"), 1002},
             {"2.6", frame(ping, long_one), stays_open, {long_one}, 0, 1},
             {"2.7", frame(pong)},
             {"2.8", frame(pong, "unsolicited")},
             {"2.9", frame(pong, "unsolicited") + frame(ping, "ping"), stays_open, {"ping"}},
             {"2.10", many, stays_open, answers},
             {"2.11", many, stays_open, answers, 0, 1}});
    }

    void group_3_reserved_bits() {
        run({{"3.1", frame(text, "Hello", true, 1), 1002},
             {"3.2", frame(text, "Hello") + frame(text, "Hello", true, 2) + frame(ping), 1002},
             {"3.3", frame(text, "Hello") + frame(text, "Hello", true, 3) + frame(ping), 1002, {}, 0, 7},
             {"3.4", frame(text, "Hello") + frame(text, "Hello", true, 4) + frame(ping), 1002, {}, 0, 1},
             {"3.5", frame(binary, "\xff", true, 5), 1002},
             {"3.6", frame(ping, "Hello", true, 6), 1002},
             {"3.7", frame(close_frame, {}, true, 7), 1002}});
    }

    void group_4_opcodes() {
        const auto behind_text = [](uint8_t opcode, const std::string& payload) {
            return frame(text, "Hello") + frame(opcode, payload) + frame(ping);
        };
        run({{"4.1.1", frame(3), 1002},
             {"4.1.2", frame(4, "reserved"), 1002},
             {"4.1.3", behind_text(5, {}), 1002},
             {"4.1.4", behind_text(6, "reserved"), 1002},
             {"4.1.5", behind_text(7, "reserved"), 1002, {}, 0, 1},
             {"4.2.1", frame(11), 1002},
             {"4.2.2", frame(12, "reserved"), 1002},
             {"4.2.3", behind_text(13, {}), 1002},
             {"4.2.4", behind_text(14, "reserved"), 1002},
             {"4.2.5", behind_text(15, "reserved"), 1002, {}, 0, 1}});
    }

    void group_5_fragmentation() {
        const std::string two = part(text, "frag1") + frame(continuation, "frag2");
        const std::string with_ping = part(text, "frag1") + frame(ping, "ping") + frame(continuation, "frag2");
        const std::string with_pings = part(text, "1") + part(continuation, "2") + frame(ping, "first") +
                                       part(continuation, "3") + part(continuation, "4") + frame(ping, "second") +
                                       frame(continuation, "5");
        const std::string nothing_begun = frame(continuation, "none") + frame(text, "Hello");
        const std::string nothing_open = part(continuation, "none") + frame(text, "Hello");
        run({{"5.1", part(ping, "frag1") + frame(continuation, "frag2"), 1002},
             {"5.2", part(pong, "frag1") + frame(continuation, "frag2"), 1002},
             {"5.3", two},
             {"5.4", two, stays_open, {}, 0, 11},
             {"5.5", two, stays_open, {}, 0, 1},
             {"5.6", with_ping, stays_open, {"ping"}},
             {"5.7", with_ping, stays_open, {"ping"}, 0, 11},
             {"5.8", with_ping, stays_open, {"ping"}, 0, 1},
             {"5.9", nothing_begun, 1002},
             {"5.10", nothing_begun, 1002, {}, 0, 10},
             {"5.11", nothing_begun, 1002, {}, 0, 1},
             {"5.12", nothing_open, 1002},
             {"5.13", nothing_open, 1002, {}, 0, 10},
             {"5.14", nothing_open, 1002, {}, 0, 1},
             {"5.15", two + part(continuation, "none") + frame(text, "Hello"), 1002},
             {"5.16", times(2, part(continuation, "none") + part(text, "more") + frame(continuation, "end")), 1002},
             {"5.17", times(2, frame(continuation, "none") + part(text, "more") + frame(continuation, "end")), 1002},
             {"5.18", part(text, "frag1") + frame(text, "frag2"), 1002},
             {"5.19", with_pings, stays_open, {"first", "second"}},
             {"5.20", with_pings, stays_open, {"first", "second"}, 0, 9}});
    }

    void group_6_utf8() {
        const std::string kosme = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";
        const std::string hello = "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!";
        const std::string bad = kosme + "\xed\xa0\x80" + "edited";
        std::string octets = part(text);
        for (const char octet : kosme) octets += part(continuation, std::string(1, octet));
        octets += frame(continuation);
        std::vector<Case> cases = {
            {"6.1.1", frame(text)},
            {"6.1.2", part(text) + part(continuation) + frame(continuation)},
            {"6.1.3", part(text) + part(continuation, "middle") + frame(continuation)},
            {"6.2.1", frame(text, hello)},
            {"6.2.2", part(text, hello.substr(0, 12)) + frame(continuation, hello.substr(12))},
            {"6.2.3", frame(text, hello), stays_open, {}, 0, 1},
            {"6.2.4", octets},
            {"6.3.1", frame(text, bad), 1007},
            {"6.3.2", frame(text, bad), 1007, {}, 0, 1},
            {"6.4.1", part(text, kosme) + part(continuation, "\xf4\x90\x80\x80") + frame(continuation, "edited"), 1007},
            {"6.4.2",
             part(text, kosme + "\xf4") + part(continuation, "\x90") +
                 frame(continuation,
                       "\x80\x80"
                       "edited"),
             1007},
            {"6.4.3", frame(text, kosme + "\xf4\x90\x80\x80" + "edited"), 1007, {}, 0, 15},
            {"6.4.4", frame(text, kosme + "\xf4\x90\x80\x80" + "edited"), 1007, {}, 0, 1},
        };
        const auto add = [&cases](const char* name, const std::string& payload, bool valid) {
            cases.push_back({name, frame(text, payload), valid ? stays_open : uint16_t{1007}});
        };
        add("6.5.1", "Hello\r\n\t", true);
        add("6.5.2", std::string("\0", 1), true);
        add("6.5.5", kosme, true);
        add("6.6.1", "\xce", false);
        add("6.6.2", "\xce\xba", true);
        add("6.6.3", "\xce\xba\xe1", false);
        add("6.6.4", "\xce\xba\xe1\xbd", false);
        add("6.6.5", "\xce\xba\xe1\xbd\xb9", true);
        add("6.6.10", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce", false);
        add("6.7.1", std::string("\0", 1), true);
        add("6.7.2", "\xc2\x80", true);
        add("6.7.3", "\xe0\xa0\x80", true);
        add("6.7.4", "\xf0\x90\x80\x80", true);
        add("6.8.1", "\xf8\x88\x80\x80\x80", false);
        add("6.8.2", "\xfc\x84\x80\x80\x80\x80", false);
        add("6.9.1", "\x7f", true);
        add("6.9.2", "\xdf\xbf", true);
        add("6.9.3", "\xef\xbf\xbf", true);
        add("6.9.4", "\xf4\x8f\xbf\xbf", true);
        add("6.10.1", "\xf7\xbf\xbf\xbf", false);
        add("6.10.2", "\xfb\xbf\xbf\xbf\xbf", false);
        add("6.10.3", "\xfd\xbf\xbf\xbf\xbf\xbf", false);
        add("6.11.1", "\xed\x9f\xbf", true);
        add("6.11.2", "\xee\x80\x80", true);
        add("6.11.3", "\xef\xbf\xbd", true);
        add("6.11.4", "\xf4\x8f\xbf\xbf", true);
        add("6.11.5", "\xf4\x90\x80\x80", false);
        add("6.12.1", "\x80", false);
        add("6.12.2", "\xbf", false);
        add("6.12.8", "\x80\xbf\x80\xbf\x80\xbf\x80\xbe", false);
        add("6.13.1", "\xc0 \xc1 \xc2 \xc3", false);
        add("6.13.2", "\xe0 \xe1 \xe2", false);
        add("6.13.3", "\xf0 \xf1 \xf2", false);
        add("6.13.4", "\xf8 \xf9 \xfa", false);
        add("6.13.5", "\xfc ", false);
        add("6.14.1", "\xc0", false);
        add("6.14.2", "\xe0\x80", false);
        add("6.14.3", "\xf0\x80\x80", false);
        add("6.14.6", "\xdf", false);
        add("6.14.7", "\xef\xbf", false);
        add("6.14.8", "\xf7\xbf\xbf", false);
        add("6.15.1", "\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80", false);
        add("6.16.1", "\xfe", false);
        add("6.16.2", "\xff", false);
        add("6.16.3", "\xfe\xfe\xff\xff", false);
        add("6.17.1", "\xc0\xaf", false);
        add("6.17.2", "\xe0\x80\xaf", false);
        add("6.17.3", "\xf0\x80\x80\xaf", false);
        add("6.18.1", "\xc1\xbf", false);
        add("6.18.2", "\xe0\x9f\xbf", false);
        add("6.18.3", "\xf0\x8f\xbf\xbf", false);
        add("6.19.1", "\xc0\x80", false);
        add("6.19.2", "\xe0\x80\x80", false);
        add("6.20.1", "\xed\xa0\x80", false);
        add("6.20.4", "\xed\xaf\xbf", false);
        add("6.20.7", "\xed\xbf\xbf", false);
        add("6.21.1", "\xed\xa0\x80\xed\xb0\x80", false);
        add("6.21.8", "\xed\xaf\xbf\xed\xbf\xbf", false);
        add("6.22.1", "\xef\xbf\xbe", true);
        add("6.22.2", "\xef\xbf\xbf", true);
        add("6.22.3", "\xf0\x9f\xbf\xbe", true);
        add("6.22.34", "\xf4\x8f\xbf\xbf", true);
        add("6.23.1", "\xef\xbf\xb9", true);
        add("6.23.7", "\xef\xbf\xbf", true);
        run(cases);
    }

    void group_7_close_handling() {
        std::vector<Case> cases = {
            {"7.1.1", frame(text, "Hello") + code(1000), 1000},
            {"7.1.2", code(1000) + code(1000), 1000},
            {"7.1.3", code(1000) + frame(ping, "late"), 1000},
            {"7.1.4", code(1000) + frame(text, "late"), 1000},
            {"7.1.5", part(text, "frag1") + code(1000) + frame(continuation, "frag2"), 1000},
            {"7.1.6", frame(text, std::string(256 << 10, 'x')) + code(1000) + frame(ping, "late"), 1000},
            {"7.3.1", frame(close_frame), 1005},
            {"7.3.2", frame(close_frame, "a"), 1002},
            {"7.3.3", code(1000), 1000},
            {"7.3.4", code(1000, "Hello World!"), 1000},
            {"7.3.5", code(1000, std::string(123, '*')), 1000},
            {"7.3.6", code(1000, std::string(124, '*')), 1002},
            {"7.5.1", code(1000, "\xce\xba\xe1\xbd\xb9\xed\xa0\x80"), 1007},
        };
        const auto add = [&](const std::string& group, std::vector<uint16_t> codes, bool valid) {
            int number = 0;
            for (const uint16_t each : codes)
                cases.push_back({group + std::to_string(++number) + " (" + std::to_string(each) + ")", code(each),
                                 valid ? each : uint16_t{1002}});
        };
        add("7.7.", {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999}, true);
        add("7.9.", {0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999}, false);
        cases.push_back({"7.13.1", code(5000), dropped});
        cases.push_back({"7.13.2", code(65535), dropped});
        run(cases);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(Rfc6455Test);

}  // namespace
