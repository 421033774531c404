// Configuration: INI files, layers of settings, identity of the node.
#include <cppunit/extensions/HelperMacros.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "config/ini_file.h"
#include "config/node_identity.h"
#include "config/settings.h"
#include "support/temporary_directory.h"

namespace {

using namespace meridian::config;

// A file in a directory of its own, removed again.
class TemporaryFile {
public:
    explicit TemporaryFile(const std::string& text) {
        path_ = directory_.path() + "/a.ini";
        std::ofstream(path_) << text;
    }
    const std::string& path() const { return path_; }

private:
    meridian::test::TemporaryDirectory directory_;
    std::string path_;
};

std::string ini_error(const std::string& text) {
    const auto file = parse_ini("a.ini", text);
    CPPUNIT_ASSERT_MESSAGE(text, !file.ok());
    return file.error().message;
}

void assert_contains(const std::string& text, const std::string& part) {
    CPPUNIT_ASSERT_MESSAGE("expected '" + part + "' in: " + text, text.find(part) != std::string::npos);
}

meridian::Result<Settings> load(const std::string& text,
                                std::vector<std::pair<std::string, std::string>> variables = {},
                                std::vector<std::pair<std::string, std::string>> options = {}) {
    const TemporaryFile file(text);
    SettingsSources sources;
    sources.files = {file.path()};
    sources.options = std::move(options);
    sources.environment = [&variables](const std::string& name) -> std::optional<std::string> {
        for (const auto& variable : variables) {
            if (variable.first == name) return variable.second;
        }
        return std::nullopt;
    };
    return load_settings(sources);
}

class ConfigTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(ConfigTest);
    CPPUNIT_TEST(ini_keeps_sections_values_and_lines);
    CPPUNIT_TEST(ini_refuses_what_it_cannot_understand);
    CPPUNIT_TEST(ini_reads_regular_files_only);
    CPPUNIT_TEST(unknown_names_are_refused_with_the_nearest_valid_one);
    CPPUNIT_TEST(bad_values_name_file_line_key_value_and_expectation);
    CPPUNIT_TEST(later_layers_win_and_empty_variables_count_as_unset);
    CPPUNIT_TEST(drop_in_files_are_read_in_order_after_the_file_beside_them);
    CPPUNIT_TEST(drop_in_directory_that_cannot_be_read_is_an_error);
    CPPUNIT_TEST(store_keys_are_left_to_the_plugin);
    CPPUNIT_TEST(later_files_replace_store_keys);
    CPPUNIT_TEST(a_database_url_chooses_postgresql_unless_a_store_section_exists);
    CPPUNIT_TEST(malformed_signing_key_is_refused_without_showing_it);
    CPPUNIT_TEST(variables_of_missing_features_are_warned_about_once);
    CPPUNIT_TEST(dump_hides_secrets_and_reads_back);
    CPPUNIT_TEST(transports_come_from_sections_and_from_variables);
    CPPUNIT_TEST(transport_sections_are_checked);
    CPPUNIT_TEST(cluster_settings_are_checked);
    CPPUNIT_TEST(node_id_is_derived_as_the_vectors_say);
    CPPUNIT_TEST_SUITE_END();

    void ini_keeps_sections_values_and_lines() {
        const auto file = parse_ini(
            "a.ini",
            "\xef\xbb\xbf# comment\r\n[server]\r\nbind = 1.2.3.4:5  \n\n[transport eu]\nx = \" a \\\"b\\\\ \"\ny=\n");
        CPPUNIT_ASSERT(file.ok());
        CPPUNIT_ASSERT_EQUAL(size_t{2}, file->sections.size());
        CPPUNIT_ASSERT_EQUAL(std::string("1.2.3.4:5"), file->sections[0].entries[0].value);
        CPPUNIT_ASSERT_EQUAL(3U, file->sections[0].entries[0].line);
        CPPUNIT_ASSERT_EQUAL(std::string("eu"), file->sections[1].name);
        CPPUNIT_ASSERT_EQUAL(std::string(" a \"b\\ "), file->sections[1].entries[0].value);
        CPPUNIT_ASSERT_EQUAL(std::string(), file->sections[1].entries[1].value);
    }

