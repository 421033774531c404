// The examples of docs/CLUSTER-PROTOCOL.md are what the encoders write.
#include <cppunit/extensions/HelperMacros.h>

#include <fstream>
#include <string>
#include <vector>

#include "replication/envelope.h"
#include "replication/hex.h"
#include "replication/message.h"
#include "wire/log_entry.h"

namespace meridian::test {

namespace {

using namespace replication;

// The indented blocks after the heading "Examples", as hex: of each line what stands before two spaces.
std::vector<std::string> examples_of_page() {
    std::ifstream page(MERIDIAN_DOCS "/CLUSTER-PROTOCOL.md");
    std::vector<std::string> blocks;
    std::string line;
    bool in_examples = false, in_block = false;
    while (std::getline(page, line)) {
        if (line.starts_with("## ")) in_examples = line == "## Examples";
        const bool is_code = line.starts_with("    ");
        if (in_examples && is_code) {
            if (!in_block) blocks.emplace_back();
            const size_t begin = line.find_first_not_of(' ');
            blocks.back() += to_hex(from_hex(line.substr(begin, line.find("  ", begin) - begin)));
        }
        in_block = is_code;
    }
    return blocks;
}

const Seal seal("blue", "a secret", true);

}  // namespace

class ProtocolPageTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(ProtocolPageTest);
    CPPUNIT_TEST(protocol_page_examples_are_what_the_encoders_write);
    CPPUNIT_TEST_SUITE_END();

public:
    void protocol_page_examples_are_what_the_encoders_write() {
        const std::vector<std::string> examples = examples_of_page();
        CPPUNIT_ASSERT_EQUAL(size_t{2}, examples.size());

        const std::string key_delta = from_hex("0101e0a499ffbc3180d095ffbc310001020101010201070005");
        const std::string op = from_hex("81a847436f756e74657282a9636c69656e745f696407a6616d6f756e7405");
        wire::LogEntryParts payload;
        payload.stamp = {{1700000000000, 0, 1}, 2};
        payload.source = 1;
        payload.client_id = 7;
        payload.key_delta = key_delta;
        payload.op_bytes = op;
        Envelope envelope;
        envelope.origin_node_id = 1;
        envelope.namespace_name = "room";
        envelope.key = "gc:views";
        envelope.delta_bytes = from_hex("81a8636f756e74657273810705");
        envelope.numbered = Envelope::Numbered{2, 3, 1, 1700000000000, false, wire::encode_log_entry(payload)};
        CPPUNIT_ASSERT_EQUAL(examples[0], to_hex(encode_envelope(envelope, seal)));

        Message message;
        message.header.from = {3, 4};
        message.header.to = Origin{1, 2};
        message.header.wall_ms = 1700000000200;
        message.header.number = (uint64_t{1700000000200} << 16) + 1;
        message.header.request_id = 5;
        message.body = Pull{{{{1, 2}, 2, UINT64_MAX}}, 524288, 2000};
        CPPUNIT_ASSERT_EQUAL(examples[1], to_hex(encode_message(message, seal)));
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ProtocolPageTest);

}  // namespace meridian::test
