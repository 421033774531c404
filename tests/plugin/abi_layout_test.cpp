// The layout of every struct of plugin.h, as ABI 0.2 has it. A plug-in that was built with it reads and writes these
// bytes: whoever changes a line here changes MERIDIAN_ABI_MINOR as well (docs/ABI-POLICY.md).
#include <cppunit/extensions/HelperMacros.h>

#include <cstddef>
#include <map>
#include <sstream>

#include "meridian/plugin.h"

#define FIELD(type, field) " " #field "@" << offsetof(type, field) << "+" << sizeof(type::field)

namespace {

constexpr uint32_t table_major = 0;
constexpr uint32_t table_minor = 2;

// "name size: field@offset+size ...", a struct from the start of a line to the next that does not begin with a blank.
const char* const table = R"(
meridian_bytes 16: data@0+8 size@8+8
meridian_error 16: struct_size@0+4 text_size@4+4 text@8+8
meridian_identity 96: magic@0+8 struct_size@8+4 abi_major@12+4 abi_minor@16+4 kind@20+4 name@24+48
    version@72+24
meridian_note 120: owner_size@0+4 identity_size@4+4 type@8+4 owner@12+12 identity@24+96
meridian_config_key 72: struct_size@0+4 type@4+4 flags@8+4 reserved@12+4 name@16+8 default_value@24+8
    minimum@32+8 maximum@40+8 choices@48+8 environment@56+8 help@64+8
meridian_config_value 24: name@0+8 value@8+16
meridian_config 16: struct_size@0+4 count@4+4 values@8+8
meridian_host 72: struct_size@0+4 reserved@4+4 context@8+8 log@16+8 wall_ms@24+8 monotonic_us@32+8 random@40+8
    metric@48+8 timer@56+8 get_extension@64+8
meridian_key_name 32: namespace_name@0+16 key@16+16
meridian_log_entry 104: struct_size@0+4 reserved@4+4 position@8+8 origin_node_id@16+8 origin_incarnation@24+8
    origin_sequence@32+8 wall_ms@40+8 deadline_ms@48+8 name@56+32 payload@88+16
meridian_metadata_write 40: struct_size@0+4 remove@4+4 name@8+16 value@24+16
meridian_commit_group 40: struct_size@0+4 reserved@4+4 entries@8+8 entry_count@16+8 metadata@24+8
    metadata_count@32+8
meridian_status_sink 24: struct_size@0+4 reserved@4+4 context@8+8 done@16+8
meridian_key_record 112: struct_size@0+4 has_snapshot@4+4 name@8+32 snapshot@40+16 snapshot_position@56+8
    tail@64+8 tail_count@72+8 tail_position@80+8 status@88+4 reserved@92+4 message@96+16
meridian_key_record_sink 32: struct_size@0+4 reserved@4+4 context@8+8 record@16+8 done@24+8
meridian_snapshot_write 72: struct_size@0+4 remove@4+4 name@8+32 position@40+8 deadline_ms@48+8 state@56+16
meridian_log_sink 32: struct_size@0+4 reserved@4+4 context@8+8 entry@16+8 done@24+8
meridian_name_sink 32: struct_size@0+4 reserved@4+4 context@8+8 name@16+8 done@24+8
meridian_metadata_sink 32: struct_size@0+4 reserved@4+4 context@8+8 value@16+8 done@24+8
meridian_store_opening 40: struct_size@0+4 created@4+4 store_id@8+16 next_position@24+8 floor@32+8
meridian_store_usage 32: struct_size@0+4 failed@4+4 log_bytes@8+8 log_bytes_since_checkpoint@16+8
    log_bytes_available@24+8
meridian_store_functions 112: struct_size@0+4 reserved@4+4 opening@8+8 usage@16+8 commit@24+8 read_keys@32+8
    checkpoint@40+8 stale_keys@48+8 retain_from@56+8 read_log@64+8 scan_keys@72+8 scan_due@80+8
    read_metadata@88+8 scan_metadata@96+8 backup@104+8
meridian_row_want 48: struct_size@0+4 has_cached_version@4+4 name@8+32 cached_version@40+8
meridian_row 160: struct_size@0+4 append_only@4+4 name@8+32 version@40+8 record@48+112
meridian_row_sink 32: struct_size@0+4 reserved@4+4 context@8+8 row@16+8 done@24+8
meridian_shared_store_functions 40: struct_size@0+4 reserved@4+4 lock_group@8+8 commit_locked@16+8
    abort_locked@24+8 watch@32+8
meridian_transport_sink 56: struct_size@0+4 reserved@4+4 context@8+8 deliver@16+8 gap@24+8 up@32+8 down@40+8
    writable@48+8
meridian_transport_node 32: struct_size@0+4 reserved@4+4 node_id@8+8 node_name@16+16
meridian_publish_sink 24: struct_size@0+4 reserved@4+4 context@8+8 done@16+8
meridian_reply_sink 24: struct_size@0+4 reserved@4+4 context@8+8 done@16+8
meridian_transport_link 56: struct_size@0+4 state@4+4 address@8+16 error@24+16 queued_messages@40+8
    queued_bytes@48+8
meridian_transport_functions 88: struct_size@0+4 reserved@4+4 start@8+8 message_bytes_max@16+8 address@24+8
    links@32+8 publish@40+8 send@48+8 request@56+8 cancel@64+8 reply@72+8 resume@80+8
meridian_plugin_descriptor 200: identity@0+96 struct_size@96+4 capabilities@100+4 licence@104+8 summary@112+8
    required_extensions@120+8 config_keys@128+8 config_key_count@136+8 create@144+8 reconfigure@152+8
    stop@160+8 destroy@168+8 get_extension@176+8 store@184+8 transport@192+8
)";