    void ini_refuses_what_it_cannot_understand() {
        assert_contains(ini_error("[server\nbind=x\n"), "a.ini:1: '[server'");
        assert_contains(ini_error("[server]\n=v\n"), "a.ini:2");
        assert_contains(ini_error("[server]\nnonsense\n"), "a.ini:2: 'nonsense' is neither");
        assert_contains(ini_error("bind = x\n"), "before the first section");
        assert_contains(ini_error("[server]\nbind = a\nbind = b\n"), "a.ini:3: key 'bind' appears twice");
        assert_contains(ini_error("[server]\n[node]\n[server]\n"), "a.ini:3: section [server] appears twice");
        assert_contains(ini_error("[server]\nbind = \"x\n"), "not well-formed");
        assert_contains(ini_error(std::string("[server]\nbind = a\0b\n", 20)), "control character");
        assert_contains(ini_error("[server]\nbind = \xff\n"), "UTF-8");
        assert_contains(ini_error(std::string(ini_file_bytes_max + 1, '#')), "bytes; at most");
    }

    void ini_reads_regular_files_only() {
        const auto directory = read_ini_file("/tmp");
        CPPUNIT_ASSERT(!directory.ok());
        assert_contains(directory.error().message, "not a regular file");
        const meridian::test::TemporaryDirectory parent;
        const std::string fifo = parent.path() + "/fifo";
        ::mkfifo(fifo.c_str(), 0600);
        const auto read = read_ini_file(fifo);
        CPPUNIT_ASSERT(!read.ok());
        assert_contains(read.error().message, "not a regular file");
    }

    void unknown_names_are_refused_with_the_nearest_valid_one() {
        assert_contains(load("[server]\nbnid = x\n").error().message,
                        "a.ini:2: [server] bnid = 'x': unknown key; did you mean 'bind'?");
        assert_contains(load("[severs]\n").error().message,
                        "a.ini:1: unknown section [severs]; did you mean 'server'?");
        assert_contains(load("", {}, {{"limits.conections", "1"}}).error().message,
                        "did you mean 'limits.connections'?");
    }

    void bad_values_name_file_line_key_value_and_expectation() {
        assert_contains(load("[server]\n\nloops = many\n").error().message,
                        "a.ini:3: [server] loops = 'many': expected a whole number from 0 to 256");
        assert_contains(load("[server]\nloops = 257\n").error().message, "from 0 to 256");
        assert_contains(load("[server]\nbind = nowhere\n").error().message, "expected host:port");
        assert_contains(load("[server]\nkey_form = both\n").error().message, "expected auto, integer, string");
        assert_contains(load("", {{"MERIDIAN_NODE_ID", "0x10"}}).error().message,
                        "environment variable MERIDIAN_NODE_ID = '0x10'");
        assert_contains(load("", {}, {{"limits.connections", "0"}}).error().message,
                        "command line: limits.connections = '0'");
    }

    void later_layers_win_and_empty_variables_count_as_unset() {
        CPPUNIT_ASSERT_EQUAL(std::string("0.0.0.0:3000"), load("")->bind);
        CPPUNIT_ASSERT_EQUAL(std::string("a:1"), load("[server]\nbind = a:1\n", {{"MERIDIAN_BIND", ""}})->bind);
        CPPUNIT_ASSERT_EQUAL(std::string("b:2"), load("[server]\nbind = a:1\n", {{"MERIDIAN_BIND", "b:2"}})->bind);
        CPPUNIT_ASSERT_EQUAL(
            std::string("c:3"),
            load("[server]\nbind = a:1\n", {{"MERIDIAN_BIND", "b:2"}}, {{"server.bind", "c:3"}})->bind);
        CPPUNIT_ASSERT_EQUAL(uint64_t{700'000'000},
                             load("", {{"MERIDIAN_LOG_RETENTION_SECS", "700000"}})->log_retention_ms);
    }

