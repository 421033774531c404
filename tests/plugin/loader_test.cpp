// What the loader refuses, and with which words. Copies of store-kv.so with a few bytes changed, and tiny plug-ins.
#include <cppunit/extensions/HelperMacros.h>
#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "store_fixture.h"

namespace meridian::test {
namespace {

namespace fs = std::filesystem;

class LoaderTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(LoaderTest);
    CPPUNIT_TEST(finds_a_plugin_by_name_in_its_directories);
    CPPUNIT_TEST(reads_the_identity_without_loading);
    CPPUNIT_TEST(the_plugin_exports_its_entry_only);
    CPPUNIT_TEST(refuses_another_abi_before_any_of_its_code_runs);
    CPPUNIT_TEST(refuses_another_magic);
    CPPUNIT_TEST(refuses_another_kind);
    CPPUNIT_TEST(refuses_a_file_without_a_note);
    CPPUNIT_TEST(refuses_a_file_that_is_not_a_shared_object);
    CPPUNIT_TEST(refuses_a_truncated_file_of_any_length);
    CPPUNIT_TEST(refuses_a_file_that_others_can_write);
    CPPUNIT_TEST(refuses_a_directory_that_others_can_write);
    CPPUNIT_TEST(refuses_another_owner);
    CPPUNIT_TEST(refuses_a_missing_entry);
    CPPUNIT_TEST(refuses_an_undefined_symbol);
    CPPUNIT_TEST(refuses_a_descriptor_that_differs_from_the_note);
    CPPUNIT_TEST(refuses_a_descriptor_without_functions);
    CPPUNIT_TEST(refuses_a_transport_that_lacks_a_function);
    CPPUNIT_TEST(loads_two_files_one_after_the_other);
    CPPUNIT_TEST(survives_any_changed_byte_of_the_elf_headers);
    CPPUNIT_TEST_SUITE_END();

    TemporaryDirectory temporary_;
    const std::string copy_ = temporary_.path() + "/copy.so";

    void make_copy(const std::string& from = STORE_KV_PATH) {
        // A new file each time: to write into one that is loaded would change the code that runs.
        fs::remove(copy_);
        fs::copy_file(from, copy_);
        fs::permissions(copy_, fs::perms(0755));
    }
    // Changes the identity in the note. The descriptor's copy of it is left alone.
    void patch_identity(const std::function<void(meridian_identity&)>& change) {
        make_copy();
        std::string bytes = read_file(copy_);
        const std::string owner(MERIDIAN_NOTE_OWNER, sizeof MERIDIAN_NOTE_OWNER);
        const size_t at = bytes.find(owner + std::string(3, '\0') + MERIDIAN_MAGIC);
        CPPUNIT_ASSERT(at != std::string::npos);
        meridian_identity identity{};
        std::memcpy(&identity, bytes.data() + at + 12, sizeof identity);
        change(identity);
        std::memcpy(bytes.data() + at + 12, &identity, sizeof identity);
        write_file(copy_, bytes);
    }
    void must_refuse(const std::vector<std::string>& parts, plugin::Kind kind = plugin::Kind::store) {
        const auto loaded = plugin::load_plugin(copy_, {}, kind);
        CPPUNIT_ASSERT_MESSAGE("loaded", !loaded.ok());
        CPPUNIT_ASSERT_MESSAGE(loaded.error().message, loaded.error().message.find(copy_) != std::string::npos);
        for (const auto& part : parts) {
            CPPUNIT_ASSERT_MESSAGE("'" + loaded.error().message + "' lacks '" + part + "'",
                                   loaded.error().message.find(part) != std::string::npos);
        }
    }

public:
    void finds_a_plugin_by_name_in_its_directories() {
        const fs::path path = STORE_KV_PATH;
        const auto found = plugin::find_plugin("store-kv", {temporary_.path(), path.parent_path()});
        CPPUNIT_ASSERT(found.ok());
        CPPUNIT_ASSERT(fs::equivalent(path, *found));
        const auto missing = plugin::find_plugin("store-none", {"/a", "/b"});
        CPPUNIT_ASSERT_EQUAL(std::string("plug-in 'store-none': no store-none.so in /a, /b"), missing.error().message);
        CPPUNIT_ASSERT(!plugin::find_plugin("../evil", {"/a"}));
        CPPUNIT_ASSERT(!plugin::find_plugin("", {"/a"}));
    }