std::string present_layout() {
    std::ostringstream out;
    out << "meridian_bytes " << sizeof(meridian_bytes) << ":" << FIELD(meridian_bytes, data)
        << FIELD(meridian_bytes, size) << "\n";
    out << "meridian_error " << sizeof(meridian_error) << ":" << FIELD(meridian_error, struct_size)
        << FIELD(meridian_error, text_size) << FIELD(meridian_error, text) << "\n";
    out << "meridian_identity " << sizeof(meridian_identity) << ":" << FIELD(meridian_identity, magic)
        << FIELD(meridian_identity, struct_size) << FIELD(meridian_identity, abi_major)
        << FIELD(meridian_identity, abi_minor) << FIELD(meridian_identity, kind) << FIELD(meridian_identity, name)
        << FIELD(meridian_identity, version) << "\n";
    out << "meridian_note " << sizeof(meridian_note) << ":" << FIELD(meridian_note, owner_size)
        << FIELD(meridian_note, identity_size) << FIELD(meridian_note, type) << FIELD(meridian_note, owner)
        << FIELD(meridian_note, identity) << "\n";
    out << "meridian_config_key " << sizeof(meridian_config_key) << ":" << FIELD(meridian_config_key, struct_size)
        << FIELD(meridian_config_key, type) << FIELD(meridian_config_key, flags) << FIELD(meridian_config_key, reserved)
        << FIELD(meridian_config_key, name) << FIELD(meridian_config_key, default_value)
        << FIELD(meridian_config_key, minimum) << FIELD(meridian_config_key, maximum)
        << FIELD(meridian_config_key, choices) << FIELD(meridian_config_key, environment)
        << FIELD(meridian_config_key, help) << "\n";
    out << "meridian_config_value " << sizeof(meridian_config_value) << ":" << FIELD(meridian_config_value, name)
        << FIELD(meridian_config_value, value) << "\n";
    out << "meridian_config " << sizeof(meridian_config) << ":" << FIELD(meridian_config, struct_size)
        << FIELD(meridian_config, count) << FIELD(meridian_config, values) << "\n";
    out << "meridian_host " << sizeof(meridian_host) << ":" << FIELD(meridian_host, struct_size)
        << FIELD(meridian_host, reserved) << FIELD(meridian_host, context) << FIELD(meridian_host, log)
        << FIELD(meridian_host, wall_ms) << FIELD(meridian_host, monotonic_us) << FIELD(meridian_host, random)
        << FIELD(meridian_host, metric) << FIELD(meridian_host, timer) << FIELD(meridian_host, get_extension) << "\n";
    out << "meridian_key_name " << sizeof(meridian_key_name) << ":" << FIELD(meridian_key_name, namespace_name)
        << FIELD(meridian_key_name, key) << "\n";
    out << "meridian_log_entry " << sizeof(meridian_log_entry) << ":" << FIELD(meridian_log_entry, struct_size)
        << FIELD(meridian_log_entry, reserved) << FIELD(meridian_log_entry, position)
        << FIELD(meridian_log_entry, origin_node_id) << FIELD(meridian_log_entry, origin_incarnation)
        << FIELD(meridian_log_entry, origin_sequence) << FIELD(meridian_log_entry, wall_ms)
        << FIELD(meridian_log_entry, deadline_ms) << FIELD(meridian_log_entry, name)
        << FIELD(meridian_log_entry, payload) << "\n";
    out << "meridian_metadata_write " << sizeof(meridian_metadata_write) << ":"
        << FIELD(meridian_metadata_write, struct_size) << FIELD(meridian_metadata_write, remove)
        << FIELD(meridian_metadata_write, name) << FIELD(meridian_metadata_write, value) << "\n";
    out << "meridian_commit_group " << sizeof(meridian_commit_group) << ":" << FIELD(meridian_commit_group, struct_size)
        << FIELD(meridian_commit_group, reserved) << FIELD(meridian_commit_group, entries)
        << FIELD(meridian_commit_group, entry_count) << FIELD(meridian_commit_group, metadata)
        << FIELD(meridian_commit_group, metadata_count) << "\n";
    out << "meridian_status_sink " << sizeof(meridian_status_sink) << ":" << FIELD(meridian_status_sink, struct_size)
        << FIELD(meridian_status_sink, reserved) << FIELD(meridian_status_sink, context)
        << FIELD(meridian_status_sink, done) << "\n";
    out << "meridian_key_record " << sizeof(meridian_key_record) << ":" << FIELD(meridian_key_record, struct_size)
        << FIELD(meridian_key_record, has_snapshot) << FIELD(meridian_key_record, name)
        << FIELD(meridian_key_record, snapshot) << FIELD(meridian_key_record, snapshot_position)
        << FIELD(meridian_key_record, tail) << FIELD(meridian_key_record, tail_count)
        << FIELD(meridian_key_record, tail_position) << FIELD(meridian_key_record, status)
        << FIELD(meridian_key_record, reserved) << FIELD(meridian_key_record, message) << "\n";
    out << "meridian_key_record_sink " << sizeof(meridian_key_record_sink) << ":"
        << FIELD(meridian_key_record_sink, struct_size) << FIELD(meridian_key_record_sink, reserved)
        << FIELD(meridian_key_record_sink, context) << FIELD(meridian_key_record_sink, record)
        << FIELD(meridian_key_record_sink, done) << "\n";
    out << "meridian_snapshot_write " << sizeof(meridian_snapshot_write) << ":"
        << FIELD(meridian_snapshot_write, struct_size) << FIELD(meridian_snapshot_write, remove)
        << FIELD(meridian_snapshot_write, name) << FIELD(meridian_snapshot_write, position)
        << FIELD(meridian_snapshot_write, deadline_ms) << FIELD(meridian_snapshot_write, state) << "\n";
    out << "meridian_log_sink " << sizeof(meridian_log_sink) << ":" << FIELD(meridian_log_sink, struct_size)
        << FIELD(meridian_log_sink, reserved) << FIELD(meridian_log_sink, context) << FIELD(meridian_log_sink, entry)
        << FIELD(meridian_log_sink, done) << "\n";
    out << "meridian_name_sink " << sizeof(meridian_name_sink) << ":" << FIELD(meridian_name_sink, struct_size)
        << FIELD(meridian_name_sink, reserved) << FIELD(meridian_name_sink, context) << FIELD(meridian_name_sink, name)
        << FIELD(meridian_name_sink, done) << "\n";
    out << "meridian_metadata_sink " << sizeof(meridian_metadata_sink) << ":"
        << FIELD(meridian_metadata_sink, struct_size) << FIELD(meridian_metadata_sink, reserved)
        << FIELD(meridian_metadata_sink, context) << FIELD(meridian_metadata_sink, value)
        << FIELD(meridian_metadata_sink, done) << "\n";
    out << "meridian_store_opening " << sizeof(meridian_store_opening) << ":"
        << FIELD(meridian_store_opening, struct_size) << FIELD(meridian_store_opening, created)
        << FIELD(meridian_store_opening, store_id) << FIELD(meridian_store_opening, next_position)
        << FIELD(meridian_store_opening, floor) << "\n";
    out << "meridian_store_usage " << sizeof(meridian_store_usage) << ":" << FIELD(meridian_store_usage, struct_size)
        << FIELD(meridian_store_usage, failed) << FIELD(meridian_store_usage, log_bytes)
        << FIELD(meridian_store_usage, log_bytes_since_checkpoint) << FIELD(meridian_store_usage, log_bytes_available)
        << "\n";
    out << "meridian_store_functions " << sizeof(meridian_store_functions) << ":"
        << FIELD(meridian_store_functions, struct_size) << FIELD(meridian_store_functions, reserved)
        << FIELD(meridian_store_functions, opening) << FIELD(meridian_store_functions, usage)
        << FIELD(meridian_store_functions, commit) << FIELD(meridian_store_functions, read_keys)
        << FIELD(meridian_store_functions, checkpoint) << FIELD(meridian_store_functions, stale_keys)
        << FIELD(meridian_store_functions, retain_from) << FIELD(meridian_store_functions, read_log)
        << FIELD(meridian_store_functions, scan_keys) << FIELD(meridian_store_functions, scan_due)
        << FIELD(meridian_store_functions, read_metadata) << FIELD(meridian_store_functions, scan_metadata)
        << FIELD(meridian_store_functions, backup) << "\n";
    out << "meridian_row_want " << sizeof(meridian_row_want) << ":" << FIELD(meridian_row_want, struct_size)
        << FIELD(meridian_row_want, has_cached_version) << FIELD(meridian_row_want, name)
        << FIELD(meridian_row_want, cached_version) << "\n";
    out << "meridian_row " << sizeof(meridian_row) << ":" << FIELD(meridian_row, struct_size)
        << FIELD(meridian_row, append_only) << FIELD(meridian_row, name) << FIELD(meridian_row, version)
        << FIELD(meridian_row, record) << "\n";
    out << "meridian_row_sink " << sizeof(meridian_row_sink) << ":" << FIELD(meridian_row_sink, struct_size)
        << FIELD(meridian_row_sink, reserved) << FIELD(meridian_row_sink, context) << FIELD(meridian_row_sink, row)
        << FIELD(meridian_row_sink, done) << "\n";
    out << "meridian_shared_store_functions " << sizeof(meridian_shared_store_functions) << ":"
        << FIELD(meridian_shared_store_functions, struct_size) << FIELD(meridian_shared_store_functions, reserved)
        << FIELD(meridian_shared_store_functions, lock_group) << FIELD(meridian_shared_store_functions, commit_locked)
        << FIELD(meridian_shared_store_functions, abort_locked) << FIELD(meridian_shared_store_functions, watch)
        << "\n";
    out << "meridian_transport_sink " << sizeof(meridian_transport_sink) << ":"
        << FIELD(meridian_transport_sink, struct_size) << FIELD(meridian_transport_sink, reserved)
        << FIELD(meridian_transport_sink, context) << FIELD(meridian_transport_sink, deliver)
        << FIELD(meridian_transport_sink, gap) << FIELD(meridian_transport_sink, up)
        << FIELD(meridian_transport_sink, down) << FIELD(meridian_transport_sink, writable) << "\n";
    out << "meridian_transport_node " << sizeof(meridian_transport_node) << ":"
        << FIELD(meridian_transport_node, struct_size) << FIELD(meridian_transport_node, reserved)
        << FIELD(meridian_transport_node, node_id) << FIELD(meridian_transport_node, node_name) << "\n";
    out << "meridian_publish_sink " << sizeof(meridian_publish_sink) << ":" << FIELD(meridian_publish_sink, struct_size)
        << FIELD(meridian_publish_sink, reserved) << FIELD(meridian_publish_sink, context)
        << FIELD(meridian_publish_sink, done) << "\n";
    out << "meridian_reply_sink " << sizeof(meridian_reply_sink) << ":" << FIELD(meridian_reply_sink, struct_size)
        << FIELD(meridian_reply_sink, reserved) << FIELD(meridian_reply_sink, context)
        << FIELD(meridian_reply_sink, done) << "\n";
    out << "meridian_transport_link " << sizeof(meridian_transport_link) << ":"
        << FIELD(meridian_transport_link, struct_size) << FIELD(meridian_transport_link, state)
        << FIELD(meridian_transport_link, address) << FIELD(meridian_transport_link, error)
        << FIELD(meridian_transport_link, queued_messages) << FIELD(meridian_transport_link, queued_bytes) << "\n";
    out << "meridian_transport_functions " << sizeof(meridian_transport_functions) << ":"
        << FIELD(meridian_transport_functions, struct_size) << FIELD(meridian_transport_functions, reserved)
        << FIELD(meridian_transport_functions, start) << FIELD(meridian_transport_functions, message_bytes_max)
        << FIELD(meridian_transport_functions, address) << FIELD(meridian_transport_functions, links)
        << FIELD(meridian_transport_functions, publish) << FIELD(meridian_transport_functions, send)
        << FIELD(meridian_transport_functions, request) << FIELD(meridian_transport_functions, cancel)
        << FIELD(meridian_transport_functions, reply) << FIELD(meridian_transport_functions, resume) << "\n";
    out << "meridian_plugin_descriptor " << sizeof(meridian_plugin_descriptor) << ":"
        << FIELD(meridian_plugin_descriptor, identity) << FIELD(meridian_plugin_descriptor, struct_size)
        << FIELD(meridian_plugin_descriptor, capabilities) << FIELD(meridian_plugin_descriptor, licence)
        << FIELD(meridian_plugin_descriptor, summary) << FIELD(meridian_plugin_descriptor, required_extensions)
        << FIELD(meridian_plugin_descriptor, config_keys) << FIELD(meridian_plugin_descriptor, config_key_count)
        << FIELD(meridian_plugin_descriptor, create) << FIELD(meridian_plugin_descriptor, reconfigure)
        << FIELD(meridian_plugin_descriptor, stop) << FIELD(meridian_plugin_descriptor, destroy)
        << FIELD(meridian_plugin_descriptor, get_extension) << FIELD(meridian_plugin_descriptor, store)
        << FIELD(meridian_plugin_descriptor, transport) << "\n";
    return out.str();
}