    void drop_in_files_are_read_in_order_after_the_file_beside_them() {
        const meridian::test::TemporaryDirectory directory;
        const auto write = [&directory](const std::string& name, const std::string& text) {
            std::ofstream(directory.path() + "/" + name) << text;
        };
        CPPUNIT_ASSERT_EQUAL(0, ::mkdir((directory.path() + "/conf.d").c_str(), 0700));
        write("a.ini", "[server]\nbind = main:1\nloops = 1\n[limits]\nhttp_headers = 11\n");
        write("b.ini", "[limits]\nhttp_headers = 55\n");
        write("conf.d/20-late.ini", "[server]\nbind = late:1\n");
        write("conf.d/10-early.ini", "[server]\nbind = early:1\nloops = 2\n[limits]\nhttp_headers = 22\n");
        write("conf.d/.hidden.ini", "nonsense");
        write("conf.d/30-edited.ini~", "nonsense");
        SettingsSources sources;
        sources.files = {directory.path() + "/a.ini"};
        const auto settings = load_settings(sources);
        CPPUNIT_ASSERT_MESSAGE(settings.ok() ? "" : settings.error().message, settings.ok());
        CPPUNIT_ASSERT_EQUAL(std::string("late:1"), settings->bind);
        CPPUNIT_ASSERT_EQUAL(uint64_t{2}, settings->loops);
        CPPUNIT_ASSERT_EQUAL(uint64_t{22}, settings->http_headers);
        // A second file beside the first comes after the drop-in files, which are read once.
        sources.files.push_back(directory.path() + "/b.ini");
        CPPUNIT_ASSERT_EQUAL(uint64_t{55}, load_settings(sources)->http_headers);
        write("conf.d/15-wrong.ini", "[server]\n\nbnid = x\n");
        assert_contains(load_settings(sources).error().message,
                        "/conf.d/15-wrong.ini:3: [server] bnid = 'x': unknown key; did you mean 'bind'?");
    }

    void drop_in_directory_that_cannot_be_read_is_an_error() {
        const meridian::test::TemporaryDirectory directory;
        std::ofstream(directory.path() + "/a.ini") << "";
        std::ofstream(directory.path() + "/conf.d") << "";
        SettingsSources sources;
        sources.files = {directory.path() + "/a.ini"};
        assert_contains(load_settings(sources).error().message, "/conf.d: Not a directory");
    }