    void reads_the_identity_without_loading() {
        const auto identity = plugin::read_identity(STORE_KV_PATH);
        CPPUNIT_ASSERT_MESSAGE(identity ? "" : identity.error().message, identity.ok());
        CPPUNIT_ASSERT_EQUAL(std::string("store-kv"), std::string(identity->name));
        CPPUNIT_ASSERT_EQUAL(uint32_t{MERIDIAN_KIND_STORE}, identity->kind);
    }

    void the_plugin_exports_its_entry_only() {
        const std::string command = std::string("nm -D --defined-only --format=posix '") + STORE_KV_PATH + "'";
        FILE* pipe = ::popen(command.c_str(), "r");
        CPPUNIT_ASSERT(pipe != nullptr);
        std::string symbols;
        char line[512];
        while (std::fgets(line, sizeof line, pipe) != nullptr) {
            const std::string name(line, std::strcspn(line, " "));
            // The sanitizers' own, in their builds.
            if (name.find("asan") == std::string::npos && name.find("tsan") == std::string::npos)
                symbols += name + "\n";
        }
        CPPUNIT_ASSERT_EQUAL(0, ::pclose(pipe));
        CPPUNIT_ASSERT_EQUAL(std::string("meridian_plugin\n"), symbols);
    }

    void refuses_another_abi_before_any_of_its_code_runs() {
        ::unsetenv("MERIDIAN_TEST_TINY_LOADED");
        make_copy(TINY_PLAIN_PATH);
        std::string bytes = read_file(copy_);
        const size_t at = bytes.find(std::string(MERIDIAN_NOTE_OWNER, 9) + std::string(3, '\0') + MERIDIAN_MAGIC);
        CPPUNIT_ASSERT(at != std::string::npos);
        bytes[at + 12 + offsetof(meridian_identity, abi_major)] = 7;
        write_file(copy_, bytes);
        must_refuse({"ABI 7.2", "this host has 0.2"});
        CPPUNIT_ASSERT(std::getenv("MERIDIAN_TEST_TINY_LOADED") == nullptr);
        // The same file with the right version does run its code.
        make_copy(TINY_PLAIN_PATH);
        must_refuse({"create"});
        CPPUNIT_ASSERT(std::getenv("MERIDIAN_TEST_TINY_LOADED") != nullptr);
    }

    void refuses_another_magic() {
        patch_identity([](meridian_identity& identity) { std::memcpy(identity.magic, "MERIDIEM", 8); });
        must_refuse({"magic 'MERIDIEM'", "expected 'MERIDIAN'"});
    }

    void refuses_another_kind() {
        make_copy();
        must_refuse({"it is a store", "expected a transport"}, plugin::Kind::transport);
        patch_identity([](meridian_identity& identity) { identity.kind = 9; });
        must_refuse({"unknown kind", "kind 9", "expected a store"});
    }

    void refuses_a_file_without_a_note() {
        make_copy(TINY_NO_NOTE_PATH);
        must_refuse({"no ELF note", "Meridian"});
    }

    void refuses_a_file_that_is_not_a_shared_object() {
        write_file(copy_, "#!/bin/sh\necho this is long enough to be read as a header, but it is not one, is it?\n");
        must_refuse({"not a shared object"});
        write_file(copy_, "");
        must_refuse({"0 bytes"});
        fs::remove(copy_);
        fs::create_directory(copy_);
        must_refuse({"not a regular file"});
        fs::remove(copy_);
        CPPUNIT_ASSERT_EQUAL(0, ::mkfifo(copy_.c_str(), 0600));
        must_refuse({"not a regular file"});
        fs::remove(copy_);
        must_refuse({"No such file"});
    }