// Layouts by the names of the structs.
std::map<std::string, std::string> structs_of(const std::string& text) {
    std::map<std::string, std::string> out;
    std::istringstream lines(text);
    std::string name;
    for (std::string line; std::getline(lines, line);) {
        if (line.empty()) continue;
        if (line.front() != ' ') {
            name = line.substr(0, line.find(' '));
            line.erase(0, name.size() + 1);
        }
        std::istringstream words(line);
        for (std::string word; words >> word;) out[name] += word + " ";
    }
    return out;
}

class AbiLayoutTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(AbiLayoutTest);
    CPPUNIT_TEST(the_table_is_that_of_the_version_in_the_header);
    CPPUNIT_TEST(no_struct_differs_from_the_table);
    CPPUNIT_TEST_SUITE_END();

    void the_table_is_that_of_the_version_in_the_header() {
        CPPUNIT_ASSERT_EQUAL(table_major, uint32_t{MERIDIAN_ABI_MAJOR});
        CPPUNIT_ASSERT_EQUAL(table_minor, uint32_t{MERIDIAN_ABI_MINOR});
    }

    void no_struct_differs_from_the_table() {
        const auto expected = structs_of(table);
        const auto found = structs_of(present_layout());
        for (const auto& [name, layout] : expected) {
            const auto now = found.find(name);
            CPPUNIT_ASSERT_MESSAGE(name + " has gone", now != found.end());
            CPPUNIT_ASSERT_EQUAL_MESSAGE(name + ": raise MERIDIAN_ABI_MINOR, and bring the table up to date", layout,
                                         now->second);
        }
        CPPUNIT_ASSERT_EQUAL_MESSAGE("a struct is not in the table", expected.size(), found.size());
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(AbiLayoutTest);

}  // namespace