    void later_files_replace_store_keys() {
        const meridian::test::TemporaryDirectory directory;
        for (const char* name : {"a", "b"})
            std::ofstream(directory.path() + "/" + name + ".ini") << "[store]\nkey = " << name << "\n";
        SettingsSources sources;
        sources.files = {directory.path() + "/a.ini", directory.path() + "/b.ini"};
        const auto settings = load_settings(sources);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, settings->store_entries.size());
        CPPUNIT_ASSERT_EQUAL(std::string("b"), settings->store_entries[0].value);
    }

    void store_keys_are_left_to_the_plugin() {
        const auto settings = load("[store]\nplugin = store-x\nanything = 1\n");
        CPPUNIT_ASSERT_EQUAL(std::string("store-x"), settings->store_plugin);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, settings->store_entries.size());
        CPPUNIT_ASSERT_EQUAL(std::string("anything"), settings->store_entries[0].key);
        assert_contains(settings->store_entries[0].source, "a.ini:3");
    }

    void a_database_url_chooses_postgresql_unless_a_store_section_exists() {
        const auto store = [](const std::string& file, const char* url) {
            const auto settings = load(file, {{"DATABASE_URL", url}});
            return settings ? settings->store_plugin : settings.error().message;
        };
        CPPUNIT_ASSERT_EQUAL(std::string("store-pg"), store("", "postgres://x"));
        CPPUNIT_ASSERT_EQUAL(std::string("store-kv"), store("", ""));
        CPPUNIT_ASSERT_EQUAL(std::string("store-kv"), load("")->store_plugin);
        CPPUNIT_ASSERT_EQUAL(std::string("store-kv"), store("[store]\nplugin = store-kv\n", "postgres://x"));
        CPPUNIT_ASSERT_EQUAL(std::string("store-kv"), store("[store]\nsegment_size = 1MiB\n", "postgres://x"));
        CPPUNIT_ASSERT_EQUAL(std::string("store-pg"),
                             store("[store]\nplugin = store-pg\nschema = a\n", "postgres://x"));
    }

    void malformed_signing_key_is_refused_without_showing_it() {
        const std::string error = load("", {{"MERIDIAN_SIGNING_KEY", "secretsecret"}}).error().message;
        assert_contains(error, "expected 64 hexadecimal digits");
        CPPUNIT_ASSERT(error.find("secretsecret") == std::string::npos);
        CPPUNIT_ASSERT(load("", {{"MERIDIAN_SIGNING_KEY", std::string(64, 'A')}}).ok());
        CPPUNIT_ASSERT(load("", {{"MERIDIAN_SIGNING_KEY", ""}}).ok());
    }

    void variables_of_missing_features_are_warned_about_once() {
        const auto settings = load("", {{"PG_SYNC_DATABASE_URL", "postgres://x"}, {"S3_BUCKET", ""}});
        CPPUNIT_ASSERT_EQUAL(size_t{1}, settings->warnings.size());
        assert_contains(settings->warnings[0], "PG_SYNC_DATABASE_URL");
        // All of cluster-and-storage.md section 2.1 but those that have a setting.
        std::vector<std::pair<std::string, std::string>> all;
        for (const char* name :
             {"MERIDIAN_WEBHOOK_URL", "MERIDIAN_WEBHOOK_SECRET", "PG_SYNC_DATABASE_URL", "MERIDIAN_WAL_CONNSTR",
              "MERIDIAN_WAL_SLOT", "MERIDIAN_WAL_PUB", "S3_BUCKET", "S3_KEY_PREFIX", "S3_REGION", "S3_ENDPOINT",
              "WAL_SEGMENT_SIZE", "RUST_LOG", "MERIDIAN_LEGACY_STORE", "MERIDIAN_LEGACY_PULL"})
            all.emplace_back(name, "1");
        const auto warned = load("", all);
        CPPUNIT_ASSERT_EQUAL(all.size(), warned->warnings.size());
        for (const auto& variable : all) {
            size_t count = 0;
            for (const std::string& warning : warned->warnings)
                count += warning.find("environment variable " + variable.first + " has no effect") == 0 ? 1 : 0;
            CPPUNIT_ASSERT_EQUAL_MESSAGE(variable.first, size_t{1}, count);
        }
    }

    void dump_hides_secrets_and_reads_back() {
        const std::string key(64, 'b');
        const auto settings = load("[server]\nsigning_key = " + key +
                                   "\nbind = 127.0.0.1:77\n[limits]\nconnections = 12\n"
                                   "[store]\nshown = \" a\"\nhidden = hunter2\n");
        const std::string dump =
            dump_settings(*settings, [](const TransportEntry*, const std::string& name) { return name == "shown"; });
        CPPUNIT_ASSERT(dump.find(key) == std::string::npos);
        const auto again = load(dump);
        CPPUNIT_ASSERT(again.ok());
        CPPUNIT_ASSERT_EQUAL(std::string("127.0.0.1:77"), again->bind);
        CPPUNIT_ASSERT_EQUAL(uint64_t{12}, again->connections);
        CPPUNIT_ASSERT_EQUAL(size_t{1}, again->store_entries.size());
        CPPUNIT_ASSERT_EQUAL(std::string(" a"), again->store_entries[0].value);
        CPPUNIT_ASSERT(dump.find("hunter2") == std::string::npos);
        assert_contains(dump, "# hidden = (hidden)\n");
        CPPUNIT_ASSERT(dump_settings(*settings).find("\" a\"") == std::string::npos);
    }

    // "name:plugin" of each transport.
    static std::string transports(const meridian::Result<Settings>& settings) {
        if (!settings) return settings.error().message;
        std::string out;
        for (const TransportEntry& each : settings->transports)
            out += (out.empty() ? "" : " ") + each.name + ":" + each.plugin;
        return out;
    }

    void transports_come_from_sections_and_from_variables() {
        CPPUNIT_ASSERT_EQUAL(std::string(), transports(load("")));
        CPPUNIT_ASSERT_EQUAL(std::string("redis:transport-redis"), transports(load("", {{"REDIS_URL", "redis://h"}})));
        CPPUNIT_ASSERT_EQUAL(std::string(), transports(load("", {{"REDIS_URL", ""}, {"MERIDIAN_PEERS", ""}})));
        CPPUNIT_ASSERT_EQUAL(std::string("redis:transport-redis http:transport-http"),
                             transports(load("", {{"REDIS_URL", "redis://h"}, {"MERIDIAN_PEERS", "http://a:1"}})));
        // A section of the plug-in takes the place of the variable.
        const std::string section = "[transport eu]\nplugin = transport-redis\nurl = redis://eu\n";
        const auto both = load(section, {{"REDIS_URL", "redis://h"}, {"MERIDIAN_PEERS", "http://a:1"}});
        CPPUNIT_ASSERT_EQUAL(std::string("eu:transport-redis http:transport-http"), transports(both));
        CPPUNIT_ASSERT_EQUAL(std::string("redis://eu"), both->transports[0].entries.at(0).value);
        // Another server for the cluster than REDIS_URL says.
        const auto own = load("", {{"REDIS_URL", "redis://h"}, {"MERIDIAN_CLUSTER_REDIS_URL", "redis://c"}});
        CPPUNIT_ASSERT_EQUAL(std::string("redis:transport-redis"), transports(own));
        CPPUNIT_ASSERT_EQUAL(std::string("redis://c"), own->transports[0].entries.at(0).value);
        // The command line adds to a section, and makes one.
        const auto line =
            load(section, {}, {{"transport.eu.url", "redis://other"}, {"transport.lo.plugin", "/x/lo.so"}});
        CPPUNIT_ASSERT_EQUAL(std::string("eu:transport-redis lo:/x/lo.so"), transports(line));
        CPPUNIT_ASSERT_EQUAL(std::string("redis://other"), line->transports[0].entries.at(0).value);
        // [cluster] transport chooses.
        const auto chosen = [&](const std::string& wanted) {
            return transports(
                load(section, {{"MERIDIAN_PEERS", "http://a:1"}, {"MERIDIAN_CLUSTER_TRANSPORT", wanted}}));
        };
        CPPUNIT_ASSERT_EQUAL(std::string(), chosen("none"));
        CPPUNIT_ASSERT_EQUAL(std::string("http:transport-http"), chosen("http"));
        CPPUNIT_ASSERT_EQUAL(std::string("eu:transport-redis"), chosen("redis"));
        CPPUNIT_ASSERT_EQUAL(std::string("eu:transport-redis"), chosen("transport-redis"));
        assert_contains(chosen("transport-nats"), "[cluster] transport = 'transport-nats': none of the 2 configured");
        // A dump reads back the same.
        const auto again = load(dump_settings(*both, [](const TransportEntry*, const std::string&) { return true; }));
        CPPUNIT_ASSERT_EQUAL(transports(both), transports(again));
        CPPUNIT_ASSERT_EQUAL(std::string("redis://eu"), again->transports[0].entries.at(0).value);
        CPPUNIT_ASSERT(dump_settings(*both).find("redis://eu") == std::string::npos);
    }

    void transport_sections_are_checked() {
        assert_contains(transports(load("[transport]\nplugin = x\n")),
                        "a.ini:1: [transport]: expected a name of 1 to 32");
        assert_contains(transports(load("", {}, {{"transport.EU.plugin", "x"}})), "[transport EU]: expected a name");
        assert_contains(transports(load("[transport eu]\nurl = x\n")), "a.ini:1: [transport eu]: no plugin");
        assert_contains(transports(load("", {}, {{"transport.eu.url", "x"}})),
                        "command line: [transport eu]: no plugin");
        assert_contains(transports(load("", {}, {{"transport.eu", "x"}})), "command line: transport.eu = 'x': unknown");
        std::string many;
        for (int i = 0; i < 9; ++i) many += "[transport t" + std::to_string(i) + "]\nplugin = x\n";
        assert_contains(transports(load(many)), "[transport t8]: expected at most 8");
    }

    void cluster_settings_are_checked() {
        const auto settings = load("", {{"MERIDIAN_ANTI_ENTROPY_SECS", "5"},
                                        {"MERIDIAN_STARTUP_CATCHUP_SECS", "7"},
                                        {"MERIDIAN_CLUSTER_ID", "staging"},
                                        {"MERIDIAN_MAX_DELTA_BYTES", "4096"}});
        CPPUNIT_ASSERT_EQUAL(uint64_t{5000}, settings->anti_entropy_interval_ms);
        CPPUNIT_ASSERT_EQUAL(uint64_t{7000}, settings->startup_catchup_ms);
        CPPUNIT_ASSERT_EQUAL(std::string("staging"), settings->cluster_id);
        CPPUNIT_ASSERT_EQUAL(uint64_t{4096}, settings->delta_bytes);
        // An interval of nothing would let the node spin.
        const auto zero = load("", {{"MERIDIAN_ANTI_ENTROPY_SECS", "0"}});
        CPPUNIT_ASSERT_EQUAL(uint64_t{1000}, zero->anti_entropy_interval_ms);
        CPPUNIT_ASSERT_EQUAL(std::string("environment variable MERIDIAN_ANTI_ENTROPY_SECS = 0 counts as 1"),
                             zero->warnings.at(0));
        assert_contains(load("", {{"MERIDIAN_ANTI_ENTROPY_SECS", "x"}}).error().message,
                        "expected a whole number from 1");
        assert_contains(load("[cluster]\nsecret = short\n").error().message, "the value: expected at least 16 bytes");
        assert_contains(load("[cluster]\nauthentication = require\n").error().message, "there is no secret");
        CPPUNIT_ASSERT(load("[cluster]\nauthentication = require\nsecret = 0123456789abcdef\n").ok());
    }

    // cluster-and-storage.md section 3.
    void node_id_is_derived_as_the_vectors_say() {
        CPPUNIT_ASSERT_EQUAL(uint64_t{12337797906776987886U}, derive_node_id("node-a", 3000));
        CPPUNIT_ASSERT_EQUAL(uint64_t{12992553782671072803U}, derive_node_id("node-b", 3000));
        CPPUNIT_ASSERT_EQUAL(uint64_t{12336821540451325743U}, derive_node_id("node-a", 3001));
        CPPUNIT_ASSERT_EQUAL(uint64_t{18165552196249977141U}, derive_node_id("meridian-1", 3000));
        CPPUNIT_ASSERT_EQUAL(uint64_t{17096313939565067255U}, derive_node_id("localhost", 3000));
        CPPUNIT_ASSERT_EQUAL(uint64_t{705478579341095844U}, derive_node_id("", 3000));
        CPPUNIT_ASSERT_EQUAL(std::string("9ca5d07b645f3a4"), node_id_text(705478579341095844U));
        CPPUNIT_ASSERT_EQUAL(uint16_t{3001}, port_of_bind("0.0.0.0:3001"));
        CPPUNIT_ASSERT_EQUAL(uint16_t{3000}, port_of_bind("unix:/run/x"));
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ConfigTest);

}  // namespace