    void refuses_a_truncated_file_of_any_length() {
        make_copy();
        const std::string bytes = read_file(copy_);
        for (size_t size = 0; size < bytes.size(); size += 1 + bytes.size() / 97) {
            write_file(copy_, bytes.substr(0, size));
            must_refuse({});
        }
        write_file(copy_, bytes.substr(0, bytes.size() - 1));
        must_refuse({"truncated", std::to_string(bytes.size() - 1) + " bytes"});
    }

    void refuses_a_file_that_others_can_write() {
        make_copy();
        fs::permissions(copy_, fs::perms(0777));
        must_refuse({"can be written by other users", "0777"});
    }

    void refuses_a_directory_that_others_can_write() {
        const std::string directory = temporary_.path() + "/open";
        fs::create_directory(directory);
        fs::create_directory(directory + "/inner");
        make_copy();
        fs::copy_file(copy_, directory + "/inner/p.so");
        fs::permissions(directory, fs::perms(0777));
        const auto refused = plugin::load_plugin(directory + "/inner/p.so", {}, plugin::Kind::store);
        CPPUNIT_ASSERT(!refused.ok());
        CPPUNIT_ASSERT_MESSAGE(
            refused.error().message,
            refused.error().message.find("the directory " + directory + " can be written") != std::string::npos);
        // The real directory counts, not the one through which the file was named.
        const std::string link = temporary_.path() + "/link.so";
        fs::create_symlink(directory + "/inner/p.so", link);
        CPPUNIT_ASSERT(!plugin::load_plugin(link, {}, plugin::Kind::store).ok());
        // Sticky directories are like /tmp: others cannot replace what is ours.
        CPPUNIT_ASSERT_EQUAL(0, ::chmod(directory.c_str(), 01777));
        CPPUNIT_ASSERT(plugin::load_plugin(directory + "/inner/p.so", {}, plugin::Kind::store).ok());
    }

    void refuses_another_owner() {
        if (::geteuid() != 0) return;  // only root can give files away
        make_copy();
        CPPUNIT_ASSERT_EQUAL(0, ::chown(copy_.c_str(), 4242, 0));
        must_refuse({"owned by user 4242", "expected root or user 0"});
    }

    void refuses_a_missing_entry() {
        make_copy(TINY_NO_ENTRY_PATH);
        must_refuse({"does not export 'meridian_plugin'"});
    }

    void refuses_an_undefined_symbol() {
        make_copy(TINY_UNDEFINED_PATH);
        must_refuse({"cannot be loaded", "meridian_test_nobody_has_this"});
    }

    void refuses_a_descriptor_that_differs_from_the_note() {
        make_copy(TINY_OTHER_NAME_PATH);
        must_refuse({"descriptor says 'other'"});
    }

    void refuses_a_descriptor_without_functions() {
        make_copy(TINY_PLAIN_PATH);
        must_refuse({"lacks 'create'"});
    }

    void refuses_a_transport_that_lacks_a_function() {
        const auto copy_lacking = [this](const std::string& function) {
            make_copy(LACKING_TRANSPORT_PATH);
            ::setenv("MERIDIAN_TEST_LACKS", function.c_str(), 1);
        };
        for (const std::string function : {"start", "message_bytes_max", "address", "links", "publish", "resume",
                                           "send", "request", "cancel", "reply"}) {
            copy_lacking(function);
            must_refuse({"its descriptor lacks 'transport." + function + "'"}, plugin::Kind::transport);
        }
        copy_lacking("size");
        must_refuse({"its transport functions have 80 bytes, expected at least 88"}, plugin::Kind::transport);
        for (const std::string complete : {"nothing", "unicast", "requests"}) {
            copy_lacking(complete);
            const auto loaded = plugin::load_plugin(copy_, {}, plugin::Kind::transport);
            CPPUNIT_ASSERT_MESSAGE(complete + (loaded ? "" : loaded.error().message), loaded.ok());
        }
        ::unsetenv("MERIDIAN_TEST_LACKS");
    }

    void loads_two_files_one_after_the_other() {
        // The dynamic linker knows objects by name, and all are named /proc/self/fd/N.
        make_copy(TINY_OTHER_NAME_PATH);
        must_refuse({"descriptor says 'other'"});
        make_copy(TINY_NO_ENTRY_PATH);
        must_refuse({"does not export"});
        make_copy();
        const auto loaded = plugin::load_plugin(copy_, {}, plugin::Kind::store);
        CPPUNIT_ASSERT(loaded.ok());
        CPPUNIT_ASSERT_EQUAL(std::string("store-kv"), std::string(loaded->descriptor->identity.name));
    }

    void survives_any_changed_byte_of_the_elf_headers() {
        make_copy(TINY_PLAIN_PATH);
        const std::string bytes = read_file(copy_);
        Elf64_Ehdr header{};
        std::memcpy(&header, bytes.data(), sizeof header);
        const size_t end = sizeof header + size_t{header.e_phnum} * sizeof(Elf64_Phdr);
        for (size_t i = 0; i < end; ++i) {
            for (const int value : {0, 0x7f, 0xff}) {
                std::string changed = bytes;
                changed[i] = static_cast<char>(value);
                write_file(copy_, changed);
                // Reading the note must end well, whatever it says; nothing is loaded.
                const auto identity = plugin::read_identity(copy_);
                CPPUNIT_ASSERT(identity.ok() || !identity.error().message.empty());
            }
        }
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(LoaderTest);

class PluginConfigurationTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(PluginConfigurationTest);
    CPPUNIT_TEST(gives_defaults_in_normal_form);
    CPPUNIT_TEST(a_section_wins_over_the_environment);
    CPPUNIT_TEST(refuses_unknown_keys_and_wrong_values);
    CPPUNIT_TEST(reads_values_from_files_and_keeps_secrets_secret);
    CPPUNIT_TEST(parses_sizes_and_durations);
    CPPUNIT_TEST_SUITE_END();

    std::map<std::string, std::string> environment_;

    Result<plugin::Configuration> check(const plugin::LoadedPlugin& plugin, const Section& section) {
        return plugin::check_configuration(plugin, "[store]", section, [this](const std::string& name) {
            const auto found = environment_.find(name);
            return found == environment_.end() ? std::nullopt : std::optional<std::string>(found->second);
        });
    }
    static std::string value(const plugin::Configuration& configuration, const std::string& name) {
        for (const auto& [key, text] : configuration.values) {
            if (key == name) return text;
        }
        return "(none)";
    }
    void must_refuse(const plugin::LoadedPlugin& plugin, const Section& section, const std::string& message) {
        const auto checked = check(plugin, section);
        CPPUNIT_ASSERT(!checked.ok());
        CPPUNIT_ASSERT_MESSAGE("'" + checked.error().message + "' lacks '" + message + "'",
                               checked.error().message.find(message) != std::string::npos);
    }

public:
    void gives_defaults_in_normal_form() {
        const auto checked = check(store_kv(), {});
        CPPUNIT_ASSERT(checked.ok());
        CPPUNIT_ASSERT_EQUAL(std::string("data"), value(*checked, "directory"));
        CPPUNIT_ASSERT_EQUAL(std::string("67108864"), value(*checked, "segment_size"));
    }

    void a_section_wins_over_the_environment() {
        environment_["MERIDIAN_DATA_DIR"] = "/from/environment";
        CPPUNIT_ASSERT_EQUAL(std::string("/from/environment"), value(*check(store_kv(), {}), "directory"));
        CPPUNIT_ASSERT_EQUAL(std::string("/from/section"),
                             value(*check(store_kv(), {{"directory", "/from/section"}}), "directory"));
        environment_["MERIDIAN_DATA_DIR"] = "";
        CPPUNIT_ASSERT_EQUAL(std::string("data"), value(*check(store_kv(), {}), "directory"));
    }

    void refuses_unknown_keys_and_wrong_values() {
        must_refuse(store_kv(), {{"segmentsize", "1"}},
                    "[store] segmentsize: the plug-in 'store-kv' has no such key, did you mean 'segment_size'?; it has "
                    "directory, ");
        must_refuse(store_kv(), {{"segment_size", "big"}},
                    "[store] segment_size: found 'big', expected a size such as");
        must_refuse(store_kv(), {{"segment_size", "1KiB"}},
                    "found '1KiB', expected between 65536 and 1073741824 bytes");
        must_refuse(store_kv(), {{"read_threads", "2x"}}, "expected a whole number");
        must_refuse(store_kv(), {{"directory", ""}}, "expected a path");
    }

    void reads_values_from_files_and_keeps_secrets_secret() {
        TemporaryDirectory temporary;
        const uint32_t size = sizeof(meridian_config_key);
        const meridian_config_key keys[] = {
            {size, MERIDIAN_TYPE_INTEGER, MERIDIAN_KEY_REQUIRED | MERIDIAN_KEY_SECRET | MERIDIAN_KEY_FILE, 0, "pin",
             nullptr, 1, 9999, nullptr, nullptr, "a number that nobody may see"},
            {size, MERIDIAN_TYPE_CHOICE, 0, 0, "mode", "fast", 0, 0, "fast|safe", nullptr, "a choice"},
        };
        meridian_plugin_descriptor descriptor = *store_kv().descriptor;
        descriptor.config_keys = keys;
        descriptor.config_key_count = 2;
        const plugin::LoadedPlugin plugin{"made", &descriptor};
        write_file(temporary.path() + "/pin", "1234\n");
        const auto checked = check(plugin, {{"pin_file", temporary.path() + "/pin"}, {"mode", "safe"}});
        CPPUNIT_ASSERT_MESSAGE(checked ? "" : checked.error().message, checked.ok());
        CPPUNIT_ASSERT_EQUAL(std::string("1234"), value(*checked, "pin"));
        CPPUNIT_ASSERT_EQUAL(std::string("safe"), value(*checked, "mode"));
        must_refuse(plugin, {}, "[store] pin: no value");
        must_refuse(plugin, {{"pin", "1"}, {"pin_file", "/x"}}, "both pin and pin_file");
        must_refuse(plugin, {{"pin_file", temporary.path() + "/none"}}, "No such file");
        must_refuse(plugin, {{"pin", "1"}, {"mode", "wild"}}, "one of fast|safe");
        const auto secret = check(plugin, {{"pin", "hunter2"}});
        CPPUNIT_ASSERT(!secret.ok());
        CPPUNIT_ASSERT(secret.error().message.find("hunter2") == std::string::npos);
    }

    void parses_sizes_and_durations() {
        CPPUNIT_ASSERT(plugin::parse_size("64MiB") == int64_t{64} << 20);
        CPPUNIT_ASSERT(plugin::parse_size("17") == int64_t{17});
        CPPUNIT_ASSERT(!plugin::parse_size("64MB"));
        CPPUNIT_ASSERT(!plugin::parse_size("-1"));
        CPPUNIT_ASSERT(!plugin::parse_size("9999999TiB"));
        CPPUNIT_ASSERT(plugin::parse_duration_ms("250ms") == int64_t{250});
        CPPUNIT_ASSERT(plugin::parse_duration_ms("2h") == int64_t{7'200'000});
        CPPUNIT_ASSERT(plugin::parse_duration_ms("0") == int64_t{0});
        CPPUNIT_ASSERT(!plugin::parse_duration_ms("5"));
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(PluginConfigurationTest);

}  // namespace
}  // namespace meridian::test
